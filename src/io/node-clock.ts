import type { Clock } from './clock.ts';
import { ownTimers } from './own-timers.ts';

/** Milliseconds of a clock that only goes forward, for durations. */
export function elapsedMs(): number {
  return ownTimers.elapsedMs();
}

/** The operating system's time, and the event loop's turns. */
export const nodeClock: Clock = {
  now: () => Date.now(),
  pause: () =>
    new Promise((resolve) => {
      ownTimers.setImmediate(resolve);
    }),
  schedule: (delayMs, callback, holds) => {
    const timeout = ownTimers.setTimeout(callback, delayMs);
    if (holds === undefined) {
      timeout.unref();
    }
    return { cancel: () => ownTimers.clearTimeout(timeout) };
  },
};
