/**
 * A prepared commit as bytes, on its way through a lane to the owner of the store. It lives for the moment of the hand-over,
 * between threads of one process that run one version: no format to be kept.
 *
 *   commit   flags (1) | zero (1) | key size (2) | body size (4) | parts (4) | zeros (4) | key | parts
 *   part     expectation (1) | zero (1) | stream size (2) | events (4) | expected revision (8) | stream | events
 *   event    content type (1) | codec (1) | flags (1) | tags (1) | sizes of type, id, correlation, causation (4 × 2)
 *            | plain, metadata, payload size (3 × 4) | occurred at (8) | the four strings | tags (size (2), text) | payload
 */
import { assert } from '../base/assert.ts';
import { readInt64, readUint64, writeInt64, writeUint64 } from '../base/integers.ts';
import { putText } from '../base/put-text.ts';
import type { RecordContent } from '../log/format.ts';
import type { ExpectedRevision } from './contract.ts';
import type { PreparedCommit, PreparedPart } from './prepared-commit.ts';

const COMMIT_SIZE = 16;
const PART_SIZE = 16;
const EVENT_SIZE = 32;

const Flag = { ackWritten: 1, hasSignal: 2 } as const;
const HAS_OCCURRED_AT = 1;
const REVISION = 3;
const expectations: readonly ExpectedRevision[] = ['any', 'none', 'exists'];

/** Bytes that `encodeCommit` will write. */
export function encodedSizeOf(commit: PreparedCommit): number {
  let size = COMMIT_SIZE + commit.idempotencyKeySize;
  let index = 0;
  for (const { count } of commit.parts) {
    size += PART_SIZE + commit.events[index]!.streamSize;
    index += count;
  }
  for (const event of commit.events) {
    size +=
      EVENT_SIZE +
      event.typeSize +
      event.idSize +
      event.correlationSize +
      event.causationSize +
      event.tagsSize +
      event.tags.length * 2 +
      event.payloadSize;
  }
  return size;
}

/** Writes a commit at `start`; returns where it ends. */
export function encodeCommit(
  bytes: Buffer,
  view: DataView,
  start: number,
  commit: PreparedCommit,
): number {
  const flags =
    (commit.ack === 'written' ? Flag.ackWritten : 0) |
    (commit.signal === undefined ? 0 : Flag.hasSignal);
  view.setUint16(start, flags, true);
  view.setUint16(start + 2, commit.idempotencyKeySize, true);
  view.setUint32(start + 4, commit.bodySize, true);
  view.setUint32(start + 8, commit.parts.length, true);
  view.setUint32(start + 12, 0, true);
  let at = putText(bytes, start + COMMIT_SIZE, commit.idempotencyKey, commit.idempotencyKeySize);
  let index = 0;
  for (const part of commit.parts) {
    at = encodePart(bytes, view, at, part, commit.events[index]!.streamSize);
    for (const end = index + part.count; index < end; index += 1) {
      at = encodeEvent(bytes, view, at, commit.events[index]!);
    }
  }
  return at;
}

function encodePart(
  bytes: Buffer,
  view: DataView,
  start: number,
  { stream, expectedRevision, count }: PreparedPart,
  streamSize: number,
): number {
  const isRevision = typeof expectedRevision === 'number';
  view.setUint16(start, isRevision ? REVISION : expectations.indexOf(expectedRevision), true);
  view.setUint16(start + 2, streamSize, true);
  view.setUint32(start + 4, count, true);
  writeUint64(view, start + 8, isRevision ? expectedRevision : 0);
  return putText(bytes, start + PART_SIZE, stream, streamSize);
}

function encodeEvent(bytes: Buffer, view: DataView, start: number, event: RecordContent): number {
  view.setUint8(start, event.contentType);
  view.setUint8(start + 1, event.codec);
  view.setUint8(start + 2, event.occurredAt === undefined ? 0 : HAS_OCCURRED_AT);
  view.setUint8(start + 3, event.tags.length);
  view.setUint16(start + 4, event.typeSize, true);
  view.setUint16(start + 6, event.idSize, true);
  view.setUint16(start + 8, event.correlationSize, true);
  view.setUint16(start + 10, event.causationSize, true);
  view.setUint32(start + 12, event.plainSize, true);
  view.setUint32(start + 16, event.metadataSize, true);
  view.setUint32(start + 20, event.payloadSize, true);
  writeInt64(view, start + 24, event.occurredAt ?? 0);
  let at = putText(bytes, start + EVENT_SIZE, event.type, event.typeSize);
  at = putText(bytes, at, event.id, event.idSize);
  at = putText(bytes, at, event.correlationId, event.correlationSize);
  at = putText(bytes, at, event.causationId, event.causationSize);
  for (const tag of event.tags) {
    const size = bytes.write(tag, at + 2, 'utf8');
    view.setUint16(at, size, true);
    at += 2 + size;
  }
  const payloadStart = at;
  for (const piece of event.payload) {
    if (typeof piece === 'string') {
      at += bytes.write(piece, at, 'utf8');
    } else {
      bytes.set(piece, at);
      at += piece.length;
    }
  }
  assert(at - payloadStart === event.payloadSize, 'a payload has the size that was measured');
  return at;
}

