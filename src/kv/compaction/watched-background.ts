import type { VarveError } from '../../base/errors.ts';
import { isHoldLost } from '../../io/held-folder.ts';
import type { Background } from './background.ts';
import type { IngestEntry } from './ingest-pieces.ts';
import type { IngestJob, JobResult, SimpleJob } from './job.ts';

/** A background whose store hears, before whoever asked for the job, that its folder is lost. */
export class WatchedBackground implements Background {
  readonly #inner: Background;
  readonly #lost: (error: VarveError) => void;

  constructor(inner: Background, lost: (error: VarveError) => void) {
    this.#inner = inner;
    this.#lost = lost;
  }

  run(job: SimpleJob): Promise<JobResult> {
    return this.#watch(this.#inner.run(job));
  }

  ingest(
    job: IngestJob,
    entries: Iterable<IngestEntry> | AsyncIterable<IngestEntry>,
  ): Promise<JobResult> {
    return this.#watch(this.#inner.ingest(job, entries));
  }

  cancel(): void {
    this.#inner.cancel();
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  #watch(result: Promise<JobResult>): Promise<JobResult> {
    result.catch((error: unknown) => {
      if (isHoldLost(error)) {
        this.#lost(error);
      }
    });
    return result;
  }
}
