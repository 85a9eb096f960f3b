import type { Clock } from '../../io/clock.ts';

/** So long work goes on in one turn of the event loop. */
const TURN_MS = 5;
/** Steps between two looks at the clock. */
const LOOK_COUNT = 16;
/** Bytes that count as a step. */
const STEP_SIZE = 4 * 1024;

/**
 * Lets others run when work in small steps has lasted for some ms of one turn of the event loop, however many calls it was spread over:
 *
 *     if (pace.isDue(size)) {
 *       await pace.pause();
 *     }
 */
export class Pace {
  readonly #clock: Clock;
  #steps = 0;
  #startedAt = 0;
  /** Ends with the turn in which it was begun; undefined if nothing was done in this one. */
  #turn: Promise<void> | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `size`: bytes of the step, which may be a large one. */
  isDue(size = 0): boolean {
    this.#steps += 1 + size / STEP_SIZE;
    if (this.#steps < LOOK_COUNT) {
      return false;
    }
    this.#steps = 0;
    if (this.#turn === undefined) {
      this.#startedAt = this.#clock.now();
      this.#turn = this.#endOfTurn();
      return false;
    }
    const lasted = this.#clock.now() - this.#startedAt;
    // A clock that was set back must not keep others waiting.
    return lasted >= TURN_MS || lasted < 0;
  }

  /** Resolves when others have run. */
  async pause(): Promise<void> {
    await this.#turn;
  }

  async #endOfTurn(): Promise<void> {
    await this.#clock.pause();
    this.#turn = undefined;
  }
}
