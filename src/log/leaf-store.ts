import { assert } from '../base/assert.ts';
import { copyDigest, DIGEST_WORDS, hasDigest, putDigest } from '../base/digest.ts';

/** Leaf hash of the last event of each stream, by the stream's number. Derived: rebuilt from the log at open. */
export interface LeafStore {
  /** Copies the leaf to the 32 bytes from `at` on; zeros if the stream has no event. */
  copyTo(stream: number, target: DataView, at: number): void;
  /** True if the leaf, or zeros if the stream has no event, stands in the 32 bytes from `at` on. */
  isAt(stream: number, source: DataView, at: number): boolean;
  /** Takes the leaf from `words[index, index + 8)`. */
  set(stream: number, words: Int32Array, index: number): void;
  /** Gives all leaves away, 8 words a stream, for another thread to go on with; the store is of no use afterwards. */
  takeState(): Int32Array<ArrayBuffer>;
}

const COUNT_FIRST = 1_024;
const NO_LEAF = new Int32Array(DIGEST_WORDS);

/** Leaves in one typed array: 32 bytes a stream. */
export class MemoryLeafStore implements LeafStore {
  #leaves: Int32Array<ArrayBuffer>;

  /** `state`: what another store has given away. */
  constructor(state: Int32Array<ArrayBuffer> = new Int32Array(COUNT_FIRST * DIGEST_WORDS)) {
    assert(state.length >= DIGEST_WORDS, 'a leaf store begins with room for a leaf');
    this.#leaves = state;
  }

  copyTo(stream: number, target: DataView, at: number): void {
    const index = stream * DIGEST_WORDS;
    if (index < this.#leaves.length) {
      putDigest(target, at, this.#leaves, index);
    } else {
      assert(this.#leaves.length > 0, 'a leaf store is not used after it has moved');
      putDigest(target, at, NO_LEAF, 0);
    }
  }

  isAt(stream: number, source: DataView, at: number): boolean {
    const index = stream * DIGEST_WORDS;
    if (index < this.#leaves.length) {
      return hasDigest(source, at, this.#leaves, index);
    }
    assert(this.#leaves.length > 0, 'a leaf store is not used after it has moved');
    return hasDigest(source, at, NO_LEAF, 0);
  }

  set(stream: number, words: Int32Array, index: number): void {
    const start = stream * DIGEST_WORDS;
    while (start >= this.#leaves.length) {
      assert(this.#leaves.length > 0, 'a leaf store is not used after it has moved');
      const grown = new Int32Array(this.#leaves.length * 2);
      grown.set(this.#leaves);
      this.#leaves = grown;
    }
    copyDigest(words, index, this.#leaves, start);
  }

  takeState(): Int32Array<ArrayBuffer> {
    assert(this.#leaves.length > 0, 'a leaf store moves once');
    const state = this.#leaves;
    this.#leaves = new Int32Array(0);
    return state;
  }
}
