/**
 * Which positions each stream has, in memory. Streams become numbers once; a stream's positions are a chain of blocks in
 * one typed array, each twice as large as the one before up to a limit, so that a stream of one event costs a few words
 * and one of a million is walked in a thousand steps.
 *
 * Knows every commit that was given a position, durable or not: whoever reads passes the position up to which it may see.
 */
import { assert } from '../base/assert.ts';
import { VarveError } from '../base/errors.ts';

const BLOCK_COUNT_FIRST = 2;
const BLOCK_COUNT_MAX = 1_024;
/** Words in front of a block: the blocks before and after it (0 for none). */
const BLOCK_HEADER = 2;
const NONE = 0;

export class StreamIndex {
  readonly #numbers = new Map<string, number>();
  readonly #names: string[] = [];
  #counts = new Float64Array(256);
  #firstBlocks = new Uint32Array(256);
  #lastBlocks = new Uint32Array(256);
  /** Positions and block links. Word 0 is unused, so that 0 can mean "no block". */
  #words = new Uint32Array(4_096);
  #wordCount = 1;
  /** The block found last. Blocks never move. */
  readonly #found = { number: -1, index: 0, block: NONE };

  get streamCount(): number {
    return this.#names.length;
  }

  /** The stream's number, or undefined if it was never seen. */
  find(name: string): number | undefined {
    return this.#numbers.get(name);
  }

  /** The stream's number, given now if it is new. Numbers are not persisted. */
  intern(name: string): number {
    const known = this.#numbers.get(name);
    if (known !== undefined) {
      return known;
    }
    const number = this.#names.length;
    this.#numbers.set(name, number);
    this.#names.push(name);
    if (number === this.#counts.length) {
      this.#counts = grown(this.#counts, new Float64Array(number * 2));
      this.#firstBlocks = grown(this.#firstBlocks, new Uint32Array(number * 2));
      this.#lastBlocks = grown(this.#lastBlocks, new Uint32Array(number * 2));
    }
    return number;
  }

  nameOf(number: number): string {
    return this.#names[number]!;
  }

  /** Events of the stream, visible or not: the revision that its next event gets. */
  countOf(number: number): number {
    return this.#counts[number]!;
  }

  /** Adds the stream's next event. */
  add(number: number, position: number): void {
    if (position > 0xffff_ffff) {
      throw new VarveError(
        'LIMIT_EXCEEDED',
        'The index in memory holds at most 4,294,967,296 events.',
      );
    }
    const count = this.#counts[number]!;
    const slot = locate(count);
    let block = this.#lastBlocks[number]!;
    if (slot.indexInBlock === 0) {
      block = this.#addBlock(number, block, slot.blockCount);
    }
    this.#words[block + BLOCK_HEADER + slot.indexInBlock] = position;
    this.#counts[number] = count + 1;
  }

  /** Position of the event with this revision, which must be there. */
  positionAt(number: number, revision: number): number {
    const count = this.#counts[number]!;
    assert(revision < count, 'a revision is looked up only if it is there');
    const slot = locate(revision);
    const block = this.#blockOf(number, slot.block, locate(count - 1).block);
    return this.#words[block + BLOCK_HEADER + slot.indexInBlock]!;
  }

  /** Walks from whatever is nearest: the first block, the last, or the one found last, for neighbours follow each other. */
  #blockOf(number: number, target: number, last: number): number {
    let index = 0;
    let block = this.#firstBlocks[number]!;
    if (last - target < target) {
      index = last;
      block = this.#lastBlocks[number]!;
    }
    const found = this.#found;
    if (found.number === number && Math.abs(found.index - target) < Math.abs(index - target)) {
      ({ index, block } = found);
    }
    for (; index < target; index += 1) {
      block = this.#words[block + 1]!;
    }
    for (; index > target; index -= 1) {
      block = this.#words[block]!;
    }
    found.number = number;
    found.index = index;
    found.block = block;
    return block;
  }

  /** How many of the stream's events lie below `position`. */
  countBelow(number: number, position: number): number {
    let low = 0;
    let high = this.#counts[number]!;
    // Nearly always everything is visible, or all but a few.
    if (high === 0 || this.positionAt(number, high - 1) < position) {
      return high;
    }
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.positionAt(number, middle) < position) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  #addBlock(number: number, previous: number, count: number): number {
    const block = this.#wordCount;
    const end = block + BLOCK_HEADER + count;
    if (end > this.#words.length) {
      this.#words = grown(this.#words, new Uint32Array(Math.max(end, this.#words.length * 2)));
    }
    this.#wordCount = end;
    this.#words[block] = previous;
    this.#words[block + 1] = NONE;
    if (previous === NONE) {
      this.#firstBlocks[number] = block;
    } else {
      this.#words[previous + 1] = block;
    }
    this.#lastBlocks[number] = block;
    return block;
  }
}

interface Slot {
  /** Number of blocks before this one. */
  readonly block: number;
  readonly indexInBlock: number;
  /** Room of the block. */
  readonly blockCount: number;
}

const DOUBLING_BLOCKS = Math.log2(BLOCK_COUNT_MAX / BLOCK_COUNT_FIRST);
/** Entries in the blocks that are smaller than the largest. */
const DOUBLING_COUNT = BLOCK_COUNT_MAX - BLOCK_COUNT_FIRST;

/** Block sizes are 2, 4, 8, …, 512, then 1,024 each. */
function locate(index: number): Slot {
  if (index >= DOUBLING_COUNT) {
    const rest = index - DOUBLING_COUNT;
    const full = Math.floor(rest / BLOCK_COUNT_MAX);
    return {
      block: DOUBLING_BLOCKS + full,
      indexInBlock: rest - full * BLOCK_COUNT_MAX,
      blockCount: BLOCK_COUNT_MAX,
    };
  }
  const block = 30 - Math.clz32(index + BLOCK_COUNT_FIRST);
  const blockCount = BLOCK_COUNT_FIRST << block;
  return { block, indexInBlock: index + BLOCK_COUNT_FIRST - blockCount, blockCount };
}

function grown<T extends Float64Array | Uint32Array>(old: T, larger: T): T {
  larger.set(old);
  return larger;
}
