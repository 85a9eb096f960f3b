/**
 * Which job goes on next. Jobs run a step at a time, so that one which is waited for comes between two steps of one which
 * only tidies up.
 */
import { VarveError } from '../../base/errors.ts';
import type { Clock } from '../../io/clock.ts';
import type { IngestFeed } from './ingest-feed.ts';
import type { Job, JobResult } from './job.ts';
import type { JobStep, JobWork } from './job-steps.ts';
import { countStep } from './step-count.ts';

/** Writers wait for the memory that a flush frees and for the logs that a manifest lets go; nobody waits for a compaction. */
const urgencyOf: Readonly<Record<Job['kind'], number>> = {
  manifest: 3,
  flush: 3,
  ingest: 2,
  build: 2,
  remove: 2,
  compact: 1,
};

export interface JobOutcome {
  succeeded(result: JobResult): void;
  failed(error: unknown): void;
}

/** A job under way. */
export class RunningJob {
  readonly kind: Job['kind'];
  /** What an ingest job reads. */
  readonly feed: IngestFeed | undefined;
  /** What it waits for; undefined when it is over. */
  step: JobStep | undefined;
  #isCancelled = false;
  readonly #work: JobWork<JobResult>;
  readonly #outcome: JobOutcome;

  constructor(
    kind: Job['kind'],
    work: JobWork<JobResult>,
    outcome: JobOutcome,
    feed: IngestFeed | undefined,
  ) {
    this.kind = kind;
    this.feed = feed;
    this.#work = work;
    this.#outcome = outcome;
    this.step = { operation: 'pause' };
  }

  get canGoOn(): boolean {
    return this.#isCancelled || this.step?.operation !== 'feed' || this.feed?.hasNews === true;
  }

  get isCancelled(): boolean {
    return this.#isCancelled;
  }

  cancel(): void {
    this.#isCancelled = true;
  }

  /** Goes on with the answer to its step. */
  goOn(answer: number): void {
    if (this.#isCancelled) {
      this.giveUp(new VarveError('ABORTED', `The job (${this.kind}) was cancelled.`));
    } else {
      this.#advance(() => this.#work.next(answer));
    }
  }

  /** Its step has failed, or nobody wants it any more. */
  giveUp(error: unknown): void {
    this.#advance(() => this.#work.throw(error));
  }

  #advance(move: () => IteratorResult<JobStep, JobResult>): void {
    let moved: IteratorResult<JobStep, JobResult>;
    countStep();
    try {
      moved = move();
    } catch (error) {
      this.step = undefined;
      this.#outcome.failed(error);
      return;
    }
    if (moved.done === true) {
      this.step = undefined;
      this.#outcome.succeeded(moved.value);
    } else {
      this.step = moved.value;
    }
  }
}

export class JobScheduler {
  /** In order of arrival. */
  #jobs: RunningJob[] = [];

  get isEmpty(): boolean {
    return this.#jobs.length === 0;
  }

  add(job: RunningJob): void {
    this.#jobs.push(job);
  }

  /** The most urgent job that can go on; of equally urgent ones the oldest. */
  next(): RunningJob | undefined {
    this.#jobs = this.#jobs.filter(({ step }) => step !== undefined);
    let chosen: RunningJob | undefined;
    for (const job of this.#jobs) {
      if (job.canGoOn && (chosen === undefined || urgencyOf[job.kind] > urgencyOf[chosen.kind])) {
        chosen = job;
      }
    }
    return chosen;
  }

  /** Gives up what nobody waits for: compactions, and new tables of entries that are elsewhere. */
  cancel(): void {
    for (const job of this.#jobs) {
      if (job.kind === 'compact' || job.kind === 'ingest' || job.kind === 'build') {
        job.cancel();
      }
    }
  }
}

/** Does in place what a job waits for, and lets it go on. */
export function stepBlocking(job: RunningJob): void {
  let answer: number;
  try {
    answer = job.isCancelled ? 0 : performBlocking(job.step);
  } catch (error) {
    job.giveUp(error);
    return;
  }
  job.goOn(answer);
}

function performBlocking(step: JobStep | undefined): number {
  switch (step?.operation) {
    case 'write':
      return step.file.write(step.bytes, step.offset);
    case 'sync':
      step.meanwhile?.();
      step.file.sync();
      return 0;
    case 'pause':
    case 'feed':
    case undefined:
      break;
  }
  return 0;
}

/** The same without blocking the event loop. A pause is a turn of it. */
export async function stepAsync(job: RunningJob, clock: Clock): Promise<void> {
  let answer: number;
  try {
    answer = job.isCancelled ? 0 : await performAsync(job.step, clock);
  } catch (error) {
    job.giveUp(error);
    return;
  }
  job.goOn(answer);
}

async function performAsync(step: JobStep | undefined, clock: Clock): Promise<number> {
  switch (step?.operation) {
    case 'write':
      return step.file.writeAsync(step.bytes, step.offset);
    case 'sync': {
      const synced = step.file.syncAsync();
      step.meanwhile?.();
      await synced;
      return 0;
    }
    case 'pause':
      await clock.pause();
      return 0;
    case 'feed':
    case undefined:
      break;
  }
  return 0;
}
