/**
 * Bytes of a table: header, footer and what every part between them ends with. See docs/formats/table.md.
 *
 *   header (48) | data blocks | range tombstones | filter | index | properties | footer (160)
 *
 * Each part and each data block is `payload | trailer (9)`; the trailer's CRC also covers the table and the offset it
 * was made for, which are not stored beside it. All numbers are little-endian; a 64-bit number is always a safe integer.
 */
import { crc32 as zlibCrc32 } from 'node:zlib';
import { assert } from '../../base/assert.ts';
import { crc32At } from '../../base/crc32.ts';
import { firstNonZero, readUint64, viewOf, writeUint64 } from '../../base/integers.ts';
import type { Refusal } from '../../base/refusal.ts';

// Format: persisted; never renumber.
export const TABLE_FORMAT_VERSION = 2;

export const HEADER_SIZE = 48;
export const FOOTER_SIZE = 160;
export const TRAILER_SIZE = 9;
/** Behind the values, entries, sequences and restarts of a data block. */
export const BLOCK_TAIL_SIZE = 20;
/** Where an entry begins and where its value does. */
export const RESTART_SIZE = 8;

// Format: persisted. Read as little-endian ASCII: 'VTBL', 'VTFT', 'VTND'.
const HEADER_MAGIC = 0x4c425456;
const FOOTER_MAGIC = 0x54465456;
const END_MAGIC = 0x444e5456;

// Format: persisted; never renumber.
export const CompressionTag = { none: 0, deflate: 1, zstd: 2 } as const;

/** Bounds of what a table holds. A range's end may be the successor of the longest key: one byte more. */
export const KEY_SIZE_MAX = 65_535;
export const BOUND_SIZE_MAX: number = KEY_SIZE_MAX + 1;
export const VALUE_SIZE_MAX: number = 16 * 1024 * 1024;
export const BLOCK_SIZE_MIN = 64;
export const BLOCK_SIZE_MAX: number = 4 * 1024 * 1024;

/** Varints, sequence, restart and tail around a key and a value that have a block of their own. */
const LONE_ENTRY_OVERHEAD_MAX = 64;
/** What a data block's payload can have at most: bounds what a damaged size can make us allocate. */
export const PAYLOAD_SIZE_MAX: number = KEY_SIZE_MAX + VALUE_SIZE_MAX + LONE_ENTRY_OVERHEAD_MAX;

assert(BLOCK_SIZE_MAX <= PAYLOAD_SIZE_MAX, 'a full block is not larger than a block may be');
assert(VALUE_SIZE_MAX * 4 + 3 < 2 ** 31, 'the size and kind of a value fit a 31-bit varint');

/** Which table bytes belong to: starts the CRC of every block, so that a block copied elsewhere is found out. */
export class TablePlace {
  readonly identity: Uint8Array;
  readonly number: number;
  readonly #crc: number;
  readonly #offset = new Uint8Array(8);
  readonly #offsetView: DataView = viewOf(this.#offset);

  constructor(identity: Uint8Array, number: number) {
    assert(identity.length === 16, 'a store identity has 16 bytes');
    assert(Number.isSafeInteger(number) && number >= 0, 'a table number is a safe integer');
    this.identity = identity;
    this.number = number;
    const bytes = new Uint8Array(24);
    bytes.set(identity);
    writeUint64(viewOf(bytes), 16, number);
    this.#crc = zlibCrc32(bytes);
  }

