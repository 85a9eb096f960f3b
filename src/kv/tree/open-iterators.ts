import type { EntryIterator } from './entry-iterator.ts';

/** What holds the iterators of a tree together: they end with it. */
export class OpenIterators {
  readonly #open = new Set<EntryIterator>();

  add(entries: EntryIterator): void {
    this.#open.add(entries);
  }

  close(entries: EntryIterator): void {
    if (this.#open.delete(entries)) {
      entries.close();
    }
  }

  /** At which they read. */
  get sequences(): readonly number[] {
    return Array.from(this.#open, ({ readSequence }) => readSequence);
  }

  closeAll(): void {
    for (const entries of this.#open) {
      entries.close();
    }
    this.#open.clear();
  }
}
