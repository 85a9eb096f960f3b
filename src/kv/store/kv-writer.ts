/**
 * Gives batches their sequences, in the order of the calls: into the log's lane and into the memtable in one step, so that what is visible
 * is also on its way to the disk. A batch that finds no room waits, and so do all after it.
 */
import { aborted } from '../../base/aborted.ts';
import { assert } from '../../base/assert.ts';
import type { ViewedBytes } from '../../base/copy-bytes.ts';
import { VarveError, withApplied } from '../../base/errors.ts';
import { reached } from '../../base/reached.ts';
import { AdmissionQueue } from '../../collections/admission-queue.ts';
import type { Clock, Timer } from '../../io/clock.ts';
import { poisoned } from '../../journal/write-failure.ts';
import type { MemtableQueue } from '../tree/memtable-queue.ts';
import type { Tree } from '../tree/tree.ts';
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
import { NO_BYTES } from '../entries/cursor.ts';
import type { StoreLog } from './store-log.ts';

/** The parts that a decision about a batch rests on. */
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
export class KvWriter {
  lastSequence: number;
  /** Bytes of keys and values. */
  rawSize = 0;
  readonly #parts: KvWriterParts;
  readonly #log: StoreLog;
  readonly #waiting: AdmissionQueue<PendingBatch> = new AdmissionQueue(
    (batch) => this.#decide(batch),
    (batch, signal) => batch.failed(aborted(signal, 'no')),
  );
  /** The sequence that was taken by whoever holds up all writes. */
  #heldSequence: number | undefined;
  /** While writes are slowed down: when the next one may go. */
  #nextAt = 0;
  #timer: Timer | undefined;
  #closed: VarveError | undefined;

  constructor(parts: KvWriterParts) {
    this.#parts = parts;
    this.#log = parts.log;
    this.lastSequence = parts.log.lastSequence;
  }

  get waitingCount(): number {
    return this.#waiting.count;
  }

  /** `signal` takes the batch out while it waits. */
  submit(batch: PendingBatch, signal?: AbortSignal): void {
    if (this.#waiting.count > 0 || !this.#decide(batch)) {
      reached('a batch waited');
      // Its maker uses the memory for something else as soon as the call returns.
      batch.takeCopy();
      this.#waiting.push(batch, signal);
    }
  }

  /** Resolves when those who wait now do no more. */
  waitingDecided(): Promise<void> {
    return this.#waiting.whenDecided();
  }

  /** Decides about those who wait, as far as there is room. */
  admitWaiting(): void {
    this.#waiting.admit();
  }

  /** Rejects every batch that waits. */
  refuseWaiting(error: VarveError): void {
    for (const batch of this.#waiting.takeAll()) {
      batch.failed(error);
    }
  }

  /**
   * Takes one sequence, durably, and then holds up every write until `release`. Until then reads don't see what counts as written
   * with it.
   */
  async hold(): Promise<number> {
    try {
      return await new Promise<number>((resolve, reject) => {
        const body = new BatchBody();
        body.add(OperationKind.mark, NO_BYTES, NO_BYTES);
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

  /** Writes go on after the sequence that was taken. */
  release(): void {
    if (this.#heldSequence !== undefined) {
      this.lastSequence = this.#heldSequence;
      this.#heldSequence = undefined;
      this.admitWaiting();
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
    try {
      if (this.#closed !== undefined) {
        throw this.#closed;
      }
      if (this.#isHeldUp(batch)) {
        return false;
      }
      const refusal = this.#parts.refusal(batch);
      if (refusal !== undefined) {
        throw refusal;
      }
      batch.planNow();
      const { size, count } = batch.body;
      if (size > BATCH_SIZE_MAX) {
        throw tooLarge(size);
      }
      if (count > 0) {
        if (!this.#log.hasRoom(size)) {
          return false;
        }
        this.#slowDown(size);
        this.#accept(batch);
      } else {
        batch.lastSequence = this.lastSequence;
        batch.succeed();
      }
    } catch (error) {
      batch.failed(undecided(error));
    }
    batch.letGo();
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
        this.admitWaiting();
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
