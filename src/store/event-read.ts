import { checkBoolean, checkRange, checkSignal, rejectUnknownNames } from '../base/arguments.ts';
import { asVarveError, CorruptionError, VarveError } from '../base/errors.ts';
import type { Clock } from '../io/clock.ts';
import type { DerivedIndex } from '../derived/derived-index.ts';
import { FRAME_HEADER_SIZE } from '../journal/format.ts';
import type { CodecRegistry } from '../log/codecs.ts';
import type { NewEvent, StoredEvent } from '../log/event.ts';
import { decodeEvent } from '../log/event-decoder.ts';
import type { EventLog, FrameSource } from '../log/event-log.ts';
import { RecordView } from '../log/record-view.ts';
import { checkDigest, checkPlace } from '../log/log-encoder.ts';
import { aborted } from '../base/aborted.ts';
import type { EventRead, ReadOptions, ReadQuery } from './contract.ts';
import { checkStreamName } from './names.ts';
import { sourceOf } from './position-source.ts';

export interface ReadParts {
  readonly log: EventLog;
  readonly index: DerivedIndex;
  readonly codecs: CodecRegistry;
  readonly clock: Clock;
  /** Throws if the store can't be read any more. */
  readonly checkReadable: () => void;
}

/** A read, checked and with its bounds fixed, as plain data. Positions are in [from, to). */
export interface ReadPlan {
  readonly from: number;
  readonly to: number;
  readonly asOf: number;
  readonly isBackwards: boolean;
  readonly limit: number;
  readonly maxBytes: number;
  readonly signal: AbortSignal | undefined;
  readonly stream: string | undefined;
  readonly revisions: { readonly from: number; readonly to: number };
  readonly checksDigests: boolean;
}

/** Events between two rests for whoever else runs in this thread: under a millisecond of work. */
const PAUSE_COUNT = 512;

const queryNames = new Set(['stream', 'revisions']);
const revisionNames = new Set(['from', 'to']);
const readOptionNames = new Set([
  'after',
  'before',
  'direction',
  'limit',
  'maxBytes',
  'checkDigests',
  'signal',
]);

/** Bounds that do not begin at 0. An empty store's last position is -1. */
const lowest: Readonly<Record<string, number>> = { after: -1, maxBytes: 1 };

/** Throws `INVALID_ARGUMENT`. */
export function planRead(query: ReadQuery, options: ReadOptions, visible: number): ReadPlan {
  rejectUnknownNames(query, queryNames, 'field of a query');
  rejectUnknownNames(options, readOptionNames, 'option');
  const { stream, revisions } = query;
  if (stream !== undefined) {
    checkStreamName(stream);
  } else if (revisions !== undefined) {
    throw new VarveError('INVALID_ARGUMENT', 'revisions are those of a stream: name one.');
  }
  if (revisions !== undefined) {
    rejectUnknownNames(revisions, revisionNames, 'field of revisions');
  }
  checkSignal(options.signal);
  const max = Number.MAX_SAFE_INTEGER;
  const { after, before, direction = 'forwards', limit, maxBytes } = options;
  const bounds = { after, before, limit, maxBytes, from: revisions?.from, to: revisions?.to };
  for (const [name, value] of Object.entries(bounds)) {
    if (value !== undefined) {
      checkRange(name, value, lowest[name] ?? 0, max);
    }
  }
  if (direction !== 'forwards' && direction !== 'backwards') {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `direction must be "forwards" or "backwards", not ${String(direction)}.`,
    );
  }
  checkBoolean('checkDigests', options.checkDigests);
  return {
    from: after === undefined ? 0 : after + 1,
    to: Math.min(before ?? max, visible),
    asOf: visible - 1,
    isBackwards: direction === 'backwards',
    limit: limit ?? max,
    maxBytes: maxBytes ?? max,
    signal: options.signal,
    stream,
    revisions: { from: revisions?.from ?? 0, to: revisions?.to ?? max },
    checksDigests: options.checkDigests ?? true,
  };
}

/** Runs a plan as the consumer asks for events. */
export class PlannedRead<Event extends NewEvent> implements EventRead<Event> {
  readonly asOf: number;
  stopped: 'end' | 'limit' | 'bytes' | undefined;
  lastPosition: number | undefined;
  /** Stored size of the events read so far. */
  size = 0;
  readonly #events: AsyncGenerator<StoredEvent, void, undefined>;

