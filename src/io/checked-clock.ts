import { VarveError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import type { Logger } from '../base/logger.ts';
import type { Clock, Timer } from './clock.ts';
import { nodeClock } from './node-clock.ts';

/**
 * A caller's clock, checked. A time that is none is an error of the call that needed it: it must not get into the log, and
 * nobody may put another in its place. Pauses and timers say only when, so where the clock fails to give them, the operating
 * system does, and the logger hears of it once.
 */
export class CheckedClock implements Clock {
  readonly #given: Clock;
  readonly #logger: Logger;
  #hasReported = false;

  constructor(given: Clock, logger: Logger) {
    this.#given = given;
    this.#logger = logger;
  }

  now(): number {
    let time: unknown;
    try {
      time = this.#given.now();
    } catch (cause) {
      throw new VarveError(
        'INVALID_ARGUMENT',
        'The clock has thrown where it should give a time.',
        {
          cause,
        },
      );
    }
    if (!Number.isSafeInteger(time) || (time as number) < 0 || (time as number) > limits.timeMax) {
      throw new VarveError(
        'INVALID_ARGUMENT',
        `The clock gave ${String(time)}: it must give whole milliseconds since 1970.`,
      );
    }
    return time as number;
  }

  async pause(): Promise<void> {
    try {
      const paused: unknown = this.#given.pause();
      if (isThenable(paused)) {
        await paused;
        return;
      }
      this.#report('pause() returned no promise', undefined);
    } catch (cause) {
      this.#report('pause() has failed', cause);
    }
    await nodeClock.pause();
  }

  schedule(delayMs: number, callback: () => void, holds?: 'holds the process'): Timer {
    let hasRun = false;
    const once = (): void => {
      if (!hasRun) {
        hasRun = true;
        callback();
      }
    };
    try {
      const timer: unknown = this.#given.schedule(delayMs, once, holds);
      if (isTimer(timer)) {
        return { cancel: () => this.#cancel(timer, () => (hasRun = true)) };
      }
      this.#report('schedule() returned nothing that can be cancelled', undefined);
    } catch (cause) {
      this.#report('schedule() has failed', cause);
    }
    return nodeClock.schedule(delayMs, once, holds);
  }

  #cancel(timer: Timer, forget: () => void): void {
    forget();
    try {
      timer.cancel();
    } catch (cause) {
      this.#report('a timer could not be cancelled', cause);
    }
  }

  #report(what: string, cause: unknown): void {
    if (!this.#hasReported) {
      this.#hasReported = true;
      this.#logger({
        level: 'error',
        event: 'component-failed',
        message: `The clock does not do what it should: ${what}. The operating system's is used for it.`,
        details: { component: 'clock', cause },
      });
    }
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    'then' in value &&
    typeof value.then === 'function'
  );
}

function isTimer(value: unknown): value is Timer {
  return (
    typeof value === 'object' &&
    value !== null &&
    'cancel' in value &&
    typeof value.cancel === 'function'
  );
}
