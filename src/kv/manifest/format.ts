/**
 * Bytes of the manifest: one file, replaced as a whole. See docs/formats/manifest.md.
 *
 *   header (116) | the owner's bytes | level 0 | … | level 6 | SHA-256 of what is before (32) | CRC of what is before (4)
 *   level   table count | cursor | table | table | …
 *
 * All numbers are little-endian. A 64-bit number is always a safe integer. One state has one encoding.
 */
import { compareKeys } from '../../base/compare-bytes.ts';
import { assert } from '../../base/assert.ts';
import { crc32 } from '../../base/crc32.ts';
import { DIGEST_SIZE, sha256 } from '../../base/digest.ts';
import { VarveError } from '../../base/errors.ts';
import { viewOf, writeUint64 } from '../../base/integers.ts';
import { BOUND_SIZE_MAX } from '../sstable/format.ts';
import type { TableMeta } from '../sstable/table-meta.ts';
import { ByteReader } from './byte-reader.ts';
import { LEVEL_COUNT, Levels, levelsProblem, newestSequence } from './levels.ts';

// Format: persisted; never renumber.
export const MANIFEST_FORMAT_VERSION = 3;

export const MANIFEST_HEADER_SIZE = 116;
export const MANIFEST_TRAILER_SIZE: number = DIGEST_SIZE + 4;
/** What a table takes beside its two keys. */
export const TABLE_RECORD_SIZE = 132;
/** Table count, flag and size of the cursor. */
export const LEVEL_HEADER_SIZE = 9;
/** Bounds what a damaged size can make us allocate: two million tables with keys of ordinary size. */
export const MANIFEST_SIZE_MAX: number = 512 * 1024 * 1024;
const IDENTITY_SIZE = 16;
const MARK_SIZE = 32;
const MARK_AT = 80;
const OWNER_SIZE_AT = 112;
/** What a tree's owner may keep in the manifest. */
export const OWNER_DATA_SIZE_MAX = 1_024;
export const NO_MARK: Uint8Array = new Uint8Array(MARK_SIZE);

// Format: persisted. Read as little-endian ASCII: 'VMAN'.
const MANIFEST_MAGIC = 0x4e414d56;
/** Keys in order of their bytes: the only order there is. Persisted as ASCII, zeros behind it. */
const COMPARATOR_NAME = 'bytes';
const COMPARATOR_SIZE = 8;
const COMPARATOR_AT = 64;

// Format: persisted; never renumber.
const ManifestFlag = { hasLog: 1 } as const;
const MANIFEST_FLAGS = 1;
// Format: persisted; never renumber.
const TableFlag = { isMaxExclusive: 1, isIngested: 2, hasStretch: 4 } as const;
const TABLE_FLAGS = 7;

/** All that a store knows of itself but for its memtables and its log. */
export interface ManifestState {
  /** 16 bytes, drawn when the store was made, and anew when it was discarded and made again. In every table's header. */
  readonly identity: Uint8Array;
  /** Grows by one with every replacement of the manifest; 1 in the first. */
  readonly edit: number;
  /** No table named here has this number or a higher one. */
  readonly nextTableNumber: number;
  /** No sequence that was ever given out is known to be higher; none in any table is. */
  readonly lastSequence: number;
  /** The log is needed only above it. */
  readonly flushedSequence: number;
  /** Up to where the log is in the tables: the owner's, of a store without a log; else the end of a frame. 0 at first. */
  readonly flushedPosition: number;
  /** What binds that position to that very log: 32 bytes, zeros if it isn't known. */
  readonly flushedMark: Uint8Array;
  /** Bytes of the owner's, given when the store was made: 1,024 at most, which nothing here interprets. */
  readonly ownerData: Uint8Array;
  readonly hasLog: boolean;
  readonly levels: Levels;
  /** For each level, the greatest key of what was compacted last: the next compaction begins behind it. */
  readonly cursors: readonly (Uint8Array | undefined)[];
}

/** Why bytes are no manifest; with the version if a newer one wrote them. */
export interface ManifestRefusal {
  readonly reason: string;
  readonly offset: number;
  readonly version?: number;
}

export function isRefusal(decoded: ManifestState | ManifestRefusal): decoded is ManifestRefusal {
  return 'reason' in decoded;
}

/** A state without tables: that of a new store. */
export function emptyManifest(
  given: Pick<ManifestState, 'identity' | 'hasLog'> & Partial<ManifestState>,
): ManifestState {
  return {
    edit: 1,
    nextTableNumber: 1,
    lastSequence: 0,
    flushedSequence: 0,
    flushedPosition: 0,
    flushedMark: NO_MARK,
    ownerData: new Uint8Array(0),
    levels: Levels.empty,
    cursors: Array.from({ length: LEVEL_COUNT }, () => undefined),
    ...given,
  };
}

