/**
 * Keys in memory: 64-bit keyed hashes and positions in typed arrays. A JavaScript Map would take 200 bytes a key and end at
 * 16.7 million. Hashes are keyed per process, so nobody outside can aim at one slot.
 *
 *   entries   16 bytes a key, in the order they were added: hash low and high, position low and high
 *   slots     4 bytes: the number of an entry. Open addressing, at most three quarters full
 *   tags      1 byte a slot: 0 if it is free, else 7 bits of the hash
 *
 * Looking for a key that was never added, which nearly every lookup is, reads only tags, and adding it writes one place
 * that no cache may hold instead of a wide one. Growing makes tags and slots anew, so they double rarely.
 */
import { HalfSipHash } from '../base/half-sip-hash.ts';
import type { Random } from '../base/random.ts';
import type { RecordView } from '../log/record-view.ts';
import type { IdempotencyIndex } from './contract.ts';

const SLOT_COUNT_FIRST = 1_024;
const ENTRY_WORDS = 4;
const TWO_32 = 2 ** 32;

export class MemoryIdempotencyIndex implements IdempotencyIndex {
  readonly covered = 0;
  readonly failure = undefined;
  readonly #indexed: IndexedTexts;
  readonly #hash: HalfSipHash;
  #tags = new Uint8Array(SLOT_COUNT_FIRST);
  #slots = new Uint32Array(SLOT_COUNT_FIRST);
  #entries = new Uint32Array(entryCountMax(SLOT_COUNT_FIRST) * ENTRY_WORDS);
  #count = 0;
  /** The key that was looked for last, its scope, and the free slot where that ended. Undefined once the table has changed. */
  #missed: string | undefined;
  #missedScope = '';
  #freeSlot = 0;

  constructor(random: Random, indexed: IndexedTexts) {
    this.#indexed = indexed;
    const key = new Uint8Array(8);
    random.fill(key);
    const view = new DataView(key.buffer);
    this.#hash = new HalfSipHash(view.getUint32(0), view.getUint32(4), 1);
  }

  replay(record: RecordView): undefined {
    const key = this.#indexed.keyOf(record);
    if (key !== '') {
      this.add(this.#indexed.scopeOf(record), key, record.position);
    }
  }

  flush(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  get count(): number {
    return this.#count;
  }

  add(scope: string, key: string, position: number): void {
    if (this.#count === entryCountMax(this.#tags.length)) {
      this.#grow();
    }
    const hash = this.#hash;
    let slot = this.#freeSlot;
    // Whoever adds a key has just looked for it.
    if (this.#missed !== key || this.#missedScope !== scope) {
      hash.hashScoped(scope, key);
      slot = freeSlot(this.#tags, hash.low);
    }
    this.#missed = undefined;
    const { low, high } = hash;
    const entries = this.#entries;
    const at = this.#count * ENTRY_WORDS;
    entries[at] = low;
    entries[at + 1] = high;
    entries[at + 2] = position;
    entries[at + 3] = position / TWO_32;
    this.#tags[slot] = tagOf(high);
    this.#slots[slot] = this.#count;
    this.#count += 1;
  }

  candidates(scope: string, key: string): readonly number[] {
    const hash = this.#hash;
    hash.hashScoped(scope, key);
    const { low, high } = hash;
    const tags = this.#tags;
    const mask = tags.length - 1;
    const tag = tagOf(high);
    let found: number[] | undefined;
    let slot = low & mask;
    for (let stored = tags[slot]!; stored !== 0; stored = tags[slot]!) {
      const at = stored === tag ? this.#slots[slot]! * ENTRY_WORDS : -1;
      if (at >= 0 && this.#entries[at] === low && this.#entries[at + 1] === high) {
        (found ??= []).push(this.#entries[at + 2]! + this.#entries[at + 3]! * TWO_32);
      }
      slot = (slot + 1) & mask;
    }
    this.#missed = key;
    this.#missedScope = scope;
    this.#freeSlot = slot;
    return found ?? none;
  }

  #grow(): void {
    const slotCount = this.#tags.length * 2;
    this.#missed = undefined;
    this.#tags = new Uint8Array(slotCount);
    this.#slots = new Uint32Array(slotCount);
    const entries = new Uint32Array(entryCountMax(slotCount) * ENTRY_WORDS);
    entries.set(this.#entries);
    this.#entries = entries;
    insertAll(this.#tags, this.#slots, entries, this.#count);
  }
}

/** What of a record an index is of. */
export interface IndexedTexts {
  scopeOf(record: RecordView): string;
  /** Empty for none. */
  keyOf(record: RecordView): string;
}

export const idempotencyKeys: IndexedTexts = {
  scopeOf: (record) => record.idempotencyScope,
  keyOf: (record) => record.idempotencyKey,
};

/** Ids have no scope: they are unique in the store. */
export const suppliedIds: IndexedTexts = {
  scopeOf: () => '',
  keyOf: (record) => record.suppliedId,
};

const none: readonly number[] = [];

function entryCountMax(slotCount: number): number {
  return (slotCount / 4) * 3;
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

function insertAll(
  tags: Uint8Array,
  slots: Uint32Array,
  entries: Uint32Array,
  count: number,
): void {
  for (let entry = 0; entry < count; entry += 1) {
    const at = entry * ENTRY_WORDS;
    const slot = freeSlot(tags, entries[at]!);
    tags[slot] = tagOf(entries[at + 1]!);
    slots[slot] = entry;
  }
}
