/**
 * Entries on their way into an ingest job, packed into pieces of memory that can move to another thread:
 *
 *     piece = { key size (2 bytes) | value size (4 bytes) | key | value } …      little-endian
 */
import { compareBytes } from '../../base/compare-bytes.ts';
import { VarveError } from '../../base/errors.ts';

export type IngestEntry = readonly [key: Uint8Array, value: Uint8Array];

/** A piece is larger only if a single entry is. */
const PIECE_SIZE_MAX = 1024 * 1024;
const PIECE_SIZE_FIRST = 16 * 1024;
const ENTRY_HEADER_SIZE = 6;
const KEY_SIZE_MAX = 0xffff;
const VALUE_SIZE_MAX = 16 * 1024 * 1024;

/** Packs entries and sees to it that their keys strictly ascend. */
export class IngestPacker {
  #bytes = new Uint8Array(PIECE_SIZE_FIRST);
  #size = 0;
  /** Where the last key lies in `#lastKey`; -1 before the first one. */
  #lastKeySize = -1;
  #lastKey = new Uint8Array(256);

  /** Returns a piece that is to be sent first, if the entry has no room beside the ones before. */
  add(key: Uint8Array, value: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
    checkSizes(key, value);
    this.#checkOrder(key);
    const size = ENTRY_HEADER_SIZE + key.length + value.length;
    const full = this.#size + size > PIECE_SIZE_MAX ? this.end() : undefined;
    this.#reserve(size);
    const bytes = this.#bytes;
    const at = this.#size;
    bytes[at] = key.length;
    bytes[at + 1] = key.length >>> 8;
    bytes[at + 2] = value.length;
    bytes[at + 3] = value.length >>> 8;
    bytes[at + 4] = value.length >>> 16;
    bytes[at + 5] = value.length >>> 24;
    bytes.set(key, at + ENTRY_HEADER_SIZE);
    bytes.set(value, at + ENTRY_HEADER_SIZE + key.length);
    this.#size += size;
    return full;
  }

  /** The piece with what was added since the last one. Its memory is the caller's. */
  end(): Uint8Array<ArrayBuffer> | undefined {
    if (this.#size === 0) {
      return undefined;
    }
    const piece = this.#bytes.subarray(0, this.#size);
    this.#bytes = new Uint8Array(PIECE_SIZE_MAX);
    this.#size = 0;
    return piece;
  }

  #checkOrder(key: Uint8Array): void {
    const last = this.#lastKey;
    const size = this.#lastKeySize;
    if (size >= 0 && compareBytes(last, 0, size, key, 0, key.length) >= 0) {
      throw new VarveError(
        'INVALID_ARGUMENT',
        'Keys are ingested in strictly ascending order, byte by byte.',
        { details: { previous: last.slice(0, size), key: key.slice() } },
      );
    }
    if (key.length > last.length) {
      this.#lastKey = new Uint8Array(2 * key.length);
    }
    this.#lastKey.set(key);
    this.#lastKeySize = key.length;
  }

  #reserve(size: number): void {
    const needed = this.#size + size;
    if (needed <= this.#bytes.length) {
      return;
    }
    const grown = new Uint8Array(Math.max(needed, Math.min(4 * needed, PIECE_SIZE_MAX)));
    grown.set(this.#bytes.subarray(0, this.#size));
    this.#bytes = grown;
  }
}

/** All entries as pieces. */
export function* packIngestEntries(
  entries: Iterable<IngestEntry>,
): Generator<Uint8Array<ArrayBuffer>> {
  const packer = new IngestPacker();
  for (const [key, value] of entries) {
    const piece = packer.add(key, value);
    if (piece !== undefined) {
      yield piece;
    }
  }
  const last = packer.end();
  if (last !== undefined) {
    yield last;
  }
}

/** Reads a piece, entry by entry. The fields describe the entry that `next` has come to. */
export class IngestPiece {
  readonly bytes: Uint8Array;
  keyStart = 0;
  keyEnd = 0;
  valueEnd = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  next(): boolean {
    const { bytes } = this;
    const at = this.valueEnd;
    if (at === bytes.length) {
      return false;
    }
    const keySize = bytes[at]! | (bytes[at + 1]! << 8);
    const valueSize =
      bytes[at + 2]! | (bytes[at + 3]! << 8) | (bytes[at + 4]! << 16) | (bytes[at + 5]! << 24);
    this.keyStart = at + ENTRY_HEADER_SIZE;
    this.keyEnd = this.keyStart + keySize;
    this.valueEnd = this.keyEnd + valueSize;
    return true;
  }
}

function checkSizes(key: Uint8Array, value: Uint8Array): void {
  if (key.length > KEY_SIZE_MAX || value.length > VALUE_SIZE_MAX) {
    throw new VarveError(
      'LIMIT_EXCEEDED',
      `An entry has a key of ${KEY_SIZE_MAX} bytes and a value of ${VALUE_SIZE_MAX} bytes at most.`,
      { details: { keySize: key.length, valueSize: value.length } },
    );
  }
}
