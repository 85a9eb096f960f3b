/** Reads one table. */
import { assert } from '../../base/assert.ts';
import { CorruptionError } from '../../base/errors.ts';
import type { File, FileSystem } from '../../io/file-system.ts';
import type { Found } from '../entries/cursor.ts';
import type { RangeTombstone } from '../entries/range-tombstones.ts';
import type { TableMeta } from './table-meta.ts';
import { type Block, findInBlock } from './block.ts';
import type { BlockCache } from './block-cache.ts';
import { BlockSource } from './block-source.ts';
import type { FilterAnswer, SoughtHash, TableFilter } from './filter-part.ts';
import type { WantedKeys } from './filter-rule.ts';
import type { ReadCounters } from './read-counters.ts';
import type { CursorMemory } from './cursor-memory.ts';
import { TableCursor } from './table-cursor.ts';
import {
  checkMeta,
  openTableFile,
  partsOf,
  readTableParts,
  readTablePartsAsync,
  type TableImage,
  type TableParts,
} from './table-file.ts';
import type { TableIndex } from './table-index.ts';
import type { TableOrigin } from './table-properties.ts';
import { verifyTable } from './table-verifier.ts';

/** Blocks of a table, from `first` on and before `end`. */
export interface BlockRange {
  readonly first: number;
  readonly end: number;
}

/**
 * An open table. Reads throw `CORRUPT` with file and offset where bytes are not what was written. Index and filter are in
 * memory while it is open; data blocks come by way of the cache.
 */
export class TableReader {
  readonly meta: TableMeta;
  readonly origin: TableOrigin;
  /** Bytes of index and filter in memory, which the cache does not count. */
  readonly memorySize: number;
  readonly #path: string;
  readonly #fileSystem: FileSystem;
  readonly #parts: TableParts;
  readonly #index: TableIndex;
  readonly #filter: TableFilter | undefined;
  readonly #source: BlockSource;
  readonly #counters: ReadCounters;
  /** -1 if the table was not ingested. */
  readonly #ingestSequence: number;
  readonly #rangeTombstones: readonly RangeTombstone[];
  #isOpen = true;

  private constructor(
    fileSystem: FileSystem,
    path: string,
    meta: TableMeta,
    parts: TableParts,
    source: BlockSource,
  ) {
    this.meta = meta;
    this.origin = parts.properties;
    this.memorySize = parts.memorySize;
    this.#path = path;
    this.#fileSystem = fileSystem;
    this.#parts = parts;
    this.#index = parts.index;
    this.#filter = parts.filter;
    this.#source = source;
    this.#counters = source.counters;
    this.#ingestSequence = meta.ingestSequence ?? -1;
    this.#rangeTombstones =
      meta.ingestSequence === undefined
        ? parts.rangeTombstones
        : withSequence(parts.rangeTombstones, meta.ingestSequence);
  }

