/**
 * Keys in memory: an open-addressing table of 64-bit keyed hashes and positions in typed arrays, 17 bytes a slot, at most
 * three quarters full. A JavaScript Map would take 200 bytes a key and end at 16.7 million. Growing copies the table, so
 * it doubles rarely. Hashes are keyed per process, so nobody outside can aim at one slot.
 *
 * One byte a slot says whether it is free and, if not, 7 bits of the hash: looking for a key that was never added, which
 * nearly every lookup is, stays in these bytes and hardly ever touches the slots themselves, which no cache holds.
 */
import { HalfSipHash } from '../base/half-sip-hash.ts';
import type { Random } from '../base/random.ts';
import type { IdempotencyIndex } from './contract.ts';

const SLOT_COUNT_FIRST = 1_024;
/** Words of a slot: hash low and high, position low and high. */
const SLOT_WORDS = 4;
const TWO_32 = 2 ** 32;

interface Table {
  /** 0: free. Otherwise the tag of the slot's hash. */
  readonly tags: Uint8Array;
  readonly slots: Uint32Array;
}

export class MemoryIdempotencyIndex implements IdempotencyIndex {
  readonly #hash: HalfSipHash;
  #table = makeTable(SLOT_COUNT_FIRST);
  #count = 0;
  /** The key looked for last, and the free slot where that ended; undefined once the table has changed. */
  #missed: string | undefined;
  #freeSlot = 0;

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
    const hash = this.#hash;
    // Whoever adds a key has just looked for it.
    const isKnown = this.#missed === key;
    if (!isKnown) {
      hash.hashString(key);
    }
    const isFull = this.#count * 4 >= this.#table.tags.length * 3;
    if (isFull) {
      this.#table = grown(this.#table);
    }
    const table = this.#table;
    const slot = isKnown && !isFull ? this.#freeSlot : freeSlot(table.tags, hash.low);
    this.#missed = undefined;
    const at = slot * SLOT_WORDS;
    table.tags[slot] = tagOf(hash.high);
    table.slots[at] = hash.low;
    table.slots[at + 1] = hash.high;
    table.slots[at + 2] = position;
    table.slots[at + 3] = position / TWO_32;
    this.#count += 1;
  }

  candidates(key: string): readonly number[] {
    const hash = this.#hash;
    hash.hashString(key);
    const { low, high } = hash;
    const { tags, slots } = this.#table;
    const mask = tags.length - 1;
    const tag = tagOf(high);
    let found: number[] | undefined;
    let slot = low & mask;
    for (let stored = tags[slot]!; stored !== 0; stored = tags[slot]!) {
      const at = slot * SLOT_WORDS;
      if (stored === tag && slots[at] === low && slots[at + 1] === high) {
        (found ??= []).push(slots[at + 2]! + slots[at + 3]! * TWO_32);
      }
      slot = (slot + 1) & mask;
    }
    this.#missed = key;
    this.#freeSlot = slot;
    return found ?? none;
  }
}

const none: readonly number[] = [];

function makeTable(count: number): Table {
  return { tags: new Uint8Array(count), slots: new Uint32Array(count * SLOT_WORDS) };
}

/** Never 0, and made of bits that choose no slot. */
function tagOf(high: number): number {
  return (high & 0x7f) | 0x80;
}

function freeSlot(tags: Uint8Array, low: number): number {
  const mask = tags.length - 1;
  let slot = low & mask;
  while (tags[slot] !== 0) {
    slot = (slot + 1) & mask;
  }
  return slot;
}

function grown({ tags, slots }: Table): Table {
  const larger = makeTable(tags.length * 2);
  const target = larger.slots;
  for (let slot = 0; slot < tags.length; slot += 1) {
    if (tags[slot] !== 0) {
      const source = slot * SLOT_WORDS;
      const place = freeSlot(larger.tags, slots[source]!);
      const at = place * SLOT_WORDS;
      larger.tags[place] = tags[slot]!;
      target[at] = slots[source]!;
      target[at + 1] = slots[source + 1]!;
      target[at + 2] = slots[source + 2]!;
      target[at + 3] = slots[source + 3]!;
    }
  }
  return larger;
}
