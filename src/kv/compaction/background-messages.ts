/** What the owner and the background's thread say to each other. */
import type { PackedError } from '../../base/error-transfer.ts';
import type { SentComponent } from '../../io/component.ts';
import type { HeldDirectory } from '../../io/file-system.ts';
import type { Job, JobResult } from './job.ts';

export interface BackgroundThreadData {
  readonly directory: string;
  readonly identity: Uint8Array;
  /** Undefined for the operating system's. */
  readonly fileSystem: SentComponent | undefined;
  readonly source: SentComponent | undefined;
  readonly held: HeldDirectory | undefined;
  /** The word that table numbers are counted in. */
  readonly numbers: Int32Array;
}

export type BackgroundOrder =
  | { readonly order: 'job'; readonly id: number; readonly job: Job }
  | { readonly order: 'piece'; readonly id: number; readonly piece: Uint8Array }
  | { readonly order: 'end'; readonly id: number }
  | { readonly order: 'abort'; readonly id: number }
  | { readonly order: 'cancel' };

export type BackgroundReport =
  | { readonly report: 'taken'; readonly id: number }
  | { readonly report: 'succeeded'; readonly id: number; readonly result: JobResult }
  | { readonly report: 'failed'; readonly id: number; readonly cause: PackedError };
