/**
 * Keys in memory: an open-addressing table of 64-bit keyed hashes and positions in typed arrays, 16 bytes a slot, at most
 * three quarters full. A JavaScript Map would take 200 bytes a key and end at 16.7 million. Growing copies the table, so
 * it doubles rarely. Hashes are keyed per process, so nobody outside can aim at one slot.
 */
import { HalfSipHash } from '../base/half-sip-hash.ts';
import type { Random } from '../base/random.ts';
import type { IdempotencyIndex } from './contract.ts';

const SLOT_COUNT_FIRST = 1_024;

export class MemoryIdempotencyIndex implements IdempotencyIndex {
  readonly #hash: HalfSipHash;
  #mask = SLOT_COUNT_FIRST - 1;
  /** Two words of hash a slot. */
  #hashes = new Uint32Array(SLOT_COUNT_FIRST * 2);
  /** Position plus one; 0 marks a free slot. */
  #positions = new Float64Array(SLOT_COUNT_FIRST);
  #count = 0;

  constructor(random: Random) {
    const key = new Uint8Array(8);
    random.fill(key);
    const view = new DataView(key.buffer);
    this.#hash = new HalfSipHash(view.getUint32(0), view.getUint32(4), 1);
  }

  get count(): number {
    return this.#count;
  }

  add(key: string, position: number): void {
    if (this.#count * 4 >= (this.#mask + 1) * 3) {
      this.#grow();
    }
    const hash = this.#hash;
    hash.hashString(key);
    this.#insert(hash.low, hash.high, position + 1);
    this.#count += 1;
  }

  candidates(key: string): readonly number[] {
    const hash = this.#hash;
    hash.hashString(key);
    const { low, high } = hash;
    let found: number[] | undefined;
    for (let slot = low & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const stored = this.#positions[slot]!;
      if (stored === 0) {
        return found ?? none;
      }
      if (this.#hashes[slot * 2] === low && this.#hashes[slot * 2 + 1] === high) {
        (found ??= []).push(stored - 1);
      }
    }
  }

  #insert(low: number, high: number, stored: number): void {
    let slot = low & this.#mask;
    while (this.#positions[slot] !== 0) {
      slot = (slot + 1) & this.#mask;
    }
    this.#hashes[slot * 2] = low;
    this.#hashes[slot * 2 + 1] = high;
    this.#positions[slot] = stored;
  }

  #grow(): void {
    const hashes = this.#hashes;
    const positions = this.#positions;
    const count = positions.length * 2;
    this.#mask = count - 1;
    this.#hashes = new Uint32Array(count * 2);
    this.#positions = new Float64Array(count);
    for (let slot = 0; slot < positions.length; slot += 1) {
      if (positions[slot] !== 0) {
        this.#insert(hashes[slot * 2]!, hashes[slot * 2 + 1]!, positions[slot]!);
      }
    }
  }
}

const none: readonly number[] = [];
