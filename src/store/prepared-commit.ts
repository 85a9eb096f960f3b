/**
 * A commit as it leaves the caller's hands: checked, serialized, measured. All of the caller's code that can run (getters,
 * toJSON, proxies) runs here, before any decision, so no decision can be interrupted by it.
 */
import { VarveError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { frameBodySizeMax } from '../journal/format.ts';
import type { Codec } from '../log/codecs.ts';
import type { NewEvent } from '../log/event.ts';
import { ContentType, type RecordContent, recordSizeOf } from '../log/format.ts';
import type { CommitOptions, CommitPart, ExpectedRevision } from './contract.ts';
import { checkText, checkWritableStream, typeName } from './names.ts';
import { rejectUnknownNames } from './options.ts';

export interface PreparedCommit {
  /** Where parts begin in `events`, with what each expects of its stream. */
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
  readonly firstIndex: number;
  readonly count: number;
}

export interface PayloadSettings {
  readonly codec: Codec | undefined;
  readonly compressionMinBytes: number;
}

const commitOptionNames = ['idempotencyKey', 'ack', 'signal'];
const partNames = ['stream', 'events', 'expectedRevision'];
const eventNames = [
  'type',
  'data',
  'metadata',
  'tags',
  'id',
  'correlationId',
  'causationId',
  'occurredAt',
];

/** Throws `INVALID_ARGUMENT` or `LIMIT_EXCEEDED`; has no effect on anything. */
export function prepareCommit(
  parts: readonly CommitPart[],
  options: CommitOptions,
  settings: PayloadSettings,
): PreparedCommit {
  rejectUnknownNames(options, commitOptionNames, 'option');
  const { idempotencyKey = '', ack = 'durable', signal } = options;
  if (ack !== 'durable' && ack !== 'written') {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `ack must be "durable" or "written", not ${String(ack)}.`,
    );
  }
  const hasKey = options.idempotencyKey !== undefined;
  const idempotencyKeySize = hasKey
    ? checkText('idempotency key', idempotencyKey, limits.idempotencyKeySizeMax)
    : 0;
  const prepared = prepareParts(parts, settings);
  const bodySize = measureBody(prepared.events, idempotencyKeySize);
  return { ...prepared, idempotencyKey, idempotencyKeySize, bodySize, ack, signal };
}

function prepareParts(
  parts: readonly CommitPart[],
  settings: PayloadSettings,
): { parts: PreparedPart[]; events: RecordContent[] } {
  if (!Array.isArray(parts) || parts.length === 0) {
    throw new VarveError('INVALID_ARGUMENT', 'A commit needs an array with at least one part.');
  }
  const events: RecordContent[] = [];
  const preparedParts: PreparedPart[] = [];
  for (const part of parts) {
    rejectUnknownNames(part, partNames, 'field of a part');
    const { stream, events: given, expectedRevision = 'any' } = part;
    const streamSize = checkWritableStream(stream);
    checkExpectedRevision(expectedRevision);
    if (!Array.isArray(given) || given.length === 0) {
      throw new VarveError('INVALID_ARGUMENT', 'An append needs an array with at least one event.');
    }
    if (events.length + given.length > limits.commitCountMax) {
      throw new VarveError(
        'LIMIT_EXCEEDED',
        `A commit holds at most ${limits.commitCountMax} events: split it.`,
      );
    }
    preparedParts.push({
      stream,
      expectedRevision,
      firstIndex: events.length,
      count: given.length,
    });
    for (const event of given as readonly NewEvent[]) {
      events.push(prepareEvent(stream, streamSize, event, settings));
    }
  }
  rejectRepeatedIds(events);
  return { parts: preparedParts, events };
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
  const tags = prepareTags(event.tags);
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
    ...tags,
    occurredAt,
    ...preparePayload(event.data, event.metadata, settings),
  };
}

function optionalSize(what: string, text: string | undefined): number {
  return text === undefined ? 0 : checkText(what, text, limits.idSizeMax);
}

const noTags: { tags: readonly string[]; tagsSize: number } = { tags: [], tagsSize: 0 };

function prepareTags(given: readonly string[] | undefined): {
  tags: readonly string[];
  tagsSize: number;
} {
  if (given === undefined) {
    return noTags;
  }
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
  if (data instanceof Uint8Array) {
    contentType = ContentType.bytes;
    payload.push(data);
    plainSize = data.length;
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
  const plain = { contentType, plainSize, metadataSize };
  if (settings.codec !== undefined && plainSize >= settings.compressionMinBytes && plainSize > 0) {
    const compressed = settings.codec.compress(joinBytes(payload));
    if (compressed.length < plainSize) {
      const { id: codec } = settings.codec;
      return { ...plain, codec, payload: [compressed], payloadSize: compressed.length };
    }
  }
  return { ...plain, codec: 0, payload, payloadSize: plainSize };
}

function toJson(what: string, value: unknown): string {
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

/** The parts of a payload in one piece. */
export function joinBytes(parts: readonly (string | Uint8Array)[]): Buffer {
  return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
}

/** The same commit with nothing of the caller's in it, for one that has to wait. */
export function detached(commit: PreparedCommit): PreparedCommit {
  const events = commit.events.map((event) => ({
    ...event,
    payload: event.payload.map((part) => (typeof part === 'string' ? part : new Uint8Array(part))),
  }));
  return { ...commit, events };
}
