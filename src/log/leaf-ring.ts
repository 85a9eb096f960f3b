/**
 * The newest leaf hashes, by position: where the writer finds the leaf that a record links to. Streams whose last event is older than these
 * get that leaf from the store's owner, who reads the record. So nobody holds a leaf for each stream.
 *
 *   end − count ≤ first kept                  end: the position that is finished next
 *   …  forgotten  | leaf | leaf | leaf | leaf |
 */
import { assert } from '../base/assert.ts';
import { copyDigest, DIGEST_WORDS, putDigest } from '../base/digest.ts';
import { limits } from '../base/limits.ts';

/** Leaves that are kept: 4 MiB. */
export const LEAF_RING_COUNT: number = 2 ** 17;
assert(
  LEAF_RING_COUNT > limits.commitCountMax,
  'an event finds the leaf of one before it in its commit',
);

const COUNT_FIRST = 1_024;

/**
 * The oldest position whose leaf is in the ring when the record at `position` is finished. `leavesFrom`: the first position that the ring
 * has seen (`LogEncoder.leavesFrom`).
 */
export function oldestLeafFor(
  position: number,
  leavesFrom: number,
  countMax: number = LEAF_RING_COUNT,
): number {
  return Math.max(leavesFrom, position - countMax);
}

/** What a ring holds, for another thread to go on with. */
export interface LeafRingState {
  readonly leaves: Int32Array<ArrayBuffer>;
  readonly first: number;
  readonly end: number;
  readonly countMax: number;
}

export class LeafRing {
  /** 8 words for each leaf, at its position's remainder; a power of two of leaves, as many as are needed. */
  #leaves: Int32Array<ArrayBuffer>;
  /** The first position since which none was left out. */
  #first = 0;
  #end = 0;
  readonly #countMax: number;

  constructor(countMax: number = LEAF_RING_COUNT) {
    assert(
      countMax > 0 && (countMax & (countMax - 1)) === 0,
      'a ring has a power of two of leaves',
    );
    this.#countMax = countMax;
    this.#leaves = new Int32Array(Math.min(countMax, COUNT_FIRST) * DIGEST_WORDS);
  }

  static fromState({ leaves, first, end, countMax }: LeafRingState): LeafRing {
    const ring = new LeafRing(countMax);
    assert(leaves.length >= DIGEST_WORDS, 'a leaf ring has room for a leaf');
    ring.#leaves = leaves;
    ring.#first = first;
    ring.#end = end;
    return ring;
  }

  /** Gives the leaves away; the ring is of no use afterwards. */
  takeState(): LeafRingState {
    assert(this.#leaves.length > 0, 'a leaf ring moves once');
    const state = {
      leaves: this.#leaves,
      first: this.#first,
      end: this.#end,
      countMax: this.#countMax,
    };
    this.#leaves = new Int32Array(0);
    return state;
  }

  /** The first position that was ever in the ring, with all after it up to `end`; `end` itself if the ring ends elsewhere. */
  leavesFrom(end: number): number {
    return this.#end === end ? this.#first : end;
  }

  /** Takes the leaf of `position` from `words[index, index + 8)`. Where positions were passed over, the ring begins anew. */
  add(position: number, words: Int32Array, index: number): void {
    if (position !== this.#end) {
      this.#first = position;
    }
    this.#end = position + 1;
    const capacity = this.#leaves.length / DIGEST_WORDS;
    if (position - this.#first >= capacity && capacity < this.#countMax) {
      this.#grow(position);
    }
    assert(this.#leaves.length > 0, 'a leaf ring is not used after it has moved');
    copyDigest(words, index, this.#leaves, this.#at(position));
  }

  /** Copies the leaf of `position` to the 32 bytes from `at` on. */
  copyTo(position: number, target: DataView, at: number): void {
    assert(position < this.#end, 'a leaf is asked for when its record is finished');
    assert(
      position >= oldestLeafFor(this.#end, this.#first, this.#countMax),
      'the owner gives the leaves that are not in the ring',
    );
    putDigest(target, at, this.#leaves, this.#at(position));
  }

  #at(position: number): number {
    // The lowest 32 bits of a position decide, and `&` takes these.
    return (position & (this.#leaves.length / DIGEST_WORDS - 1)) * DIGEST_WORDS;
  }

  /** Makes room for the leaf of `position`, twice as much as before. */
  #grow(position: number): void {
    const before = this.#leaves;
    const count = before.length / DIGEST_WORDS;
    this.#leaves = new Int32Array(before.length * 2);
    for (let kept = position - count; kept < position; kept += 1) {
      copyDigest(before, (kept & (count - 1)) * DIGEST_WORDS, this.#leaves, this.#at(kept));
    }
  }
}