  constructor(parts: ReadParts, plan: ReadPlan) {
    this.asOf = plan.asOf;
    this.#events = this.#run(parts, plan);
  }

  next(): Promise<IteratorResult<StoredEvent<Event>>> {
    return this.#events.next() as Promise<IteratorResult<StoredEvent<Event>>>;
  }

  async return(): Promise<IteratorResult<StoredEvent<Event>>> {
    await this.#events.return();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  async *#run(parts: ReadParts, plan: ReadPlan): AsyncGenerator<StoredEvent, void, undefined> {
    if (plan.limit === 0) {
      this.stopped = 'limit';
      return;
    }
    if (plan.stream !== undefined) {
      await parts.index.whenAnswering();
    }
    parts.checkReadable();
    const records = recordsOf(parts, plan);
    let count = 0;
    for (const record of records) {
      const size = record.end - record.start;
      if (this.size + size > plan.maxBytes && count > 0) {
        this.stopped = 'bytes';
        return;
      }
      this.size += size;
      const event = decodeEvent(record, parts.codecs);
      count += 1;
      this.lastPosition = event.position;
      if (count === plan.limit) {
        // Order: a caller who has got the last one may never come back, so nothing stays open.
        records.return();
        this.stopped = 'limit';
        yield event;
        return;
      }
      yield event;
      if (count % PAUSE_COUNT === 0) {
        await parts.clock.pause();
      }
      if (plan.signal?.aborted === true) {
        throw aborted(plan.signal);
      }
      parts.checkReadable();
    }
    this.stopped = 'end';
  }
}

/** The records of a plan in its order. Each is valid until the next one is asked for. */
function* recordsOf(parts: ReadParts, plan: ReadPlan): Generator<RecordView, void, undefined> {
  try {
    if (plan.signal?.aborted === true) {
      throw aborted(plan.signal);
    }
    const source = sourceOf(plan, parts.index);
    yield* source.isUnbroken
      ? recordsForwards(parts, plan)
      : recordsAt(parts.log, source, plan.checksDigests);
  } catch (error) {
    throw asVarveError(parts.index.asReadFailure(error), 'The log can not be read');
  }
}

function* recordsForwards(
  { log }: ReadParts,
  { from, to, checksDigests }: ReadPlan,
): Generator<RecordView, void, undefined> {
  if (from >= to) {
    return;
  }
  for (const record of recordsOfFrames(log.framesFrom(from), to)) {
    if (record.position < from) {
      continue;
    }
    if (checksDigests) {
      expectDigest(record);
    }
    yield record;
  }
}

/** Records in order up to the position `to`, which is visible. */
function* recordsOfFrames(frames: FrameSource, to: number): Generator<RecordView, void, undefined> {
  const record = new RecordView();
  for (;;) {
    frames.next();
    const { at, frame } = frames.walker;
    let start = at + FRAME_HEADER_SIZE;
    for (let index = 0; index < frame.count; index += 1) {
      if (frame.firstPosition + index === to) {
        return;
      }
      openRecord(record, frames, start, index);
      start = record.end;
      yield record;
    }
    if (frame.firstPosition + frame.count === to) {
      return;
    }
  }
}

function openRecord(
  record: RecordView,
  { walker, path }: FrameSource,
  start: number,
  index: number,
): void {
  const { bytes, view, at, frame, frameOffset } = walker;
  const end = at + FRAME_HEADER_SIZE + frame.bodySize;
  const offset = frameOffset + start - at;
  const problem = record.open(bytes, view, start, end) ?? checkPlace(record, frame, index);
  if (problem !== undefined) {
    throw new CorruptionError(path, offset, problem, undefined, frame.firstPosition + index);
  }
  record.file = path;
  record.fileOffset = offset;
}

function expectDigest(record: RecordView): void {
  const problem = checkDigest(record);
  if (problem !== undefined) {
    const { file, fileOffset, position } = record;
    throw new CorruptionError(file, fileOffset, problem, undefined, position);
  }
}

function* recordsAt(
  log: EventLog,
  positions: Iterable<number>,
  checksDigests: boolean,
): Generator<RecordView, void, undefined> {
  const record = new RecordView();
  for (const position of positions) {
    log.readRecord(position, record, checksDigests);
    yield record;
  }
}
