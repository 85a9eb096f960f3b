/** Where the data blocks of one table come from: the cache, or the file. */
import { CorruptionError } from '../../base/errors.ts';
import type { File } from '../../io/file-system.ts';
import { Block } from './block.ts';
import { type BlockCache, BlockPlaces } from './block-cache.ts';
import { decompress } from './block-compression.ts';
import {
  CompressionTag,
  PAYLOAD_SIZE_MAX,
  readUint32,
  type TablePlace,
  TRAILER_SIZE,
  trailerIsIntact,
} from './format.ts';
import type { ReadCounters } from './read-counters.ts';
import type { TableIndex } from './table-index.ts';
import { readTable, readTableAsync } from './read-table.ts';

const nothing = new Uint8Array(0);

export class BlockSource {
  readonly index: TableIndex;
  readonly counters: ReadCounters;
  readonly #places: BlockPlaces;
  readonly #file: File;
  readonly #place: TablePlace;
  readonly #cache: BlockCache;
  /** Whichever block of the cache a point read looks at. */
  readonly #block: Block;
  /** Reads under way that nobody blocks for, by block. */
  readonly #reads = new Map<number, Promise<Block>>();

  constructor(
    file: File,
    index: TableIndex,
    place: TablePlace,
    cache: BlockCache,
    counters: ReadCounters,
  ) {
    this.#file = file;
    this.index = index;
    this.#place = place;
    this.#cache = cache;
    this.counters = counters;
    this.#places = new BlockPlaces(index.count);
    this.#block = this.makeBlock();
  }

  /** For blocks of this table. */
  makeBlock(): Block {
    return new Block(this.#file.path, this.index.offsets);
  }

  /**
   * The block, from the cache or from the file; then the cache keeps it. For one read: the next one uses the same object, and the bytes
   * stay only until the cache changes.
   */
  load(index: number): Block {
    return this.loadCached(index) ?? this.#readKept(index);
  }

  /** The same from the cache alone: undefined if it doesn't have the block. */
  loadCached(index: number): Block | undefined {
    const slot = this.#places.slots[index]!;
    if (slot === 0) {
      return undefined;
    }
    const block = this.#block;
    this.#places.marks[index] = 1;
    this.counters.blockHits += 1;
    const { segments, slotShift, slotMask } = this.#cache;
    const { bytes, buffer, words } = segments[slot >>> slotShift]!;
    const at = (slot & slotMask) << 1;
    const headsAt = at - words[at + 1]!;
    const end = headsAt << 2;
    block.pointTo(bytes, buffer, end - words[at]!, end, index);
    block.headWords = words;
    block.headsAt = headsAt;
    return block;
  }

  isCached(index: number): boolean {
    return this.#places.slots[index] !== 0;
  }

  /** The block in memory of its own, from the cache or read without blocking. The source must not be closed before it is there. */
  async loadAsync(index: number): Promise<Block> {
    const block = this.makeBlock();
    if (this.copyCached(index, nothing, block) !== undefined) {
      return block;
    }
    const underWay = this.#reads.get(index);
    if (underWay !== undefined) {
      return underWay;
    }
    const read = this.#readAsync(index, block).finally(() => this.#reads.delete(index));
    this.#reads.set(index, read);
    return read;
  }

  /** Copies the block's payload to `target`, grown if need be, and makes `block` that one. Undefined: the cache doesn't have it. */
  copyCached(index: number, target: Uint8Array, block: Block): Uint8Array | undefined {
    const payload = this.#cache.payloadAt(this.#places.slots[index]!);
    if (payload === undefined) {
      return undefined;
    }
    this.#places.marks[index] = 1;
    this.counters.blockHits += 1;
    const { length } = payload;
    const bytes = target.length < length ? new Uint8Array(length) : target;
    bytes.set(payload);
    block.pointTo(bytes, bytes.buffer, 0, length, index);
    return bytes;
  }

  /** Lets the cache keep a copy of a block that it doesn't have. */
  keep(block: Block): void {
    const { bytes, valuesStart: start, end } = block;
    const heads = block.headsBehind(this.index.prefixSizeOf(block.index));
    this.#cache.insert(this.#places, block.index, { bytes, start, end }, heads);
  }

  #readKept(index: number): Block {
    // Not the table's own: a large block's bytes would stay with each table for as long as it is open.
    const block = this.makeBlock();
    const offset = this.index.offsets[index]!;
    const size = this.index.offsets[index + 1]! - offset;
    const bytes = this.#cache.bufferOf(size);
    this.fill(bytes.length === size ? bytes : bytes.subarray(0, size), offset);
    this.decode(bytes, 0, index, block);
    this.keep(block);
    return block;
  }

  async #readAsync(index: number, block: Block): Promise<Block> {
    const offset = this.index.offsets[index]!;
    const bytes = new Uint8Array(this.index.offsets[index + 1]! - offset);
    this.#checkWhole(bytes, offset, await readTableAsync(this.#file, bytes, offset));
    this.decode(bytes, 0, index, block);
    // Somebody who doesn't wait may have read it meanwhile.
    if (!this.isCached(index)) {
      this.keep(block);
    }
    return block;
  }

  /** Fills `bytes` from the file, or throws. */
  fill(bytes: Uint8Array, offset: number): void {
    this.#checkWhole(bytes, offset, readTable(this.#file, bytes, offset));
  }

  #checkWhole(bytes: Uint8Array, offset: number, count: number): void {
    if (count !== bytes.length) {
      throw new CorruptionError(this.#file.path, offset + count, 'the table is cut short');
    }
  }

  /** Makes `block` the one that was read from the file to `bytes[start, …)`, which it goes on using. */
  decode(bytes: Uint8Array, start: number, index: number, block: Block): void {
    const { path } = this.#file;
    const offset = this.index.offsets[index]!;
    const end = start + this.index.offsets[index + 1]! - offset;
    const payloadEnd = end - TRAILER_SIZE;
    this.counters.blockReads += 1;
    if (!trailerIsIntact(bytes, start, end, this.#place, offset)) {
      throw new CorruptionError(path, offset, 'a block does not match its checksum');
    }
    const plainSize = readUint32(bytes, payloadEnd);
    const tag = bytes[payloadEnd + 4]!;
    if (tag === CompressionTag.none) {
      if (plainSize !== payloadEnd - start) {
        throw new CorruptionError(path, offset, 'a block has another size than it says');
      }
      block.take(bytes, start, payloadEnd, index);
      return;
    }
    if (plainSize > PAYLOAD_SIZE_MAX) {
      throw new CorruptionError(path, offset, 'a block says that it is larger than blocks are');
    }
    const plain = decompress(tag, bytes.subarray(start, payloadEnd), plainSize);
    if (!(plain instanceof Uint8Array)) {
      throw new CorruptionError(path, offset, plain.reason, plain.cause);
    }
    block.take(plain.byteOffset === 0 ? plain : new Uint8Array(plain), 0, plainSize, index);
  }

  close(): void {
    this.#cache.dropAll(this.#places);
    this.#file.close();
  }
}
