/**
 * Does jobs as they are ordered, wherever it runs, and reports what became of each. Jobs run a step at a time, so that one which
 * is waited for comes between two steps of one which only tidies up.
 */
import { VarveError } from '../../base/errors.ts';
import type { Clock } from '../../io/clock.ts';
import { pause, performAsync, performBlocking, type Step, type Work } from '../../io/steps.ts';
import type { BackgroundOrder, BackgroundReport } from './background-messages.ts';
import { IngestFeed } from './ingest-feed.ts';
import type { Job, JobResult } from './job.ts';
import { workOf } from './job-work.ts';
import type { JobParts } from './table-jobs.ts';

/** Writers wait for the memory that a flush frees and for the logs that a manifest lets go; nobody waits for a compaction. */
const urgencyOf: Readonly<Record<Job['kind'], number>> = {
  manifest: 3,
  flush: 3,
  ingest: 2,
  build: 2,
  remove: 2,
  compact: 1,
};

const endedEarly: ReadonlySet<Job['kind']> = new Set(['compact', 'ingest', 'build']);

type Report = (report: BackgroundReport) => void;

export class JobRunner {
  readonly #parts: JobParts;
  readonly #report: Report;
  /** In order of arrival. */
  #jobs: RunningJob[] = [];

  constructor(parts: JobParts, report: Report) {
    this.#parts = parts;
    this.#report = report;
  }

  obey(order: BackgroundOrder): void {
    if (order.order === 'job') {
      this.#jobs.push(new RunningJob(order.id, order.job, this.#parts, this.#report));
      return;
    }
    if (order.order === 'cancel') {
      this.#cancel();
      return;
    }
    const feed = this.#jobs.find(({ id }) => id === order.id)?.feed;
    switch (order.order) {
      case 'piece':
        feed?.push(order.piece);
        break;
      case 'end':
        feed?.end();
        break;
      case 'abort':
        feed?.abort();
        break;
    }
  }

  /** The most urgent job that can go on; of equally urgent ones the oldest. */
  next(): RunningJob | undefined {
    this.#jobs = this.#jobs.filter(({ isOver }) => !isOver);
    let chosen: RunningJob | undefined;
    for (const job of this.#jobs) {
      if (job.canResume && (chosen === undefined || urgencyOf[job.kind] > urgencyOf[chosen.kind])) {
        chosen = job;
      }
    }
    return chosen;
  }

  /** Ends what nobody waits for: compactions, and new tables of entries that are elsewhere. */
  #cancel(): void {
    for (const job of this.#jobs) {
      job.isCancelled ||= endedEarly.has(job.kind);
    }
  }
}

/** Does in place what a job waits for, and lets it go on. */
export function stepBlocking(job: RunningJob): void {
  let answer: number;
  try {
    answer = job.isCancelled ? 0 : performBlocking(job.step);
  } catch (error) {
    job.fail(error);
    return;
  }
  job.resume(answer);
}

/** Does a job's step without blocking the event loop. */
export async function stepAsync(job: RunningJob, clock: Clock): Promise<void> {
  let answer: number;
  try {
    answer = job.isCancelled ? 0 : await performAsync(job.step, clock);
  } catch (error) {
    job.fail(error);
    return;
  }
  job.resume(answer);
}

/** A job under way. */
class RunningJob {
  readonly id: number;
  readonly kind: Job['kind'];
  /** What an ingest job reads. */
  readonly feed: IngestFeed | undefined;
  /** What is done next for it. */
  step: Step = pause;
  isCancelled = false;
  isOver = false;
  readonly #work: Work<JobResult>;
  readonly #report: Report;

  constructor(id: number, job: Job, parts: JobParts, report: Report) {
    const taken = (): void => report({ report: 'taken', id });
    this.id = id;
    this.kind = job.kind;
    this.feed = job.kind === 'ingest' ? new IngestFeed(taken) : undefined;
    this.#work = workOf(job, this.feed, parts);
    this.#report = report;
  }

  get canResume(): boolean {
    return this.isCancelled || this.step.operation !== 'wait' || this.feed?.hasNews === true;
  }

  /** Goes on with the answer to its step. */
  resume(answer: number): void {
    if (this.isCancelled) {
      this.fail(new VarveError('ABORTED', `The job (${this.kind}) was cancelled.`));
    } else {
      this.#advance(() => this.#work.next(answer));
    }
  }

  /** Its step has failed, or nobody wants it any more: it tidies up. */
  fail(error: unknown): void {
    this.#advance(() => this.#work.throw(error));
  }

  #advance(move: () => IteratorResult<Step, JobResult>): void {
    const { id } = this;
    let moved: IteratorResult<Step, JobResult>;
    try {
      moved = move();
    } catch (cause) {
      this.isOver = true;
      this.#report({ report: 'failed', id, cause });
      return;
    }
    if (moved.done === true) {
      this.isOver = true;
      this.#report({ report: 'succeeded', id, result: moved.value });
    } else {
      this.step = moved.value;
    }
  }
}
