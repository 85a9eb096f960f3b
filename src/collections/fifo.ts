/** Below this, passed entries are kept: to make a shorter array costs more than they do. No more, for they may hold much memory. */
const PASSED_COUNT_MAX = 64;

/** A queue: first in, first out. Taking the first costs the same however many wait, and what has been taken is not kept for long. */
export class Fifo<Item> {
  #items: Item[] = [];
  #head = 0;

  get count(): number {
    return this.#items.length - this.#head;
  }

  /** The oldest is at 0. */
  at(index: number): Item | undefined {
    return this.#items[this.#head + index];
  }

  first(): Item | undefined {
    return this.#items[this.#head];
  }

  push(item: Item): void {
    this.#items.push(item);
  }

  /** Takes out the oldest ones. */
  shift(count: number = 1): void {
    this.#head = Math.min(this.#head + count, this.#items.length);
    if (this.#head === this.#items.length) {
      this.#items = [];
      this.#head = 0;
    } else if (this.#head > PASSED_COUNT_MAX && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Takes out all, the oldest first. */
  takeAll(): readonly Item[] {
    const all = this.#items.slice(this.#head);
    this.#items = [];
    this.#head = 0;
    return all;
  }

  /** Takes out those for which `isTaken` is true, the oldest first. */
  takeWhere(isTaken: (item: Item) => boolean): readonly Item[] {
    const taken: Item[] = [];
    const kept: Item[] = [];
    for (const item of this.takeAll()) {
      (isTaken(item) ? taken : kept).push(item);
    }
    this.#items = kept;
    return taken;
  }

  *[Symbol.iterator](): IterableIterator<Item> {
    for (let index = this.#head; index < this.#items.length; index += 1) {
      yield this.#items[index]!;
    }
  }
}
