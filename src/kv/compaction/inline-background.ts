/** The background in the owner's event loop: one step at a time, with a turn of the loop between them. */
import { VarveError } from '../../base/errors.ts';
import type { Clock } from '../../io/clock.ts';
import type { Background } from './background.ts';
import { IngestFeed, IngestSender } from './ingest-feed.ts';
import type { IngestEntry } from './ingest-pieces.ts';
import type { IngestJob, Job, JobResult, SimpleJob } from './job.ts';
import { JobScheduler, RunningJob, stepAsync } from './job-scheduler.ts';
import { workOf } from './job-work.ts';
import type { JobParts } from './table-jobs.ts';

/** Same calls, same disk: the same bytes in the same order. */
export class InlineBackground implements Background {
  readonly #parts: JobParts;
  readonly #clock: Clock;
  readonly #scheduler = new JobScheduler();
  #running: Promise<void> | undefined;
  #isClosed = false;

  constructor(parts: JobParts, clock: Clock) {
    this.#parts = parts;
    this.#clock = clock;
  }

  run(job: SimpleJob): Promise<JobResult> {
    return this.#start(job, undefined);
  }

  async ingest(
    job: IngestJob,
    entries: Iterable<IngestEntry> | AsyncIterable<IngestEntry>,
  ): Promise<JobResult> {
    const feed = new IngestFeed(() => sender.taken());
    const sender = new IngestSender({
      push: (piece) => {
        feed.push(piece);
        this.#wake();
      },
      end: () => {
        feed.end();
        this.#wake();
      },
      abort: () => {
        feed.abort();
        this.#wake();
      },
    });
    return sender.sendAll(entries, this.#start(job, feed));
  }

  cancel(): void {
    this.#scheduler.cancel();
    this.#wake();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.cancel();
    while (this.#running !== undefined) {
      await this.#running;
    }
  }

  #start(job: Job, feed: IngestFeed | undefined): Promise<JobResult> {
    if (this.#isClosed) {
      return Promise.reject(
        new VarveError('CLOSED', 'The store has been closed.', { applied: 'no' }),
      );
    }
    return new Promise<JobResult>((succeeded, failed) => {
      const work = workOf(job, feed, this.#parts);
      this.#scheduler.add(new RunningJob(job.kind, work, { succeeded, failed }, feed));
      this.#wake();
    });
  }

  #wake(): void {
    this.#running ??= this.#run();
  }

  /** Works until there is nothing to do, or nothing that can go on. */
  async #run(): Promise<void> {
    // Whoever asks for a job finishes what it is doing first.
    await Promise.resolve();
    for (let job = this.#scheduler.next(); job !== undefined; job = this.#scheduler.next()) {
      await stepAsync(job, this.#clock);
    }
    this.#running = undefined;
  }
}
