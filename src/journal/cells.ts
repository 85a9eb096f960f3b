/**
 * Shared 32-bit words. Every access is sequentially consistent (ECMA-262 §29): plain bytes stored before a word is
 * stored are seen by whoever loads that word and finds the new value. Lanes are written over this interface, so that a
 * test can stop at each access and try every order.
 */
export interface Cells {
  load(index: number): number;
  store(index: number, value: number): void;
  /** Adds and returns the value before. */
  add(index: number, value: number): number;
  /** Stores and returns the value before. */
  exchange(index: number, value: number): number;
  /** Blocks the thread while the word has this value, or until time is up. May return early. */
  wait(index: number, value: number, timeoutMs?: number): void;
  /** Wakes every thread that waits for this word. */
  notify(index: number): void;
}

export class AtomicCells implements Cells {
  readonly #words: Int32Array;

  constructor(words: Int32Array) {
    this.#words = words;
  }

  load(index: number): number {
    return Atomics.load(this.#words, index);
  }

  store(index: number, value: number): void {
    Atomics.store(this.#words, index, value);
  }

  add(index: number, value: number): number {
    return Atomics.add(this.#words, index, value);
  }

  exchange(index: number, value: number): number {
    return Atomics.exchange(this.#words, index, value);
  }

  wait(index: number, value: number, timeoutMs?: number): void {
    Atomics.wait(this.#words, index, value, timeoutMs);
  }

  notify(index: number): void {
    Atomics.notify(this.#words, index);
  }
}
