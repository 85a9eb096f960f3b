import type { ThreadChoice } from '../../io/thread-choice.ts';
import { workerFile } from '../../io/worker-modules.ts';
import type { JournalSettings } from '../../journal/options.ts';
import {
  inlineInstead,
  threadWriter,
  type ThreadWriterParts,
} from '../../journal/thread-writer.ts';
import type { ActiveSegment } from '../../journal/writer.ts';
import type { StartWriter } from '../../journal/writer-host.ts';

export interface KvLogWriterParts extends Pick<
  ThreadWriterParts,
  'directory' | 'identity' | 'held'
> {
  readonly threads: ThreadChoice;
  readonly startInline: StartWriter;
}

/** Has the log of a key-value store written on a thread of its own. */
export function kvLogWriterThread(
  { directory, identity, held, threads, startInline }: KvLogWriterParts,
  settings: JournalSettings,
  active: ActiveSegment,
): StartWriter {
  const worker = workerFile(
    'kvLog',
    threads.workers,
    () => new URL('./kv-log-writer.worker.js', import.meta.url),
  );
  const otherwise = inlineInstead(threads, startInline);
  const fileSystem = threads.namedFileSystem;
  const parts = { worker, directory, identity, held, fileSystem, takeEncoder, otherwise };
  return threadWriter(parts, settings, active);
}

/** The encoder knows nothing that would have to go along. */
function takeEncoder(): { state: undefined; transfer: ArrayBuffer[] } {
  return { state: undefined, transfer: [] };
}
