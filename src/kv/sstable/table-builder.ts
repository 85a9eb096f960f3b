/** Writes one table, from entries in internal order. See docs/formats/table.md. */
import { createHash } from 'node:crypto';
import { assert } from '../../base/assert.ts';
import { commonPrefixSize, compareKeys } from '../../base/compare-bytes.ts';
import { FILTER_BITS_PER_KEY_MAX, filterSizeOf, hashKey } from '../../collections/bloom-filter.ts';
import type { File } from '../../io/file-system.ts';
import { type Work, writeAll } from '../../io/steps.ts';
import type { TableSettings } from './table-settings.ts';
import { EntryKind } from '../entries/cursor.ts';
import type { RangeTombstone } from '../entries/range-tombstones.ts';
import type { TableMeta } from './table-meta.ts';
import { BlockBuilder, copyBytes } from './block-builder.ts';
import { compressorOf } from './block-compression.ts';
import { encodeFilter } from './filter-part.ts';
import {
  BLOCK_SIZE_MAX,
  BLOCK_SIZE_MIN,
  CompressionTag,
  encodeFooter,
  encodeHeader,
  FOOTER_SIZE,
  KEY_SIZE_MAX,
  type PartExtent,
  readUint32,
  TablePlace,
  TRAILER_SIZE,
  writeTrailer,
} from './format.ts';
import { encodeRangeTombstones, followsFragment, fragmentSize } from './range-tombstone-part.ts';
import { shortenSeparator, TableIndexBuilder } from './table-index.ts';
import { encodeProperties, metaOf, type TableProperties } from './table-properties.ts';

/** Finished blocks that wait for a write: large enough for a write to cost little per byte. */
const WRITE_SIZE = 256 * 1024;

export interface TableBuilderOptions {
  /** 16 bytes: the store's. */
  readonly identity: Uint8Array;
  readonly number: number;
  /** The level that the table is made for. */
  readonly level: number;
  /** Numbers of the tables that it replaces, together with the other outputs of the same work. */
  readonly inputs: readonly number[];
  /** Its place among those outputs, from 0. */
  readonly outputIndex: number;
  readonly settings: TableSettings;
}

/**
 * Takes entries and deleted ranges, in any order of the two, and writes a table into an empty file. After a failed write
 * neither the builder nor the file is of any use. Throws `INVALID_ARGUMENT` for a compression that isn't there.
 */
export class TableBuilder {
  readonly #file: File;
  readonly #options: TableBuilderOptions;
  readonly #place: TablePlace;
  readonly #compress: ((plain: Uint8Array) => Uint8Array) | undefined;
  readonly #digest = createHash('sha256');

  readonly #block: BlockBuilder;
  readonly #index = new TableIndexBuilder();
  readonly #rangeTombstones: RangeTombstone[] = [];
  #rangeTombstonesSize = 0;
  /** Hashes of all distinct keys, two words each: the filter is made when their number is known. */
  #hashes = new Uint32Array(2_048);
  readonly #hash = new Uint32Array(2);

  /** Finished blocks that are not yet written. */
  #pending = new Uint8Array(WRITE_SIZE + 64 * 1024);
  #pendingSize = 0;
  #written = 0;

  #lastKey = new Uint8Array(256);
  #lastKeySize = 0;
  #lastSequence = 0;
  #firstKey: Uint8Array | undefined;
  #count = 0;
  #keyCount = 0;
  #deleteCount = 0;
  #rawSize = 0;
  #minSequence = Number.MAX_SAFE_INTEGER;
  #maxSequence = 0;
  #isFinished = false;

  constructor(file: File, options: TableBuilderOptions) {
    const { blockSize, compression, filterBitsPerKey } = options.settings;
    assert(blockSize >= BLOCK_SIZE_MIN, 'the block size is not too small');
    assert(blockSize <= BLOCK_SIZE_MAX, 'the block size is not too large');
    assert(Number.isInteger(filterBitsPerKey), 'the filter has whole bits per key');
    assert(filterBitsPerKey >= 0, 'the filter has no negative size');
    assert(filterBitsPerKey <= FILTER_BITS_PER_KEY_MAX, 'the filter has few bits per key');
    this.#file = file;
    this.#options = options;
    this.#place = new TablePlace(options.identity, options.number);
    this.#compress = compressorOf(compression);
    this.#block = new BlockBuilder(blockSize);
    this.#append(encodeHeader(this.#place));
  }

  /** Entries so far. */
  get count(): number {
    return this.#count;
  }

