/**
 * Node's timers, taken once when this is loaded. Test runners and libraries put others in place of the global ones, which stand
 * still until somebody moves them, and a store would stand still with them.
 */
import { clearTimeout, setImmediate, setTimeout } from 'node:timers';

interface OwnTimers {
  readonly setTimeout: typeof setTimeout;
  readonly clearTimeout: typeof clearTimeout;
  readonly setImmediate: typeof setImmediate;
  readonly queueMicrotask: (callback: () => void) => void;
  /** Milliseconds of a clock that only goes forward. */
  readonly elapsedMs: () => number;
}

export const ownTimers: OwnTimers = Object.freeze({
  setTimeout,
  clearTimeout,
  setImmediate,
  queueMicrotask: globalThis.queueMicrotask,
  elapsedMs: performance.now.bind(performance),
});
