import { Fifo } from './fifo.ts';
import { SignalListeners } from './signal-listeners.ts';
import { WaiterList } from './waiter-list.ts';

interface Numbered<Item> {
  readonly item: Item;
  readonly signal: AbortSignal | undefined;
  /** Grows with each that joins. */
  readonly number: number;
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
  readonly #signals = new SignalListeners<Numbered<Item>>((aborted, signal) =>
    this.#abort(aborted, signal),
  );
  readonly #observers = new WaiterList();
  #lastNumber = 0;
  #isAdmitting = false;

  /** `aborted` hears of each that a signal has taken out. */
  constructor(decide: (item: Item) => boolean, aborted: (item: Item, signal: AbortSignal) => void) {
    this.#decide = decide;
    this.#aborted = aborted;
  }

  get count(): number {
    return this.#waiting.count;
  }

  /** One more waits; whoever pushes it has asked first whether it must. */
  push(item: Item, signal: AbortSignal | undefined): void {
    this.#lastNumber += 1;
    const waiting = { item, signal, number: this.#lastNumber };
    this.#signals.add(signal, waiting);
    this.#waiting.push(waiting);
  }

  /** Decides about those who wait, in the order of their calls, as far as there is room. */
  admit(): void {
    if (this.#isAdmitting) {
      return;
    }
    this.#isAdmitting = true;
    try {
      for (;;) {
        const first = this.#waiting.first();
        if (first === undefined || !this.#decide(first.item)) {
          break;
        }
        // Deciding may have ended the log, and everybody's waiting with it.
        if (this.#waiting.first() === first) {
          this.#waiting.shift();
          this.#signals.remove(first.signal, first);
        }
      }
    } finally {
      this.#isAdmitting = false;
    }
    this.#tellObservers();
  }

  /** Takes out everybody. */
  takeAll(): readonly Item[] {
    const all = this.#waiting.takeAll();
    for (const waiting of all) {
      this.#signals.remove(waiting.signal, waiting);
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

  #abort(aborted: ReadonlySet<Numbered<Item>>, signal: AbortSignal): void {
    const taken = this.#waiting.takeWhere((waiting) => aborted.has(waiting));
    this.#tellObservers();
    for (const { item } of taken) {
      this.#aborted(item, signal);
    }
    // A small one that stood after a large one may fit now.
    this.admit();
  }

  #tellObservers(): void {
    const first = this.#waiting.first();
    this.#observers.advance(first === undefined ? this.#lastNumber : first.number - 1);
  }
}
