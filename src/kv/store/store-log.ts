/** The log that a batch goes through before it goes to memory: a journal (`journal-log.ts`), or none. */
import { checkRange } from '../../base/arguments.ts';
import type { Ending } from '../../base/ending.ts';
import type { VarveError } from '../../base/errors.ts';
import { writingEnded } from '../../journal/write-failure.ts';
import type { Tree } from '../tree/tree.ts';
import type { BatchBody } from './batch-body.ts';
import type { KvRecovery } from './contract.ts';
import type { PendingBatch } from './pending-batch.ts';

/** Events that a log reports to its store. */
export interface LogEvents {
  /** More may fit than before. */
  roomChanged(): void;
  /** Space for more can't be had now: who waits should be told. */
  noSpace(cause: unknown): void;
  /** Writing has ended; every batch in flight has been told. */
  failed(error: VarveError): void;
}

export interface StoreLog {
  readonly found: Pick<KvRecovery, 'wasClosed' | 'replayed' | 'quarantined'>;
  /** The last sequence that was given when the store was opened. */
  readonly lastSequence: number;
  /** Bytes that are not durable yet. */
  readonly pendingSize: number;
  /** Bytes of all bodies since the store was opened. */
  readonly writtenSize: number;
  /** Throws if a position of an owner's own log can't be recorded. */
  checkPosition(position: number): void;
  /** False if a batch of this size has to wait: `roomChanged` or `noSpace` follows. Order: before anything is changed, for it may throw. */
  hasRoom(size: number): boolean;
  /** Takes a batch that there is room for; returns its first sequence. */
  begin(body: BatchBody, lastSequence: number): number;
  /** The batch that was begun is in memory. */
  end(batch: PendingBatch): void;
  /** Ends writing: what is in memory may be half a batch, or has nowhere to go. */
  poison(cause: unknown): void;
  whenLogged(sequence: number): Promise<boolean>;
  markAt(place: unknown): Uint8Array | undefined;
  flushed(sequence: number): void;
  /** Resolves when nothing is on its way to the disk. */
  whenIdle(): Promise<void>;
  /** Before the tree is closed: flushes what the next open would not get back otherwise, or only slowly. */
  flushRest(ending: Ending): Promise<void>;
  close(): Promise<void>;
  /** Closes the files of a store that could not be opened; nothing was written. */
  abandon(): void;
  /** Makes the log of a copy of the store, whose tables hold everything up to a sequence. */
  makeCopy(directory: string, identity: Uint8Array, lastSequence: number): void;
}

/** No log: the store's owner keeps one elsewhere, and what isn't flushed is gone when the process ends. */
export class NoLog implements StoreLog {
  readonly found: StoreLog['found'] = { wasClosed: true, replayed: 0, quarantined: undefined };
  readonly lastSequence: number;
  readonly pendingSize = 0;
  readonly writtenSize = 0;
  readonly #tree: Tree;
  readonly #events: LogEvents;

  constructor(tree: Tree, events: LogEvents) {
    this.#tree = tree;
    this.#events = events;
    this.lastSequence = tree.state.lastSequence;
  }

  checkPosition(position: number): void {
    checkRange('position', position, 0, Number.MAX_SAFE_INTEGER);
  }

  hasRoom(): boolean {
    return true;
  }

  begin(_body: BatchBody, lastSequence: number): number {
    // Nothing else would bring back the rest of a batch after a crash.
    this.#tree.memtables.beginBatch(lastSequence + 1);
    return lastSequence + 1;
  }

  end(batch: PendingBatch): void {
    this.#tree.memtables.endBatch(batch.position);
    batch.succeed();
  }

  /** Half a batch in a table would be seen by everybody: nothing is flushed any more. */
  poison(cause: unknown): void {
    this.#events.failed(writingEnded(cause));
  }

  async whenLogged(): Promise<boolean> {
    return true;
  }

  markAt(): undefined {}

  flushed(): void {}

  async whenIdle(): Promise<void> {}

  flushRest(ending: Ending): Promise<void> {
    return ending.attempt(() => this.#tree.maintenance.flushRest());
  }

  async close(): Promise<void> {}

  abandon(): void {}

  makeCopy(): void {}
}
