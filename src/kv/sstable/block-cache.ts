/**
 * Data blocks kept in memory, for all tables of a store. Their payloads lie side by side in a few large segments, so that a hit
 * looks at nothing but the table's array of slots and the bytes themselves: most of what a read of cached data costs is waiting
 * for memory, and an object for each block would be two waits more.
 *
 *   segment   payload | heads | footer | payload | heads | footer | …      footers on borders of 8 bytes
 *   heads     what a search of the block looks at first (4 each), beside the payload's tail, which it looks at as well
 *   footer    sizes of the payload and the heads (4 each) | holder (4) | index of the block in its table (4)
 *
 * A segment is filled from its start on and reclaimed as a whole, as in a log-structured file system (Rosenblum and Ousterhout,
 * "The Design and Implementation of a Log-Structured File System", 1992). Of the oldest one, blocks that were used since they were
 * put there move on, which makes it a CLOCK (Corbató, "A Paging Experiment with the Multics System", 1968).
 */
import { assert } from '../../base/assert.ts';
import { makeLastingMemory } from '../../io/thread.ts';

/** Slots count in units of so many bytes. */
const UNIT_LOG2 = 3;
const UNIT = 2 ** UNIT_LOG2;
const FOOTER_SIZE = 16;
/** A cache has at least so many segments, as long as that leaves them the size below. */
const SEGMENT_COUNT = 32;
const SEGMENT_SIZE_MIN = 64 * 1024;
/** A smaller cache has at least so many smaller ones. */
const SEGMENT_COUNT_MIN = 8;
/** Reclaiming a segment is what a read has to wait for. */
const SEGMENT_SIZE_MAX = 4 * 1024 * 1024;
/** A block that takes a larger part of a segment is not kept. */
const PART_MAX = 4;
/** A larger block is read to memory of its own. */
const BUFFER_SIZE_MAX = 256 * 1024;
/** Slots are 32-bit numbers. */
export const BLOCK_CACHE_SIZE_MAX: number = 2 ** 32 * UNIT;

/** What the cache knows of one table: a slot for each of its blocks. */
export class BlockPlaces {
  /** Where the block's footer is, in units of 8 bytes over all segments; 0 if the cache doesn't have it. */
  readonly slots: Uint32Array;
  /** 1 where a block was used since it was put where it is. */
  readonly marks: Uint8Array;
  /** By which footers name it; 0 while it has no block in the cache. */
  id = 0;

  constructor(count: number) {
    this.slots = new Uint32Array(count);
    this.marks = new Uint8Array(count);
  }
}

/** A block in a segment, which ends at `end` there and takes `cost` bytes. */
interface HeldBlock {
  readonly places: BlockPlaces;
  readonly index: number;
  readonly cost: number;
  readonly end: number;
}

export class CacheSegment {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly words: Uint32Array;
  readonly buffer: ArrayBuffer;
  /** Where the next payload goes. */
  used = 0;
  /** Bytes of the blocks in it that the cache still has, footers included. */
  live = 0;
  /** Segments are filled one after the other: the smaller, the older. */
  age = 0;
  /** What slots of blocks in it begin with. */
  readonly firstSlot: number;

  constructor(size: number, firstSlot: number) {
    this.firstSlot = firstSlot;
    // A borrowed value is a view of it: nobody may give it away.
    this.buffer = makeLastingMemory(size);
    this.bytes = new Uint8Array(this.buffer);
    this.words = new Uint32Array(this.buffer);
  }
}

export class BlockCache {
  /** Those made so far. `slot >>> slotShift` is the index of a slot's segment, `slot & slotMask` the place in it. */
  readonly segments: CacheSegment[] = [];
  readonly slotShift: number;
  readonly slotMask: number;
  readonly #segmentSize: number;
  #capacity: number;
  #segmentCountMax: number;
  /** Being filled. */
  #head: CacheSegment | undefined;
  /** Once all have been made one of them is kept for what survives. */
  readonly #empty: CacheSegment[] = [];
  readonly #holders = new Map<number, BlockPlaces>();
  #lastId = 0;
  #lastAge = 0;
  #size = 0;
  #count = 0;
  #buffer = new Uint8Array(8 * 1024);

