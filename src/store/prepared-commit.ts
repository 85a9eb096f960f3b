/**
 * A commit as it leaves the caller's hands: checked, serialized, measured. All of the caller's code that can run (getters,
 * toJSON, proxies) runs here, before any decision, so no decision can be interrupted by it.
 */
import { types } from 'node:util';
import { VarveError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { frameBodySizeMax } from '../journal/format.ts';
import type { Codec } from '../log/codecs.ts';
import type { NewEvent } from '../log/event.ts';
import { ContentType, type RecordContent, recordSizeOf } from '../log/format.ts';
import type { AppendOptions, CommitOptions, CommitPart, ExpectedRevision } from './contract.ts';
import { checkText, checkWritableStream, typeName } from './names.ts';
import { checkSignal, rejectUnknownNames } from './options.ts';

export interface PreparedCommit {
  /** What each part expects of its stream, and how many of the events are its own. */
  readonly parts: readonly PreparedPart[];
  readonly events: readonly RecordContent[];
  readonly idempotencyKey: string;
  readonly idempotencyKeySize: number;
  /** Bytes of the frame's body. */
  readonly bodySize: number;
  readonly ack: 'durable' | 'written';
  readonly signal: AbortSignal | undefined;
}

export interface PreparedPart {
  readonly stream: string;
  readonly expectedRevision: ExpectedRevision;
  readonly count: number;
}

export interface PayloadSettings {
  readonly codec: Codec | undefined;
  readonly compressionMinBytes: number;
}

const commitOptionNames = new Set(['idempotencyKey', 'ack', 'signal']);
const appendOptionNames = new Set([...commitOptionNames, 'expectedRevision']);
const partNames = new Set(['stream', 'events', 'expectedRevision']);
const eventNames = new Set([
  'type',
  'data',
  'metadata',
  'tags',
  'id',
  'correlationId',
  'causationId',
  'occurredAt',
]);

/** Throws `INVALID_ARGUMENT` or `LIMIT_EXCEEDED`; has no effect on anything. */
export function prepareCommit(
  parts: readonly CommitPart[],
  options: CommitOptions,
  settings: PayloadSettings,
): PreparedCommit {
  rejectUnknownNames(options, commitOptionNames, 'option');
  // A copy, and only the copy counts: the caller's code that runs below may change the array.
  const givenParts = Array.isArray(parts) ? [...(parts as readonly CommitPart[])] : [];
  if (givenParts.length === 0) {
    throw new VarveError('INVALID_ARGUMENT', 'A commit needs an array with at least one part.');
  }
  const events: RecordContent[] = [];
  const prepared: PreparedPart[] = [];
  for (const part of givenParts) {
    rejectUnknownNames(part, partNames, 'field of a part');
    prepared.push(preparePart(part.stream, part.events, part.expectedRevision, settings, events));
  }
  return finishCommit(prepared, events, options);
}

/** The same for one stream. */
export function prepareAppend(
  stream: string,
  given: readonly NewEvent[],
  options: AppendOptions,
  settings: PayloadSettings,
): PreparedCommit {
  rejectUnknownNames(options, appendOptionNames, 'option');
  const events: RecordContent[] = [];
  const part = preparePart(stream, given, options.expectedRevision, settings, events);
  return finishCommit([part], events, options);
}

function finishCommit(
  parts: readonly PreparedPart[],
  events: readonly RecordContent[],
  options: CommitOptions,
): PreparedCommit {
  rejectRepeatedIds(events);
  const { idempotencyKey, ack = 'durable', signal } = options;
  checkSignal(signal);
  if (ack !== 'durable' && ack !== 'written') {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `ack must be "durable" or "written", not ${String(ack)}.`,
    );
  }
  const idempotencyKeySize =
    idempotencyKey === undefined
      ? 0
      : checkText('idempotency key', idempotencyKey, limits.idempotencyKeySizeMax);
  return {
    parts,
    events,
    idempotencyKey: idempotencyKey ?? '',
    idempotencyKeySize,
    bodySize: measureBody(events, idempotencyKeySize),
    ack,
    signal,
  };
}

