/**
 * The deciding half of the store: turns prepared commits into positions. Decisions are made here and nowhere else, one at
 * a time, against everything that was given a position before, durable or not. A refusal that rests on a commit still in
 * flight is delivered when that commit is durable, and becomes its failure if it is lost: nobody is told of an event that
 * then never existed.
 */
import { asVarveError, RevisionConflictError, VarveError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import type { Logger } from '../base/logger.ts';
import type { Random } from '../base/random.ts';
import { reached } from '../base/reached.ts';
import type { StreamIndex } from '../event-index/stream-index.ts';
import type { IdempotencyIndex } from '../idempotency/contract.ts';
import type { Clock } from '../io/clock.ts';
import { type Journal, poisoned } from '../journal/journal.ts';
import { ID_DRAW_LIMIT } from '../log/event-id.ts';
import type { EventLog } from '../log/event-log.ts';
import { encodeDraft, SALT_SIZE } from '../log/format.ts';
import type { CommitResult } from './contract.ts';
import type { DuplicateFinder } from './duplicate-finder.ts';
import { PendingCommit } from './pending-commit.ts';
import type { PreparedCommit } from './prepared-commit.ts';
import { type Waiting, WaitingQueue } from './waiting-queue.ts';

export interface CommitLogParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly journal: Journal;
  readonly log: EventLog;
  readonly streams: StreamIndex;
  readonly keys: IdempotencyIndex;
  readonly ids: IdempotencyIndex;
  readonly duplicates: DuplicateFinder;
}

const REPORT_INTERVAL_MS = 60_000;

export class CommitLog {
  readonly #parts: CommitLogParts;
  readonly #salt = new Uint8Array(SALT_SIZE);
  readonly #idDraw: number;
  #lastTime: number;
  readonly #waiting = new WaitingQueue((refused, signal) => this.#refuseAborted(refused, signal));
  #isDraining = false;
  #waitingReportedAt = 0;

  constructor(parts: CommitLogParts, lastTime: number) {
    this.#parts = parts;
    this.#lastTime = lastTime;
    const draw = new Uint8Array(4);
    parts.random.fill(draw);
    this.#idDraw = new DataView(draw.buffer).getUint32(0) % ID_DRAW_LIMIT;
  }

  get waitingCount(): number {
    return this.#waiting.count;
  }

  /** Decides about a commit now, or when there is room and everybody before it has been decided. */
  submit(
    commit: PreparedCommit,
    resolve: (result: CommitResult) => void,
    reject: (error: VarveError) => void,
  ): void {
    if (this.#waiting.count > 0 || !this.#decide(commit, resolve, reject)) {
      this.#wait(commit, resolve, reject);
    }
  }

  /** Resolves when everyone who waits now has been given a position, or refused. */
  async settleWaiting(): Promise<void> {
    await this.#waiting.settled();
  }

  /** Decides about those who wait, in the order of their calls, as far as there is room. */
  drainWaiting(): void {
    if (this.#isDraining) {
      return;
    }
    this.#isDraining = true;
    try {
      for (;;) {
        const first = this.#waiting.first();
        if (first === undefined || !this.#decide(first.commit, first.resolve, first.reject)) {
          return;
        }
        // A failure takes out everybody at once.
        if (this.#waiting.first() === first) {
          this.#waiting.shift();
        }
      }
    } finally {
      this.#isDraining = false;
    }
  }

  /** Nobody who waits will be served. */
  refuseWaiting(error: VarveError): void {
    for (const { reject } of this.#waiting.takeAll()) {
      reject(error);
    }
  }