  /**
   * Opens the table that `meta` describes; any other is refused as damage. With the image that its maker has given of it, nothing is read, and
   * damage of the parts is found by `verify` or the next open.
   */
  static open(
    fileSystem: FileSystem,
    path: string,
    meta: TableMeta,
    identity: Uint8Array,
    cache: BlockCache,
    counters: ReadCounters,
    image?: TableImage,
  ): TableReader {
    const file = openTableFile(fileSystem, path);
    try {
      checkSize(file, meta);
      const parts = image === undefined ? readTableParts(file, identity) : partsOf(image, meta);
      checkMeta(path, meta, parts.meta);
      const source = new BlockSource(file, parts.index, parts.place, cache, counters);
      return new TableReader(fileSystem, path, meta, parts, source);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** Does what `open` does without blocking, a part of the table at a time. */
  static async openAsync(
    fileSystem: FileSystem,
    path: string,
    meta: TableMeta,
    identity: Uint8Array,
    cache: BlockCache,
    counters: ReadCounters,
    pause: () => Promise<void>,
  ): Promise<TableReader> {
    const file = openTableFile(fileSystem, path);
    try {
      checkSize(file, meta);
      const parts = await readTablePartsAsync(file, identity, pause);
      checkMeta(path, meta, parts.meta);
      const source = new BlockSource(file, parts.index, parts.place, cache, counters);
      return new TableReader(fileSystem, path, meta, parts, source);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /**
   * Finds the newest version of `key` that is not newer than `sequence`. `hash` is the key's. The
   * value in `found` stays until the cache changes. Deleted ranges are not looked at. Reads one block at most, and none if the
   * table's filter rules the key out. Callers have compared the key with the table's bounds.
   */
  get(key: Uint8Array, hash: SoughtHash, sequence: number, found: Found): boolean {
    assert(this.#isOpen, 'a table is read only while it is open');
    this.#counters.tableGets += 1;
    const ingestSequence = this.#ingestSequence;
    if (ingestSequence > sequence) {
      return false;
    }
    if (this.#filter !== undefined && this.#denies(this.#filter.ask(key, hash))) {
      return false;
    }
    const sought = ingestSequence >= 0 ? Number.MAX_SAFE_INTEGER : sequence;
    const index = this.#index.find(key, sought);
    if (index === this.#index.count) {
      return false;
    }
    if (!findInBlock(this.#source.load(index), key, sought, found)) {
      return false;
    }
    if (ingestSequence >= 0) {
      found.sequence = ingestSequence;
    }
    return true;
  }

  /** The block that holds the newest version of `key`, if the table has any; undefined if filter or index rule it out. Reads nothing. */
  blockOf(key: Uint8Array, hash: SoughtHash): number | undefined {
    assert(this.#isOpen, 'a table is asked only while it is open');
    this.#counters.tableGets += 1;
    if (this.#filter !== undefined && this.#denies(this.#filter.ask(key, hash))) {
      return undefined;
    }
    const index = this.#index.find(key, Number.MAX_SAFE_INTEGER);
    return index === this.#index.count ? undefined : index;
  }

  /** The blocks that hold all keys from `start` up to `end`; undefined: to the last one. Reads nothing, and asks no filter. */
  blocksOf(start: Uint8Array, end: Uint8Array | undefined): BlockRange {
    assert(this.#isOpen, 'a table is asked only while it is open');
    const { count } = this.#index;
    const first = this.#index.find(start, Number.MAX_SAFE_INTEGER);
    const last = end === undefined ? count : this.#index.find(end, Number.MAX_SAFE_INTEGER);
    return { first, end: Math.min(count, last + 1) };
  }

  /** A block that the cache has, until the cache changes. */
  cachedBlock(index: number): Block | undefined {
    return this.#source.loadCached(index);
  }

  /** Any block, read in place if need be, until the cache changes. */
  block(index: number): Block {
    return this.#source.load(index);
  }

  isCached(index: number): boolean {
    return this.#source.isCached(index);
  }

  /** Any block, read without blocking if need be, in memory of its own. The table must stay open until it is there. */
  blockAsync(index: number): Promise<Block> {
    return this.#source.loadAsync(index);
  }

  /** Finds the newest version of `key` in the block that `blockOf` has named. */
  findIn(block: Block, key: Uint8Array, found: Found): boolean {
    if (!findInBlock(block, key, Number.MAX_SAFE_INTEGER, found)) {
      return false;
    }
    if (this.#ingestSequence >= 0) {
      found.sequence = this.#ingestSequence;
    }
    return true;
  }

  /** False if the filter rules out every key that a search wants. `hash` is that of `start`. */
  mayHoldWanted(start: Uint8Array, wanted: WantedKeys, hash: SoughtHash): boolean {
    return !this.#denies(this.#filter?.askWanted(start, wanted, hash) ?? 'silent');
  }

  #denies(answer: FilterAnswer): boolean {
    this.#counters.filterChecks += answer === 'silent' ? 0 : 1;
    this.#counters.filterMisses += answer === 'absent' ? 1 : 0;
    return answer === 'absent';
  }

  /** Fragments in order of their starts, those of one range from the newest to the oldest. */
  rangeTombstones(): readonly RangeTombstone[] {
    return this.#rangeTombstones;
  }

  /**
   * A cursor that is not yet placed. It does not outlive the table. `fillCache`: the cache keeps the blocks that it reads,
   * by default; a scan of much that is read once should not drive out what is read often.
   */
  cursor(
    options: { readonly fillCache?: boolean; readonly memory?: CursorMemory } = {},
  ): TableCursor {
    assert(this.#isOpen, 'a table is read only while it is open');
    const { fillCache = true, memory } = options;
    return new TableCursor(this.#source, this.#ingestSequence, fillCache, memory);
  }

  /**
   * Reads the whole file and throws `CORRUPT` unless digest, blocks, order, counts, bounds, index and filter are all
   * right. The cache is left alone.
   */
  verify(): void {
    assert(this.#isOpen, 'a table is read only while it is open');
    const file = openTableFile(this.#fileSystem, this.#path);
    try {
      verifyTable(file, this.#parts);
    } finally {
      file.close();
    }
  }

  /** Roughly how many bytes of the file hold the keys in [from, to), as the index tells: whole blocks are counted. */
  sizeOfRange(from?: Uint8Array, to?: Uint8Array): number {
    const start = from === undefined ? 0 : this.#index.find(from, Number.MAX_SAFE_INTEGER);
    const end =
      to === undefined ? this.#index.count : this.#index.find(to, Number.MAX_SAFE_INTEGER);
    return end <= start ? 0 : this.#index.offsets[end]! - this.#index.offsets[start]!;
  }

  close(): void {
    assert(this.#isOpen, 'a table is closed once');
    this.#isOpen = false;
    this.#source.close();
  }
}

function checkSize(file: File, meta: TableMeta): void {
  const size = file.size();
  if (size !== meta.size) {
    throw new CorruptionError(
      file.path,
      Math.min(size, meta.size),
      `the table has ${size} bytes instead of ${meta.size}`,
    );
  }
}

function withSequence(
  fragments: readonly RangeTombstone[],
  sequence: number,
): readonly RangeTombstone[] {
  return fragments.map(({ start, end }) => ({ start, end, sequence }));
}