/** Adds the part's events to `events`. */
function preparePart(
  stream: string,
  given: readonly NewEvent[],
  expected: ExpectedRevision | undefined,
  settings: PayloadSettings,
  events: RecordContent[],
): PreparedPart {
  const streamSize = checkWritableStream(stream);
  const expectedRevision = expected ?? 'any';
  checkExpectedRevision(expectedRevision);
  // A copy, and only the copy counts: the caller's code that runs below may change the array.
  const givenEvents = Array.isArray(given) ? [...(given as readonly NewEvent[])] : [];
  const count = givenEvents.length;
  if (count === 0) {
    throw new VarveError('INVALID_ARGUMENT', 'An append needs an array with at least one event.');
  }
  if (events.length + count > limits.commitCountMax) {
    throw new VarveError(
      'LIMIT_EXCEEDED',
      `A commit holds at most ${limits.commitCountMax} events: split it.`,
    );
  }
  for (const event of givenEvents) {
    events.push(prepareEvent(stream, streamSize, event, settings));
  }
  return { stream, expectedRevision, count };
}

function checkExpectedRevision(expected: ExpectedRevision): void {
  const isWord = expected === 'any' || expected === 'none' || expected === 'exists';
  if (!isWord && !(Number.isSafeInteger(expected) && expected >= 0)) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `expectedRevision must be "any", "none", "exists" or a revision, not ${String(expected)}.`,
    );
  }
}

function measureBody(events: readonly RecordContent[], idempotencyKeySize: number): number {
  let size = idempotencyKeySize;
  for (const event of events) {
    size += recordSizeOf(event, 0);
  }
  if (size > frameBodySizeMax) {
    throw new VarveError(
      'LIMIT_EXCEEDED',
      `The commit takes ${size} bytes; at most ${frameBodySizeMax} are possible: split it or store large data elsewhere.`,
    );
  }
  return size;
}

function rejectRepeatedIds(events: readonly RecordContent[]): void {
  if (events.length === 1) {
    return;
  }
  const ids = new Set<string>();
  for (const { id } of events) {
    if (id !== '' && ids.has(id)) {
      throw new VarveError(
        'INVALID_ARGUMENT',
        `The id ${JSON.stringify(id)} stands twice in one commit.`,
      );
    }
    ids.add(id);
  }
}

function prepareEvent(
  stream: string,
  streamSize: number,
  event: NewEvent,
  settings: PayloadSettings,
): RecordContent {
  if (typeof event !== 'object' || event === null) {
    throw new VarveError('INVALID_ARGUMENT', `An event must be an object, not ${typeName(event)}.`);
  }
  rejectUnknownNames(event, eventNames, 'field of an event');
  const { type, id, correlationId, causationId, occurredAt } = event;
  if (occurredAt !== undefined && !Number.isSafeInteger(occurredAt)) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `occurredAt must be a whole number of ms, not ${String(occurredAt)}.`,
    );
  }
  const tags = event.tags === undefined ? noTags : prepareTags(event.tags);
  const payload = preparePayload(event.data, event.metadata, settings);
  return {
    stream,
    streamSize,
    type,
    typeSize: checkText('type', type, limits.typeSizeMax),
    id: id ?? '',
    idSize: optionalSize('id', id),
    correlationId: correlationId ?? '',
    correlationSize: optionalSize('correlationId', correlationId),
    causationId: causationId ?? '',
    causationSize: optionalSize('causationId', causationId),
    tags: tags.tags,
    tagsSize: tags.tagsSize,
    occurredAt,
    contentType: payload.contentType,
    codec: payload.codec,
    plainSize: payload.plainSize,
    metadataSize: payload.metadataSize,
    payload: payload.payload,
    payloadSize: payload.payloadSize,
  };
}

function optionalSize(what: string, text: string | undefined): number {
  return text === undefined ? 0 : checkText(what, text, limits.idSizeMax);
}

