import type { Clock } from './clock.ts';

/** Milliseconds of a clock that only goes forward, for durations. */
export function elapsedMs(): number {
  return performance.now();
}

/** The operating system's time, and the event loop's turns. */
export const nodeClock: Clock = {
  now: () => Date.now(),
  pause: () =>
    new Promise((resolve) => {
      setImmediate(resolve);
    }),
  schedule: (delayMs, callback, holds) => {
    const timeout = setTimeout(callback, delayMs);
    if (holds === undefined) {
      timeout.unref();
    }
    return { cancel: () => clearTimeout(timeout) };
  },
};
