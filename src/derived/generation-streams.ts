/**
 * Where the events of each stream are, within one generation. Streams become numbers; a stream's events are a chain of blocks in
 * one typed array, each twice as large as the one before up to a limit, so that a stream of one event costs a few words
 * and one of a million is walked in a thousand steps.
 */
import { firstIndexWhere } from '../base/binary-search.ts';
import { assert } from '../base/assert.ts';
import { compareTexts } from '../base/compare-texts.ts';

/** Of a name in a map and a list, beside its units. */
const NAME_OVERHEAD = 96;

const BLOCK_COUNT_FIRST = 2;
const BLOCK_COUNT_MAX = 1_024;
/** Words in front of a block: the blocks before and after it (0 for none). */
const BLOCK_HEADER = 2;
const NONE = 0;

/** Words of a stream, side by side, for an append needs all of them. */
const STREAM_WORDS = 4;
const At = { count: 0, firstBlock: 1, lastBlock: 2, nameSize: 3 } as const;

export class GenerationStreams {
  readonly #numbers = new Map<string, number>();
  readonly #names: string[] = [];
  #streams = new Uint32Array(64 * STREAM_WORDS);
  /** Events of each stream before the generation. */
  #bases = new Float64Array(64);
  /** Indexes and block links. Word 0 is unused, so that 0 can mean "no block". */
  #words = new Uint32Array(1_024);
  #wordCount = 1;
  /** UTF-16 units of all names. */
  #nameUnits = 0;
  /** The block found last. Blocks never move. */
  readonly #found = { number: -1, index: 0, block: NONE };
  #sorted: readonly string[] = [];

  get streamCount(): number {
    return this.#names.length;
  }

  /** Bytes that it takes, about. */
  get memorySize(): number {
    return (
      this.#words.byteLength +
      this.#streams.byteLength +
      this.#bases.byteLength +
      this.#names.length * NAME_OVERHEAD +
      this.#nameUnits
    );
  }

  find(name: string): number | undefined {
    return this.#numbers.get(name);
  }

