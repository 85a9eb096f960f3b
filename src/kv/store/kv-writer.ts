/**
 * Gives batches their sequences, in the order of the calls: into the log's lane and into the memtable in one step, so that what is visible
 * is also on its way to the disk. A batch that finds no room waits, and everybody behind it.
 */
import { assert } from '../../base/assert.ts';
import type { ViewedBytes } from '../../base/copy-bytes.ts';
import { VarveError, withApplied } from '../../base/errors.ts';
import { reached } from '../../base/reached.ts';
import type { Clock, Timer } from '../../io/clock.ts';
import { poisoned } from '../../journal/write-failure.ts';
import type { MemtableQueue } from '../tree/memtable-queue.ts';
import type { Tree } from '../tree/tree.ts';
import { WaiterList } from '../tree/waiter-list.ts';
import { BatchBody } from './batch-body.ts';
import {
  BATCH_SIZE_MAX,
  keySizeAt,
  kindAt,
  OPERATION_HEADER_SIZE,
  OperationKind,
  valueSizeAt,
} from './format.ts';
import { PendingBatch } from './pending-batch.ts';
import type { StoreLog } from './store-log.ts';

/** What deciding about a batch rests on. */
export interface KvWriterParts {
  readonly tree: {
    readonly memtables: MemtableQueue;
    readonly maintenance: Pick<Tree['maintenance'], 'pressure' | 'flushError' | 'compactionError'>;
  };
  readonly log: StoreLog;
  readonly clock: Clock;
  /** Why a batch may not be applied, if it may not. */
  readonly refusal: (batch: PendingBatch) => VarveError | undefined;
}

/** Bytes a second that are let in while compaction is behind: about what one thread merges. */
const SLOW_RATE = 16 * 1024 * 1024;
const EMPTY = new Uint8Array(0);

export class KvWriter {
  lastSequence: number;
  /** Bytes of keys and values. */
  rawSize = 0;
  readonly #parts: KvWriterParts;
  readonly #log: StoreLog;
  #waiting: PendingBatch[] = [];
  #waitingHead = 0;
  #isDraining = false;
  /** The sequence that was taken by whoever holds up all writes. */
  #heldSequence: number | undefined;
  /** While writes are slowed down: when the next one may go. */
  #nextAt = 0;
  #timer: Timer | undefined;
  /** Batches that had to wait and do no more. */
  #doneCount = 0;
  /** For that number. */
  readonly #observers = new WaiterList();
  #closed: VarveError | undefined;

  constructor(parts: KvWriterParts) {
    this.#parts = parts;
    this.#log = parts.log;
    this.lastSequence = parts.log.lastSequence;
  }

  get waitingCount(): number {
    return this.#waiting.length - this.#waitingHead;
  }

  submit(batch: PendingBatch): void {
    if (this.waitingCount > 0 || !this.#decide(batch)) {
      reached('a batch waited');
      // Its maker uses the memory for something else as soon as the call returns.
      batch.takeCopy();
      this.#waiting.push(batch);
    } else {
      batch.letGo();
    }
  }

  /** Resolves when those who wait now do no more. */
  async settled(): Promise<void> {
    if (this.waitingCount > 0) {
      await this.#observers.wait(this.#doneCount + this.waitingCount);
    }
  }

  /** Decides about those who wait, as far as there is room. */
  drain(): void {
    if (this.#isDraining) {
      return;
    }
    this.#isDraining = true;
    try {
      while (this.waitingCount > 0) {
        const batch = this.#waiting[this.#waitingHead]!;
        if (!this.#decide(batch)) {
          break;
        }
        batch.letGo();
        // Deciding may have ended the log, and everybody's waiting with it.
        if (this.#waiting[this.#waitingHead] === batch) {
          this.#waitingHead += 1;
          this.#doneCount += 1;
          this.#forgetPassed();
        }
      }
      if (this.waitingCount === 0) {
        this.#waiting = [];
        this.#waitingHead = 0;
      }
    } finally {
      this.#isDraining = false;
    }
    this.#observers.reach(this.#doneCount);
  }

