/**
 * Bytes of a record: one event in the body of a frame. See docs/formats/event-log.md.
 *
 *   0   header CRC (4)           of everything from 4 to the header's end
 *   4   header size (2)
 *   6   flags (1)                1 = erased
 *   7   zero (1)                 the RFC 6962 leaf prefix: the leaf hash is SHA-256 of [7, 8 + header size)
 *   8   header                   fixed part | optional numbers | texts | tags
 *   …   salt (16) | payload      the payload digest is SHA-256 of these two
 *
 * Numbers are little-endian, strings UTF-8. The header is canonical: one event has one encoding. What the store's owner gives
 * (`placeRecord`) and what the writer fills in stands at fixed places, so that a record can be made before it has a position.
 */
import { assert } from '../base/assert.ts';
import { crc32At } from '../base/crc32.ts';
import { writeInt64, writeUint48, writeUint64 } from '../base/integers.ts';
import { limits } from '../base/limits.ts';
import { putText } from '../base/put-text.ts';
import { putUuid } from '../base/uuid.ts';
import { putPayload } from './put-payload.ts';
import type { CommitTexts, RecordContent, RecordPlace } from './record-fields.ts';
import { TEXT_SIZES_SIZE, textFields, uuidFlagOf } from './record-texts.ts';

// Format: persisted; never renumber.
export const RECORD_FORMAT_VERSION = 2;

export const RECORD_PREFIX_SIZE = 8;
export const SALT_SIZE = 16;
export const HASH_SIZE = 32;

// Format: persisted; never renumber.
export const RecordFlag: { readonly erased: 1 } = { erased: 1 } as const;

// Format: persisted; never renumber.
export const ContentType: { readonly none: 0; readonly json: 1; readonly bytes: 2 } = {
  none: 0,
  json: 1,
  bytes: 2,
} as const;

/**
 * Format: persisted; never renumber. The two lowest bits are the content type. Kept free: 16 for a key id (4 bytes after the
 * metadata size), 32 for a schema version (2 bytes after that). From 256 on: which texts are UUIDs.
 */
export const HeaderFlag: { readonly occurredAt: 4; readonly metadata: 8 } = {
  occurredAt: 4,
  metadata: 8,
} as const;

export const CONTENT_TYPE_MASK = 3;

/** Offsets of the header's fixed part. Format: persisted; never renumber. */
export const HeaderAt = {
  version: 0,
  idDraw: 1,
  commitIndex: 4,
  commitCount: 6,
  position: 8,
  revision: 14,
  time: 20,
  flags: 26,
  payloadSize: 28,
  previousLeaf: 32,
  digest: 64,
  textSizes: 96,
  typeSize: 100,
  idSize: 101,
  correlationSize: 102,
  causationSize: 103,
  subjectSize: 104,
  scopeSize: 105,
  tagCount: 106,
  codec: 107,
  end: 108,
} as const;
assert(
  HeaderAt.tagCount === HeaderAt.textSizes + TEXT_SIZES_SIZE - 1,
  'the number of tags follows the sizes',
);
assert(limits.typeSizeMax === 256, 'the size of a type fits a byte, less one');
assert(limits.tagSizeMax === 256, 'the size of a tag fits a byte, less one');

/** Positions and revisions are persisted as 48-bit numbers. */
export const POSITION_MAX: number = 2 ** 48 - 1;
export const HEADER_FIXED_SIZE: number = HeaderAt.end;
export const PREVIOUS_LEAF_AT: number = RECORD_PREFIX_SIZE + HeaderAt.previousLeaf;
export const DIGEST_AT: number = RECORD_PREFIX_SIZE + HeaderAt.digest;

const Uuid = {
  suppliedId: uuidFlagOf(textFields.indexOf('suppliedId')),
  correlationId: uuidFlagOf(textFields.indexOf('correlationId')),
  causationId: uuidFlagOf(textFields.indexOf('causationId')),
  idempotencyScope: uuidFlagOf(textFields.indexOf('idempotencyScope')),
  idempotencyKey: uuidFlagOf(textFields.indexOf('idempotencyKey')),
} as const;
export const UUID_FLAGS: number = Object.values(Uuid).reduce((flags, flag) => flags | flag, 0);
export const KNOWN_FLAGS: number =
  CONTENT_TYPE_MASK | HeaderFlag.occurredAt | HeaderFlag.metadata | UUID_FLAGS;

