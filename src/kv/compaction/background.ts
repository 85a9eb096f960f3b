/** Who flushes, merges and ingests: in the owner's event loop or on a thread of its own. */
import type { IngestEntry } from './ingest-pieces.ts';
import type { IngestJob, JobResult, SimpleJob } from './job.ts';

export interface Background {
  /**
   * Does a job. Manifests and flushes are done in the order of the calls, and before everything else. Rejects with the job's
   * failure: what it had made is removed then, as far as possible. Rejects with `ABORTED` if it was cancelled, with `CLOSED`
   * after `close`.
   */
  run(job: SimpleJob): Promise<JobResult>;
  /**
   * Makes tables from entries whose keys strictly ascend, else rejects with `INVALID_ARGUMENT`. Asks for entries no faster
   * than they are written.
   */
  ingest(
    job: IngestJob,
    entries: Iterable<IngestEntry> | AsyncIterable<IngestEntry>,
  ): Promise<JobResult>;
  /** Ends compactions and ingests early, running and waiting ones. Later ones are done as before. */
  cancel(): void;
  /** Cancels what `cancel` does, and resolves when the rest is done and nothing is left running. */
  close(): Promise<void>;
}
