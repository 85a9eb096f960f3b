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
import type { StreamIndex } from '../event-index/contract.ts';
import type { IdempotencyIndex } from '../idempotency/contract.ts';
import type { Clock } from '../io/clock.ts';
import type { FrameSlot, Journal } from '../journal/journal.ts';
import { poisoned } from '../journal/write-failure.ts';
import { formatEventId, ID_DRAW_LIMIT } from '../log/event-id.ts';
import type { EventLog } from '../log/event-log.ts';
import { placeRecord, SALT_SIZE } from '../log/format.ts';
import type { RecordPlace } from '../log/record-fields.ts';
import type { CommitResult } from './contract.ts';
import type { DuplicateAnswer, DuplicateFinder } from './duplicate-finder.ts';
import { PendingCommit } from './pending-commit.ts';
import type { PreparedCommit, PreparedPart } from './prepared-commit.ts';

export interface SequencerParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly journal: Journal;
  readonly log: EventLog;
  readonly streams: StreamIndex;
  readonly keys: IdempotencyIndex;
  readonly ids: IdempotencyIndex;
  readonly duplicates: DuplicateFinder;
  /** Every commit is refused. */
  readonly isReadOnly: boolean;
}

/** A commit that waits for room. */
interface Waiting {
  readonly commit: PreparedCommit;
  readonly pending: PendingCommit;
}

/** A commit's draws from clock and random: one time, a salt for each event, and what makes generated ids unique. */
interface Draws {
  time: number;
  salts: Uint8Array;
  /** A draw for each event's generated id, where the usual one may not do. */
  ids: readonly number[] | undefined;
}

const REPORT_INTERVAL_MS = 60_000;