/** Of a record that says nothing of its commit: of every one but the first. */
export const noCommitTexts: CommitTexts = Object.freeze({
  idempotencyScope: '',
  idempotencyScopeSize: 0,
  idempotencyKey: '',
  idempotencyKeySize: 0,
});

export function commitTextsSize(commit: CommitTexts): number {
  return commit.idempotencyScopeSize + commit.idempotencyKeySize;
}

export function headerSizeOf(content: RecordContent, commit: CommitTexts): number {
  return (
    HEADER_FIXED_SIZE +
    (content.codec === 0 ? 0 : 4) +
    (content.metadataSize === 0 ? 0 : 4) +
    (content.occurredAt === undefined ? 0 : 8) +
    content.streamSize +
    content.typeSize +
    content.suppliedIdSize +
    content.correlationIdSize +
    content.causationIdSize +
    commitTextsSize(commit) +
    content.tagsSize +
    content.tags.length
  );
}

export function recordSizeOf(content: RecordContent, commit: CommitTexts): number {
  return RECORD_PREFIX_SIZE + headerSizeOf(content, commit) + SALT_SIZE + content.payloadSize;
}

/** Size of the record at `start`, of which prefix and fixed part are there; as large as 2^32 and more if they are damaged. */
export function recordSizeAt(view: DataView, start: number): number {
  const payloadSize = view.getUint32(start + RECORD_PREFIX_SIZE + HeaderAt.payloadSize, true);
  return RECORD_PREFIX_SIZE + view.getUint16(start + 4, true) + SALT_SIZE + payloadSize;
}

/** Writes a record at `start` that has no place and no hashes; returns where it ends. */
export function encodeRecord(
  bytes: Buffer,
  view: DataView,
  start: number,
  content: RecordContent,
  commit: CommitTexts,
): number {
  const headerSize = headerSizeOf(content, commit);
  assert(headerSize <= limits.headerSizeMax, 'a header fits its 16-bit size');
  view.setUint32(start + 4, headerSize, true);
  const header = start + RECORD_PREFIX_SIZE;
  const { suppliedId, suppliedIdSize, correlationId, correlationIdSize } = content;
  const { causationId, causationIdSize, occurredAt, metadataSize, codec, tags } = content;
  const { idempotencyScope, idempotencyScopeSize, idempotencyKey, idempotencyKeySize } = commit;
  const flags =
    content.contentType |
    (occurredAt === undefined ? 0 : HeaderFlag.occurredAt) |
    (metadataSize === 0 ? 0 : HeaderFlag.metadata) |
    (suppliedIdSize < suppliedId.length ? Uuid.suppliedId : 0) |
    (correlationIdSize < correlationId.length ? Uuid.correlationId : 0) |
    (causationIdSize < causationId.length ? Uuid.causationId : 0) |
    (idempotencyScopeSize < idempotencyScope.length ? Uuid.idempotencyScope : 0) |
    (idempotencyKeySize < idempotencyKey.length ? Uuid.idempotencyKey : 0);
  view.setUint16(header + HeaderAt.flags, flags, true);
  view.setUint32(header + HeaderAt.payloadSize, content.payloadSize, true);
  view.setUint16(header + HeaderAt.textSizes, content.streamSize, true);
  view.setUint16(header + HeaderAt.textSizes + 2, idempotencyKeySize, true);
  bytes[header + HeaderAt.typeSize] = content.typeSize - 1;
  bytes[header + HeaderAt.idSize] = suppliedIdSize;
  bytes[header + HeaderAt.correlationSize] = correlationIdSize;
  bytes[header + HeaderAt.causationSize] = causationIdSize;
  bytes[header + HeaderAt.subjectSize] = 0;
  bytes[header + HeaderAt.scopeSize] = idempotencyScopeSize;
  bytes[header + HeaderAt.tagCount] = tags.length;
  bytes[header + HeaderAt.codec] = codec;
  let at = header + HeaderAt.end;
  if (codec !== 0) {
    view.setUint32(at, content.plainSize, true);
    at += 4;
  }
  if (metadataSize !== 0) {
    view.setUint32(at, metadataSize, true);
    at += 4;
  }
  if (occurredAt !== undefined) {
    writeInt64(view, at, occurredAt);
    at += 8;
  }
  at = putText(bytes, at, content.stream, content.streamSize);
  at = putText(bytes, at, content.type, content.typeSize);
  at = putIdText(bytes, at, suppliedId, suppliedIdSize);
  at = putIdText(bytes, at, correlationId, correlationIdSize);
  at = putIdText(bytes, at, causationId, causationIdSize);
  at = putIdText(bytes, at, idempotencyScope, idempotencyScopeSize);
  at = putIdText(bytes, at, idempotencyKey, idempotencyKeySize);
  for (const tag of tags) {
    const size = bytes.write(tag, at + 1, 'utf8');
    bytes[at] = size - 1;
    at += 1 + size;
  }
  assert(at === header + headerSize, 'the header has the size that was measured');
  const end = putPayload(bytes, at + SALT_SIZE, content.payload, content.payloadSize);
  assert(end === at + SALT_SIZE + content.payloadSize, 'a payload has the size that was measured');
  return end;
}

