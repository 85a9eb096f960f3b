/**
 * A commit as it leaves the caller's hands: checked, serialized, measured. All of the caller's code that can run (getters,
 * toJSON, proxies) runs here, before any decision, so no decision can be interrupted by it.
 *
 * One event for one stream is what nearly every commit is: `prepareAppend` then fills an object that was used before, and
 * makes no other.
 */
import { checkSignal, rejectUnknownNames } from '../base/arguments.ts';
import { VarveError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { isUuid, UUID_SIZE } from '../base/uuid.ts';
import type { DerivedIndex } from '../derived/derived-index.ts';
import { frameBodySizeMax } from '../journal/format.ts';
import type { NewEvent } from '../log/event.ts';
import { commitTextsSize, encodeRecord, noCommitTexts, recordSizeOf } from '../log/format.ts';
import type { CommitTexts, RecordContent } from '../log/record-fields.ts';
import type { AppendOptions, CommitOptions, CommitPart, ExpectedRevision } from './contract.ts';
import { checkText, checkWritableStream, isWritable, typeName } from './names.ts';
import { type PayloadSettings, type PayloadTarget, preparePayload } from './payload.ts';

/**
 * What is decided about. Events stand in the order of the parts: first those of the first part. Whoever makes one elsewhere
 * vouches for everything that is checked here.
 */
export interface PreparedCommit {
  /** What each part expects of its stream, and how many of the events are its own. At least one, with at least one event. */
  readonly parts: readonly PreparedPart[];
  readonly eventCount: number;
  /** Empty for none. */
  readonly idempotencyScope: string;
  /** Empty for none. */
  readonly idempotencyKey: string;
  /** Bytes of the frame's body. */
  readonly bodySize: number;
  readonly ack: 'durable' | 'written';
  readonly signal: AbortSignal | undefined;
  /** The id that an event brings along, or an empty text. */
  suppliedIdOf(index: number): string;
  /** Writes the record of an event, which has no place yet, at `at`; returns where it ends. */
  putRecord(index: number, bytes: Buffer, view: DataView, at: number): number;
}

export interface PreparedPart {
  readonly stream: string;
  readonly expectedRevision: ExpectedRevision;
  readonly count: number;
}

export type { PayloadSettings } from './payload.ts';

type Writable<Type> = { -readonly [Field in keyof Type]: Type[Field] };
type ContentDraft = Writable<RecordContent> & PayloadTarget;

/** A prepared commit that can be filled again once nobody needs what it holds. */
export class CommitDraft implements PreparedCommit, CommitTexts {
  readonly parts: Writable<PreparedPart>[] = [makePart()];
  readonly events: ContentDraft[] = [makeContent()];
  idempotencyScope = '';
  /** Bytes in the record, as the next. */
  idempotencyScopeSize = 0;
  idempotencyKey = '';
  idempotencyKeySize = 0;
  bodySize = 0;
  ack: 'durable' | 'written' = 'durable';
  signal: AbortSignal | undefined;

  get eventCount(): number {
    return this.events.length;
  }

  suppliedIdOf(index: number): string {
    return this.events[index]!.suppliedId;
  }

  putRecord(index: number, bytes: Buffer, view: DataView, at: number): number {
    return encodeRecord(bytes, view, at, this.events[index]!, index === 0 ? this : noCommitTexts);
  }

  /** True if the draft may be filled again. What may be large is let go of. */
  clear(): boolean {
    const { payload } = this.events[0]!;
    if (this.events.length > 1 || payload.length > 1) {
      return false;
    }
    payload[0] = '';
    return true;
  }
}

export interface PrepareSettings extends PayloadSettings {
  /** Knows streams whose names need no check. */
  readonly index?: Pick<DerivedIndex, 'nameSizeOf'>;
}

const commitOptionNames = new Set(['idempotencyKey', 'idempotencyScope', 'ack', 'signal']);
const appendOptionNames = new Set([...commitOptionNames, 'expectedRevision']);
const partNames = new Set(['stream', 'events', 'expectedRevision']);
const eventNames = new Set(
  Object.keys({
    type: true,
    data: true,
    metadata: true,
    tags: true,
    id: true,
    correlationId: true,
    causationId: true,
    occurredAt: true,
  } satisfies Record<keyof NewEvent, true>),
);

/** Throws `INVALID_ARGUMENT` or `LIMIT_EXCEEDED`; has no effect on anything. */
export function prepareCommit(
  parts: readonly CommitPart[],
  options: CommitOptions,
  settings: PrepareSettings,
): CommitDraft {
  rejectUnknownNames(options, commitOptionNames, 'option');
  // A copy, and only the copy counts: the caller's code that runs below may change the array.
  const givenParts = Array.isArray(parts) ? [...(parts as readonly CommitPart[])] : [];
  if (givenParts.length === 0) {
    throw new VarveError('INVALID_ARGUMENT', 'A commit needs an array with at least one part.');
  }
  const draft = new CommitDraft();
  draft.parts.length = 0;
  draft.events.length = 0;
  for (const given of givenParts) {
    rejectUnknownNames(given, partNames, 'field of a part');
    const part = makePart();
    draft.parts.push(part);
    const streamSize = preparePart(part, given.stream, given.expectedRevision, settings);
    part.count = prepareEvents(draft.events, part.stream, streamSize, given.events, settings);
  }
  return finishCommit(draft, options);
}

/** The same for one stream. Fills `draft`, which must have been made here and have held no more than one event. */
export function prepareAppend(
  stream: string,
  given: readonly NewEvent[],
  options: AppendOptions,
  settings: PrepareSettings,
  draft: CommitDraft = new CommitDraft(),
): CommitDraft {
  checkAppendOptionNames(options);
  const part = draft.parts[0]!;
  const streamSize = preparePart(part, stream, options.expectedRevision, settings);
  if (isOrdinaryArray(given) && given.length === 1) {
    // Read once: the caller's code that runs below may change the array.
    prepareEvent(draft.events[0]!, stream, streamSize, given[0]!, settings);
    part.count = 1;
  } else {
    draft.events.length = 0;
    part.count = prepareEvents(draft.events, stream, streamSize, given, settings);
  }
  return finishCommit(draft, options);
}

function makePart(): Writable<PreparedPart> {
  return { stream: '', expectedRevision: 'any', count: 0 };
}

function makeContent(): ContentDraft {
  return {
    stream: '',
    streamSize: 0,
    type: '',
    typeSize: 0,
    suppliedId: '',
    suppliedIdSize: 0,
    correlationId: '',
    correlationIdSize: 0,
    causationId: '',
    causationIdSize: 0,
    tags: noTags.tags,
    tagsSize: 0,
    occurredAt: undefined,
    contentType: 0,
    codec: 0,
    plainSize: 0,
    metadataSize: 0,
    payload: [''],
    payloadSize: 0,
  };
}

function finishCommit(draft: CommitDraft, options: CommitOptions): CommitDraft {
  const { events } = draft;
  rejectRepeatedIds(events);
  const { ack = 'durable', signal } = options;
  if (signal !== undefined) {
    checkSignal(signal);
  }
  if (ack !== 'durable' && ack !== 'written') {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `ack must be "durable" or "written", not ${String(ack)}.`,
    );
  }
  prepareKey(draft, options);
  draft.bodySize = measureBody(events, commitTextsSize(draft));
  draft.ack = ack;
  draft.signal = signal;
  return draft;
}