/**
 * Reads a commit that ends at `end`. Its payloads are views into `bytes`: `detachPayloads` before those are overwritten.
 * `signal` is the commit's if its caller gave one.
 */
export function decodeCommit(
  bytes: Buffer,
  view: DataView,
  start: number,
  end: number,
): DecodedCommit {
  const flags = view.getUint16(start, true);
  const idempotencyKeySize = view.getUint16(start + 2, true);
  const bodySize = view.getUint32(start + 4, true);
  const partCount = view.getUint32(start + 8, true);
  const cursor = { at: start + COMMIT_SIZE };
  const idempotencyKey = takeText(bytes, cursor, idempotencyKeySize);
  const parts: PreparedPart[] = [];
  const events: DecodedContent[] = [];
  for (let index = 0; index < partCount; index += 1) {
    parts.push(decodePart(bytes, view, cursor, events));
  }
  assert(cursor.at === end, 'a commit ends where its last event does');
  return {
    commit: {
      parts,
      events,
      idempotencyKey,
      idempotencyKeySize,
      bodySize,
      ack: (flags & Flag.ackWritten) === 0 ? 'durable' : 'written',
      signal: undefined,
    },
    hasSignal: (flags & Flag.hasSignal) !== 0,
  };
}

/** Content whose payload may still lie where it was read. */
interface DecodedContent extends Omit<RecordContent, 'payload'> {
  readonly payload: [Uint8Array];
}

export interface DecodedCommit {
  readonly commit: PreparedCommit & { readonly events: readonly DecodedContent[] };
  /** The caller may abort it. */
  readonly hasSignal: boolean;
}

/** Gives a commit memory of its own, so that the bytes it was read from may be used again. */
export function detachPayloads({ events }: DecodedCommit['commit']): void {
  for (const { payload } of events) {
    payload[0] = Buffer.from(payload[0]);
  }
}

function decodePart(
  bytes: Buffer,
  view: DataView,
  cursor: { at: number },
  events: DecodedContent[],
): PreparedPart {
  const start = cursor.at;
  const expectation = view.getUint16(start, true);
  const streamSize = view.getUint16(start + 2, true);
  const count = view.getUint32(start + 4, true);
  const expectedRevision =
    expectation === REVISION ? readUint64(view, start + 8) : expectations[expectation]!;
  cursor.at = start + PART_SIZE;
  const stream = takeText(bytes, cursor, streamSize);
  for (let index = 0; index < count; index += 1) {
    events.push(decodeEvent(bytes, view, cursor, stream, streamSize));
  }
  return { stream, expectedRevision, count };
}

function decodeEvent(
  bytes: Buffer,
  view: DataView,
  cursor: { at: number },
  stream: string,
  streamSize: number,
): DecodedContent {
  const start = cursor.at;
  const typeSize = view.getUint16(start + 4, true);
  const idSize = view.getUint16(start + 6, true);
  const correlationSize = view.getUint16(start + 8, true);
  const causationSize = view.getUint16(start + 10, true);
  const payloadSize = view.getUint32(start + 20, true);
  const hasOccurredAt = view.getUint8(start + 2) === HAS_OCCURRED_AT;
  cursor.at = start + EVENT_SIZE;
  const type = takeText(bytes, cursor, typeSize);
  const id = takeText(bytes, cursor, idSize);
  const correlationId = takeText(bytes, cursor, correlationSize);
  const causationId = takeText(bytes, cursor, causationSize);
  const tagsStart = cursor.at;
  const tags = decodeTags(bytes, view, cursor, view.getUint8(start + 3));
  const tagsSize = cursor.at - tagsStart - tags.length * 2;
  const payload = bytes.subarray(cursor.at, cursor.at + payloadSize);
  cursor.at += payloadSize;
  return {
    stream,
    streamSize,
    type,
    typeSize,
    id,
    idSize,
    correlationId,
    correlationSize,
    causationId,
    causationSize,
    tags,
    tagsSize,
    occurredAt: hasOccurredAt ? readInt64(view, start + 24) : undefined,
    contentType: view.getUint8(start),
    codec: view.getUint8(start + 1),
    plainSize: view.getUint32(start + 12, true),
    metadataSize: view.getUint32(start + 16, true),
    payload: [payload],
    payloadSize,
  };
}

const noTags: readonly string[] = [];

function decodeTags(
  bytes: Buffer,
  view: DataView,
  cursor: { at: number },
  count: number,
): readonly string[] {
  if (count === 0) {
    return noTags;
  }
  const tags: string[] = [];
  for (let index = 0; index < count; index += 1) {
    const size = view.getUint16(cursor.at, true);
    cursor.at += 2;
    tags.push(takeText(bytes, cursor, size));
  }
  return tags;
}

function takeText(bytes: Buffer, cursor: { at: number }, size: number): string {
  if (size === 0) {
    return '';
  }
  const start = cursor.at;
  cursor.at = start + size;
  return bytes.toString('utf8', start, cursor.at);
}
