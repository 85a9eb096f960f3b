/**
 * Which data block may hold a key. For each block the index has a separator: a place (key, sequence) not before the
 * block's last entry and before the next block's first. The key is as short as that allows; the sequence is 0, which is
 * behind all versions of the key, unless the next block goes on with more versions of it. See docs/formats/table.md.
 */
import { assert } from '../../base/assert.ts';
import { commonPrefixSize, compareBytes } from '../../base/compare-bytes.ts';
import { readUint64, viewOf, writeUint64 } from '../../base/integers.ts';
import type { Refusal } from '../../base/refusal.ts';
import { copyRange } from '../../base/copy-bytes.ts';
import { headOf } from './key-head.ts';
import { KEY_SIZE_MAX, PAYLOAD_SIZE_MAX, TRAILER_SIZE, writeUint32 } from './format.ts';

/** Number of blocks (4), then offset (8), sequence (8) and end of the key (4) of each, then the keys. */
const INDEX_HEAD_SIZE = 4;
const INDEX_ENTRY_SIZE = 20;
/** Compressed, a payload may be smaller than its tail. */
const BLOCK_STORED_SIZE_MIN = TRAILER_SIZE + 1;

export class TableIndexBuilder {
  #count = 0;
  #entries = new Uint8Array(INDEX_ENTRY_SIZE * 64);
  #view = viewOf(this.#entries);
  #keys = new Uint8Array(2_048);
  #keysSize = 0;

  /** Of the index part. */
  get size(): number {
    return INDEX_HEAD_SIZE + this.#count * INDEX_ENTRY_SIZE + this.#keysSize + TRAILER_SIZE;
  }

