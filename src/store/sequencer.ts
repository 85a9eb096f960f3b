/**
 * The deciding half of the store: turns prepared commits into positions. Decisions are made here and nowhere else, one at
 * a time, against everything that was given a position before, durable or not. A refusal that rests on a commit still in
 * flight is delivered when that commit is durable, and becomes its failure if it is lost: nobody is told of an event that
 * then never existed.
 */
import { assert } from '../base/assert.ts';
import {
  asVarveError,
  readOnlyError,
  RevisionConflictError,
  VarveError,
  withApplied,
} from '../base/errors.ts';
import { aborted } from '../base/aborted.ts';
import { limits } from '../base/limits.ts';
import type { Logger } from '../base/logger.ts';
import type { Random } from '../base/random.ts';
import { reached } from '../base/reached.ts';
import { AdmissionQueue } from '../collections/admission-queue.ts';
import type { Answers } from '../derived/answers.ts';
import type { DerivedIndex } from '../derived/derived-index.ts';
import { Axis } from '../derived/format.ts';
import { NotInMemory } from '../idempotency/not-in-memory.ts';
import type { Clock } from '../io/clock.ts';
import type { FrameSlot, Journal } from '../journal/journal.ts';
import { poisoned } from '../journal/write-failure.ts';
import { formatEventId, ID_DRAW_LIMIT } from '../log/event-id.ts';
import type { EventLog } from '../log/event-log.ts';
import { placeRecord, SALT_SIZE } from '../log/format.ts';
import type { RecordPlace } from '../log/record-fields.ts';
import { type ColdReads, lacksIds } from './cold-reads.ts';
import type { Waiting } from './waiting.ts';
import type { DuplicateAnswer, DuplicateFinder } from './duplicate-finder.ts';
import { PendingCommit } from './pending-commit.ts';
import type { PreparedCommit, PreparedPart } from './prepared-commit.ts';
import { type StreamState, StreamStates } from './stream-states.ts';

export interface SequencerParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly journal: Journal;
  readonly log: EventLog;
  readonly index: DerivedIndex;
  readonly duplicates: DuplicateFinder;
  /** Reads what a decision needs and memory doesn't hold. */
  readonly cold: ColdReads;
  /** The oldest position whose leaf the writer still has when it finishes the record at a position. */
  readonly oldestLeaf: (position: number) => number;
  /** Every commit is refused. */
  readonly isReadOnly: boolean;
}

/** What became of an attempt to decide: it waits for room, or for something to be read. */
type Verdict = 'decided' | 'room' | 'cold';

/** Commits that are read for at the same time; those behind them wait until they are the first. */
const READING_COUNT_MAX = 512;
/** How many commits behind one that had to wait for a read are looked at ahead: more where they have to wait, too. */
const LOOK_AHEAD = 16;

/** A commit's draws from clock and random: one time, a salt for each event, and what makes generated ids unique. */
interface Draws {
  time: number;
  salts: Uint8Array;
  /** A draw for each event's generated id, where the usual one may not do. */
  ids: readonly number[] | undefined;
}

const REPORT_INTERVAL_MS = 60_000;

/** That so many ids in a row were supplied before is no accident. */
const ID_ATTEMPTS_MAX = 1_000;

