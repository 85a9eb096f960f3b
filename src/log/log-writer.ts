import type { JournalSettings } from '../journal/options.ts';
import { threadWriter, type ThreadWriterParts } from '../journal/thread-writer.ts';
import type { ActiveSegment } from '../journal/writer.ts';
import type { StartWriter } from '../journal/writer-host.ts';
import type { LogEncoder } from './log-encoder.ts';

/** Has the event log written on a thread of its own. The encoder moves there when the thread starts. */
export function logWriterThread(
  parts: Omit<ThreadWriterParts, 'module' | 'takeEncoder'> & { readonly encoder: LogEncoder },
  settings: JournalSettings,
  active: ActiveSegment,
): StartWriter {
  const { directory, identity, fileSystem, held, encoder } = parts;
  const takeEncoder: ThreadWriterParts['takeEncoder'] = () => {
    const state = encoder.takeState();
    return { state, transfer: [state.leaves.buffer] };
  };
  const module = new URL('./log-writer.worker.js', import.meta.url);
  return threadWriter(
    { module, directory, identity, fileSystem, held, takeEncoder },
    settings,
    active,
  );
}