/** The coverage of a state whose tables hold the log up to a position: never less than before. */
export function coverage(
  { flushedPosition, flushedMark }: ManifestState,
  position: number,
  mark: Uint8Array | undefined,
): Pick<ManifestState, 'flushedPosition' | 'flushedMark'> {
  if (position <= flushedPosition) {
    return { flushedPosition, flushedMark };
  }
  const padded = NO_MARK.slice();
  padded.set(mark ?? []);
  return { flushedPosition: position, flushedMark: padded };
}

/** Throws `LIMIT_EXCEEDED` if the keys at the ends of tables are so long that no reader would take the manifest. */
export function encodeManifest(state: ManifestState): Uint8Array {
  const problem = stateProblem(state);
  assert(problem === undefined, 'the state of a manifest agrees with itself');
  const size = encodedSize(state);
  if (size > MANIFEST_SIZE_MAX) {
    throw new VarveError(
      'LIMIT_EXCEEDED',
      `A manifest of ${size} bytes is larger than the limit of ${MANIFEST_SIZE_MAX}.`,
      { applied: 'no', details: { size, sizeMax: MANIFEST_SIZE_MAX } },
    );
  }
  const bytes = new Uint8Array(size);
  const view = viewOf(bytes);
  encodeHeader(bytes, view, state);
  bytes.set(state.ownerData, MANIFEST_HEADER_SIZE);
  let at = MANIFEST_HEADER_SIZE + state.ownerData.length;
  for (let level = 0; level < LEVEL_COUNT; level += 1) {
    const tables = state.levels.tables(level);
    view.setUint32(at, tables.length, true);
    at = encodeCursor(bytes, view, at + 4, state.cursors[level]);
    for (const table of tables) {
      at = encodeTable(bytes, view, at, table);
    }
  }
  bytes.set(sha256(bytes.subarray(0, at)), at);
  at += DIGEST_SIZE;
  view.setUint32(at, crc32(bytes, 0, at), true);
  assert(at + 4 === size, 'the manifest has the size that was computed');
  return bytes;
}

export function decodeManifest(bytes: Uint8Array): ManifestState | ManifestRefusal {
  const refusal = refuseWhole(bytes);
  if (refusal !== undefined) {
    return refusal;
  }
  const reader = new ByteReader(bytes, bytes.length - MANIFEST_TRAILER_SIZE);
  const { tableCount, ...header } = decodeHeader(reader);
  const cursors: (Uint8Array | undefined)[] = [];
  const tablesOfLevels: TableMeta[][] = [];
  for (let level = 0; level < LEVEL_COUNT && reader.problem === undefined; level += 1) {
    tablesOfLevels.push(decodeLevel(reader, cursors));
  }
  if (reader.rest !== 0) {
    reader.refuse('bytes follow the last level');
  }
  if (tablesOfLevels.reduce((sum, tables) => sum + tables.length, 0) !== tableCount) {
    reader.refuse('the levels hold another number of tables than the header says');
  }
  if (reader.problem === undefined) {
    const problem = levelsProblem(tablesOfLevels);
    if (problem !== undefined) {
      reader.refuse(problem);
    }
  }
  if (reader.problem !== undefined) {
    return { reason: reader.problem, offset: reader.at };
  }
  const state: ManifestState = { ...header, cursors, levels: Levels.from(tablesOfLevels) };
  const problem = stateProblem(state);
  return problem === undefined ? state : { reason: problem, offset: 0 };
}

/** What must hold of a manifest as a whole, on its way out and on its way in. */
function stateProblem(state: ManifestState): string | undefined {
  if (state.edit < 1) {
    return 'the number of the edit is not positive';
  }
  if (state.flushedSequence > state.lastSequence) {
    return 'more is flushed than was ever written';
  }
  if (state.hasLog && state.flushedPosition > state.flushedSequence) {
    return 'more of the log is in tables than was flushed';
  }
  if (state.ownerData.length > OWNER_DATA_SIZE_MAX) {
    return "the owner's bytes are more than a manifest keeps";
  }
  if (state.cursors.some((cursor) => cursor !== undefined && cursor.length > BOUND_SIZE_MAX)) {
    return 'a cursor is longer than keys may be';
  }
  for (const table of state.levels) {
    const problem = tableProblem(table);
    if (problem !== undefined) {
      return `table ${table.number}: ${problem}`;
    }
    if (table.number >= state.nextTableNumber) {
      return `table ${table.number} has a number that was not given out yet`;
    }
    if (newestSequence(table) > state.lastSequence) {
      return `table ${table.number} has a sequence above the last one`;
    }
  }
  return undefined;
}

