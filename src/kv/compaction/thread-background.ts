/**
 * The background on a thread, which the first job starts; it ends with `close`, or with the process. Jobs wait until it is ready, so
 * where it can't be started they are all done in the owner's event loop, if the store's owner agrees. If it can't, or if it dies, its
 * jobs fail and a later one starts another.
 */
import type { HeldDirectory } from '../../io/file-system.ts';
import type { ThreadChoice } from '../../io/thread-choice.ts';
import { sendFiles, type Worker, WorkerHost } from '../../io/worker-host.ts';
import { type WorkerFile, workerFile } from '../../io/worker-modules.ts';
import type { Background } from './background.ts';
import type {
  BackgroundOrder,
  BackgroundReport,
  BackgroundThreadData,
} from './background-messages.ts';
import { JobSender } from './job-sender.ts';

/** Starts what does the jobs in this thread, and reports. */
export type StartJobs = (report: (report: BackgroundReport) => void) => Worker<BackgroundOrder>;

export interface ThreadBackgroundParts {
  readonly directory: string;
  readonly identity: Uint8Array;
  /** The store's folder, for the thread to work in. */
  readonly held?: HeldDirectory | undefined;
  /** In shared memory: `CountedTableNumbers.words`. */
  readonly numbers: Int32Array;
  /** The thread's program, if it is one with a source of its own for build jobs. */
  readonly worker?: WorkerFile | undefined;
  readonly threads: Omit<ThreadChoice, 'usesThreads'>;
  /** What does the jobs if there can't be a thread, where that is wanted. */
  readonly startInline: StartJobs;
}

export function threadBackground(parts: ThreadBackgroundParts): Background {
  const { directory, identity, held, numbers, threads, startInline } = parts;
  const data: BackgroundThreadData = {
    directory,
    // A view would take all the memory that it lies in along.
    identity: identity.slice(),
    files: sendFiles(threads.namedFileSystem, held),
    numbers,
  };
  const file =
    parts.worker ??
    workerFile(
      'kvBackground',
      threads.workers,
      () => new URL('./kv-background.worker.js', import.meta.url),
    );
  const { goInline } = threads;
  return new JobSender((sender) => {
    const hear = (report: BackgroundReport): void => sender.hear(report);
    const failAll = (cause: unknown): void => sender.failAll(cause);
    const plan = { file, data, goInline, startInline: () => startInline(hear) };
    return new WorkerHost<BackgroundOrder, BackgroundReport, Worker<BackgroundOrder>>(
      { ...plan, purpose: 'that flushes and merges' },
      { hear, failed: failAll, ended: failAll },
    );
  });
}
