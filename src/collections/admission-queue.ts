import { onAbort } from '../base/abort-listeners.ts';
import { Fifo } from './fifo.ts';
import { WaiterList } from './waiter-list.ts';

interface Numbered<Item> {
  readonly item: Item;
  readonly signal: AbortSignal | undefined;
  /** Grows with each that joins. */
  readonly number: number;
}

interface Listening {
  readonly unlisten: () => void;
  count: number;
}

/**
 * Writes that wait for room, in the order of their calls. Each is decided when all before it have been. A signal is listened to once,
 * however many share it, and takes all of them out in one step.
 */
export class AdmissionQueue<Item> {
  /** Decides about a write: false if it has to wait. */
  readonly #decide: (item: Item) => boolean;
  readonly #aborted: (item: Item, signal: AbortSignal) => void;
  readonly #waiting = new Fifo<Numbered<Item>>();
  readonly #signals = new Map<AbortSignal, Listening>();
  readonly #observers = new WaiterList();
  #lastNumber = 0;
  #isDraining = false;

  /** `aborted` hears of each that a signal has taken out. */
  constructor(decide: (item: Item) => boolean, aborted: (item: Item, signal: AbortSignal) => void) {
    this.#decide = decide;
    this.#aborted = aborted;
  }

  get count(): number {
    return this.#waiting.count;
  }

  /** Decides about a write now, if nobody waits. False if it has to wait: then `push` it. */
  admits(item: Item): boolean {
    return this.#waiting.count === 0 && this.#decide(item);
  }

  push(item: Item, signal: AbortSignal | undefined): void {
    if (signal !== undefined) {
      this.#listen(signal);
    }
    this.#lastNumber += 1;
    this.#waiting.push({ item, signal, number: this.#lastNumber });
  }

  /** Decides about those who wait, in the order of their calls, as far as there is room. */
  drain(): void {
    if (this.#isDraining) {
      return;
    }
    this.#isDraining = true;
    try {
      for (;;) {
        const first = this.#waiting.first();
        if (first === undefined || !this.#decide(first.item)) {
          break;
        }
        // Deciding may have ended the log, and everybody's waiting with it.
        if (this.#waiting.first() === first) {
          this.#waiting.shift();
          this.#unlisten(first.signal);
        }
      }
    } finally {
      this.#isDraining = false;
    }
    this.#tellObservers();
  }

  /** Takes out everybody. */
  takeAll(): readonly Item[] {
    const all = this.#waiting.takeAll();
    for (const { signal } of all) {
      this.#unlisten(signal);
    }
    this.#tellObservers();
    return all.map(({ item }) => item);
  }

  /** Resolves when none of those waits any more who wait now. */
  async whenDecided(): Promise<void> {
    if (this.count > 0) {
      await this.#observers.wait(this.#lastNumber);
    }
  }

  #listen(signal: AbortSignal): void {
    const known = this.#signals.get(signal);
    if (known !== undefined) {
      known.count += 1;
      return;
    }
    const unlisten = onAbort(signal, () => this.#abort(signal));
    this.#signals.set(signal, { unlisten, count: 1 });
  }

  #unlisten(signal: AbortSignal | undefined): void {
    const listening = signal && this.#signals.get(signal);
    if (signal === undefined || listening === undefined) {
      return;
    }
    listening.count -= 1;
    if (listening.count === 0) {
      this.#signals.delete(signal);
      listening.unlisten();
    }
  }

  #abort(signal: AbortSignal): void {
    const aborted = this.#waiting.takeWhere((waiting) => waiting.signal === signal);
    this.#signals.delete(signal);
    this.#tellObservers();
    for (const { item } of aborted) {
      this.#aborted(item, signal);
    }
    // Whoever stood behind a large one may fit.
    this.drain();
  }

  #tellObservers(): void {
    const first = this.#waiting.first();
    this.#observers.advance(first === undefined ? this.#lastNumber : first.number - 1);
  }
}