  /** `blockSize`: of the blocks that most tables are made of. Such blocks are kept if the capacity is 128 times that. */
  constructor(capacity: number, blockSize: number = 0) {
    assert(capacity >= 0, 'a cache has no negative capacity');
    assert(capacity <= BLOCK_CACHE_SIZE_MAX, 'slots reach all of a cache');
    this.#capacity = capacity;
    this.#segmentSize = segmentSizeFor(capacity, blockSize);
    this.#segmentCountMax = Math.floor(capacity / this.#segmentSize);
    this.slotShift = Math.log2(this.#segmentSize) - UNIT_LOG2;
    this.slotMask = 2 ** this.slotShift - 1;
  }

  /** In bytes; 0 keeps nothing. */
  get capacity(): number {
    return this.#capacity;
  }

  /**
   * Gives the cache another capacity; blocks that there is no room for go at once, and their memory with them. Segments stay as large as
   * the first capacity has made them, so less than two of them keep nothing, and a cache that began small is not worth enlarging.
   */
  resize(capacity: number): void {
    assert(capacity >= 0, 'a cache has no negative capacity');
    assert(capacity <= BLOCK_CACHE_SIZE_MAX, 'slots reach all of a cache');
    this.#capacity = capacity;
    const count = Math.floor(capacity / this.#segmentSize);
    this.#segmentCountMax = count < 2 ? 0 : count;
    while (this.segments.length > this.#segmentCountMax) {
      this.#evict(this.segments.at(-1)!);
      const segment = this.segments.pop();
      this.#empty.splice(this.#empty.indexOf(segment!), 1);
    }
    // Invariant: once all segments have been made, one of them is kept for what survives.
    if (this.segments.length === this.#segmentCountMax && this.#empty.length === 0) {
      const [first] = this.segments;
      if (first !== undefined) {
        this.#evict(this.#emptiest(first));
      }
    }
  }

  #emptiest(first: CacheSegment): CacheSegment {
    return this.segments.reduce((one, other) => (other.live < one.live ? other : one), first);
  }

  /** Makes a segment an empty one. */
  #evict(segment: CacheSegment): void {
    if (segment === this.#head) {
      this.#head = undefined;
    }
    if (this.#empty.includes(segment)) {
      return;
    }
    for (const { places, index } of this.#blocksIn(segment)) {
      this.#drop(places, index);
    }
    if (!this.#empty.includes(segment)) {
      // It held no block that was still wanted.
      this.#makeEmpty(segment);
    }
  }

  /** Bytes of all blocks that are kept, with what keeping them costs. Never more than the capacity. */
  get size(): number {
    return this.#size;
  }

  get count(): number {
    return this.#count;
  }

  /** Keeps a copy of the payload `bytes[start, end)`, unless it is too large. Blocks that are there may move or go. */
  insert(
    places: BlockPlaces,
    index: number,
    payload: { readonly bytes: Uint8Array; readonly start: number; readonly end: number },
    heads: Uint32Array,
  ): void {
    assert(places.slots[index] === 0, 'a block is kept once');
    const { bytes, start, end } = payload;
    const cost = costOf(end - start, heads.length);
    if (cost > this.#segmentSize / PART_MAX || this.#segmentCountMax === 0) {
      return;
    }
    const segment = this.#headFor(cost);
    if (places.id === 0) {
      this.#lastId += 1;
      places.id = this.#lastId;
      this.#holders.set(places.id, places);
    }
    const footer = segment.used + cost - FOOTER_SIZE;
    const payloadEnd = footer - heads.length * 4;
    const size = end - start;
    segment.bytes.set(
      new Uint8Array(bytes.buffer, bytes.byteOffset + start, size),
      payloadEnd - size,
    );
    const at = footer >>> 2;
    segment.words.set(heads, at - heads.length);
    segment.words[at] = size;
    segment.words[at + 1] = heads.length;
    this.#note(segment, places, index, cost);
    places.marks[index] = 0;
  }

  /** The payload that a slot leads to, until the cache changes; undefined if the slot is 0. */
  payloadAt(slot: number): Uint8Array | undefined {
    if (slot === 0) {
      return undefined;
    }
    const segment = this.segments[slot >>> this.slotShift]!;
    const at = (slot & this.slotMask) << 1;
    const size = segment.words[at]!;
    const end = (at - segment.words[at + 1]!) << 2;
    return new Uint8Array(segment.buffer, end - size, size);
  }

  /** At least `size` bytes to read a block to. Until the next call. */
  bufferOf(size: number): Uint8Array {
    if (size > BUFFER_SIZE_MAX) {
      return new Uint8Array(size);
    }
    if (size > this.#buffer.length) {
      this.#buffer = new Uint8Array(Math.max(size, this.#buffer.length * 2));
    }
    return this.#buffer;
  }

  /** Drops the blocks of a table that is closed. */
  dropAll(places: BlockPlaces): void {
    for (const [index, slot] of places.slots.entries()) {
      if (slot !== 0) {
        this.#drop(places, index);
      }
    }
    this.#holders.delete(places.id);
    places.id = 0;
  }

  /** The segment being filled, with room for `cost` bytes. */
  #headFor(cost: number): CacheSegment {
    let head = this.#head;
    if (head === undefined || head.used + cost > this.#segmentSize) {
      head = this.#takeEmpty() ?? this.#reclaim();
      this.#setHead(head);
    }
    assert(head.used + cost <= this.#segmentSize, 'what survives leaves room for a block');
    return head;
  }

