/** The background's thread as the owner sees it. Started with the first job; ends with `close`, or with the process. */
import { unpackError } from '../../base/error-transfer.ts';
import { VarveError } from '../../base/errors.ts';
import { type ComponentModule, sendComponent } from '../../io/component.ts';
import type { HeldDirectory } from '../../io/file-system.ts';
import { startThread, type Thread } from '../../io/thread.ts';
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
  /** The store's folder, for the thread to work in. */
  readonly held?: HeldDirectory | undefined;
  /** In shared memory: `CountedTableNumbers.words`. */
  readonly numbers: Int32Array;
}

interface PendingJob extends JobOutcome {
  readonly sender: IngestSender | undefined;
}

const worker = new URL('./kv-background.worker.js', import.meta.url);

export class ThreadBackground implements Background {
  readonly #data: BackgroundThreadData;
  readonly #pending = new Map<number, PendingJob>();
  #lastId = 0;
  #thread: Thread | undefined;
  /** Why the thread could not be made ready. */
  #defect: Error | undefined;
  #isClosed = false;
  /** Called when nothing is pending any more. */
  #settled: (() => void) | undefined;

  constructor({ directory, identity, fileSystem, held, numbers }: ThreadBackgroundParts) {
    this.#data = {
      directory,
      // A view would take all the memory that it lies in along.
      identity: identity.slice(),
      fileSystem: fileSystem === undefined ? undefined : sendComponent(fileSystem),
      held,
      numbers,
    };
  }

  run(job: SimpleJob): Promise<JobResult> {
    this.#lastId += 1;
    return this.#start(this.#lastId, job, undefined);
  }

  async ingest(
    job: IngestJob,
    entries: Iterable<IngestEntry> | AsyncIterable<IngestEntry>,
  ): Promise<JobResult> {
    this.#lastId += 1;
    const id = this.#lastId;
    const sender = new IngestSender({
      push: (piece) => this.#post(id, { order: 'piece', id, piece }, [piece.buffer]),
      end: () => this.#post(id, { order: 'end', id }),
      abort: () => this.#post(id, { order: 'abort', id }),
    });
    return sender.sendAll(entries, this.#start(id, job, sender));
  }

  cancel(): void {
    if (this.#pending.size > 0) {
      const order: BackgroundOrder = { order: 'cancel' };
      this.#thread?.post(order);
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.cancel();
    if (this.#pending.size > 0) {
      await new Promise<void>((resolve) => {
        this.#settled = resolve;
      });
    }
    await this.#thread?.terminate();
  }

  #start(id: number, job: Job, sender: IngestSender | undefined): Promise<JobResult> {
    return new Promise<JobResult>((succeeded, failed) => {
      if (this.#isClosed) {
        throw new VarveError('CLOSED', 'The store has been closed.', { applied: 'no' });
      }
      this.#thread ??= this.#startThread();
      const order: BackgroundOrder = { order: 'job', id, job };
      this.#thread.post(order);
      this.#pending.set(id, { succeeded, failed, sender });
      this.#thread.hold(true);
    });
  }

  /** Says something about a job, unless it is over. */
  #post(id: number, order: BackgroundOrder, transfer: readonly ArrayBuffer[] = []): void {
    if (this.#pending.has(id)) {
      this.#thread?.post(order, transfer);
    }
  }

  #startThread(): Thread {
    this.#defect = undefined;
    return startThread(worker, this.#data, [], {
      message: (message) => this.#hear(message as BackgroundReport),
      ended: (error) => this.#ended(error),
    });
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
      case 'defect':
        this.#defect = unpackError(message.cause);
        // Something of a component's own may keep the thread alive. Its end is heard of as any other.
        void this.#thread?.terminate();
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
    const cause =
      this.#defect ??
      (error instanceof Error
        ? error
        : new VarveError('UNAVAILABLE', 'The thread that flushes and merges has been ended.', {
            cause: error,
          }));
    for (const id of this.#pending.keys()) {
      this.#take(id)?.failed(cause);
    }
  }
}
