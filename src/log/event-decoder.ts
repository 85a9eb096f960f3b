import { VarveError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import type { CodecRegistry } from './codecs.ts';
import type { StoredEvent } from './event.ts';
import { formatEventId } from './event-id.ts';
import { ContentType, type RecordView } from './format.ts';

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

/** Copies everything out of a record, which may be overwritten afterwards. Throws `CORRUPT` or `UNSUPPORTED_FORMAT`. */
export function decodeEvent(record: RecordView, codecs: CodecRegistry): StoredEvent {
  const { correlationId, causationId, occurredAt } = record;
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
  if (correlationId !== '') {
    event.correlationId = correlationId;
  }
  if (causationId !== '') {
    event.causationId = causationId;
  }
  if (occurredAt !== undefined) {
    event.occurredAt = occurredAt;
  }
  const idempotencyKey = record.commitIndex === 0 ? record.idempotencyKey : '';
  if (idempotencyKey !== '') {
    event.idempotencyKey = idempotencyKey;
  }
  if (record.isErased) {
    event.isErased = true;
    return event;
  }
  decodePayload(record, codecs, event);
  return event;
}

export function eventIdOf(record: RecordView): string {
  return record.hasGeneratedId
    ? formatEventId(record.time, record.position, record.idDraw)
    : record.suppliedId;
}

/** Data and metadata before compression, side by side. Not copied if they are stored plainly. */
export function plainPayload(record: RecordView, codecs: CodecRegistry): Buffer {
  const { plainSize } = record;
  if (plainSize > limits.plainSizeMax || record.metadataSize > plainSize) {
    throw damaged(record, 'says sizes out of range');
  }
  if (record.codec === 0) {
    if (record.payloadSize !== plainSize) {
      throw damaged(record, 'says sizes that contradict each other');
    }
    return record.payload;
  }
  const plain = codecs.decode(record.codec, record.payload, plainSize);
  return Buffer.from(plain.buffer, plain.byteOffset, plain.byteLength);
}

function decodePayload(
  record: RecordView,
  codecs: CodecRegistry,
  event: Writable<StoredEvent>,
): void {
  const plain = plainPayload(record, codecs);
  const dataSize = plain.length - record.metadataSize;
  try {
    if (record.contentType === ContentType.json) {
      event.data = JSON.parse(plain.toString('utf8', 0, dataSize));
    } else if (record.contentType === ContentType.bytes) {
      event.data = new Uint8Array(plain.subarray(0, dataSize));
    }
    if (record.metadataSize > 0) {
      event.metadata = JSON.parse(plain.toString('utf8', dataSize));
    }
  } catch (error) {
    throw damaged(record, 'holds data that is not JSON', error);
  }
}

function damaged(record: RecordView, what: string, cause?: unknown): VarveError {
  return new VarveError('CORRUPT', `The event at position ${record.position} ${what}.`, {
    cause,
    details: { position: record.position },
  });
}
