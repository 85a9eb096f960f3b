import { rejectUnknownNames } from '../base/arguments.ts';
import { assert } from '../base/assert.ts';
import type { Clock, Timer } from '../io/clock.ts';
import { ownTimers } from '../io/own-timers.ts';

export interface SimulatedClockOptions {
  /** Wall time at the start, in ms since the epoch. */
  readonly startMs?: number;
  /** Every look at the clock moves it this far. Default: 0. */
  readonly tickMs?: number;
}

interface PendingTimer {
  readonly dueMs: number;
  readonly callback: () => void;
}

const optionNames: ReadonlySet<string> = new Set(['startMs', 'tickMs']);

/** Time that passes only when the test says so. */
export class SimulatedClock implements Clock {
  /** Time passed since the start: timers follow it, jumps of the wall clock do not. */
  #elapsedMs = 0;
  #wallOffsetMs: number;
  readonly #tickMs: number;
  /** In order of due time; equal ones in order of scheduling. */
  readonly #timers: PendingTimer[] = [];

  constructor(options: SimulatedClockOptions = {}) {
    rejectUnknownNames(options, optionNames, 'option of a simulated clock');
    this.#wallOffsetMs = options.startMs ?? 1_700_000_000_000;
    this.#tickMs = options.tickMs ?? 0;
  }

  get timerCount(): number {
    return this.#timers.length;
  }

  now(): number {
    const nowMs = this.#wallOffsetMs + this.#elapsedMs;
    this.#elapsedMs += this.#tickMs;
    return nowMs;
  }

  /** Resolves after a full turn of the event loop, so that every chain of resolved promises has run. */
  pause(): Promise<void> {
    return new Promise((resolve) => {
      ownTimers.setImmediate(resolve);
    });
  }

  schedule(delayMs: number, callback: () => void): Timer {
    const timer = { dueMs: this.#elapsedMs + Math.max(0, delayMs), callback };
    const later = this.#timers.findIndex((other) => other.dueMs > timer.dueMs);
    this.#timers.splice(later === -1 ? this.#timers.length : later, 0, timer);
    return {
      cancel: () => {
        const index = this.#timers.indexOf(timer);
        if (index !== -1) {
          this.#timers.splice(index, 1);
        }
      },
    };
  }

  /** Lets time pass and runs the timers that fall due, in order, each at its own time. */
  advance(durationMs: number): void {
    assert(durationMs >= 0, 'time does not pass backwards');
    const untilMs = this.#elapsedMs + durationMs;
    for (let next = this.#timers[0]; next !== undefined; next = this.#timers[0]) {
      if (next.dueMs > untilMs) {
        break;
      }
      this.#timers.shift();
      this.#elapsedMs = Math.max(this.#elapsedMs, next.dueMs);
      next.callback();
    }
    this.#elapsedMs = Math.max(this.#elapsedMs, untilMs);
  }

  /** Sets the wall clock forward or back, as an administrator would. Timers are not affected. */
  jump(differenceMs: number): void {
    this.#wallOffsetMs += differenceMs;
  }
}
