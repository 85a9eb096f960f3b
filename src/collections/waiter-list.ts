interface Waiter<Result> {
  readonly at: number;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/** Calls that wait until a number that only grows has reached theirs. They are answered in the order in which they came. */
export class WaiterList<Result = void> {
  #waiters: Waiter<Result>[] = [];

  get count(): number {
    return this.#waiters.length;
  }

  /** Resolves when the number has reached `at`. */
  wait(at: number): Promise<Result> {
    return new Promise((resolve, reject) => this.add(at, resolve, reject));
  }

  /** Waits with callbacks; the returned function takes the waiter out again. */
  add(
    at: number,
    resolve: (result: Result) => void,
    reject: (error: unknown) => void = () => {},
  ): () => void {
    const waiter = { at, resolve, reject };
    this.#waiters.push(waiter);
    return () => {
      this.#waiters = this.#waiters.filter((other) => other !== waiter);
    };
  }

  /** The number is `reached` now. */
  advance(reached: number, result: Result): void {
    if (this.#waiters.length === 0) {
      return;
    }
    const told = this.#waiters.filter(({ at }) => at <= reached);
    // Order: out of the list before anybody hears, for who hears may wait again.
    this.#waiters = this.#waiters.filter(({ at }) => at > reached);
    for (const { resolve } of told) {
      resolve(result);
    }
  }

  /** It never reaches what is waited for. */
  rejectAll(error: unknown): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const { reject } of waiters) {
      reject(error);
    }
  }
}
