/** Calls that wait until a number has grown far enough. */
export class WaiterList {
  #waiters: Waiter[] = [];

  /** Resolves when the number is `at` or more; rejects when nobody knows whether it will be. */
  wait(at = 0): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ at, resolve, reject });
    });
  }

  /** The number is `value` now. */
  reach(value: number): void {
    if (this.#waiters.length === 0) {
      return;
    }
    const reached = this.#waiters.filter(({ at }) => at <= value);
    this.#waiters = this.#waiters.filter(({ at }) => at > value);
    for (const { resolve } of reached) {
      resolve();
    }
  }

  rejectAll(error: unknown): void {
    const rejected = this.#waiters;
    this.#waiters = [];
    for (const { reject } of rejected) {
      reject(error);
    }
  }
}

interface Waiter {
  readonly at: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}
