import { limits } from '../base/limits.ts';

/** Settings of a journal. What is persisted is not among them. */
export interface JournalSettings {
  /** Bytes of frames after which a segment is full. */
  readonly segmentSizeMax: number;
  /** Bytes handed to one write. */
  readonly batchSizeMax: number;
  /** Bytes of frames that may wait for the disk; beyond it callers wait. */
  readonly pendingSizeMax: number;
  /** How long a frame may wait for company before it is handed to the writer. 0: until the caller's turn has ended. */
  readonly maxDelayMs: number;
  /** The largest frame. Default: `limits.frameSizeMax`. */
  readonly frameSizeMax?: number;
}

export const journalDefaults: JournalSettings = Object.freeze({
  // 64 MiB: a segment's offset table stays near 1 MiB, a hot backup copies at most this much.
  segmentSizeMax: 64 * 1024 * 1024,
  // 4 MiB take about 3 ms to write here: larger batches gain nothing and delay the first waiter.
  batchSizeMax: 4 * 1024 * 1024,
  // 64 MiB: sixteen batches, four of the largest commits.
  pendingSizeMax: 4 * limits.frameSizeMax,
  // 0: the disk's own time is what frames share; waiting on top of it only pays where syncs are scarce.
  maxDelayMs: 0,
});

/** The largest frame fits a lane, and as much as may be in flight, within reason: memory that isn't used costs nothing. */
export function laneSizeOf(settings: JournalSettings): number {
  const { frameSizeMax = limits.frameSizeMax, pendingSizeMax } = settings;
  return Math.max(frameSizeMax, Math.min(pendingSizeMax, LANE_SIZE_MAX));
}

const LANE_SIZE_MAX = 4 * limits.frameSizeMax;
