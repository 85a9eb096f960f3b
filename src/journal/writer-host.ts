import type { LaneMemory } from './lane-layout.ts';
import type { WriterReports } from './writer.ts';

/**
 * Where the writer runs, as the owner sees it: in the owner's own event loop or on a thread of its own. The owner publishes
 * frames in the lane and calls `wake` when the writer sleeps; everything else is asked for here.
 */
export interface WriterHost {
  /** Frames that are published early keep the writer busy while more are made; pointless where both share a thread. */
  readonly isThread: boolean;
  /** The writer sleeps and there is work. */
  wake(): void;
  /** Asks for space: the owner has a frame that needs segment `index` prepared up to `size`. */
  wantSpace(index: number, size: number): void;
  /** While held, the process does not end by itself. */
  hold(isHeld: boolean): void;
  /** Ends writing: nothing more is taken from the lane. */
  stop(): void;
  /** Lets the writer leave the folder at rest, unless it has failed, and ends it. Nothing is in flight. */
  close(): Promise<void>;
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
  reports: WriterReports,
  onDefect: (error: unknown) => void,
  given?: WriterMemory,
) => StartedWriter;