const noTags: { tags: readonly string[]; tagsSize: number } = { tags: [], tagsSize: 0 };

function prepareTags(given: readonly string[]): typeof noTags {
  if (!Array.isArray(given)) {
    throw new VarveError('INVALID_ARGUMENT', `tags must be an array, not ${typeName(given)}.`);
  }
  const tags = [...(given as readonly string[])];
  if (tags.length > limits.tagCountMax) {
    throw new VarveError(
      'LIMIT_EXCEEDED',
      `An event has at most ${limits.tagCountMax} tags, not ${tags.length}.`,
    );
  }
  let tagsSize = 0;
  for (const tag of tags) {
    tagsSize += checkText('tag', tag, limits.tagSizeMax);
  }
  if (new Set(tags).size !== tags.length) {
    throw new VarveError('INVALID_ARGUMENT', 'A tag stands twice on one event.');
  }
  return { tags, tagsSize };
}

type PreparedPayload = Pick<
  RecordContent,
  'contentType' | 'codec' | 'plainSize' | 'metadataSize' | 'payload' | 'payloadSize'
>;

function preparePayload(
  data: unknown,
  metadata: unknown,
  settings: PayloadSettings,
): PreparedPayload {
  const payload: (string | Uint8Array)[] = [];
  let contentType: number = ContentType.none;
  let plainSize = 0;
  if (types.isUint8Array(data)) {
    contentType = ContentType.bytes;
    // A copy: the caller's code that still runs may change, shrink or detach it.
    const bytes = Buffer.from(data);
    payload.push(bytes);
    plainSize = bytes.length;
  } else if (data !== undefined) {
    contentType = ContentType.json;
    const text = toJson('data', data);
    payload.push(text);
    plainSize = Buffer.byteLength(text, 'utf8');
  }
  let metadataSize = 0;
  if (metadata !== undefined) {
    const text = toJson('metadata', metadata);
    payload.push(text);
    metadataSize = Buffer.byteLength(text, 'utf8');
    plainSize += metadataSize;
  }
  if (plainSize > limits.plainSizeMax) {
    throw new VarveError(
      'LIMIT_EXCEEDED',
      `An event's data and metadata take ${plainSize} bytes; at most ${limits.plainSizeMax} are possible.`,
    );
  }
  if (settings.codec !== undefined && plainSize >= settings.compressionMinBytes && plainSize > 0) {
    const compressed = compress(settings.codec, joinBytes(payload));
    if (compressed.length < plainSize) {
      const { id: codec } = settings.codec;
      return {
        contentType,
        codec,
        plainSize,
        metadataSize,
        payload: [compressed],
        payloadSize: compressed.length,
      };
    }
  }
  return { contentType, codec: 0, plainSize, metadataSize, payload, payloadSize: plainSize };
}

function compress(codec: Codec, plain: Buffer): Buffer {
  try {
    // A copy: a codec may use one buffer for all its results.
    return Buffer.from(codec.compress(plain));
  } catch (error) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `The codec ${codec.name} could not compress a payload.`,
      {
        cause: error,
      },
    );
  }
}

function toJson(what: string, value: unknown): string {
  if (holdsWhatJsonLoses(value)) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `The ${what} of an event is of a kind that JSON would lose: give plain values, or bytes as a Uint8Array in data.`,
    );
  }
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    throw new VarveError('INVALID_ARGUMENT', `The ${what} of an event can't be written as JSON.`, {
      cause: error,
    });
  }
  if (text === undefined) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `The ${what} of an event is a ${typeof value}, which JSON does not know.`,
    );
  }
  return text;
}

/** Things that JSON.stringify turns into `{}` or into an object of indexes, without a word. */
function holdsWhatJsonLoses(value: unknown): boolean {
  return (
    ArrayBuffer.isView(value) ||
    types.isAnyArrayBuffer(value) ||
    types.isMap(value) ||
    types.isSet(value)
  );
}

/** The parts of a payload in one piece. */
export function joinBytes(parts: readonly (string | Uint8Array)[]): Buffer {
  return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
}
