/**
 * Positions by 64-bit hash, in typed arrays. A JavaScript Map would take 200 bytes a key and end at 16.7 million.
 *
 *   entries   12 bytes, in the order they were added: hash low and high, position
 *   slots     4 bytes: the number of an entry. Open addressing, at most three quarters full
 *   tags      1 byte a slot: 0 if it is free, else 7 bits of the hash
 *
 * Looking for a hash that was never added, which nearly every lookup is, reads only tags. One hash may have several positions. Whoever gives
 * hashes has keyed them, so nobody outside can aim at one slot.
 */

const SLOT_COUNT_FIRST = 1_024;
const ENTRY_WORDS = 3;

export class HashPositions {
  #tags = new Uint8Array(SLOT_COUNT_FIRST);
  #slots = new Uint32Array(SLOT_COUNT_FIRST);
  #entries = new Uint32Array(entryCountMax(SLOT_COUNT_FIRST) * ENTRY_WORDS);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Bytes that it takes. */
  get memorySize(): number {
    return this.#tags.length + this.#slots.byteLength + this.#entries.byteLength;
  }

  /** `position` is below 2^32. */
  add(low: number, high: number, position: number): void {
    if (this.#count === entryCountMax(this.#tags.length)) {
      this.#grow();
    }
    const slot = freeSlot(this.#tags, low);
    const entries = this.#entries;
    const at = this.#count * ENTRY_WORDS;
    entries[at] = low;
    entries[at + 1] = high;
    entries[at + 2] = position;
    this.#tags[slot] = tagOf(high);
    this.#slots[slot] = this.#count;
    this.#count += 1;
  }

  /** The first slot with the hash, or, given a slot with it, the next one; -1 if there is none. */
  find(low: number, high: number, after: number = -1): number {
    const tags = this.#tags;
    const entries = this.#entries;
    const mask = tags.length - 1;
    const tag = tagOf(high);
    let slot = after < 0 ? low & mask : (after + 1) & mask;
    for (let stored = tags[slot]!; stored !== 0; stored = tags[slot]!) {
      if (stored === tag) {
        const at = this.#slots[slot]! * ENTRY_WORDS;
        if (entries[at] === low && entries[at + 1] === high) {
          return slot;
        }
      }
      slot = (slot + 1) & mask;
    }
    return -1;
  }

  /** The position of a slot that `find` has returned. */
  positionAt(slot: number): number {
    return this.#entries[this.#slots[slot]! * ENTRY_WORDS + 2]!;
  }

  #grow(): void {
    const slotCount = this.#tags.length * 2;
    this.#tags = new Uint8Array(slotCount);
    this.#slots = new Uint32Array(slotCount);
    const entries = new Uint32Array(entryCountMax(slotCount) * ENTRY_WORDS);
    entries.set(this.#entries);
    this.#entries = entries;
    insertAll(this.#tags, this.#slots, entries, this.#count);
  }
}

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
