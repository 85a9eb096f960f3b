import type { JournalSettings } from '../journal/options.ts';
import { threadWriter, type ThreadWriterParts } from '../journal/thread-writer.ts';
import type { ActiveSegment } from '../journal/writer.ts';
import type { StartWriter } from '../journal/writer-host.ts';

/** Has the log of a key-value store written on a thread of its own. */
export function kvLogWriterThread(
  parts: Omit<ThreadWriterParts, 'module' | 'takeEncoder'>,
  settings: JournalSettings,
  active: ActiveSegment,
): StartWriter {
  const { directory, identity, fileSystem, held } = parts;
  const module = new URL('./kv-log-writer.worker.js', import.meta.url);
  return threadWriter(
    { module, directory, identity, fileSystem, held, takeEncoder },
    settings,
    active,
  );
}

/** The encoder knows nothing that would have to go along. */
function takeEncoder(): { state: undefined; transfer: ArrayBuffer[] } {
  return { state: undefined, transfer: [] };
}
