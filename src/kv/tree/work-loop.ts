import { asVarveError, VarveError } from '../../base/errors.ts';
import type { Clock, Timer } from '../../io/clock.ts';
import { isHoldLost } from '../../io/held-folder.ts';

const RETRY_MS_MIN = 100;
const RETRY_MS_MAX = 30_000;

export interface WorkLoopEvents {
  /** It is tried again later, unless somebody asks for it sooner. */
  failed(error: VarveError): void;
  /** Nothing is left to do, or it has failed. */
  ended(): void;
}

/** One kind of work in the background: done until nothing is left, and again after a while when it fails. */
export class WorkLoop {
  /** The last failure, until the work has succeeded. */
  error: VarveError | undefined;
  readonly #clock: Clock;
  readonly #work: () => Promise<void>;
  readonly #events: WorkLoopEvents;
  #isRunning = false;
  /** Asked for since it last looked for something to do. */
  #isWanted = false;
  #isStopped = false;
  #retry: Timer | undefined;
  #retryMs = RETRY_MS_MIN;
  /** Never rejects. */
  #run: Promise<void> = Promise.resolve();

  constructor(clock: Clock, work: () => Promise<void>, events: WorkLoopEvents) {
    this.#clock = clock;
    this.#work = work;
    this.#events = events;
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** There may be something to do. Not while a failure waits to be tried again. */
  start(): void {
    this.#isWanted = true;
    if (!this.#isRunning && !this.#isStopped && this.#retry === undefined) {
      this.#isRunning = true;
      this.#run = this.#goOn();
    }
  }

  /** The same, for somebody who waits for it: a failure is tried again at once. */
  startNow(): void {
    this.#retry?.cancel();
    this.#retry = undefined;
    this.start();
  }

  /** A piece of the work is done. */
  succeeded(): void {
    this.error = undefined;
    this.#retryMs = RETRY_MS_MIN;
  }

  /** Nothing new is begun. */
  stop(): void {
    this.#isStopped = true;
    this.#retry?.cancel();
    this.#retry = undefined;
  }

  /** Resolves when it doesn't run. */
  async whenOver(): Promise<void> {
    await this.#run;
  }

  async #goOn(): Promise<void> {
    try {
      // Whoever asks for it finishes what it is doing first.
      await Promise.resolve();
      while (this.#isWanted && !this.#isStopped) {
        this.#isWanted = false;
        await this.#work();
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#isRunning = false;
      this.#events.ended();
    }
  }

  #fail(cause: unknown): void {
    if (this.#isStopped || (cause instanceof VarveError && cause.code === 'ABORTED')) {
      return;
    }
    this.error = asVarveError(cause, 'Tables can not be made');
    // A lost folder never comes back; whoever asks again hears so again.
    if (!isHoldLost(cause)) {
      this.#retry = this.#clock.schedule(this.#retryMs, () => {
        this.#retry = undefined;
        this.start();
      });
      this.#retryMs = Math.min(RETRY_MS_MAX, this.#retryMs * 2);
    }
    this.#events.failed(this.error);
  }
}