function prepareKey(draft: CommitDraft, { idempotencyKey, idempotencyScope }: CommitOptions): void {
  const { idempotencyScopeSizeMax, idempotencyKeySizeMax } = limits;
  if (idempotencyScope !== undefined && idempotencyKey === undefined) {
    throw new VarveError('INVALID_ARGUMENT', 'An idempotency scope needs an idempotency key.');
  }
  draft.idempotencyScope = idempotencyScope ?? '';
  draft.idempotencyScopeSize = idTextSize(
    'idempotency scope',
    idempotencyScope,
    idempotencyScopeSizeMax,
  );
  draft.idempotencyKey = idempotencyKey ?? '';
  draft.idempotencyKeySize = idTextSize('idempotency key', idempotencyKey, idempotencyKeySizeMax);
}

/** Fills in everything but the count of events; returns the size of the stream's name. */
function preparePart(
  part: Writable<PreparedPart>,
  stream: string,
  expected: ExpectedRevision | undefined,
  { index }: PrepareSettings,
): number {
  const known = index?.nameSizeOf(stream);
  const streamSize =
    known !== undefined && isWritable(stream) ? known : checkWritableStream(stream);
  part.stream = stream;
  part.expectedRevision = expected ?? 'any';
  checkExpectedRevision(part.expectedRevision);
  return streamSize;
}

