/** A background as its owner sees it: jobs are orders to whoever does them, in this thread or another, and reports settle them. */
import { VarveError } from '../../base/errors.ts';
import type { Worker } from '../../io/worker-host.ts';
import type { Background } from './background.ts';
import type { BackgroundOrder, BackgroundReport } from './background-messages.ts';
import { IngestSender } from './ingest-feed.ts';
import type { IngestEntry } from './ingest-pieces.ts';
import type { IngestJob, Job, JobResult, SimpleJob } from './job.ts';

interface PendingJob {
  readonly sender: IngestSender | undefined;
  readonly succeeded: (result: JobResult) => void;
  readonly failed: (error: unknown) => void;
}

export class JobSender implements Background {
  readonly #worker: Worker<BackgroundOrder>;
  readonly #pending = new Map<number, PendingJob>();
  #lastId = 0;
  #isClosed = false;
  /** Called when nothing is pending any more. */
  #onIdle: (() => void) | undefined;

  /** `makeWorker` gives whoever does the jobs, who reports to `hear`. */
  constructor(makeWorker: (sender: JobSender) => Worker<BackgroundOrder>) {
    this.#worker = makeWorker(this);
  }

  run(job: SimpleJob): Promise<JobResult> {
    return this.#start(job, undefined);
  }

  async ingest(
    job: IngestJob,
    entries: Iterable<IngestEntry> | AsyncIterable<IngestEntry>,
  ): Promise<JobResult> {
    const id = this.#lastId + 1;
    const sender = new IngestSender({
      push: (piece) => this.#tell(id, { order: 'piece', id, piece }, [piece.buffer]),
      end: () => this.#tell(id, { order: 'end', id }),
      abort: () => this.#tell(id, { order: 'abort', id }),
    });
    return sender.sendAll(entries, this.#start(job, sender));
  }

  cancel(): void {
    if (this.#pending.size > 0) {
      this.#worker.order({ order: 'cancel' });
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.cancel();
    if (this.#pending.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    await this.#worker.close();
  }

  hear(report: BackgroundReport): void {
    switch (report.report) {
      case 'taken':
        this.#pending.get(report.id)?.sender?.taken();
        break;
      case 'succeeded':
        this.#take(report.id)?.succeeded(report.result);
        break;
      case 'failed':
        this.#take(report.id)?.failed(report.cause);
        break;
    }
  }

  /** Nobody knows how far the jobs have come. */
  failAll(cause: unknown): void {
    for (const id of this.#pending.keys()) {
      this.#take(id)?.failed(cause);
    }
  }

  #start(job: Job, sender: IngestSender | undefined): Promise<JobResult> {
    if (this.#isClosed) {
      return Promise.reject(
        new VarveError('CLOSED', 'The store has been closed.', { applied: 'no' }),
      );
    }
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise<JobResult>((succeeded, failed) => {
      this.#pending.set(id, { succeeded, failed, sender });
      this.#worker.hold(true);
      this.#worker.order({ order: 'job', id, job });
    });
  }

  /** Says something about a job, unless it is over. */
  #tell(id: number, order: BackgroundOrder, transfer: readonly ArrayBuffer[] = []): void {
    if (this.#pending.has(id)) {
      this.#worker.order(order, transfer);
    }
  }

  /** A job is over. */
  #take(id: number): PendingJob | undefined {
    const job = this.#pending.get(id);
    this.#pending.delete(id);
    if (this.#pending.size === 0) {
      this.#worker.hold(false);
      this.#onIdle?.();
    }
    return job;
  }
}
