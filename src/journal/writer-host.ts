import type { Worker } from '../io/worker-host.ts';
import type { LaneMemory } from './lane-layout.ts';
import type { ReportWriter, WriterOrder } from './writer-messages.ts';

/**
 * Where the writer runs, as the owner sees it: in the owner's own event loop or on a thread of its own. The owner publishes
 * frames in the lane and calls `wake` when the writer sleeps; everything else is ordered. `close` lets the writer leave the folder at
 * rest, unless it has failed; nothing is in flight then.
 */
export interface WriterHost extends Worker<WriterOrder> {
  /** Frames that are published early keep the writer busy while more are made; pointless where both share a thread. */
  readonly isThread: boolean;
  /** The writer sleeps and there is work. */
  wake(): void;
}

/** The lane to a writer, and the words beside it. */
export interface WriterMemory {
  readonly memory: LaneMemory;
  readonly hubWords: Int32Array;
}

/** A writer that has been started. */
export interface StartedWriter extends WriterMemory {
  readonly host: WriterHost;
}

/**
 * Starts a writer. `onDefect` hears of what must not happen: nothing after it can be trusted. `given` is the lane, if there is one already:
 * nothing has gone through it.
 */
export type StartWriter = (
  report: ReportWriter,
  onDefect: (error: unknown) => void,
  given?: WriterMemory,
) => StartedWriter;
