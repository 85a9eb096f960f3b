/** Completions that wait, in order, while the disk is slow. */
export class HoldQueue {
  #isHeld = false;
  readonly #waiting: (() => void)[] = [];

  get count(): number {
    return this.#waiting.length;
  }

  hold(): void {
    this.#isHeld = true;
  }

  /** Completes the oldest `count` and goes on holding; without a count completes all and ends the hold. */
  release(count?: number): void {
    this.#isHeld = this.#isHeld && count !== undefined;
    for (const complete of this.#waiting.splice(0, count ?? this.#waiting.length)) {
      complete();
    }
  }

  /** Runs `complete` at once, or at the release if the queue is held. */
  async submit<T>(complete: () => T): Promise<T> {
    if (!this.#isHeld) {
      return complete();
    }
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push(() => {
        try {
          resolve(complete());
        } catch (error) {
          reject(error);
        }
      });
    });
  }
}
