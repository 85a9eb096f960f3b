/**
 * The deciding half of the store: turns prepared commits into positions. Decisions are made here and nowhere else, one at
 * a time, against everything that was given a position before, durable or not. A refusal that rests on a commit still in
 * flight is delivered when that commit is durable, and becomes its failure if it is lost: nobody is told of an event that
 * then never existed.
 */
import { asVarveError, RevisionConflictError, VarveError } from '../base/errors.ts';
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
import { detached, type PreparedCommit } from './prepared-commit.ts';

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

/** A commit that waits for room. */
class Waiting {
  readonly commit: PreparedCommit;
  readonly resolve: (result: CommitResult) => void;
  readonly reject: (error: VarveError) => void;
  #abort: (() => void) | undefined;
  #observers: (() => void)[] | undefined;

  constructor(
    commit: PreparedCommit,
    resolve: (result: CommitResult) => void,
    reject: (error: VarveError) => void,
  ) {
    this.commit = commit;
    this.resolve = resolve;
    this.reject = reject;
  }

  listen(onAbort: (signal: AbortSignal) => void): void {
    const { signal } = this.commit;
    if (signal !== undefined) {
      this.#abort = () => onAbort(signal);
      signal.addEventListener('abort', this.#abort);
    }
  }

  /** Calls `observer` when this waits no more. */
  observe(observer: () => void): void {
    (this.#observers ??= []).push(observer);
  }

  /** It waits no more: its signal has no effect now. */
  settled(): void {
    if (this.#abort !== undefined) {
      this.commit.signal?.removeEventListener('abort', this.#abort);
    }
    for (const observer of this.#observers ?? []) {
      observer();
    }
  }
}

export class CommitLog {
  readonly #parts: CommitLogParts;
  readonly #salt = new Uint8Array(SALT_SIZE);
  readonly #idDraw: number;
  #lastTime: number;
  #waiting: Waiting[] = [];
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
    return this.#waiting.length;
  }

  /** Decides about a commit now, or when there is room and everybody before it has been decided. */
  submit(
    commit: PreparedCommit,
    resolve: (result: CommitResult) => void,
    reject: (error: VarveError) => void,
  ): void {
    if (this.#waiting.length > 0 || !this.#decide(commit, resolve, reject)) {
      this.#wait(commit, resolve, reject);
    }
  }

  /** Resolves when everyone who waits now has been given a position, or refused. */
  async lastWaiting(): Promise<void> {
    const last = this.#waiting.at(-1);
    if (last !== undefined) {
      await new Promise<void>((resolve) => last.observe(resolve));
    }
  }

  /** Decides about those who wait, in the order of their calls, as far as there is room. */
  drainWaiting(): void {
    if (this.#isDraining) {
      return;
    }
    this.#isDraining = true;
    let count = 0;
    try {
      for (const waiting of this.#waiting) {
        if (!this.#decide(waiting.commit, waiting.resolve, waiting.reject)) {
          break;
        }
        waiting.settled();
        count += 1;
      }
    } finally {
      this.#waiting.splice(0, count);
      this.#isDraining = false;
    }
  }

  /** Nobody who waits will be served. */
  refuseWaiting(error: VarveError): void {
    const refused = this.#waiting;
    this.#waiting = [];
    for (const waiting of refused) {
      waiting.settled();
      waiting.reject(error);
    }
  }

  #wait(
    commit: PreparedCommit,
    resolve: (result: CommitResult) => void,
    reject: (error: VarveError) => void,
  ): void {
    if (this.#waiting.length === 0) {
      this.#reportWaiting();
    }
    const waiting = new Waiting(detached(commit), resolve, reject);
    this.#waiting.push(waiting);
    waiting.listen((signal) => {
      this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
      waiting.settled();
      reject(aborted(signal));
      // Whoever stood behind a large commit may fit.
      this.drainWaiting();
    });
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
    const listener = journal.pendingAt(restsOn)?.listener;
    if (listener instanceof PendingCommit) {
      reached('an answer waited for a commit in flight');
      listener.follow({ answer, reject });
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
    const { firstPosition, arena } = slot;
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
      at = encodeDraft(arena.bytes, arena.view, at, draft, this.#salt);
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
