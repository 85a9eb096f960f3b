/**
 * Which positions each stream has, in memory. Streams become numbers once; a stream's positions are a chain of blocks in
 * one typed array, each twice as large as the one before up to a limit, so that a stream of one event costs a few words
 * and one of a million is walked in a thousand steps.
 */
import { firstIndexWhere } from '../base/binary-search.ts';
import { assert } from '../base/assert.ts';
import { VarveError } from '../base/errors.ts';
import type { RecordView } from '../log/record-view.ts';
import type { StreamIndex } from './contract.ts';

const BLOCK_COUNT_FIRST = 2;
const BLOCK_COUNT_MAX = 1_024;
/** Words in front of a block: the blocks before and after it (0 for none). */
const BLOCK_HEADER = 2;
const NONE = 0;

/** Words of a stream, side by side, for an append needs all of them. */
const STREAM_WORDS = 4;
const At = { count: 0, firstBlock: 1, lastBlock: 2, nameSize: 3 } as const;

export class MemoryStreamIndex implements StreamIndex {
  readonly covered = 0;
  readonly failure = undefined;
  readonly #numbers = new Map<string, number>();
  readonly #names: string[] = [];
  #streams = new Uint32Array(256 * STREAM_WORDS);
  /** Positions and block links. Word 0 is unused, so that 0 can mean "no block". */
  #words = new Uint32Array(4_096);
  #wordCount = 1;
  /** The block found last. Blocks never move. */
  readonly #found = { number: -1, index: 0, block: NONE };

  replay(record: RecordView): string | undefined {
    const number = this.intern(record.stream);
    const revision = this.countOf(number);
    const { position } = record;
    if (record.revision !== revision) {
      return `the event at position ${position} has revision ${record.revision} where ${revision} belongs`;
    }
    this.add(number, position);
    return undefined;
  }

  flush(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  get streamCount(): number {
    return this.#names.length;
  }

  find(name: string): number | undefined {
    return this.#numbers.get(name);
  }

  intern(name: string): number {
    const known = this.#numbers.get(name);
    if (known !== undefined) {
      return known;
    }
    const number = this.#names.length;
    this.#numbers.set(name, number);
    this.#names.push(name);
    const at = number * STREAM_WORDS;
    if (at === this.#streams.length) {
      this.#streams = grown(this.#streams, at * 2);
    }
    this.#streams[at + At.nameSize] = Buffer.byteLength(name, 'utf8');
    return number;
  }

  nameOf(number: number): string {
    return this.#names[number]!;
  }

  nameSizeOf(number: number): number {
    return this.#streams[number * STREAM_WORDS + At.nameSize]!;
  }

  countOf(number: number): number {
    return this.#streams[number * STREAM_WORDS + At.count]!;
  }

  lastPositionOf(number: number): number {
    const at = number * STREAM_WORDS;
    const count = this.#streams[at + At.count]!;
    const last = this.#streams[at + At.lastBlock]! + BLOCK_HEADER;
    return count === 0 ? -1 : this.#words[last + indexInBlockOf(count - 1)]!;
  }

  add(number: number, position: number): void {
    if (position > 0xffff_ffff) {
      throw new VarveError(
        'LIMIT_EXCEEDED',
        'The index in memory holds at most 4,294,967,296 events.',
      );
    }
    const at = number * STREAM_WORDS;
    const count = this.#streams[at + At.count]!;
    const indexInBlock = indexInBlockOf(count);
    const block =
      indexInBlock === 0 ? this.#addBlock(number, count) : this.#streams[at + At.lastBlock]!;
    this.#words[block + BLOCK_HEADER + indexInBlock] = position;
    this.#streams[at + At.count] = count + 1;
  }

  positionAt(number: number, revision: number): number {
    const count = this.countOf(number);
    assert(revision < count, 'a revision is looked up only if it is there');
    const block = this.#blockOf(number, blockOf(revision), blockOf(count - 1));
    return this.#words[block + BLOCK_HEADER + indexInBlockOf(revision)]!;
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

  countBelow(number: number, position: number): number {
    const count = this.countOf(number);
    // Nearly always everything is visible, or all but a few.
    if (count === 0 || this.positionAt(number, count - 1) < position) {
      return count;
    }
    return firstIndexWhere(count, (revision) => this.positionAt(number, revision) >= position);
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
