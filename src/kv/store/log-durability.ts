import type { Journal } from '../../journal/journal.ts';

/** For those who wait until the log holds something durably. */
export class LogDurability {
  readonly #journal: Journal | undefined;
  #waiters: { readonly position: number; readonly resolve: () => void }[] = [];

  /** Without a journal nothing is waited for. */
  constructor(journal: Journal | undefined) {
    this.#journal = journal;
  }

  /** Resolves when everything below the position is durable, or the log has failed: then to false. */
  async reaches(position: number): Promise<boolean> {
    const journal = this.#journal;
    if (journal === undefined) {
      return true;
    }
    while (journal.durable < position && journal.failure === undefined) {
      journal.publishNow();
      await new Promise<void>((resolve) => this.#waiters.push({ position, resolve }));
    }
    return journal.failure === undefined;
  }

  /** Everything below the position is durable. */
  advanced(position: number): void {
    if (this.#waiters.length > 0) {
      const told = this.#waiters.filter((waiter) => waiter.position <= position);
      this.#waiters = this.#waiters.filter((waiter) => waiter.position > position);
      for (const { resolve } of told) {
        resolve();
      }
    }
  }

  /** The log has failed: what is waited for never comes. */
  failed(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const { resolve } of waiters) {
      resolve();
    }
  }
}