function putIdText(bytes: Buffer, at: number, text: string, size: number): number {
  return size < text.length ? putUuid(bytes, at, text) : putText(bytes, at, text, size);
}

/** Where a record that isn't finished says whose leaf the writer puts in: a position, plus one; 0 if what stands there is right. */
export const DRAFT_LINK_AT: number = RECORD_PREFIX_SIZE + HeaderAt.digest;

/**
 * Gives the record at `start` its place and its salt, the 16 bytes of `salts` from `saltAt` on. Where the leaf of the stream's previous event
 * will be stands that leaf if it is given, else zeros; where the digest will be, the position by which the writer finds it.
 */
export function placeRecord(
  bytes: Buffer,
  view: DataView,
  start: number,
  place: RecordPlace,
  salts: Uint8Array,
  saltAt: number,
): void {
  const header = start + RECORD_PREFIX_SIZE;
  assert(place.time <= limits.timeMax, 'a recorded time is within its limit');
  assert(place.position <= POSITION_MAX, 'a position is within its limit');
  const idDraw = bytes[header + HeaderAt.idSize] === 0 ? place.idDraw : 0;
  view.setUint32(header + HeaderAt.version, RECORD_FORMAT_VERSION | (idDraw << 8), true);
  view.setUint16(header + HeaderAt.commitIndex, place.commitIndex, true);
  view.setUint16(header + HeaderAt.commitCount, place.commitCount, true);
  writeUint48(view, header + HeaderAt.position, place.position);
  writeUint48(view, header + HeaderAt.revision, place.revision);
  writeUint48(view, header + HeaderAt.time, place.time);
  const { previousLeaf } = place;
  if (previousLeaf === undefined) {
    for (let at = 0; at < HASH_SIZE; at += 4) {
      view.setInt32(start + PREVIOUS_LEAF_AT + at, 0);
    }
    writeUint64(view, start + DRAFT_LINK_AT, place.previousPosition + 1);
  } else {
    assert(previousLeaf.length === HASH_SIZE, 'a leaf is a hash');
    bytes.set(previousLeaf, start + PREVIOUS_LEAF_AT);
    writeUint64(view, start + DRAFT_LINK_AT, 0);
  }
  const target = header + view.getUint16(start + 4, true);
  // A loop: `set` is a call into native code.
  for (let index = 0; index < SALT_SIZE; index += 1) {
    bytes[target + index] = salts[saltAt + index]!;
  }
}

/** CRC of a record's prefix and header, as it must stand at its beginning. */
export function recordHeaderCrc(view: DataView, start: number, headerSize: number): number {
  return crc32At(view, start + 4, start + RECORD_PREFIX_SIZE + headerSize);
}
