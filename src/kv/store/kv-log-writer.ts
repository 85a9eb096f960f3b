import type { ThreadChoice } from '../../io/thread-choice.ts';
import { workerFile } from '../../io/worker-modules.ts';
import type { JournalSettings } from '../../journal/options.ts';
import { threadWriter, type ThreadWriterParts } from '../../journal/thread-writer.ts';
import type { ActiveSegment } from '../../journal/writer.ts';
import type { StartWriter } from '../../journal/writer-host.ts';

export interface KvLogWriterParts extends Omit<ThreadWriterParts, 'worker' | 'takeEncoder'> {
  readonly threads: ThreadChoice;
}

/** Has the log of a key-value store written on a thread of its own. */
export function kvLogWriterThread(
  parts: KvLogWriterParts,
  settings: JournalSettings,
  active: ActiveSegment,
): StartWriter {
  const worker = workerFile(
    'kvLog',
    parts.threads.workers,
    () => new URL('./kv-log-writer.worker.js', import.meta.url),
  );
  return threadWriter({ ...parts, worker }, settings, active);
}
