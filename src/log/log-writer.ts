import type { ThreadChoice } from '../io/thread-choice.ts';
import { workerFile } from '../io/worker-modules.ts';
import type { JournalSettings } from '../journal/options.ts';
import { threadWriter, type ThreadWriterParts } from '../journal/thread-writer.ts';
import type { ActiveSegment } from '../journal/writer.ts';
import type { StartWriter } from '../journal/writer-host.ts';
import type { LogEncoder } from './log-encoder.ts';

export interface LogWriterParts extends Omit<ThreadWriterParts, 'worker' | 'takeEncoder'> {
  readonly threads: ThreadChoice;
  readonly encoder: LogEncoder;
}

/** Has the event log written on a thread of its own. The encoder moves there when the thread is ready. */
export function logWriterThread(
  { encoder, ...parts }: LogWriterParts,
  settings: JournalSettings,
  active: ActiveSegment,
): StartWriter {
  const worker = workerFile(
    'eventLog',
    parts.threads.workers,
    () => new URL('./log-writer.worker.js', import.meta.url),
  );
  const takeEncoder: ThreadWriterParts['takeEncoder'] = () => {
    const state = encoder.takeState();
    return { state, transfer: [state.leaves.leaves.buffer] };
  };
  return threadWriter({ ...parts, worker, takeEncoder }, settings, active);
}