  /** CRC of identity, number, `fileOffset` and `bytes[start, end)`. */
  crc(bytes: Uint8Array, start: number, end: number, fileOffset: number): number {
    writeUint64(this.#offsetView, 0, fileOffset);
    return zlibCrc32(bytes.subarray(start, end), zlibCrc32(this.#offset, this.#crc));
  }
}

/** What the hashes in a tree's filters begin with: part of its identity, which is random. */
export function filterSeedOf(identity: Uint8Array): number {
  return readUint32(identity, 0);
}

/** Writes the trailer behind a payload that begins at `start` in `bytes` and at `fileOffset` in the file. */
export function writeTrailer(
  target: { readonly bytes: Uint8Array; readonly start: number; readonly payloadEnd: number },
  plainSize: number,
  compression: number,
  place: TablePlace,
  fileOffset: number,
): void {
  const { bytes, start, payloadEnd } = target;
  assert(payloadEnd + TRAILER_SIZE <= bytes.length, 'there is room for the trailer');
  writeUint32(bytes, payloadEnd, plainSize);
  bytes[payloadEnd + 4] = compression;
  writeUint32(bytes, payloadEnd + 5, place.crc(bytes, start, payloadEnd + 5, fileOffset));
}

/** True if `bytes[start, end)`, trailer included, is what was written at this offset of this table. */
export function trailerIsIntact(
  bytes: Uint8Array,
  start: number,
  end: number,
  place: TablePlace,
  fileOffset: number,
): boolean {
  return (
    end - start >= TRAILER_SIZE &&
    place.crc(bytes, start, end - 4, fileOffset) === readUint32(bytes, end - 4)
  );
}

export function readUint32(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
  );
}

export function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

export function encodeHeader(place: TablePlace): Uint8Array {
  const bytes = new Uint8Array(HEADER_SIZE);
  const view = viewOf(bytes);
  view.setUint32(0, HEADER_MAGIC, true);
  view.setUint32(4, TABLE_FORMAT_VERSION, true);
  bytes.set(place.identity, 8);
  writeUint64(view, 24, place.number);
  view.setUint32(44, crc32At(view, 0, 44), true);
  return bytes;
}

export interface TableHeader {
  readonly identity: Uint8Array;
  readonly number: number;
}

export function decodeHeader(bytes: Uint8Array): TableHeader | Refusal {
  if (bytes.length < HEADER_SIZE) {
    return { reason: `the table header needs ${HEADER_SIZE} bytes, ${bytes.length} are there` };
  }
  const view = viewOf(bytes);
  const refusal = refuse(view, HEADER_MAGIC, 44, 'table header');
  if (refusal !== undefined) {
    return refusal;
  }
  const number = readUint64(view, 24);
  if (!Number.isSafeInteger(number) || firstNonZero(bytes, 32, 44) !== 44) {
    return { reason: 'the table header holds what no table header holds' };
  }
  return { identity: bytes.slice(8, 24), number };
}

/** Where a part lies, trailer included. A part that isn't there has size and CRC 0 and the offset it would have. */
export interface PartExtent {
  readonly offset: number;
  readonly size: number;
  /** As in its trailer. */
  readonly crc: number;
}

export interface TableFooter {
  readonly identity: Uint8Array;
  readonly number: number;
  readonly count: number;
  readonly rangeTombstones: PartExtent;
  readonly filter: PartExtent;
  readonly index: PartExtent;
  readonly properties: PartExtent;
  /** SHA-256 of everything before the footer. */
  readonly digest: Uint8Array;
}

export function encodeFooter(footer: TableFooter): Uint8Array {
  assert(footer.identity.length === 16, 'a store identity has 16 bytes');
  assert(footer.digest.length === 32, 'a table digest has 32 bytes');
  const bytes = new Uint8Array(FOOTER_SIZE);
  const view = viewOf(bytes);
  view.setUint32(0, FOOTER_MAGIC, true);
  view.setUint32(4, TABLE_FORMAT_VERSION, true);
  bytes.set(footer.identity, 8);
  writeUint64(view, 24, footer.number);
  writeUint64(view, 32, footer.count);
  encodeExtent(view, 40, footer.rangeTombstones);
  encodeExtent(view, 56, footer.filter);
  encodeExtent(view, 72, footer.index);
  encodeExtent(view, 88, footer.properties);
  bytes.set(footer.digest, 104);
  view.setUint32(152, crc32At(view, 0, 152), true);
  view.setUint32(156, END_MAGIC, true);
  return bytes;
}

/** `footerOffset`: where in the file the footer begins. The parts must lie in order and without gap before it. */
export function decodeFooter(bytes: Uint8Array, footerOffset: number): TableFooter | Refusal {
  if (bytes.length < FOOTER_SIZE) {
    return { reason: 'the file is too short for a table footer' };
  }
  const view = viewOf(bytes);
  if (view.getUint32(156, true) !== END_MAGIC) {
    return { reason: 'the table does not end with its magic number' };
  }
  const refusal = refuse(view, FOOTER_MAGIC, 152, 'table footer');
  if (refusal !== undefined) {
    return refusal;
  }
  const footer: TableFooter = {
    identity: bytes.slice(8, 24),
    number: readUint64(view, 24),
    count: readUint64(view, 32),
    rangeTombstones: decodeExtent(view, 40),
    filter: decodeExtent(view, 56),
    index: decodeExtent(view, 72),
    properties: decodeExtent(view, 88),
    digest: bytes.slice(104, 136),
  };
  const { rangeTombstones, filter, index, properties } = footer;
  const parts = [rangeTombstones, filter, index, properties];
  if (
    rangeTombstones.offset < HEADER_SIZE ||
    parts.some(({ size, crc }) => (size === 0 ? crc !== 0 : size < TRAILER_SIZE)) ||
    parts.some(({ offset, size }, at) => offset + size !== (parts[at + 1]?.offset ?? footerOffset))
  ) {
    return { reason: 'the parts of the table do not follow each other' };
  }
  if (
    index.size === 0 ||
    properties.size === 0 ||
    !Number.isSafeInteger(footer.count) ||
    firstNonZero(bytes, 136, 152) !== 152
  ) {
    return { reason: 'the table footer holds what no table footer holds' };
  }
  return footer;
}

function encodeExtent(view: DataView, at: number, extent: PartExtent): void {
  assert(extent.size < 2 ** 32, 'the size of a part is persisted as a 32-bit number');
  writeUint64(view, at, extent.offset);
  view.setUint32(at + 8, extent.size, true);
  view.setUint32(at + 12, extent.crc, true);
}

function decodeExtent(view: DataView, at: number): PartExtent {
  return {
    offset: readUint64(view, at),
    size: view.getUint32(at + 8, true),
    crc: view.getUint32(at + 12, true),
  };
}

function refuse(view: DataView, magic: number, crcAt: number, what: string): Refusal | undefined {
  if (view.getUint32(0, true) !== magic) {
    return { reason: `the ${what} does not begin with its magic number` };
  }
  if (crc32At(view, 0, crcAt) !== view.getUint32(crcAt, true)) {
    return { reason: `the ${what} does not match its checksum` };
  }
  const version = view.getUint32(4, true);
  if (version !== TABLE_FORMAT_VERSION) {
    return { reason: `the ${what} has format version ${version}`, version };
  }
  return undefined;
}