  /** Under steady load the queue is never empty: what has been decided must not stay in it for that. */
  #forgetPassed(): void {
    if (this.#waitingHead > 64 && this.#waitingHead * 2 > this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#waitingHead);
      this.#waitingHead = 0;
    }
  }

  /** Nobody who waits will be served. */
  refuseWaiting(error: VarveError): void {
    const refused = this.#waiting.slice(this.#waitingHead);
    this.#waiting = [];
    this.#waitingHead = 0;
    this.#doneCount += refused.length;
    for (const batch of refused) {
      batch.failed(error);
    }
    this.#observers.reach(this.#doneCount);
  }

  /**
   * Takes one sequence, durably, and then holds up every write until `release`. Until then reads don't see what counts as written
   * with it.
   */
  async hold(): Promise<number> {
    try {
      return await new Promise<number>((resolve, reject) => {
        const body = new BatchBody();
        body.add(OperationKind.mark, EMPTY, EMPTY);
        const batch = new PendingBatch(body, [], false, resolve, reject);
        batch.accepted = () => {
          this.#heldSequence = this.lastSequence;
          this.lastSequence -= 1;
        };
        this.submit(batch);
      });
    } catch (error) {
      this.release();
      throw error;
    }
  }

  /** Writes go on, behind the sequence that was taken. */
  release(): void {
    if (this.#heldSequence !== undefined) {
      this.lastSequence = this.#heldSequence;
      this.#heldSequence = undefined;
      this.drain();
    }
  }

  /** Nothing is accepted any more. */
  close(error: VarveError): void {
    this.#closed = error;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.refuseWaiting(error);
  }

  /** False if the batch has to wait. */
  #decide(batch: PendingBatch): boolean {
    if (this.#closed !== undefined) {
      batch.failed(this.#closed);
      return true;
    }
    try {
      if (this.#isHeldUp(batch)) {
        return false;
      }
      const refusal = this.#parts.refusal(batch);
      if (refusal !== undefined) {
        batch.failed(refusal);
        return true;
      }
      batch.planNow();
      if (batch.body.count === 0) {
        batch.lastSequence = this.lastSequence;
        batch.succeed();
        return true;
      }
      const { size } = batch.body;
      if (size > BATCH_SIZE_MAX) {
        batch.failed(tooLarge(size));
        return true;
      }
      if (!this.#log.hasRoom(size)) {
        return false;
      }
      this.#slowDown(size);
    } catch (error) {
      batch.failed(undecided(error));
      return true;
    }
    this.#accept(batch);
    return true;
  }

  /** True while there is no room in memory or compaction is too far behind. */
  #isHeldUp(batch: PendingBatch): boolean {
    if (this.#heldSequence !== undefined) {
      return true;
    }
    const { tree, clock } = this.#parts;
    const { memtables, maintenance } = tree;
    const state = maintenance.pressure;
    if (state === 'stop' || !memtables.hasRoom) {
      const cause = memtables.hasRoom ? maintenance.compactionError : maintenance.flushError;
      if (cause === undefined) {
        reached('writes stopped');
        return true;
      }
      throw new VarveError(
        'UNAVAILABLE',
        'Writes wait for tables to be made, and that fails: see the cause, and stats().',
        { cause, applied: 'no', details: { operations: batch.body.count } },
      );
    }
    if (state === 'none' || this.#timer !== undefined) {
      return this.#timer !== undefined;
    }
    const waitMs = this.#nextAt - clock.now();
    if (waitMs <= 0) {
      return false;
    }
    reached('writes slowed down');
    // A clock that was set back must not hold writes up for long.
    const delayMs = Math.min(Math.ceil(waitMs), 100);
    this.#timer = clock.schedule(
      delayMs,
      () => {
        this.#timer = undefined;
        this.#nextAt = 0;
        this.drain();
      },
      'holds the process',
    );
    return true;
  }

  #slowDown(size: number): void {
    const { tree, clock } = this.#parts;
    if (tree.maintenance.pressure !== 'slow') {
      return;
    }
    const now = clock.now();
    // Up to a few ms' worth goes at once: timers are no finer than that.
    this.#nextAt = Math.max(this.#nextAt, now - 4) + (size / SLOW_RATE) * 1_000;
  }

  #accept(batch: PendingBatch): void {
    try {
      this.#insert(batch.body, this.#log.begin(batch.body, this.lastSequence));
      batch.lastSequence = this.lastSequence;
      this.#log.end(batch);
      batch.accepted?.();
    } catch (error) {
      // Half of it may be done: nothing may rest on it any more.
      this.#log.poison(error);
      batch.failed(poisoned(error, 'no'));
    }
  }

  #insert(body: BatchBody, firstSequence: number): void {
    const { memtables } = this.#parts.tree;
    const { view, count } = body;
    let start = 0;
    for (let index = 0; index < count; index += 1) {
      const keyStart = start + OPERATION_HEADER_SIZE;
      const valueStart = keyStart + keySizeAt(view, start);
      const end = valueStart + valueSizeAt(view, start);
      const kind = kindAt(view, start);
      applyOperation(memtables, kind, firstSequence + index, body, keyStart, valueStart, end);
      start = end;
    }
    assert(start === body.size, 'operations fill their body');
    this.rawSize += body.rawSize;
    this.lastSequence = firstSequence + count - 1;
  }
}

/** Puts one operation into memory: its key is in `source[keyStart, valueStart)`, its value from there to `end`. */
export function applyOperation(
  memtables: MemtableQueue,
  kind: OperationKind,
  sequence: number,
  source: ViewedBytes,
  keyStart: number,
  valueStart: number,
  end: number,
): void {
  switch (kind) {
    case OperationKind.put:
    case OperationKind.delete:
      memtables.insertFrom(source, keyStart, valueStart, end, sequence, kind);
      break;
    case OperationKind.deleteRange: {
      const { bytes } = source;
      const first = bytes.subarray(keyStart, valueStart);
      memtables.insertRange(first, bytes.subarray(valueStart, end), sequence);
      break;
    }
    case OperationKind.mark:
      memtables.skip(sequence);
      break;
  }
}

function tooLarge(size: number): VarveError {
  return new VarveError(
    'LIMIT_EXCEEDED',
    `A batch has ${BATCH_SIZE_MAX} bytes at most, 8 for each operation included, not ${size}: make several of it.`,
    { applied: 'no', details: { size, sizeMax: BATCH_SIZE_MAX } },
  );
}

/** A question that can't be answered is an error, never a "no". */
function undecided(error: unknown): VarveError {
  const isUnavailable = error instanceof VarveError && error.code === 'UNAVAILABLE';
  if (isUnavailable && error.applied === undefined) {
    const message = 'What the write depends on could not be read: try again later.';
    return new VarveError('UNAVAILABLE', message, { cause: error, applied: 'no' });
  }
  if (error instanceof VarveError) {
    return withApplied(error, 'no');
  }
  return new VarveError('INTERNAL', 'The write could not be decided.', {
    cause: error,
    applied: 'no',
  });
}