function tableProblem(table: TableMeta): string | undefined {
  if (Math.max(table.minKey.length, table.maxKey.length) > BOUND_SIZE_MAX) {
    return 'a key of it is longer than keys may be';
  }
  const order = compareKeys(table.minKey, table.maxKey);
  if (order > 0 || (order === 0 && table.isMaxExclusive)) {
    return 'its smallest key is behind its greatest';
  }
  if (table.minSequence > table.maxSequence) {
    return 'its smallest sequence is above its greatest';
  }
  if (table.deleteCount > table.count) {
    return 'it has more deletions than entries';
  }
  if (table.count + table.rangeDeleteCount === 0) {
    return 'it holds nothing';
  }
  if (table.ingestSequence === 0) {
    return 'it was ingested with a sequence that no write has';
  }
  if (table.stretch !== undefined && table.stretch.from >= table.stretch.to) {
    return 'its entries come from no positions';
  }
  return table.size === 0 ? 'it has no bytes' : undefined;
}

function encodedSize(state: ManifestState): number {
  let size = MANIFEST_HEADER_SIZE + state.ownerData.length + MANIFEST_TRAILER_SIZE;
  for (let level = 0; level < LEVEL_COUNT; level += 1) {
    size += LEVEL_HEADER_SIZE + (state.cursors[level]?.length ?? 0);
  }
  for (const table of state.levels) {
    size += TABLE_RECORD_SIZE + table.minKey.length + table.maxKey.length;
  }
  return size;
}

function encodeHeader(bytes: Uint8Array, view: DataView, state: ManifestState): void {
  const { identity, flushedMark } = state;
  assert(flushedMark.length === MARK_SIZE, 'a mark has 32 bytes');
  assert(identity.length === IDENTITY_SIZE, 'an identity has 16 bytes');
  assert(state.cursors.length === LEVEL_COUNT, 'each level has a cursor or none');
  view.setUint32(0, MANIFEST_MAGIC, true);
  view.setUint32(4, MANIFEST_FORMAT_VERSION, true);
  bytes.set(identity, 8);
  writeUint64(view, 24, state.edit);
  writeUint64(view, 32, state.nextTableNumber);
  writeUint64(view, 40, state.lastSequence);
  writeUint64(view, 48, state.flushedSequence);
  writeUint64(view, 56, state.flushedPosition);
  for (let index = 0; index < COMPARATOR_NAME.length; index += 1) {
    bytes[COMPARATOR_AT + index] = COMPARATOR_NAME.charCodeAt(index);
  }
  view.setUint32(72, state.hasLog ? ManifestFlag.hasLog : 0, true);
  view.setUint32(76, state.levels.tableCount, true);
  bytes.set(flushedMark, MARK_AT);
  view.setUint32(OWNER_SIZE_AT, state.ownerData.length, true);
}

interface Header extends Omit<ManifestState, 'cursors' | 'levels'> {
  readonly tableCount: number;
}

function decodeHeader(reader: ByteReader): Header {
  reader.skip(8);
  const identity = reader.bytes(IDENTITY_SIZE);
  const edit = reader.uint64();
  const nextTableNumber = reader.uint64();
  const lastSequence = reader.uint64();
  const flushedSequence = reader.uint64();
  const flushedPosition = reader.uint64();
  reader.skip(COMPARATOR_SIZE);
  const flags = reader.flags32(MANIFEST_FLAGS);
  const tableCount = reader.uint32();
  const flushedMark = reader.bytes(MARK_SIZE);
  const ownerData = reader.bytes(reader.uint32());
  return {
    identity,
    edit,
    nextTableNumber,
    lastSequence,
    flushedSequence,
    flushedPosition,
    flushedMark,
    ownerData,
    hasLog: (flags & ManifestFlag.hasLog) !== 0,
    tableCount,
  };
}

function encodeCursor(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  cursor: Uint8Array | undefined,
): number {
  bytes[at] = cursor === undefined ? 0 : 1;
  view.setUint32(at + 1, cursor?.length ?? 0, true);
  if (cursor !== undefined) {
    bytes.set(cursor, at + 5);
  }
  return at + 5 + (cursor?.length ?? 0);
}

function encodeTable(bytes: Uint8Array, view: DataView, start: number, table: TableMeta): number {
  const { minKey, maxKey, ingestSequence, stretch } = table;
  assert(table.digest.length === DIGEST_SIZE, 'a digest has 32 bytes');
  writeUint64(view, start, table.number);
  writeUint64(view, start + 8, table.size);
  writeUint64(view, start + 16, table.count);
  writeUint64(view, start + 24, table.deleteCount);
  writeUint64(view, start + 32, table.rangeDeleteCount);
  writeUint64(view, start + 40, table.rawSize);
  writeUint64(view, start + 48, table.minSequence);
  writeUint64(view, start + 56, table.maxSequence);
  writeUint64(view, start + 64, ingestSequence ?? 0);
  bytes.set(table.digest, start + 72);
  view.setUint32(
    start + 104,
    (table.isMaxExclusive ? TableFlag.isMaxExclusive : 0) |
      (ingestSequence === undefined ? 0 : TableFlag.isIngested) |
      (stretch === undefined ? 0 : TableFlag.hasStretch),
    true,
  );
  view.setUint32(start + 108, minKey.length, true);
  view.setUint32(start + 112, maxKey.length, true);
  writeUint64(view, start + 116, stretch?.from ?? 0);
  writeUint64(view, start + 124, stretch?.to ?? 0);
  bytes.set(minKey, start + TABLE_RECORD_SIZE);
  bytes.set(maxKey, start + TABLE_RECORD_SIZE + minKey.length);
  return start + TABLE_RECORD_SIZE + minKey.length + maxKey.length;
}

