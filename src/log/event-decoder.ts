import { isUtf8 } from 'node:buffer';
import { CorruptionError, VarveError } from '../base/errors.ts';
import type { CodecRegistry } from './codecs.ts';
import type { StoredEvent } from './event.ts';
import { formatEventId } from './event-id.ts';
import { ContentType } from './format.ts';
import type { FieldsOf } from './record-fields.ts';
import type { RecordView } from './record-view.ts';

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

/** Texts that an event has under the same name, if it has them. */
type OptionalText = Exclude<FieldsOf<'text'>, 'stream' | 'type' | 'suppliedId'>;
const optionalTexts = Object.keys({
  correlationId: true,
  causationId: true,
} satisfies Record<OptionalText, true>) as readonly OptionalText[];

const commitTexts = Object.keys({
  idempotencyKey: true,
  idempotencyScope: true,
} satisfies Record<FieldsOf<'commit'>, true>) as readonly FieldsOf<'commit'>[];

/** Copies everything out of a record, which may be overwritten afterwards. Throws `CORRUPT` or `UNSUPPORTED_FORMAT`. */
export function decodeEvent(record: RecordView, codecs: CodecRegistry): StoredEvent {
  const { occurredAt } = record;
  const event: Writable<StoredEvent> = {
    position: record.position,
    stream: record.stream,
    revision: record.revision,
    id: eventIdOf(record),
    type: record.type,
    data: undefined,
    tags: record.tags,
    time: record.time,
    commit: { index: record.commitIndex, count: record.commitCount },
  };
  for (const name of optionalTexts) {
    const text = record[name];
    if (text !== '') {
      event[name] = text;
    }
  }
  if (occurredAt !== undefined) {
    event.occurredAt = occurredAt;
  }
  for (const name of commitTexts) {
    const text = record.commitIndex === 0 ? record[name] : '';
    if (text !== '') {
      event[name] = text;
    }
  }
  if (record.isErased) {
    event.isErased = true;
    return event;
  }
  const { data, metadata } = decodePayload(record, codecs);
  event.data = data;
  if (record.metadataSize > 0) {
    event.metadata = metadata;
  }
  return event;
}

export function eventIdOf(record: RecordView): string {
  return record.hasGeneratedId
    ? formatEventId(record.time, record.position, record.idDraw)
    : record.suppliedId;
}

/** Data and metadata before compression, side by side. Not copied if they are stored plainly. */
export function plainPayload(record: RecordView, codecs: CodecRegistry): Buffer {
  if (record.codec === 0) {
    return record.payload;
  }
  let plain: Uint8Array;
  try {
    plain = codecs.decode(record.codec, record.payload, record.plainSize);
  } catch (error) {
    throw located(record, error);
  }
  return Buffer.from(plain.buffer, plain.byteOffset, plain.byteLength);
}

/** The payload of a record that is not erased, decompressed and parsed. Throws `CORRUPT` or `UNSUPPORTED_FORMAT`. */
export function decodePayload(
  record: RecordView,
  codecs: CodecRegistry,
): { readonly data: unknown; readonly metadata: unknown } {
  const plain = plainPayload(record, codecs);
  const dataSize = plain.length - record.metadataSize;
  let data: unknown;
  if (record.contentType === ContentType.json) {
    data = parseStored(record, plain, 0, dataSize);
  } else if (record.contentType === ContentType.bytes) {
    data = new Uint8Array(plain.subarray(0, dataSize));
  }
  const metadata =
    record.metadataSize > 0 ? parseStored(record, plain, dataSize, plain.length) : undefined;
  return { data, metadata };
}

/** What is wrong with the text of a payload that is stored plainly, if anything is: it is looked at, not parsed. */
export function plainTextProblem(record: RecordView): string | undefined {
  const { metadataSize, contentType } = record;
  if (record.codec !== 0 || record.isErased) {
    return undefined;
  }
  const plain = record.payload;
  const dataSize = plain.length - metadataSize;
  const isText =
    (contentType !== ContentType.json || isUtf8(plain.subarray(0, dataSize))) &&
    (metadataSize === 0 || isUtf8(plain.subarray(dataSize)));
  return isText ? undefined : NOT_UTF8;
}

const NOT_UTF8 = 'the payload holds text that is not UTF-8';

/** JSON in the plain payload of a record. Throws `CORRUPT` if it is none. */
export function parseStored(
  record: RecordView,
  plain: Buffer,
  start: number,
  end: number,
): unknown {
  const text = plain.toString('utf8', start, end);
  // Node puts this character in the place of what is not UTF-8, without a word. It may also have been written.
  if (text.includes('\uFFFD') && !isUtf8(plain.subarray(start, end))) {
    throw damaged(record, NOT_UTF8);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw damaged(record, 'the payload holds text that is not JSON', error);
  }
}

/** A codec knows what is wrong, the record where. */
function located(record: RecordView, error: unknown): unknown {
  const isDamage = error instanceof VarveError && error.code === 'CORRUPT';
  return isDamage ? damaged(record, 'the payload can not be decompressed', error) : error;
}

function damaged(record: RecordView, reason: string, cause?: unknown): CorruptionError {
  return new CorruptionError(record.file, record.fileOffset, reason, cause, record.position);
}
