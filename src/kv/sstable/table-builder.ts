/** Writes one table, from entries in internal order. See docs/formats/table.md. */
import { createHash } from 'node:crypto';
import { assert } from '../../base/assert.ts';
import { commonPrefixSize, compareKeys } from '../../base/compare-bytes.ts';
import type { File } from '../../io/file-system.ts';
import { pause, type Work, writeAll } from '../../io/steps.ts';
import type { TableSettings } from './table-settings.ts';
import { EntryKind } from '../entries/cursor.ts';
import type { RangeTombstone } from '../entries/range-tombstones.ts';
import type { TableMeta } from './table-meta.ts';
import { copyRange } from '../../base/copy-bytes.ts';
import { BlockBuilder } from './block-builder.ts';
import { compressorOf } from './block-compression.ts';
import { TableFilterBuilder } from './filter-part.ts';
import { isPossibleRule } from './filter-rule.ts';
import {
  BLOCK_SIZE_MAX,
  BLOCK_SIZE_MIN,
  CompressionTag,
  encodeFooter,
  encodeHeader,
  FOOTER_SIZE,
  KEY_SIZE_MAX,
  HEADER_SIZE,
  type PartExtent,
  readUint32,
  type TableFooter,
  TablePlace,
  TRAILER_SIZE,
  writeTrailer,
} from './format.ts';
import { encodeRangeTombstones, followsFragment, fragmentSize } from './range-tombstone-part.ts';
import { isRefusal } from '../../base/refusal.ts';
import type { TableImage } from './table-file.ts';
import {
  shortenSeparator,
  TableIndex,
  TableIndexBuilder,
  type TableIndexImage,
} from './table-index.ts';
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
  readonly #filter: TableFilterBuilder;

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
  #image: TableImage | undefined;

  constructor(file: File, options: TableBuilderOptions) {
    const { blockSize, compression, filter } = options.settings;
    assert(blockSize >= BLOCK_SIZE_MIN, 'the block size is not too small');
    assert(blockSize <= BLOCK_SIZE_MAX, 'the block size is not too large');
    assert(isPossibleRule(filter), 'the filter has whole bits per key, and few');
    this.#filter = new TableFilterBuilder(filter, options.identity);
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
    return (
      this.#offset +
      this.#block.size +
      this.#rangeTombstonesSize +
      this.#filter.size +
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
    // A filter of a large table takes ms to make: others may go first.
    yield pause;
    const filterBytes = this.#filter.finish();
    const filter = this.#endPart(filterBytes);
    yield pause;
    const indexBytes = this.#index.finish();
    const index = this.#endPart(indexBytes);
    const propertiesPart = this.#endPart(encodeProperties(properties));
    yield* this.write();
    const digest = new Uint8Array(this.#digest.digest());
    const footer: TableFooter = {
      identity: this.#place.identity,
      number: this.#place.number,
      count: this.#count,
      rangeTombstones,
      filter,
      index,
      properties: propertiesPart,
      digest,
    };
    yield* writeAll(this.#file, encodeFooter(footer), this.#written);
    this.#written += FOOTER_SIZE;
    yield { operation: 'sync', file: this.#file };
    this.#image = {
      footer,
      properties,
      index: imageOf(indexBytes, rangeTombstones.offset),
      filter: filterBytes?.subarray(0, -TRAILER_SIZE),
      rangeTombstones: this.#rangeTombstones,
    };
    return metaOf(properties, this.#written, digest);
  }

  /** Of the finished table: its reader need not read all this again. */
  get image(): TableImage {
    assert(this.#image !== undefined, 'a table has an image when it is finished');
    return this.#image;
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
    copyRange(keyBytes, keyStart + shared, keyEnd, this.#lastKey, shared);
    this.#lastKeySize = keySize;
    this.#firstKey ??= keyBytes.slice(keyStart, keyEnd);
    this.#filter.add(keyBytes, keyStart, keyEnd);
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

/** `bytes`: of the index part, trailer included. */
function imageOf(bytes: Uint8Array, dataEnd: number): TableIndexImage {
  const index = TableIndex.decode(bytes.subarray(0, -TRAILER_SIZE), HEADER_SIZE, dataEnd);
  assert(!isRefusal(index), 'an index that was made can be read');
  return index.image;
}
