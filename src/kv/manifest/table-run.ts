import type { TableMeta } from '../sstable/table-meta.ts';

/** The tables of one level in order, with their smallest and greatest keys laid out for searching. */
export class TableRun {
  readonly tables: readonly TableMeta[];
  /** Bytes of the tables. */
  readonly size: number;
  // All smallest keys in one array, all greatest in another; key i ends where key i + 1 begins.
  readonly #minBytes: Uint8Array;
  readonly #minStarts: Float64Array;
  readonly #maxBytes: Uint8Array;
  readonly #maxStarts: Float64Array;
  readonly #isMaxExclusive: Uint8Array;

  constructor(tables: readonly TableMeta[]) {
    this.tables = tables;
    let size = 0;
    this.#isMaxExclusive = new Uint8Array(tables.length);
    for (const [index, table] of tables.entries()) {
      size += table.size;
      this.#isMaxExclusive[index] = table.isMaxExclusive ? 1 : 0;
    }
    this.size = size;
    this.#minStarts = startsOf(tables.map((table) => table.minKey));
    this.#minBytes = concatenate(
      tables.map((table) => table.minKey),
      this.#minStarts,
    );
    this.#maxStarts = startsOf(tables.map((table) => table.maxKey));
    this.#maxBytes = concatenate(
      tables.map((table) => table.maxKey),
      this.#maxStarts,
    );
  }

  /** Index of the table that may hold `key`, or -1. Only for tables in key order. */
  find(key: Uint8Array): number {
    const index = this.firstAtOrBehind(key);
    if (index === this.tables.length || !this.#beginsAtOrBefore(index, key)) {
      return -1;
    }
    return index;
  }

  /** Index of the first table that may hold `key` or a key behind it. Only for tables in key order. */
  firstAtOrBehind(key: Uint8Array): number {
    const count = this.tables.length;
    const index = firstNotSmaller(this.#maxBytes, this.#maxStarts, count, key);
    if (index < count && this.#isMaxExclusive[index] === 1 && this.#endsWith(index, key)) {
      return index + 1;
    }
    return index;
  }

  /** Behind the last table that may hold `key` or a key before it. Only for tables in key order. */
  endAt(key: Uint8Array): number {
    const index = this.firstAtOrBehind(key);
    return index < this.tables.length && this.#beginsAtOrBefore(index, key) ? index + 1 : index;
  }

  /** True if the table at `index` may hold `key`. */
  mayHold(index: number, key: Uint8Array): boolean {
    if (!this.#beginsAtOrBefore(index, key)) {
      return false;
    }
    const order = compareAt(this.#maxBytes, this.#maxStarts, index, key);
    return order > 0 || (order === 0 && this.#isMaxExclusive[index] === 0);
  }

  #beginsAtOrBefore(index: number, key: Uint8Array): boolean {
    return compareAt(this.#minBytes, this.#minStarts, index, key) <= 0;
  }

  #endsWith(index: number, key: Uint8Array): boolean {
    return compareAt(this.#maxBytes, this.#maxStarts, index, key) === 0;
  }
}

/**
 * Index of the first of `count` sorted keys that is not smaller than `key`. All keys between two that were compared share
 * what both of them share with `key`, so a comparison begins behind it.
 */
function firstNotSmaller(
  bytes: Uint8Array,
  starts: Float64Array,
  count: number,
  key: Uint8Array,
): number {
  const keySize = key.length;
  let low = 0;
  let high = count;
  let lowShared = 0;
  let highShared = 0;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const start = starts[middle]!;
    const size = starts[middle + 1]! - start;
    const end = size < keySize ? size : keySize;
    let index = lowShared < highShared ? lowShared : highShared;
    while (index < end && bytes[start + index] === key[index]) {
      index += 1;
    }
    if (index < end ? bytes[start + index]! < key[index]! : size < keySize) {
      low = middle + 1;
      lowShared = index;
    } else {
      high = middle;
      highShared = index;
    }
  }
  return low;
}

/** Order of the key at `index` and `key`. */
function compareAt(
  bytes: Uint8Array,
  starts: Float64Array,
  index: number,
  key: Uint8Array,
): number {
  const start = starts[index]!;
  const size = starts[index + 1]! - start;
  const end = size < key.length ? size : key.length;
  for (let at = 0; at < end; at += 1) {
    const difference = bytes[start + at]! - key[at]!;
    if (difference !== 0) {
      return difference;
    }
  }
  return size - key.length;
}

function startsOf(keys: readonly Uint8Array[]): Float64Array {
  const starts = new Float64Array(keys.length + 1);
  let start = 0;
  for (const [index, key] of keys.entries()) {
    starts[index] = start;
    start += key.length;
  }
  starts[keys.length] = start;
  return starts;
}

function concatenate(keys: readonly Uint8Array[], starts: Float64Array): Uint8Array {
  const bytes = new Uint8Array(starts[keys.length]!);
  for (const [index, key] of keys.entries()) {
    bytes.set(key, starts[index]);
  }
  return bytes;
}
