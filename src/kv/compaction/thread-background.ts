/**
 * The background's thread as the owner sees it. Started with the first job; ends with `close`, or with the process. Jobs wait until it is
 * ready, so where it can't be started they are all done in the owner's event loop, if the store's owner agrees.
 */
import { assert } from '../../base/assert.ts';
import { unpackError } from '../../base/error-transfer.ts';
import { VarveError } from '../../base/errors.ts';
import { reached } from '../../base/reached.ts';
import { type ComponentModule, sendComponent } from '../../io/component.ts';
import type { HeldDirectory } from '../../io/file-system.ts';
import { startThread, type Thread } from '../../io/thread.ts';
import { workerFile, type WorkerFile, type WorkerModules } from '../../io/worker-modules.ts';
import type { Background } from './background.ts';
import type {
  BackgroundOrder,
  BackgroundReport,
  BackgroundThreadData,
} from './background-messages.ts';
import { IngestSender } from './ingest-feed.ts';
import type { IngestEntry } from './ingest-pieces.ts';
import type { IngestJob, Job, JobResult, SimpleJob } from './job.ts';
import type { JobOutcome } from './job-scheduler.ts';

export interface ThreadBackgroundParts {
  readonly directory: string;
  readonly identity: Uint8Array;
  /** How the thread gets its file system; undefined for the operating system's. */
  readonly fileSystem: ComponentModule | undefined;
  /** What build jobs read. */
  readonly source?: ComponentModule | undefined;
  /** The store's folder, for the thread to work in. */
  readonly held?: HeldDirectory | undefined;
  /** In shared memory: `CountedTableNumbers.words`. */
  readonly numbers: Int32Array;
  readonly workers?: WorkerModules;
  /** What does the jobs if there can't be a thread, and who hears why; undefined if jobs are to fail then. */
  readonly otherwise?:
    | { readonly startInline: () => Background; readonly tell: (failure: VarveError) => void }
    | undefined;
}

interface PendingJob extends JobOutcome {
  readonly sender: IngestSender | undefined;
}

export class ThreadBackground implements Background {
  readonly #data: BackgroundThreadData;
  readonly #file: WorkerFile;
  readonly #otherwise: ThreadBackgroundParts['otherwise'];
  readonly #pending = new Map<number, PendingJob>();
  #lastId = 0;
  #thread: Thread | undefined;
  /** Who does the jobs, once that is known: this thread's own background, or undefined for the other thread. */
  #choice: Promise<Background | undefined> | undefined;
  #inline: Background | undefined;
  #isClosed = false;
  /** Called when nothing is pending any more. */
  #settled: (() => void) | undefined;

  constructor(parts: ThreadBackgroundParts) {
    const { directory, identity, fileSystem, source, held, numbers, workers = {} } = parts;
    this.#data = {
      directory,
      // A view would take all the memory that it lies in along.
      identity: identity.slice(),
      fileSystem: fileSystem && sendComponent(fileSystem),
      source: source && sendComponent(source),
      held,
      numbers,
    };
    this.#file = workerFile(
      'kvBackground',
      workers,
      () => new URL('./kv-background.worker.js', import.meta.url),
    );
    this.#otherwise = parts.otherwise;
  }

  // Order: whoever called first goes on first, for all wait for the same promise, once.

  async run(job: SimpleJob): Promise<JobResult> {
    const inline = await this.#choose();
    return inline === undefined ? this.#start(this.#newId(), job, undefined) : inline.run(job);
  }

  async ingest(
    job: IngestJob,
    entries: Iterable<IngestEntry> | AsyncIterable<IngestEntry>,
  ): Promise<JobResult> {
    const inline = await this.#choose();
    if (inline !== undefined) {
      return inline.ingest(job, entries);
    }
    const id = this.#newId();
    const sender = new IngestSender({
      push: (piece) => this.#post(id, { order: 'piece', id, piece }, [piece.buffer]),
      end: () => this.#post(id, { order: 'end', id }),
      abort: () => this.#post(id, { order: 'abort', id }),
    });
    return sender.sendAll(entries, this.#start(id, job, sender));
  }

  cancel(): void {
    // What was asked for before is under way by then.
    void this.#choice?.then(
      () => this.#cancelNow(),
      () => {},
    );
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    try {
      await this.#choice;
    } catch {
      // Whose jobs waited for the thread has been told.
    }
    this.#cancelNow();
    if (this.#pending.size > 0) {
      await new Promise<void>((resolve) => {
        this.#settled = resolve;
      });
    }
    await this.#inline?.close();
    await this.#thread?.terminate();
  }

  #cancelNow(): void {
    this.#inline?.cancel();
    if (this.#pending.size > 0) {
      const order: BackgroundOrder = { order: 'cancel' };
      this.#thread?.post(order);
    }
  }

  #newId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }

  /** Starts the thread, if there is none. Rejects for a new job if the store has been closed. */
  #choose(): Promise<Background | undefined> {
    if (this.#isClosed) {
      return Promise.reject(
        new VarveError('CLOSED', 'The store has been closed.', { applied: 'no' }),
      );
    }
    this.#choice ??= new Promise((resolve, reject) => {
      const thread = startThread(this.#file, this.#data, {
        ready: () => resolve(undefined),
        failed: (cause) => {
          this.#thread = undefined;
          if (this.#otherwise === undefined) {
            // A later job tries again.
            this.#choice = undefined;
            reject(cause);
            return;
          }
          reached('a background went on without a thread');
          this.#inline = this.#otherwise.startInline();
          this.#otherwise.tell(cause);
          resolve(this.#inline);
        },
        message: (message) => this.#hear(message as BackgroundReport),
        ended: (error) => this.#ended(error),
      });
      thread.hold(true);
      this.#thread = thread;
    });
    return this.#choice;
  }

  #start(id: number, job: Job, sender: IngestSender | undefined): Promise<JobResult> {
    return new Promise<JobResult>((succeeded, failed) => {
      const thread = this.#thread;
      assert(thread !== undefined, 'a thread that is ready has not ended before it is asked');
      const order: BackgroundOrder = { order: 'job', id, job };
      thread.post(order);
      this.#pending.set(id, { succeeded, failed, sender });
      thread.hold(true);
    });
  }

  /** Says something about a job, unless it is over. */
  #post(id: number, order: BackgroundOrder, transfer: readonly ArrayBuffer[] = []): void {
    if (this.#pending.has(id)) {
      this.#thread?.post(order, transfer);
    }
  }

  #hear(message: BackgroundReport): void {
    switch (message.report) {
      case 'taken':
        this.#pending.get(message.id)?.sender?.taken();
        break;
      case 'succeeded':
        this.#take(message.id)?.succeeded(message.result);
        break;
      case 'failed':
        this.#take(message.id)?.failed(unpackError(message.cause));
        break;
    }
  }

  /** A job is over. */
  #take(id: number): PendingJob | undefined {
    const job = this.#pending.get(id);
    this.#pending.delete(id);
    if (this.#pending.size === 0) {
      this.#thread?.hold(false);
      this.#settled?.();
    }
    return job;
  }

  /** The thread is gone. Nobody knows how far its jobs have come; a later job gets a new one. */
  #ended(error: unknown): void {
    this.#thread = undefined;
    this.#choice = undefined;
    const cause =
      error instanceof Error
        ? error
        : new VarveError('UNAVAILABLE', 'The thread that flushes and merges has been ended.', {
            cause: error,
          });
    for (const id of this.#pending.keys()) {
      this.#take(id)?.failed(cause);
    }
  }
}
