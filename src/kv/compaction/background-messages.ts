/** Messages between the owner and the background: calls in one thread, messages between two. */
import type { WorkerFiles } from '../../io/worker-host.ts';
import type { Job, JobResult } from './job.ts';

/** Data that the thread needs to be ready. */
export interface BackgroundThreadData {
  readonly directory: string;
  readonly identity: Uint8Array;
  readonly files: WorkerFiles;
  /** The word that table numbers are counted in. */
  readonly numbers: Int32Array;
}

export type BackgroundOrder =
  | { readonly order: 'job'; readonly id: number; readonly job: Job }
  /** For an ingest job: entries. */
  | { readonly order: 'piece'; readonly id: number; readonly piece: Uint8Array }
  | { readonly order: 'end'; readonly id: number }
  | { readonly order: 'abort'; readonly id: number }
  | { readonly order: 'cancel' };

export type BackgroundReport =
  | { readonly report: 'taken'; readonly id: number }
  | { readonly report: 'succeeded'; readonly id: number; readonly result: JobResult }
  | { readonly report: 'failed'; readonly id: number; readonly cause: unknown };