  /** Notes a stream that has `base` events before the generation; returns its number. */
  add(name: string, base: number): number {
    const number = this.#names.length;
    this.#numbers.set(name, number);
    this.#names.push(name);
    this.#nameUnits += name.length;
    const at = number * STREAM_WORDS;
    if (at === this.#streams.length) {
      this.#streams = grown(this.#streams, at * 2);
      const bases = new Float64Array(number * 2);
      bases.set(this.#bases);
      this.#bases = bases;
    }
    this.#streams[at + At.nameSize] = Buffer.byteLength(name, 'utf8');
    this.#bases[number] = base;
    return number;
  }

  /** Names in order. The order is made when it is asked for, and kept until there are new ones. */
  sortedNames(): readonly string[] {
    const known = this.#sorted.length;
    if (known !== this.#names.length) {
      const added = this.#names.slice(known).sort(compareTexts);
      // A new array: whoever goes through the other one goes on with it.
      this.#sorted = merge(this.#sorted, added);
    }
    return this.#sorted;
  }

  baseOf(number: number): number {
    return this.#bases[number]!;
  }

  nameSizeOf(number: number): number {
    return this.#streams[number * STREAM_WORDS + At.nameSize]!;
  }

  /** Events of the stream in the generation. */
  countOf(number: number): number {
    return this.#streams[number * STREAM_WORDS + At.count]!;
  }

  /** Index of the stream's last event, of which there is one. */
  lastOf(number: number): number {
    const at = number * STREAM_WORDS;
    const count = this.#streams[at + At.count]!;
    assert(count > 0, 'a stream of a generation has an event in it');
    const last = this.#streams[at + At.lastBlock]! + BLOCK_HEADER;
    return this.#words[last + indexInBlockOf(count - 1)]!;
  }

  /** Adds the stream's next event. `index`: its position, counted from the beginning of the generation. */
  push(number: number, index: number): void {
    const at = number * STREAM_WORDS;
    const count = this.#streams[at + At.count]!;
    const indexInBlock = indexInBlockOf(count);
    const block =
      indexInBlock === 0 ? this.#addBlock(number, count) : this.#streams[at + At.lastBlock]!;
    this.#words[block + BLOCK_HEADER + indexInBlock] = index;
    this.#streams[at + At.count] = count + 1;
  }

  /** Index of the stream's event number `nth` in the generation, which must be there. */
  at(number: number, nth: number): number {
    const count = this.countOf(number);
    assert(nth < count, 'an event is looked up only if it is there');
    const block = this.#blockOf(number, blockOf(nth), blockOf(count - 1));
    return this.#words[block + BLOCK_HEADER + indexInBlockOf(nth)]!;
  }

  /** Walks from whatever is nearest: the first block, the last, or the one found last, for neighbours follow each other. */
  #blockOf(number: number, target: number, last: number): number {
    let index = 0;
    let block = this.#streams[number * STREAM_WORDS + At.firstBlock]!;
    if (last - target < target) {
      index = last;
      block = this.#streams[number * STREAM_WORDS + At.lastBlock]!;
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

  /** How many of the stream's events in the generation lie below an index. */
  countBelow(number: number, index: number): number {
    const count = this.countOf(number);
    // Nearly always everything is visible, or all but a few.
    if (count === 0 || this.at(number, count - 1) < index) {
      return count;
    }
    return firstIndexWhere(count, (nth) => this.at(number, nth) >= index);
  }

  /** Links an empty block to the stream's last one. `count`: events in the blocks before it. */
  #addBlock(number: number, count: number): number {
    const at = number * STREAM_WORDS;
    const previous = this.#streams[at + At.lastBlock]!;
    const block = this.#wordCount;
    const end = block + BLOCK_HEADER + Math.min(count + BLOCK_COUNT_FIRST, BLOCK_COUNT_MAX);
    if (end > this.#words.length) {
      this.#words = grown(this.#words, Math.max(end, this.#words.length * 2));
    }
    this.#wordCount = end;
    this.#words[block] = previous;
    this.#words[block + 1] = NONE;
    if (previous === NONE) {
      this.#streams[at + At.firstBlock] = block;
    } else {
      this.#words[previous + 1] = block;
    }
    this.#streams[at + At.lastBlock] = block;
    return block;
  }
}

const DOUBLING_BLOCKS = Math.log2(BLOCK_COUNT_MAX / BLOCK_COUNT_FIRST);
/** Entries in the blocks that are smaller than the largest. */
const DOUBLING_COUNT = BLOCK_COUNT_MAX - BLOCK_COUNT_FIRST;

/** Block sizes are 2, 4, 8, …, 512, then 1,024 each: a block that is not of the largest size begins at its size − 2. */
function indexInBlockOf(index: number): number {
  if (index >= DOUBLING_COUNT) {
    return (index - DOUBLING_COUNT) % BLOCK_COUNT_MAX;
  }
  const shifted = index + BLOCK_COUNT_FIRST;
  return shifted - (1 << (31 - Math.clz32(shifted)));
}

/** Number of blocks before the one that holds this index. */
function blockOf(index: number): number {
  return index >= DOUBLING_COUNT
    ? DOUBLING_BLOCKS + Math.floor((index - DOUBLING_COUNT) / BLOCK_COUNT_MAX)
    : 30 - Math.clz32(index + BLOCK_COUNT_FIRST);
}

function grown(old: Uint32Array, count: number): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(count);
  larger.set(old);
  return larger;
}

function merge(left: readonly string[], right: readonly string[]): string[] {
  const merged: string[] = [];
  let index = 0;
  for (const name of right) {
    while (index < left.length && compareTexts(left[index]!, name) < 0) {
      merged.push(left[index]!);
      index += 1;
    }
    merged.push(name);
  }
  while (index < left.length) {
    merged.push(left[index]!);
    index += 1;
  }
  return merged;
}
