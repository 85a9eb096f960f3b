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
import { readTable } from './read-table.ts';

export class BlockSource {
  readonly index: TableIndex;
  readonly counters: ReadCounters;
  /** The cache's, one for each block. Read in place by the hot paths. */
  readonly places: BlockPlaces;
  readonly #file: File;
  readonly #place: TablePlace;
  readonly #cache: BlockCache;
  /** Points to whatever block a point read looks at. */
  #readBlock: Block | undefined;

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
    this.places = new BlockPlaces(index.count);
  }

  /** The block, if the cache has it. */
  cached(index: number): Block | undefined {
    const block = this.places.blocks[index];
    if (block !== undefined) {
      this.places.marks[index] = 1;
      this.counters.blockHits += 1;
    }
    return block;
  }

  /** The block, from the cache or from the file; then the cache keeps it. For one read: the next one may use the same object. */
  loadForRead(index: number): Block {
    const payload = this.places.payloads[index];
    if (payload === undefined) {
      return this.readKept(index);
    }
    this.places.marks[index] = 1;
    this.counters.blockHits += 1;
    let block = this.#readBlock;
    if (block === undefined) {
      block = new Block(payload, 0, payload.length, this.#file.path, 0);
      this.#readBlock = block;
    }
    block.pointTo(payload, this.index.offsets[index]!);
    return block;
  }

  /** The block, from the cache or from the file; then the cache keeps it. */
  load(index: number): Block {
    return this.cached(index) ?? this.readKept(index);
  }

  /** Reads a block that the cache doesn't have, into a buffer of its own, and lets the cache keep it. */
  readKept(index: number): Block {
    const offset = this.index.offsets[index]!;
    const bytes = new Uint8Array(this.index.offsets[index + 1]! - offset);
    this.fill(bytes, offset);
    return this.keep(bytes, index);
  }

  /** Makes a block of what was read into a buffer of its own, and lets the cache keep it. */
  keep(bytes: Uint8Array, index: number): Block {
    const block = this.decode(bytes, 0, index);
    // What is kept is the payload.
    block.bytes = block.bytes.subarray(0, block.end);
    this.#cache.insert(this.places, index, block);
    return block;
  }

  /** Fills `bytes` from the file, or throws. */
  fill(bytes: Uint8Array, offset: number): void {
    const count = readTable(this.#file, bytes, offset);
    if (count !== bytes.length) {
      throw new CorruptionError(this.#file.path, offset + count, 'the table is cut short');
    }
  }

  /** Makes a block of what was read from the file to `bytes[start, …)`, which the block goes on using. */
  decode(bytes: Uint8Array, start: number, index: number): Block {
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
      return new Block(bytes, start, payloadEnd, path, offset);
    }
    if (plainSize > PAYLOAD_SIZE_MAX) {
      throw new CorruptionError(path, offset, 'a block says that it is larger than blocks are');
    }
    const plain = decompress(tag, bytes.subarray(start, payloadEnd), plainSize);
    if (!(plain instanceof Uint8Array)) {
      throw new CorruptionError(path, offset, plain.reason, plain.cause);
    }
    return new Block(plain, 0, plainSize, path, offset);
  }

  close(): void {
    this.#cache.dropAll(this.places);
    this.#file.close();
  }
}