  /** What the file would have if it were finished now, nearly. */
  get size(): number {
    const filterSize = filterSizeOf(this.#keyCount, this.#options.settings.filterBitsPerKey);
    return (
      this.#offset +
      this.#block.size +
      this.#rangeTombstonesSize +
      filterSize +
      this.#index.size +
      FOOTER_SIZE
    );
  }

  get wantsWrite(): boolean {
    return this.#pendingSize >= WRITE_SIZE;
  }

  /** Adds an entry, which is copied. It must come behind the one before in internal order. */
  add(
    keyBytes: Uint8Array,
    keyStart: number,
    keyEnd: number,
    sequence: number,
    kind: EntryKind,
    valueBytes: Uint8Array,
    valueStart: number,
    valueEnd: number,
  ): void {
    const keySize = keyEnd - keyStart;
    const valueSize = valueEnd - valueStart;
    assert(!this.#isFinished, 'a finished table takes no more entries');
    assert(keySize <= KEY_SIZE_MAX, 'a key is within its limit');
    assert(Number.isSafeInteger(sequence) && sequence >= 0, 'a sequence is a safe integer');
    const last = this.#lastKey;
    const lastSize = this.#lastKeySize;
    const shared = commonPrefixSize(last, 0, lastSize, keyBytes, keyStart, keyEnd);
    const isSameKey = this.#count > 0 && shared === lastSize && shared === keySize;
    if (isSameKey) {
      assert(sequence < this.#lastSequence, 'versions of a key are added from the newest on');
    } else if (this.#count > 0) {
      assert(
        shared === lastSize || (shared < keySize && keyBytes[keyStart + shared]! > last[shared]!),
        'keys are added in ascending order',
      );
    }
    if (
      this.#block.count > 0 &&
      this.#block.sizeWith(keySize, valueSize, sequence) > this.#options.settings.blockSize
    ) {
      this.#separate(isSameKey, shared, keyBytes, keyStart);
    }
    if (!isSameKey) {
      this.#noteKey(shared, keyBytes, keyStart, keyEnd);
    }
    this.#block.add(
      shared,
      keyBytes,
      keyStart,
      keyEnd,
      sequence,
      kind,
      valueBytes,
      valueStart,
      valueEnd,
    );
    this.#noteSequence(sequence);
    this.#lastSequence = sequence;
    this.#count += 1;
    this.#deleteCount += kind === EntryKind.delete ? 1 : 0;
    this.#rawSize += keySize + valueSize;
  }

  /**
   * Adds a deleted range: fragments that do not overlap but for being the same range, in order of their starts, those of
   * the same range from the newest to the oldest. The bounds must not change afterwards.
   */
  addRangeTombstone(start: Uint8Array, end: Uint8Array, sequence: number): void {
    assert(!this.#isFinished, 'a finished table takes no more deleted ranges');
    assert(compareKeys(start, end) < 0, 'a deleted range is not empty');
    const fragment = { start, end, sequence };
    const before = this.#rangeTombstones.at(-1);
    assert(
      before === undefined || followsFragment(before, fragment),
      'deleted ranges are added as fragments, in order',
    );
    this.#rangeTombstones.push(fragment);
    this.#rangeTombstonesSize += fragmentSize(fragment);
    this.#noteSequence(sequence);
  }

  /** Writes the blocks that are finished. */
  *write(): Work<void> {
    const bytes = this.#pending.subarray(0, this.#pendingSize);
    this.#digest.update(bytes);
    yield* writeAll(this.#file, bytes, this.#written);
    this.#written += bytes.length;
    this.#pendingSize = 0;
  }

  /**
   * Writes the rest and syncs the file; its name is durable when the caller has synced the directory.
   * `isLastOutput`: the work that makes this table makes no further one.
   */
  *finish(isLastOutput: boolean): Work<TableMeta> {
    assert(!this.#isFinished, 'a table is finished once');
    assert(this.#count + this.#rangeTombstones.length > 0, 'a table is not empty');
    const properties = this.#properties(isLastOutput);
    if (this.#block.count > 0) {
      this.#endBlock(this.#lastKeySize, 0);
    }
    this.#isFinished = true;
    const rangeTombstones = this.#endPart(
      this.#rangeTombstones.length === 0 ? undefined : encodeRangeTombstones(this.#rangeTombstones),
    );
    const filter = this.#endPart(this.#encodeFilter());
    const index = this.#endPart(this.#index.finish());
    const propertiesPart = this.#endPart(encodeProperties(properties));
    yield* this.write();
    const digest = new Uint8Array(this.#digest.digest());
    const footer = encodeFooter({
      identity: this.#place.identity,
      number: this.#place.number,
      count: this.#count,
      rangeTombstones,
      filter,
      index,
      properties: propertiesPart,
      digest,
    });
    yield* writeAll(this.#file, footer, this.#written);
    this.#written += footer.length;
    yield { operation: 'sync', file: this.#file };
    return metaOf(properties, this.#written, digest);
  }

  get #offset(): number {
    return this.#written + this.#pendingSize;
  }

  /** Ends the block before an entry that goes into the next one. */
  #separate(isSameKey: boolean, shared: number, keyBytes: Uint8Array, keyStart: number): void {
    if (isSameKey) {
      // The next block goes on with older versions: the separator has to tell them apart.
      this.#endBlock(this.#lastKeySize, this.#lastSequence);
    } else {
      const size = shortenSeparator(this.#lastKey, this.#lastKeySize, keyBytes, keyStart, shared);
      this.#endBlock(size, 0);
    }
  }

  /** Seals the block; its separator is `#lastKey[0, separatorSize)` with this sequence. */
  #endBlock(separatorSize: number, separatorSequence: number): void {
    const offset = this.#offset;
    const plainSize = this.#block.finish();
    const plain = this.#block.bytes;
    const compressed = this.#compress?.(plain.subarray(0, plainSize));
    if (compressed !== undefined && compressed.length < plainSize) {
      const stored = new Uint8Array(compressed.length + TRAILER_SIZE);
      stored.set(compressed);
      const target = { bytes: stored, start: 0, payloadEnd: compressed.length };
      const tag = CompressionTag[this.#options.settings.compression];
      writeTrailer(target, plainSize, tag, this.#place, offset);
      this.#append(stored);
    } else {
      const target = { bytes: plain, start: 0, payloadEnd: plainSize };
      writeTrailer(target, plainSize, CompressionTag.none, this.#place, offset);
      this.#append(plain.subarray(0, plainSize + TRAILER_SIZE));
    }
    this.#index.add(offset, this.#lastKey, separatorSize, separatorSequence);
    this.#block.clear();
  }

  #noteKey(shared: number, keyBytes: Uint8Array, keyStart: number, keyEnd: number): void {
    const keySize = keyEnd - keyStart;
    if (keySize > this.#lastKey.length) {
      const grown = new Uint8Array(Math.max(keySize, this.#lastKey.length * 2));
      grown.set(this.#lastKey);
      this.#lastKey = grown;
    }
    copyBytes(keyBytes, keyStart + shared, keyEnd, this.#lastKey, shared);
    this.#lastKeySize = keySize;
    this.#firstKey ??= keyBytes.slice(keyStart, keyEnd);
    if (this.#options.settings.filterBitsPerKey > 0) {
      const at = this.#keyCount * 2;
      if (at === this.#hashes.length) {
        const grown = new Uint32Array(at * 2);
        grown.set(this.#hashes);
        this.#hashes = grown;
      }
      hashKey(keyBytes, keyStart, keyEnd, this.#hash);
      this.#hashes[at] = this.#hash[0]!;
      this.#hashes[at + 1] = this.#hash[1]!;
    }
    this.#keyCount += 1;
  }

  #noteSequence(sequence: number): void {
    if (sequence < this.#minSequence) {
      this.#minSequence = sequence;
    }
    if (sequence > this.#maxSequence) {
      this.#maxSequence = sequence;
    }
  }

  #append(bytes: Uint8Array): void {
    const size = this.#pendingSize + bytes.length;
    if (size > this.#pending.length) {
      const grown = new Uint8Array(Math.max(size, this.#pending.length * 2));
      grown.set(this.#pending.subarray(0, this.#pendingSize));
      this.#pending = grown;
    }
    this.#pending.set(bytes, this.#pendingSize);
    this.#pendingSize = size;
  }

  /** `bytes`: a payload and room for its trailer, or undefined for a part that isn't there. */
  #endPart(bytes: Uint8Array | undefined): PartExtent {
    const offset = this.#offset;
    if (bytes === undefined) {
      return { offset, size: 0, crc: 0 };
    }
    const payloadEnd = bytes.length - TRAILER_SIZE;
    const target = { bytes, start: 0, payloadEnd };
    writeTrailer(target, payloadEnd, CompressionTag.none, this.#place, offset);
    this.#append(bytes);
    return { offset, size: bytes.length, crc: readUint32(bytes, bytes.length - 4) };
  }

  #encodeFilter(): Uint8Array | undefined {
    const { filterBitsPerKey } = this.#options.settings;
    if (filterBitsPerKey === 0 || this.#keyCount === 0) {
      return undefined;
    }
    return encodeFilter(this.#hashes, this.#keyCount, filterBitsPerKey);
  }

  #properties(isLastOutput: boolean): TableProperties {
    const { number, level, inputs, outputIndex, settings } = this.#options;
    // Fragments do not overlap: the last one ends last.
    const firstStart = this.#rangeTombstones[0]?.start;
    const lastEnd = this.#rangeTombstones.at(-1)?.end;
    const lastKey = this.#count > 0 ? this.#lastKey.slice(0, this.#lastKeySize) : undefined;
    const isMaxExclusive =
      lastEnd !== undefined && (lastKey === undefined || compareKeys(lastKey, lastEnd) < 0);
    const minKey =
      this.#firstKey === undefined ||
      (firstStart !== undefined && compareKeys(firstStart, this.#firstKey) < 0)
        ? firstStart
        : this.#firstKey;
    const maxKey = isMaxExclusive ? lastEnd : lastKey;
    assert(minKey !== undefined && maxKey !== undefined, 'a table has bounds');
    return {
      number,
      level,
      inputs,
      outputIndex,
      isLastOutput,
      settings,
      count: this.#count,
      keyCount: this.#keyCount,
      deleteCount: this.#deleteCount,
      rangeDeleteCount: this.#rangeTombstones.length,
      rawSize: this.#rawSize,
      minKey,
      maxKey,
      isMaxExclusive,
      minSequence: this.#minSequence,
      maxSequence: this.#maxSequence,
    };
  }
}
