import { checkRange, rejectUnknownNames } from '../base/arguments.ts';
import type { Clock } from '../io/clock.ts';
import type { Codec } from '../log/codecs.ts';

/** Settings of a client; all optional. */
export interface AttachOptions {
  /** How long the store's thread may take to answer at first, in ms. Default 5,000. */
  readonly timeoutMs?: number;
  /**
   * Shared memory for appends on their way to the store's thread, 256 bytes to 64 MiB. Default 1 MiB. What doesn't fit waits
   * in this thread; a larger commit goes through in pieces.
   */
  readonly laneBytes?: number;
}

/** Replaceable parts of a client. */
export interface AttachComponents {
  readonly clock?: Clock;
  /** Needed if the store compresses payloads with a codec of yours: payloads are compressed in the thread that appends. */
  readonly codecs?: readonly Codec[];
}

const defaults: Readonly<Required<AttachOptions>> = Object.freeze({
  // 5 s: longer than any turn of an event loop that is worth sharing a store with.
  timeoutMs: 5_000,
  // 1 MiB: thousands of common events, more than one sync takes along.
  laneBytes: 1024 * 1024,
});

const LANE_SIZE_MIN = 256;
const LANE_SIZE_MAX = 64 * 1024 * 1024;

/** Throws `INVALID_ARGUMENT`. */
export function resolveAttachOptions(given: AttachOptions): Readonly<Required<AttachOptions>> {
  rejectUnknownNames(given, new Set(Object.keys(defaults)), 'option');
  const options = { ...defaults, ...given };
  checkRange('timeoutMs', options.timeoutMs, 1, 2 ** 31 - 1);
  checkLaneSize(options.laneBytes);
  return options;
}

export function checkLaneSize(size: number): void {
  checkRange('laneBytes', size, LANE_SIZE_MIN, LANE_SIZE_MAX);
}
