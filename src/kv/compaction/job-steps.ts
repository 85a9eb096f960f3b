/** How jobs run: as coroutines, so that something more urgent can come between two steps, on a thread and without one. */
import type { DiskRequest } from '../../io/disk-request.ts';

/**
 * What a job asks for between two steps besides the disk: `pause` lets others go first, `feed` waits until there is news of
 * the entries that are to be ingested.
 */
export type JobStep =
  | DiskRequest
  | { readonly operation: 'pause' }
  | { readonly operation: 'feed' };

/** A `DiskWork` is one, too. A job that is given up has an error thrown into it, and tidies up. */
export type JobWork<Result> = Generator<JobStep, Result, number>;

export const pause: JobStep = { operation: 'pause' };
export const feed: JobStep = { operation: 'feed' };
