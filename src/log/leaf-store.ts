/** Leaf hash of the last event of each stream, by the stream's number. Derived: rebuilt from the log at open. */
export interface LeafStore {
  /** Copies the leaf to `target[at, at + 32)`; zeros if the stream has no event. */
  copyTo(stream: number, target: Uint8Array, at: number): void;
  set(stream: number, source: Uint8Array, at: number): void;
}

const LEAF_SIZE = 32;
const COUNT_FIRST = 1_024;

/** Leaves in one typed array: 32 bytes a stream. */
export class MemoryLeafStore implements LeafStore {
  #leaves = new Uint8Array(COUNT_FIRST * LEAF_SIZE);

  copyTo(stream: number, target: Uint8Array, at: number): void {
    const start = stream * LEAF_SIZE;
    if (start >= this.#leaves.length) {
      target.fill(0, at, at + LEAF_SIZE);
      return;
    }
    for (let index = 0; index < LEAF_SIZE; index += 1) {
      target[at + index] = this.#leaves[start + index]!;
    }
  }

  set(stream: number, source: Uint8Array, at: number): void {
    const start = stream * LEAF_SIZE;
    while (start >= this.#leaves.length) {
      const grown = new Uint8Array(this.#leaves.length * 2);
      grown.set(this.#leaves);
      this.#leaves = grown;
    }
    for (let index = 0; index < LEAF_SIZE; index += 1) {
      this.#leaves[start + index] = source[at + index]!;
    }
  }
}