  #refuseAborted(refused: readonly Waiting[], signal: AbortSignal): void {
    for (const { reject } of refused) {
      reject(aborted(signal));
    }
    // Whoever stood behind a large commit may fit.
    this.drainWaiting();
  }

  #wait(
    commit: PreparedCommit,
    resolve: (result: CommitResult) => void,
    reject: (error: VarveError) => void,
  ): void {
    const isFirst = this.#waiting.count === 0;
    this.#waiting.push({ commit, resolve, reject });
    if (isFirst) {
      this.#reportWaiting();
    }
  }

  /** At most once a minute: under load every batch may end with somebody who waits. */
  #reportWaiting(): void {
    reached('waited for room');
    const { clock, logger, journal } = this.#parts;
    const now = clock.now();
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
  #decide(
    commit: PreparedCommit,
    resolve: (result: CommitResult) => void,
    reject: (error: VarveError) => void,
  ): boolean {
    try {
      const { journal, duplicates } = this.#parts;
      const answer = duplicates.find(commit);
      if (answer !== undefined) {
        this.#answerWhenDurable(answer.restsOn, reject, () => {
          if (answer.result === undefined) {
            reject(answer.conflict);
          } else {
            resolve(answer.result);
          }
        });
        return true;
      }
      // Order: duplicates of durable commits are answered even after a failure, new commits are not.
      if (journal.failure !== undefined) {
        reject(poisoned(journal.failure.cause, 'no'));
        return true;
      }
      if (this.#refuseByRevision(commit, reject)) {
        return true;
      }
      this.#checkLimits(commit);
      if (!journal.hasRoom(commit.bodySize)) {
        return false;
      }
    } catch (error) {
      // A question that can't be answered is an error, never a "no".
      reject(asVarveError(error, 'The append can not be decided', 'unknown'));
      return true;
    }
    try {
      this.#accept(commit, resolve, reject);
    } catch (error) {
      // State may be half changed: nothing may be decided on it any more.
      this.#parts.journal.poison(error);
      reject(poisoned(error, 'no'));
    }
    return true;
  }

  /** Order: before anything is changed, for nothing may fail after that. */
  #checkLimits({ parts, events }: PreparedCommit): void {
    const { streams, journal } = this.#parts;
    if (
      streams.streamCount + parts.length > limits.streamCountMax ||
      journal.appended + events.length > limits.positionCountMax
    ) {
      throw new VarveError(
        'LIMIT_EXCEEDED',
        `A store holds at most ${limits.streamCountMax} streams and ${limits.positionCountMax} events in this version.`,
        { applied: 'no' },
      );
    }
  }

  #refuseByRevision(commit: PreparedCommit, reject: (error: VarveError) => void): boolean {
    const { streams } = this.#parts;
    const added = commit.parts.length > 1 ? new Map<string, number>() : undefined;
    for (const { stream, expectedRevision, count } of commit.parts) {
      const before = added?.get(stream) ?? 0;
      added?.set(stream, before + count);
      if (expectedRevision === 'any') {
        continue;
      }
      const number = streams.find(stream);
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
        this.#answerWhenDurable(restsOn, reject, () => reject(error));
        return true;
      }
    }
    return false;
  }

  /** `restsOn`: the position that the answer speaks of, or -1. */
  #answerWhenDurable(
    restsOn: number,
    reject: (error: VarveError) => void,
    answer: () => void,
  ): void {
    const { journal } = this.#parts;
    if (restsOn < journal.durable) {
      answer();
      return;
    }
    const commit = journal.pendingAt(restsOn);
    if (commit instanceof PendingCommit) {
      reached('an answer waited for a commit in flight');
      commit.follow({ answer, reject });
      return;
    }
    // The commit was lost with everything else in flight.
    reject(poisoned(journal.failure?.cause, 'unknown'));
  }

  #accept(
    commit: PreparedCommit,
    resolve: (result: CommitResult) => void,
    reject: (error: VarveError) => void,
  ): void {
    const { clock, random, journal, log, streams, keys, ids } = this.#parts;
    const time = Math.max(clock.now(), this.#lastTime);
    this.#lastTime = time;
    const slot = journal.reserve(commit.bodySize);
    const { firstPosition, bytes, view } = slot;
    if (slot.opensSegment) {
      log.beginSegment(firstPosition);
    }
    const commitCount = commit.events.length;
    let at = slot.bodyStart;
    for (let index = 0; index < commitCount; index += 1) {
      const content = commit.events[index]!;
      const position = firstPosition + index;
      const streamNumber = streams.intern(content.stream);
      const isFirst = index === 0;
      const draft = {
        position,
        revision: streams.countOf(streamNumber),
        time,
        commitIndex: index,
        commitCount,
        content,
        idempotencyKey: isFirst ? commit.idempotencyKey : '',
        idempotencyKeySize: isFirst ? commit.idempotencyKeySize : 0,
        idDraw: this.#idDraw,
        streamNumber,
      };
      random.fill(this.#salt);
      log.addOffset(slot.fileOffset + at - slot.bodyStart);
      at = encodeDraft(bytes, view, at, draft, this.#salt);
      streams.add(streamNumber, position);
      if (content.idSize > 0) {
        ids.add(content.id, position);
      }
    }
    if (commit.idempotencyKeySize > 0) {
      keys.add(commit.idempotencyKey, firstPosition);
    }
    const result: CommitResult = {
      outcome: 'appended',
      firstPosition,
      lastPosition: firstPosition + commitCount - 1,
      time,
      streams: this.#revisionsOf(commit),
    };
    const pending = new PendingCommit(result, commit.ack === 'written', resolve, reject);
    journal.publish(slot, commitCount, pending);
  }

  #revisionsOf({ parts }: PreparedCommit): { stream: string; revision: number }[] {
    const [first] = parts;
    if (parts.length === 1) {
      return [{ stream: first!.stream, revision: this.#revisionOf(first!.stream) }];
    }
    const names = new Set(parts.map(({ stream }) => stream));
    return Array.from(names, (stream) => ({ stream, revision: this.#revisionOf(stream) }));
  }

  #revisionOf(stream: string): number {
    const { streams } = this.#parts;
    return streams.countOf(streams.find(stream)!) - 1;
  }
}

export function aborted(signal: AbortSignal | undefined): VarveError {
  return new VarveError('ABORTED', 'The call was aborted by its signal.', {
    cause: signal?.reason,
    applied: 'no',
  });
}