  #setHead(segment: CacheSegment): void {
    const before = this.#head;
    this.#lastAge += 1;
    segment.age = this.#lastAge;
    this.#head = segment;
    if (before?.live === 0) {
      this.#makeEmpty(before);
    }
  }

  #takeEmpty(): CacheSegment | undefined {
    const isComplete = this.segments.length === this.#segmentCountMax;
    if (this.#empty.length > (isComplete ? 1 : 0)) {
      return this.#empty.pop();
    }
    if (isComplete) {
      return undefined;
    }
    const index = this.segments.length;
    const segment = new CacheSegment(this.#segmentSize, index << this.slotShift);
    this.segments.push(segment);
    if (index + 1 < this.#segmentCountMax) {
      return segment;
    }
    this.#empty.push(segment);
    return undefined;
  }

  /** Moves what survives of a segment to the empty one, which is returned. */
  #reclaim(): CacheSegment {
    const target = this.#empty.pop();
    assert(target !== undefined, 'a segment is empty');
    const others = this.segments.filter((segment) => segment !== target);
    const emptiest = others.reduce((one, other) => (other.live < one.live ? other : one));
    if (emptiest.live <= this.#segmentSize / 2) {
      // Tables that are gone have left little in it.
      this.#moveOn(emptiest, target, false);
    } else {
      const oldest = others.reduce((one, other) => (other.age < one.age ? other : one));
      this.#moveOn(oldest, target, true);
    }
    return target;
  }

  /** `isClock`: only blocks that were used since they were put there survive, and not so many that no room is left. */
  #moveOn(segment: CacheSegment, target: CacheSegment, isClock: boolean): void {
    const usedMax = this.#segmentSize * (1 - 1 / PART_MAX);
    for (const { places, index, cost, end } of this.#blocksIn(segment)) {
      const { marks } = places;
      this.#drop(places, index);
      if (!isClock || (marks[index] === 1 && target.used + cost <= usedMax)) {
        target.bytes.set(new Uint8Array(segment.buffer, end - cost, cost), target.used);
        this.#note(target, places, index, cost);
      }
      marks[index] = isClock ? 0 : marks[index]!;
    }
    assert(segment.live === 0, 'nothing is left in a segment that is reclaimed');
  }

  /** The blocks in a segment that the cache still has, from the last one on. They may be dropped meanwhile. */
  *#blocksIn(segment: CacheSegment): Generator<HeldBlock, void, undefined> {
    let end = segment.used;
    while (end > 0) {
      const footer = end - FOOTER_SIZE;
      const at = footer >>> 2;
      const cost = costOf(segment.words[at]!, segment.words[at + 1]!);
      const places = this.#holders.get(segment.words[at + 2]!);
      const index = segment.words[at + 3]!;
      // Footers stay when blocks go.
      if (places?.slots[index] === slotOf(segment, footer)) {
        yield { places, index, cost, end };
      }
      end -= cost;
    }
  }

  /** What ends `cost` bytes further on in the segment is the block. */
  #note(segment: CacheSegment, places: BlockPlaces, index: number, cost: number): void {
    const footer = segment.used + cost - FOOTER_SIZE;
    const at = footer >>> 2;
    segment.words[at + 2] = places.id;
    segment.words[at + 3] = index;
    segment.used += cost;
    segment.live += cost;
    places.slots[index] = slotOf(segment, footer);
    this.#size += cost;
    this.#count += 1;
  }

  #drop(places: BlockPlaces, index: number): void {
    const slot = places.slots[index]!;
    const segment = this.segments[slot >>> this.slotShift];
    assert(segment !== undefined, 'a slot is in a segment');
    const at = (slot & this.slotMask) << 1;
    const cost = costOf(segment.words[at]!, segment.words[at + 1]!);
    places.slots[index] = 0;
    segment.live -= cost;
    this.#size -= cost;
    this.#count -= 1;
    if (segment.live === 0 && segment !== this.#head) {
      this.#makeEmpty(segment);
    }
  }

  #makeEmpty(segment: CacheSegment): void {
    segment.used = 0;
    this.#empty.push(segment);
  }
}

/** Of the block whose footer is at `footer` in a segment. */
function slotOf(segment: CacheSegment, footer: number): number {
  return (segment.firstSlot | (footer >>> UNIT_LOG2)) >>> 0;
}

/** With heads and footer, and what it takes for that to be on a border. */
function costOf(size: number, headCount: number): number {
  return Math.ceil((size + headCount * 4) / UNIT) * UNIT + FOOTER_SIZE;
}

/** A power of two, so that a slot is taken apart by shifts. */
function segmentSizeFor(capacity: number, blockSize: number): number {
  const usual = Math.min(SEGMENT_SIZE_MAX, floorToPower(capacity / SEGMENT_COUNT));
  // The entry that fills a block may make it larger than that, and it gets a footer.
  const forBlocks = 2 ** Math.ceil(Math.log2(Math.max(1, PART_MAX * 1.25 * blockSize)));
  return Math.min(
    floorToPower(capacity / SEGMENT_COUNT_MIN),
    Math.max(usual, SEGMENT_SIZE_MIN, forBlocks),
  );
}

function floorToPower(size: number): number {
  return 2 ** Math.max(UNIT_LOG2, Math.floor(Math.log2(Math.max(1, size))));
}