  /** `offset`: of the block in the file; `key[0, keySize)`, `sequence`: its separator. */
  add(offset: number, key: Uint8Array, keySize: number, sequence: number): void {
    const at = this.#count * INDEX_ENTRY_SIZE;
    if (at === this.#entries.length) {
      this.#entries = grown(this.#entries, at * 2);
      this.#view = viewOf(this.#entries);
    }
    if (this.#keysSize + keySize > this.#keys.length) {
      this.#keys = grown(this.#keys, (this.#keysSize + keySize) * 2);
    }
    this.#keysSize = copyRange(key, 0, keySize, this.#keys, this.#keysSize);
    writeUint64(this.#view, at, offset);
    writeUint64(this.#view, at + 8, sequence);
    this.#view.setUint32(at + 16, this.#keysSize, true);
    this.#count += 1;
  }

  /** The payload of the index part, with room for a trailer. */
  finish(): Uint8Array<ArrayBuffer> {
    const entriesSize = this.#count * INDEX_ENTRY_SIZE;
    const bytes = new Uint8Array(this.size);
    writeUint32(bytes, 0, this.#count);
    bytes.set(this.#entries.subarray(0, entriesSize), INDEX_HEAD_SIZE);
    bytes.set(this.#keys.subarray(0, this.#keysSize), INDEX_HEAD_SIZE + entriesSize);
    return bytes;
  }
}

/**
 * Writes the shortest key that is not smaller than `last` and smaller than `next` over `last`; returns its size. `last`
 * must be smaller than `next`, `shared` is how many bytes they have in common.
 */
export function shortenSeparator(
  last: Uint8Array,
  lastSize: number,
  next: Uint8Array,
  nextStart: number,
  shared: number,
): number {
  if (shared === lastSize) {
    return lastSize;
  }
  // Raising the byte where they differ may reach `next`; one of the following bytes can be raised without that.
  const first = last[shared]! + 1 < next[nextStart + shared]! ? shared : shared + 1;
  for (let at = first; at < lastSize - 1; at += 1) {
    if (last[at]! < 0xff) {
      last[at]! += 1;
      return at + 1;
    }
  }
  return lastSize;
}

/** What an index consists of, for another thread: plain arrays. */
export interface TableIndexImage {
  readonly offsets: Float64Array;
  readonly sequences: Float64Array;
  readonly keys: Uint8Array;
  readonly keyStarts: Uint32Array;
}

export class TableIndex {
  readonly count: number;
  /** Where the blocks begin, and behind them where the last one ends. */
  readonly offsets: Float64Array;
  readonly #sequences: Float64Array;
  readonly #keys: Uint8Array;
  /** Where the keys begin in `#keys`, and where the last one ends. */
  readonly #keyStarts: Uint32Array;
  /** Size of what all separators begin with. */
  readonly #prefixSize: number;
  /** The next four bytes of each, as a number: most searches compare nothing else. */
  readonly #heads: Uint32Array;

  /** The arrays are not copied, and are believed: `decode` checks them. */
  constructor({ offsets, sequences, keys, keyStarts }: TableIndexImage) {
    this.count = sequences.length;
    this.offsets = offsets;
    this.#sequences = sequences;
    this.#keys = keys;
    this.#keyStarts = keyStarts;
    this.#prefixSize = this.#findPrefix();
    this.#heads = new Uint32Array(this.count);
    for (let index = 0; index < this.count; index += 1) {
      const start = keyStarts[index]! + this.#prefixSize;
      this.#heads[index] = headOf(keys, start, keyStarts[index + 1]!);
    }
  }

  /** Reads the payload of an index part; `dataEnd` is where the last block ends. Returns a reason if it can't be one. */
  static decode(payload: Uint8Array, dataStart: number, dataEnd: number): TableIndex | Refusal {
    const view = viewOf(payload);
    const count = payload.length >= INDEX_HEAD_SIZE ? view.getUint32(0, true) : 0;
    const keysStart = INDEX_HEAD_SIZE + count * INDEX_ENTRY_SIZE;
    if (keysStart > payload.length) {
      return { reason: 'the index is too short for its blocks' };
    }
    const keys = payload.subarray(keysStart);
    const offsets = new Float64Array(count + 1);
    const sequences = new Float64Array(count);
    const keyStarts = new Uint32Array(count + 1);
    offsets[count] = dataEnd;
    for (let index = 0; index < count; index += 1) {
      const at = INDEX_HEAD_SIZE + index * INDEX_ENTRY_SIZE;
      offsets[index] = readUint64(view, at);
      sequences[index] = readUint64(view, at + 8);
      keyStarts[index + 1] = view.getUint32(at + 16, true);
    }
    if ((count === 0 ? dataEnd : offsets[0]!) !== dataStart || keyStarts[count] !== keys.length) {
      return { reason: 'the index does not cover the blocks' };
    }
    for (let index = 0; index < count; index += 1) {
      const storedSize = offsets[index + 1]! - offsets[index]!;
      const keySize = keyStarts[index + 1]! - keyStarts[index]!;
      if (
        !(storedSize >= BLOCK_STORED_SIZE_MIN && storedSize <= PAYLOAD_SIZE_MAX + TRAILER_SIZE) ||
        !(keySize >= 0 && keySize <= KEY_SIZE_MAX) ||
        !Number.isSafeInteger(sequences[index]!)
      ) {
        return { reason: 'the index holds what no index holds' };
      }
    }
    const index = new TableIndex({ offsets, sequences, keys, keyStarts });
    return index.#isAscending() ? index : { reason: 'the index is out of order' };
  }

  get image(): TableIndexImage {
    const { offsets } = this;
    return { offsets, sequences: this.#sequences, keys: this.#keys, keyStarts: this.#keyStarts };
  }

  /** Bytes in memory of an index of so many blocks, apart from the payload. */
  static memorySizeOf(count: number): number {
    return count * (8 + 8 + 4 + 4);
  }

  /** The first block that may hold an entry at or behind the place (`key`, `sequence`); `count` if there is none. */
  find(key: Uint8Array, sequence: number): number {
    const { count } = this;
    const prefixSize = this.#prefixSize;
    for (let at = 0; at < prefixSize; at += 1) {
      if (at === key.length) {
        return 0;
      }
      const difference = this.#keys[at]! - key[at]!;
      if (difference !== 0) {
        return difference > 0 ? 0 : count;
      }
    }
    const head = headOf(key, prefixSize, key.length);
    let low = lowerBound(this.#heads, head, 0, count);
    // Heads that are the same decide nothing: whole keys do, among them.
    if (low === count || this.#heads[low] !== head) {
      return low;
    }
    let high = head === 0xffff_ffff ? count : lowerBound(this.#heads, head + 1, low, count);
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#isBefore(middle, key, sequence)) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  /** How many bytes all keys have in common that `find` leads to this block, whether they are in it or not. */
  prefixSizeOf(index: number): number {
    if (index === 0) {
      return 0;
    }
    const starts = this.#keyStarts;
    const keys = this.#keys;
    const start = starts[index]!;
    // Such a key lies between the block's separator and the one before.
    return commonPrefixSize(keys, starts[index - 1]!, start, keys, start, starts[index + 1]!);
  }

  /** Compares a block's separator with a place: true if the separator comes first. */
  #isBefore(index: number, key: Uint8Array, sequence: number): boolean {
    const start = this.#keyStarts[index]!;
    const end = this.#keyStarts[index + 1]!;
    const order = compareBytes(this.#keys, start, end, key, 0, key.length);
    return order === 0 ? this.#sequences[index]! > sequence : order < 0;
  }

  /** True if a block's separator is not before a place: for checks. */
  separatorCovers(index: number, key: Uint8Array, sequence: number): boolean {
    return !this.#isBefore(index, key, sequence);
  }

  #isAscending(): boolean {
    for (let index = 1; index < this.count; index += 1) {
      const key = this.#keys.subarray(this.#keyStarts[index], this.#keyStarts[index + 1]);
      if (!this.#isBefore(index - 1, key, this.#sequences[index]!)) {
        return false;
      }
    }
    return true;
  }

  #findPrefix(): number {
    if (this.count === 0) {
      return 0;
    }
    // Separators ascend: what the first and the last have in common all have.
    const lastStart = this.#keyStarts[this.count - 1]!;
    const size = Math.min(this.#keyStarts[1]!, this.#keys.length - lastStart);
    let prefixSize = 0;
    while (prefixSize < size && this.#keys[prefixSize] === this.#keys[lastStart + prefixSize]) {
      prefixSize += 1;
    }
    return prefixSize;
  }
}

/** The first index in [start, end) with at least this head, or `end`. */
function lowerBound(heads: Uint32Array, head: number, start: number, end: number): number {
  let low = start;
  let high = end;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (heads[middle]! < head) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

function grown(bytes: Uint8Array<ArrayBuffer>, size: number): Uint8Array<ArrayBuffer> {
  assert(size > bytes.length, 'a buffer grows');
  const larger = new Uint8Array(size);
  larger.set(bytes);
  return larger;
}