/** Adds the events of one part; returns how many there are. */
function prepareEvents(
  target: ContentDraft[],
  stream: string,
  streamSize: number,
  given: readonly NewEvent[],
  settings: PayloadSettings,
): number {
  // A copy, and only the copy counts: the caller's code that runs below may change the array.
  const events = Array.isArray(given) ? [...(given as readonly NewEvent[])] : [];
  const count = events.length;
  if (count === 0) {
    throw new VarveError('INVALID_ARGUMENT', 'An append needs an array with at least one event.');
  }
  if (target.length + count > limits.commitCountMax) {
    throw new VarveError(
      'LIMIT_EXCEEDED',
      `A commit holds at most ${limits.commitCountMax} events: split it.`,
    );
  }
  for (const event of events) {
    const content = makeContent();
    prepareEvent(content, stream, streamSize, event, settings);
    target.push(content);
  }
  return count;
}

const arrayIterator = Array.prototype[Symbol.iterator];

/** True if going through the array gives what stands in it. */
function isOrdinaryArray(given: readonly unknown[]): boolean {
  return Array.isArray(given) && given[Symbol.iterator] === arrayIterator;
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

/** `keySize`: bytes of scope and key. */
function measureBody(events: readonly RecordContent[], keySize: number): number {
  let size = keySize;
  for (const event of events) {
    size += recordSizeOf(event, noCommitTexts);
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
  for (const { suppliedId } of events) {
    if (suppliedId !== '' && ids.has(suppliedId)) {
      throw new VarveError(
        'INVALID_ARGUMENT',
        `The id ${JSON.stringify(suppliedId)} stands twice in one commit.`,
      );
    }
    ids.add(suppliedId);
  }
}

function prepareEvent(
  content: ContentDraft,
  stream: string,
  streamSize: number,
  event: NewEvent,
  settings: PayloadSettings,
): void {
  checkEventNames(event);
  const { type, id, correlationId, causationId, occurredAt } = event;
  if (occurredAt !== undefined && !Number.isSafeInteger(occurredAt)) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `occurredAt must be a whole number of ms, not ${String(occurredAt)}.`,
    );
  }
  const givenTags = event.tags;
  const { tags, tagsSize } = givenTags === undefined ? noTags : prepareTags(givenTags);
  preparePayload(content, event.data, event.metadata, settings);
  content.stream = stream;
  content.streamSize = streamSize;
  content.type = type;
  content.typeSize = checkText('type', type, limits.typeSizeMax);
  content.suppliedId = id ?? '';
  content.suppliedIdSize = idTextSize('id', id, limits.idSizeMax);
  content.correlationId = correlationId ?? '';
  content.correlationIdSize = idTextSize('correlationId', correlationId, limits.idSizeMax);
  content.causationId = causationId ?? '';
  content.causationIdSize = idTextSize('causationId', causationId, limits.idSizeMax);
  content.tags = tags;
  content.tagsSize = tagsSize;
  content.occurredAt = occurredAt;
}

/** Bytes in the record: a UUID is stored as such. */
function idTextSize(what: string, text: string | undefined, sizeMax: number): number {
  if (text === undefined) {
    return 0;
  }
  return typeof text === 'string' && isUuid(text) ? UUID_SIZE : checkText(what, text, sizeMax);
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

// The same names as in the sets above, told apart by comparing pointers: a set would hash each of them.

function checkAppendOptionNames(options: AppendOptions): void {
  for (const name in options) {
    switch (name) {
      case 'idempotencyKey':
      case 'idempotencyScope':
      case 'expectedRevision':
      case 'ack':
      case 'signal':
        break;
      default:
        rejectUnknownNames(options, appendOptionNames, 'option');
    }
  }
  if (typeof options !== 'object' || options === null) {
    rejectUnknownNames(options, appendOptionNames, 'option');
  }
}

function checkEventNames(event: NewEvent): void {
  if (typeof event !== 'object' || event === null) {
    throw new VarveError('INVALID_ARGUMENT', `An event must be an object, not ${typeName(event)}.`);
  }
  for (const name in event) {
    switch (name) {
      case 'type':
      case 'data':
      case 'metadata':
      case 'tags':
      case 'id':
      case 'correlationId':
      case 'causationId':
      case 'occurredAt':
        break;
      default:
        rejectUnknownNames(event, eventNames, 'field of an event');
    }
  }
}
