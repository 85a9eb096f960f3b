import type { ThreadChoice } from '../io/thread-choice.ts';
import { workerFile } from '../io/worker-modules.ts';
import type { JournalSettings } from '../journal/options.ts';
import { inlineInstead, threadWriter, type ThreadWriterParts } from '../journal/thread-writer.ts';
import type { ActiveSegment } from '../journal/writer.ts';
import type { StartWriter } from '../journal/writer-host.ts';
import type { LogEncoder } from './log-encoder.ts';

export interface LogWriterParts extends Pick<ThreadWriterParts, 'directory' | 'identity' | 'held'> {
  readonly encoder: LogEncoder;
  readonly threads: ThreadChoice;
  readonly startInline: StartWriter;
}

/** Has the event log written on a thread of its own. The encoder moves there when the thread is ready. */
export function logWriterThread(
  { directory, identity, held, encoder, threads, startInline }: LogWriterParts,
  settings: JournalSettings,
  active: ActiveSegment,
): StartWriter {
  const takeEncoder: ThreadWriterParts['takeEncoder'] = () => {
    const state = encoder.takeState();
    return { state, transfer: [state.leaves.buffer] };
  };
  const worker = workerFile(
    'eventLog',
    threads.workers,
    () => new URL('./log-writer.worker.js', import.meta.url),
  );
  const otherwise = inlineInstead(threads, startInline);
  const fileSystem = threads.namedFileSystem;
  const parts = { worker, directory, identity, held, fileSystem, takeEncoder, otherwise };
  return threadWriter(parts, settings, active);
}