function decodeLevel(reader: ByteReader, cursors: (Uint8Array | undefined)[]): TableMeta[] {
  const count = reader.uint32();
  const hasCursor = reader.flags8(1) === 1;
  const size = reader.uint32();
  const key = reader.bytes(size);
  if (!hasCursor && size !== 0) {
    reader.refuse('there is a cursor that its flag denies');
  }
  cursors.push(hasCursor ? key : undefined);
  const tables: TableMeta[] = [];
  // A damaged count ends with the bytes: every table takes some.
  while (tables.length < count && reader.problem === undefined) {
    tables.push(decodeTable(reader));
  }
  return tables;
}

function decodeTable(reader: ByteReader): TableMeta {
  const number = reader.uint64();
  const size = reader.uint64();
  const count = reader.uint64();
  const deleteCount = reader.uint64();
  const rangeDeleteCount = reader.uint64();
  const rawSize = reader.uint64();
  const minSequence = reader.uint64();
  const maxSequence = reader.uint64();
  const ingestSequence = reader.uint64();
  const digest = reader.bytes(DIGEST_SIZE);
  const flags = reader.flags32(TABLE_FLAGS);
  const minSize = reader.uint32();
  const maxSize = reader.uint32();
  const stretch = { from: reader.uint64(), to: reader.uint64() };
  const isIngested = (flags & TableFlag.isIngested) !== 0;
  const hasStretch = (flags & TableFlag.hasStretch) !== 0;
  if (!hasStretch && stretch.from + stretch.to !== 0) {
    reader.refuse('there are positions that the flags deny');
  }
  if (!isIngested && ingestSequence !== 0) {
    reader.refuse('there is an ingest sequence that the flags deny');
  }
  return {
    number,
    size,
    count,
    deleteCount,
    rangeDeleteCount,
    rawSize,
    minKey: reader.bytes(minSize),
    maxKey: reader.bytes(maxSize),
    isMaxExclusive: (flags & TableFlag.isMaxExclusive) !== 0,
    minSequence,
    maxSequence,
    ingestSequence: isIngested ? ingestSequence : undefined,
    digest,
    ...(hasStretch ? { stretch } : {}),
  };
}

/** Checks the file as a whole, before anything in it is believed. */
function refuseWhole(bytes: Uint8Array): ManifestRefusal | undefined {
  if (bytes.length < MANIFEST_HEADER_SIZE + MANIFEST_TRAILER_SIZE) {
    return { reason: `${bytes.length} bytes are too few for a manifest`, offset: bytes.length };
  }
  const view = viewOf(bytes);
  if (view.getUint32(0, true) !== MANIFEST_MAGIC) {
    return { reason: 'the file does not begin with its magic number', offset: 0 };
  }
  const crcAt = bytes.length - 4;
  if (crc32(bytes, 0, crcAt) !== view.getUint32(crcAt, true)) {
    return { reason: 'the manifest does not match its checksum', offset: crcAt };
  }
  // Whatever a version changes, the CRC stays at the end: a newer version is told from damage.
  const version = view.getUint32(4, true);
  if (version !== MANIFEST_FORMAT_VERSION) {
    return { reason: `the manifest has format version ${version}`, offset: 4, version };
  }
  const digestAt = crcAt - DIGEST_SIZE;
  const digest = sha256(bytes.subarray(0, digestAt));
  if (digest.some((byte, index) => byte !== bytes[digestAt + index])) {
    return { reason: 'the manifest does not match its digest', offset: digestAt };
  }
  return refuseComparator(bytes);
}

function refuseComparator(bytes: Uint8Array): ManifestRefusal | undefined {
  for (let index = 0; index < COMPARATOR_SIZE; index += 1) {
    const expected = index < COMPARATOR_NAME.length ? COMPARATOR_NAME.charCodeAt(index) : 0;
    if (bytes[COMPARATOR_AT + index] !== expected) {
      const version = MANIFEST_FORMAT_VERSION;
      return {
        reason: 'its keys are in an order that is not known here',
        offset: COMPARATOR_AT,
        version,
      };
    }
  }
  return undefined;
}