export class Sequencer {
  readonly #parts: SequencerParts;
  /** Of a commit of one event. */
  readonly #salt = new Uint8Array(SALT_SIZE);
  readonly #draws: Draws = { time: 0, salts: this.#salt, ids: undefined };
  /** Reused for every record. */
  readonly #place: { -readonly [Field in keyof RecordPlace]: number } = {
    position: 0,
    revision: 0,
    time: 0,
    commitIndex: 0,
    commitCount: 0,
    idDraw: 0,
    streamNumber: 0,
    previousPosition: -1,
  };
  #lastTime: number;
  /** The usual draw of generated ids. */
  readonly #idDraw: number;
  readonly #waiting: AdmissionQueue<Waiting> = new AdmissionQueue(
    ({ commit, pending }) => this.#decide(commit, pending),
    ({ pending }, signal) => pending.reject(aborted(signal, 'no')),
  );
  #waitingReportedAt = 0;

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
    if (this.#waiting.count > 0 || !this.#decide(commit, pending)) {
      this.#wait(commit, pending);
      return false;
    }
    return true;
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

  #wait(commit: PreparedCommit, pending: PendingCommit): void {
    const isFirst = this.#waiting.count === 0;
    this.#waiting.push({ commit, pending }, commit.signal);
    if (isFirst) {
      this.#reportWaiting();
    }
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

  /** False if the commit has to wait. Otherwise its promise is settled, now or when the disk has spoken. */
  #decide(commit: PreparedCommit, pending: PendingCommit): boolean {
    const { journal, duplicates } = this.#parts;
    try {
      const answer = duplicates.find(commit);
      if (answer !== undefined) {
        this.#giveWhenDurable(answer, pending);
        return true;
      }
    } catch (error) {
      // A question that can't be answered is an error, never a "no".
      pending.reject(asVarveError(error, 'The append can not be decided', 'unknown'));
      return true;
    }
    let draws: Draws;
    try {
      // Order: duplicates of durable commits are answered even after a failure, new commits are not.
      if (journal.failure !== undefined) {
        pending.reject(poisoned(journal.failure.cause, 'no'));
        return true;
      }
      if (this.#refuseByRevision(commit, pending)) {
        return true;
      }
      this.#checkLimits(commit);
      if (!journal.hasRoom(commit.bodySize)) {
        return false;
      }
      draws = this.#draw(commit);
      journal.draw(commit.bodySize);
    } catch (error) {
      pending.reject(withApplied(asVarveError(error, 'The append can not be recorded'), 'no'));
      return true;
    }
    try {
      this.#accept(commit, pending, draws);
    } catch (error) {
      // State may be half changed: nothing may be decided on it any more.
      this.#parts.journal.poison(error);
      pending.reject(poisoned(error, 'no'));
    }
    return true;
  }

  /** Order: before anything is changed, for nothing may fail after that. */
  #checkLimits({ parts, eventCount }: PreparedCommit): void {
    const { streams, journal } = this.#parts;
    if (
      streams.streamCount + parts.length > limits.streamCountMax ||
      journal.appended + eventCount > limits.positionCountMax
    ) {
      throw new VarveError(
        'LIMIT_EXCEEDED',
        `A store holds at most ${limits.streamCountMax} streams and ${limits.positionCountMax} events in this version.`,
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
    const { streams } = this.#parts;
    const number = part.streamNumber ?? streams.find(stream);
    const stored = number === undefined ? 0 : streams.countOf(number);
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
      const restsOn = stored === 0 ? -1 : streams.positionAt(number!, stored - 1);
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
    const { ids, journal } = this.#parts;
    const { eventCount: count } = commit;
    if (count === 1 && (ids.count === 0 || commit.suppliedIdOf(0) !== '')) {
      return undefined;
    }
    const supplied = new Set<string>();
    for (let index = 0; index < count; index += 1) {
      supplied.add(commit.suppliedIdOf(index));
    }
    // An empty one is to be generated.
    const generates = supplied.delete('');
    if (!generates || (supplied.size === 0 && ids.count === 0)) {
      return undefined;
    }
    const { appended } = journal;
    const isTaken = (id: string): boolean => supplied.has(id) || ids.candidates('', id).length > 0;
    return Array.from({ length: count }, (_, index) => {
      let draw = this.#idDraw;
      while (isTaken(formatEventId(time, appended + index, draw))) {
        reached('drew again for a generated id');
        draw = (draw + 1) % ID_DRAW_LIMIT;
      }
      return draw;
    });
  }

  #accept(commit: PreparedCommit, pending: PendingCommit, { time, salts, ids }: Draws): void {
    const { journal, log, streams, keys } = this.#parts;
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
      this.#place.streamNumber = part.streamNumber ?? streams.intern(part.stream);
      for (const end = index + part.count; index < end; index += 1) {
        this.#place.idDraw = ids?.[index] ?? this.#idDraw;
        at = this.#append(slot, at, commit, index, salts);
      }
    }
    assert(at === slot.bodyStart + commit.bodySize, 'a commit takes what was measured');
    if (commit.idempotencyKey !== '') {
      keys.add(commit.idempotencyScope, commit.idempotencyKey, firstPosition);
    }
    pending.time = time;
    pending.revision = this.#place.revision;
    if (parts.length > 1) {
      pending.streams = this.#revisionsOf(parts);
    }
    journal.publish(slot, count, pending);
  }

  /** Writes one event of a commit at `at` and notes it everywhere; returns where it ends. */
  #append(
    slot: FrameSlot,
    at: number,
    commit: PreparedCommit,
    index: number,
    salts: Uint8Array,
  ): number {
    const { log, streams, ids } = this.#parts;
    const { bytes, view } = slot;
    const position = slot.firstPosition + index;
    const place = this.#place;
    const { streamNumber } = place;
    place.position = position;
    place.revision = streams.countOf(streamNumber);
    place.previousPosition = streams.lastPositionOf(streamNumber);
    place.commitIndex = index;
    const end = commit.putRecord(index, bytes, view, at);
    placeRecord(bytes, view, at, place, salts, index * SALT_SIZE);
    log.addOffset(slot.fileOffset + at - slot.bodyStart);
    streams.add(streamNumber, position);
    const id = commit.suppliedIdOf(index);
    if (id !== '') {
      ids.add('', id, position);
    }
    return end;
  }

  /** Called once the parts' events are in the index. */
  #revisionsOf(parts: readonly PreparedPart[]): CommitResult['streams'] {
    const { streams } = this.#parts;
    const counts = new Map<string, number>();
    for (const { stream, count } of parts) {
      counts.set(stream, (counts.get(stream) ?? 0) + count);
    }
    return Array.from(counts, ([stream, added]) => {
      const count = streams.countOf(streams.find(stream)!);
      return { stream, firstRevision: count - added, revision: count - 1 };
    });
  }
}
