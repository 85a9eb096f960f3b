/**
 * Data blocks kept in memory, for all tables of a store. Each table has an array with a place for each of its blocks, so a
 * hit costs no lookup; what is dropped is decided across tables by CLOCK (Corbató, "A Paging Experiment with the Multics
 * System", 1968): a hand goes round, takes back the mark that a use has left and drops the first block without one.
 */
import { assert } from '../../base/assert.ts';
import type { Block } from './block.ts';

/** A block's object and the two of its buffer, the places in the ring and in the table's array. */
const BLOCK_OVERHEAD = 400;

/** A block that takes a larger part of the cache than this would drive out too many others. */
const PART_MAX = 8;

/** One place for each block of a table. */
export class BlockPlaces {
  readonly blocks: (Block | undefined)[];
  /**
   * The same blocks' payloads: a point read goes to these. What the block's object knows stands at the payload's end as well, and
   * looking at one object less is one wait for memory less.
   */
  readonly payloads: (Uint8Array | undefined)[];
  /** 1 where a block was used since the hand last passed. */
  readonly marks: Uint8Array;

  constructor(count: number) {
    this.blocks = Array.from({ length: count }, () => undefined);
    this.payloads = Array.from({ length: count }, () => undefined);
    this.marks = new Uint8Array(count);
  }
}

export class BlockCache {
  /** In bytes; 0 keeps nothing. */
  readonly capacity: number;
  #size = 0;
  #count = 0;
  readonly #ring: (Block | undefined)[] = [];
  readonly #vacant: number[] = [];
  #hand = 0;

  constructor(capacity: number) {
    assert(capacity >= 0, 'a cache has no negative capacity');
    this.capacity = capacity;
  }

  /** Bytes of all blocks that are kept, with what keeping them costs. Never more than the capacity. */
  get size(): number {
    return this.#size;
  }

  get count(): number {
    return this.#count;
  }

  /** Keeps a block, unless it is too large. The block has a buffer of its own, which its payload begins and its bytes are. */
  insert(places: BlockPlaces, index: number, block: Block): void {
    assert(places.blocks[index] === undefined, 'a block is kept once');
    const cost = costOf(block);
    if (cost > this.capacity / PART_MAX) {
      return;
    }
    while (this.#size + cost > this.capacity) {
      this.#advance();
    }
    const ringIndex = this.#vacant.pop() ?? this.#ring.length;
    this.#ring[ringIndex] = block;
    block.ringIndex = ringIndex;
    block.holder = places;
    block.holderIndex = index;
    places.blocks[index] = block;
    places.payloads[index] = block.bytes;
    places.marks[index] = 0;
    this.#size += cost;
    this.#count += 1;
  }

  /** Drops the blocks of a table that is closed. */
  dropAll(places: BlockPlaces): void {
    for (const block of places.blocks) {
      if (block !== undefined) {
        this.#drop(block);
      }
    }
    places.blocks.length = 0;
    places.payloads.length = 0;
  }

  /** One step of the hand. */
  #advance(): void {
    this.#hand = this.#hand + 1 < this.#ring.length ? this.#hand + 1 : 0;
    const block = this.#ring[this.#hand];
    if (block === undefined) {
      return;
    }
    const { marks } = block.holder!;
    if (marks[block.holderIndex] === 1) {
      marks[block.holderIndex] = 0;
    } else {
      this.#drop(block);
    }
  }

  #drop(block: Block): void {
    assert(this.#ring[block.ringIndex] === block, 'a kept block is in the ring');
    this.#ring[block.ringIndex] = undefined;
    this.#vacant.push(block.ringIndex);
    block.ringIndex = -1;
    block.holder!.blocks[block.holderIndex] = undefined;
    block.holder!.payloads[block.holderIndex] = undefined;
    block.holder = undefined;
    this.#size -= costOf(block);
    this.#count -= 1;
  }
}

function costOf(block: Block): number {
  return block.bytes.buffer.byteLength + BLOCK_OVERHEAD;
}