export class Sequencer {
  readonly #parts: SequencerParts;
  /** Of a commit of one event. */
  readonly #salt = new Uint8Array(SALT_SIZE);
  readonly #draws: Draws = { time: 0, salts: this.#salt, ids: undefined };
  /** Reused for every record. */
  readonly #place: { -readonly [Field in keyof RecordPlace]: RecordPlace[Field] } = {
    position: 0,
    revision: 0,
    time: 0,
    commitIndex: 0,
    commitCount: 0,
    idDraw: 0,
    previousPosition: -1,
    previousLeaf: undefined,
  };
  readonly #streams = new StreamStates();
  #lastTime: number;
  /** The usual draw of generated ids. */
  readonly #idDraw: number;
  readonly #waiting: AdmissionQueue<Waiting> = new AdmissionQueue(
    (waiting) => this.#decideWaiting(waiting),
    ({ pending }, signal) => pending.reject(aborted(signal, 'no')),
  );
  #waitingReportedAt = 0;
  #readingCount = 0;
  #lookAhead = 0;

  constructor(parts: SequencerParts, lastTime: number) {
    this.#parts = parts;
    this.#lastTime = lastTime;
    const draw = new Uint8Array(4);
    parts.random.fill(draw);
    this.#idDraw = new DataView(draw.buffer).getUint32(0) % ID_DRAW_LIMIT;
  }

  get waitingCount(): number {
    return this.#waiting.count;
  }

  /**
   * Decides about a commit now, or when there is room and everybody before it has been decided; `pending` is told. False if the commit
   * has to wait: only then it is still needed.
   */
  take(commit: PreparedCommit, pending: PendingCommit): boolean {
    if (this.#parts.isReadOnly) {
      pending.reject(readOnlyError('no'));
      return true;
    }
    const verdict = this.#waiting.count > 0 ? 'behind' : this.#decide(commit, pending, undefined);
    if (verdict === 'decided') {
      return true;
    }
    const waiting = { commit, pending, answers: undefined, isReading: false, failure: undefined };
    this.#waiting.push(waiting, commit.signal);
    if (verdict === 'room') {
      this.#reportWaiting();
    } else if (verdict === 'cold') {
      this.#read(waiting, true);
    } else if (this.#lookAhead > 0) {
      this.#read(waiting);
    }
    return false;
  }

  /** Resolves when everyone who waits now has been given a position, or refused. */
  waitingDecided(): Promise<void> {
    return this.#waiting.whenDecided();
  }

  /** Decides about those who wait, in the order of their calls, as far as there is room. */
  admitWaiting(): void {
    this.#waiting.admit();
  }

  /** Rejects every commit that waits. */
  refuseWaiting(error: VarveError): void {
    for (const { pending } of this.#waiting.takeAll()) {
      pending.reject(error);
    }
  }

  #decideWaiting(waiting: Waiting): boolean {
    if (waiting.isReading) {
      return false;
    }
    if (waiting.failure !== undefined) {
      waiting.pending.reject(waiting.failure);
      return true;
    }
    const verdict = this.#decide(waiting.commit, waiting.pending, waiting.answers);
    if (verdict === 'cold') {
      this.#read(waiting, true);
    }
    return verdict === 'decided';
  }

  /** Reads what a decision needs; then it is attempted again. `isFirst`: nobody else can go on before it. */
  #read(waiting: Waiting, isFirst = false): void {
    if (this.#readingCount >= READING_COUNT_MAX && !isFirst) {
      return;
    }
    const reading = this.#parts.cold.answersFor(waiting.commit);
    if (reading === undefined && !isFirst) {
      this.#lookAhead -= 1;
      return;
    }
    this.#lookAhead = Math.min(READING_COUNT_MAX, this.#lookAhead + LOOK_AHEAD);
    reached('a decision waited for a read');
    waiting.isReading = true;
    this.#readingCount += 1;
    void this.#keepAnswers(waiting, reading);
  }

  /** Never rejects. `reading` is undefined if memory tells now what it could not tell a moment before, when a table could not be opened. */
  async #keepAnswers(waiting: Waiting, reading: Promise<Answers> | undefined): Promise<void> {
    try {
      waiting.answers = await reading;
    } catch (error) {
      const failure = asVarveError(error, 'The append can not be decided', 'no');
      waiting.failure = withApplied(failure, 'no');
    }
    waiting.isReading = false;
    this.#readingCount -= 1;
    this.admitWaiting();
  }

  /** At most once a minute: under load every batch may end with somebody who waits. */
  #reportWaiting(): void {
    reached('waited for room');
    const { clock, logger, journal } = this.#parts;
    let now: number;
    try {
      now = clock.now();
    } catch {
      // Who appends hears of a clock that fails; who waits is not to be hurt by a report.
      return;
    }
    if (Math.abs(now - this.#waitingReportedAt) < REPORT_INTERVAL_MS) {
      return;
    }
    this.#waitingReportedAt = now;
    logger({
      level: 'info',
      event: 'waiting-for-room',
      message: 'Appends wait for the disk.',
      details: { pendingBytes: journal.pendingSize },
    });
  }

  /** Decided: its promise is settled, now or when the disk has spoken. */
  #decide(commit: PreparedCommit, pending: PendingCommit, answers: Answers | undefined): Verdict {
    const { journal, duplicates, index } = this.#parts;
    try {
      const answer = duplicates.find(commit, answers);
      if (answer !== undefined) {
        this.#giveWhenDurable(answer, pending);
        return 'decided';
      }
    } catch (error) {
      if (error instanceof NotInMemory) {
        return 'cold';
      }
      // A question that can't be answered is an error, never a "no".
      pending.reject(asVarveError(error, 'The append can not be decided', 'unknown'));
      return 'decided';
    }
    let draws: Draws;
    try {
      // Order: duplicates of durable commits are answered even after a failure, new commits are not.
      if (journal.failure !== undefined) {
        pending.reject(poisoned(journal.failure.cause, 'no'));
        return 'decided';
      }
      if (!this.#lookAtStreams(commit, answers)) {
        return 'cold';
      }
      if (this.#refuseByRevision(commit, pending)) {
        return 'decided';
      }
      if (lacksIds(commit, index)) {
        return 'cold';
      }
      this.#checkLimits(commit);
      if (!index.hasRoom || !journal.hasRoom(commit.bodySize)) {
        return 'room';
      }
      draws = this.#draw(commit);
      journal.draw(commit.bodySize);
    } catch (error) {
      pending.reject(withApplied(asVarveError(error, 'The append can not be recorded'), 'no'));
      return 'decided';
    }
    try {
      this.#accept(commit, pending, draws);
    } catch (error) {
      // State may be half changed: nothing may be decided on it any more.
      this.#parts.journal.poison(error);
      pending.reject(poisoned(error, 'no'));
    }
    return 'decided';
  }

  /** Gathers what is known of the commit's streams. False if something has to be read. */
  #lookAtStreams({ parts, eventCount }: PreparedCommit, answers: Answers | undefined): boolean {
    const { index, journal } = this.#parts;
    const oldestLeaf = this.#parts.oldestLeaf(journal.appended + eventCount - 1);
    const streams = this.#streams;
    streams.clear();
    for (const { stream } of parts) {
      if (streams.has(stream)) {
        continue;
      }
      if (!index.look(stream, answers)) {
        return false;
      }
      const { headCount, headPosition } = index;
      const isOld = headPosition >= 0 && headPosition < oldestLeaf;
      const leaf = isOld ? answers?.leaves.get(headPosition) : undefined;
      if (isOld && leaf === undefined) {
        return false;
      }
      streams.add(stream, headCount, headPosition, leaf);
    }
    return true;
  }

  /** Order: before anything is changed, for nothing may fail after that. */
  #checkLimits({ eventCount }: PreparedCommit): void {
    if (this.#parts.journal.appended + eventCount > limits.positionCountMax) {
      throw new VarveError(
        'LIMIT_EXCEEDED',
        `A store holds at most ${limits.positionCountMax} events.`,
        { applied: 'no' },
      );
    }
  }

  #refuseByRevision({ parts }: PreparedCommit, pending: PendingCommit): boolean {
    if (parts.length === 1) {
      return this.#refusePart(parts[0]!, 0, pending);
    }
    const added = new Map<string, number>();
    for (const part of parts) {
      const before = added.get(part.stream) ?? 0;
      added.set(part.stream, before + part.count);
      if (this.#refusePart(part, before, pending)) {
        return true;
      }
    }
    return false;
  }

  /** `before`: events for the same stream in the parts before this one. */
  #refusePart(part: PreparedPart, before: number, pending: PendingCommit): boolean {
    const { stream, expectedRevision } = part;
    if (expectedRevision === 'any') {
      return false;
    }
    const { count: stored, lastPosition: restsOn } = this.#streams.of(stream);
    const found = stored + before;
    const holds =
      expectedRevision === 'none'
        ? found === 0
        : expectedRevision === 'exists'
          ? found > 0
          : found === expectedRevision + 1;
    if (!holds) {
      const actual = found === 0 ? 'none' : found - 1;
      const error = new RevisionConflictError(stream, expectedRevision, actual);
      this.#answerWhenDurable(restsOn, pending, () => pending.reject(error));
    }
    return !holds;
  }

  #giveWhenDurable(answer: DuplicateAnswer, pending: PendingCommit): void {
    this.#answerWhenDurable(answer.restsOn, pending, () => {
      if (answer.result === undefined) {
        pending.reject(answer.conflict);
      } else {
        pending.repeated(answer.result);
      }
    });
  }

  /** `restsOn`: the position that the answer speaks of, or -1. */
  #answerWhenDurable(restsOn: number, pending: PendingCommit, answer: () => void): void {
    const { journal } = this.#parts;
    if (restsOn < journal.durable) {
      answer();
      return;
    }
    const commit = journal.pendingAt(restsOn);
    if (commit instanceof PendingCommit) {
      reached('an answer waited for a commit in flight');
      commit.follow({ answer, reject: (error) => pending.reject(error) });
      return;
    }
    // The commit was lost with everything else in flight.
    pending.reject(poisoned(journal.failure?.cause, 'unknown'));
  }

  /** What clock and random give. Order: before anything is changed, for both are the caller's and may fail. */
  #draw(commit: PreparedCommit): Draws {
    const { clock, random } = this.#parts;
    const { eventCount: count } = commit;
    const draws = this.#draws;
    draws.time = Math.max(clock.now(), this.#lastTime);
    draws.ids = this.#idDraws(commit, draws.time);
    draws.salts = count === 1 ? this.#salt : new Uint8Array(count * SALT_SIZE);
    random.fill(draws.salts);
    return draws;
  }

  /**
   * For each event a draw by which its id, should it be generated, is none that was ever supplied: who has seen one generated id can tell
   * the next ones. Undefined where nothing was supplied.
   */
  #idDraws(commit: PreparedCommit, time: number): readonly number[] | undefined {
    const { index, journal } = this.#parts;
    const { eventCount: count } = commit;
    const { hasIds } = index;
    if (count === 1 && (!hasIds || commit.suppliedIdOf(0) !== '')) {
      return undefined;
    }
    const supplied = new Set<string>();
    for (let nth = 0; nth < count; nth += 1) {
      supplied.add(commit.suppliedIdOf(nth));
    }
    // An empty one is to be generated.
    const generates = supplied.delete('');
    if (!generates || (supplied.size === 0 && !hasIds)) {
      return undefined;
    }
    const { appended } = journal;
    // Whatever isn't known to be free counts as taken: there are two million others.
    const isTaken = (id: string): boolean =>
      supplied.has(id) || index.candidates(Axis.id, '', id)?.length !== 0;
    return Array.from({ length: count }, (_, nth) => {
      for (let attempt = 0; attempt < ID_ATTEMPTS_MAX; attempt += 1) {
        const draw = (this.#idDraw + attempt) % ID_DRAW_LIMIT;
        if (!isTaken(formatEventId(time, appended + nth, draw))) {
          return draw;
        }
        reached('drew again for a generated id');
      }
      throw new VarveError(
        'UNAVAILABLE',
        'No id can be generated now, for the index of supplied ids can not be asked: try again later.',
      );
    });
  }

  #accept(commit: PreparedCommit, pending: PendingCommit, { time, salts, ids }: Draws): void {
    const { journal, log, index: derived } = this.#parts;
    this.#lastTime = time;
    const slot = journal.reserve(commit.bodySize);
    const { firstPosition } = slot;
    if (slot.opensSegment) {
      log.beginSegment(firstPosition);
    }
    const { parts } = commit;
    const count = commit.eventCount;
    this.#place.time = time;
    this.#place.commitCount = count;
    let at = slot.bodyStart;
    let index = 0;
    for (const part of parts) {
      const stream = this.#streams.of(part.stream);
      for (const end = index + part.count; index < end; index += 1) {
        this.#place.idDraw = ids?.[index] ?? this.#idDraw;
        at = this.#append(slot, at, commit, index, salts, stream);
      }
    }
    assert(at === slot.bodyStart + commit.bodySize, 'a commit takes what was measured');
    if (commit.idempotencyKey !== '') {
      derived.addKey(commit.idempotencyScope, commit.idempotencyKey, firstPosition);
    }
    pending.time = time;
    pending.revision = this.#place.revision;
    if (parts.length > 1) {
      pending.streams = this.#streams.committed();
    }
    derived.commitEnded();
    journal.publish(slot, count, pending);
  }

  /** Writes one event of a commit at `at` and notes it everywhere; returns where it ends. */
  #append(
    slot: FrameSlot,
    at: number,
    commit: PreparedCommit,
    index: number,
    salts: Uint8Array,
    stream: StreamState,
  ): number {
    const { log, index: derived } = this.#parts;
    const { bytes, view } = slot;
    const position = slot.firstPosition + index;
    const place = this.#place;
    place.position = position;
    place.revision = stream.count;
    place.previousPosition = stream.lastPosition;
    place.previousLeaf = stream.leaf;
    place.commitIndex = index;
    const end = commit.putRecord(index, bytes, view, at);
    placeRecord(bytes, view, at, place, salts, index * SALT_SIZE);
    log.addOffset(slot.fileOffset + at - slot.bodyStart);
    derived.addEvent(stream.name, stream.count);
    stream.count += 1;
    stream.lastPosition = position;
    stream.leaf = undefined;
    const id = commit.suppliedIdOf(index);
    if (id !== '') {
      derived.addId(id, position);
    }
    return end;
  }
}
