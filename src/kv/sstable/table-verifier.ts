/** Checks all of a table: what reading it must be able to rely on. */
import { createHash } from 'node:crypto';
import { compareBytes, compareKeys } from '../../base/compare-bytes.ts';
import { CorruptionError } from '../../base/errors.ts';
import { hashKey } from '../../collections/bloom-filter.ts';
import type { File } from '../../io/file-system.ts';
import { EntryKind } from '../entries/cursor.ts';
import { BlockCache } from './block-cache.ts';
import { checkBlock } from './block-check.ts';
import { BlockSource } from './block-source.ts';
import { HEADER_SIZE } from './format.ts';
import { ReadCounters } from './read-counters.ts';
import { TableCursor } from './table-cursor.ts';
import { readExactly, readTableParts, type TableParts } from './table-file.ts';

const READ_SIZE = 256 * 1024;

/** Throws `CORRUPT` unless the file is in order. `parts`: as they were read when the table was opened. */
export function verifyTable(file: File, parts: TableParts): void {
  // The parts may have been damaged since.
  const { footer } = readTableParts(file, parts.place.identity);
  if (compareKeys(footer.digest, parts.footer.digest) !== 0) {
    throw new CorruptionError(file.path, undefined, 'the table was replaced while it was open');
  }
  const size = footer.properties.offset + footer.properties.size;
  new EntryCheck(file, parts).run();
  checkDigest(file, size, footer.digest);
}

class EntryCheck {
  readonly #file: File;
  readonly #parts: TableParts;
  #keyCount = 0;
  #deleteCount = 0;
  #rawSize = 0;
  #lastKey = new Uint8Array(256);
  #lastKeySize = 0;
  #lastSequence = 0;
  #firstKey: Uint8Array | undefined;
  #minSequence = Number.MAX_SAFE_INTEGER;
  #maxSequence = 0;
  readonly #hash = new Uint32Array(2);

  constructor(file: File, parts: TableParts) {
    this.#file = file;
    this.#parts = parts;
  }

  run(): void {
    const { index, place, properties } = this.#parts;
    const source = new BlockSource(this.#file, index, place, new BlockCache(0), new ReadCounters());
    const cursor = new TableCursor(source, -1, false);
    let count = 0;
    let lastBlock = -1;
    for (cursor.seekFirst(); cursor.isValid; cursor.next()) {
      const { block } = cursor;
      if (block.index !== lastBlock) {
        lastBlock = block.index;
        checkBlock(block);
      }
      this.#checkEntry(cursor, count === 0, block.index);
      count += 1;
    }
    if (
      count !== properties.count ||
      this.#keyCount !== properties.keyCount ||
      this.#deleteCount !== properties.deleteCount ||
      this.#rawSize !== properties.rawSize
    ) {
      this.#fail(undefined, 'the entries are not those that the properties count');
    }
    // A table without keys has no filter either way.
    const hasFilter = properties.settings.filterBitsPerKey > 0 && properties.keyCount > 0;
    if (hasFilter !== (this.#parts.filter !== undefined)) {
      this.#fail(undefined, 'the table has not the filter that its properties say');
    }
    this.#checkBounds();
  }

  /** Bounds that are too wide would only cost reads; those that are too narrow would hide what is there. */
  #checkBounds(): void {
    const { properties, rangeTombstones } = this.#parts;
    let minKey: Uint8Array | undefined = this.#firstKey;
    let maxKey: Uint8Array | undefined =
      this.#keyCount > 0 ? this.#lastKey.subarray(0, this.#lastKeySize) : undefined;
    let isMaxExclusive = false;
    for (const { start, end, sequence } of rangeTombstones) {
      this.#noteSequence(sequence);
      if (minKey === undefined || compareKeys(start, minKey) < 0) {
        minKey = start;
      }
      if (maxKey === undefined || compareKeys(maxKey, end) < 0) {
        maxKey = end;
        isMaxExclusive = true;
      }
    }
    if (
      minKey === undefined ||
      maxKey === undefined ||
      compareKeys(minKey, properties.minKey) !== 0 ||
      compareKeys(maxKey, properties.maxKey) !== 0 ||
      isMaxExclusive !== properties.isMaxExclusive ||
      this.#minSequence !== properties.minSequence ||
      this.#maxSequence !== properties.maxSequence
    ) {
      this.#fail(undefined, 'the table does not have the bounds that its properties say');
    }
  }

  #noteSequence(sequence: number): void {
    this.#minSequence = Math.min(this.#minSequence, sequence);
    this.#maxSequence = Math.max(this.#maxSequence, sequence);
  }

  #checkEntry(cursor: TableCursor, isFirst: boolean, block: number): void {
    const { index, filter } = this.#parts;
    const key = cursor.keyBytes.subarray(cursor.keyStart, cursor.keyEnd);
    const order = isFirst
      ? -1
      : compareBytes(this.#lastKey, 0, this.#lastKeySize, key, 0, key.length);
    if (order > 0 || (order === 0 && cursor.sequence >= this.#lastSequence)) {
      this.#fail(block, 'the entries are out of order');
    }
    if (
      !index.separatorCovers(block, key, cursor.sequence) ||
      (block > 0 && index.separatorCovers(block - 1, key, cursor.sequence))
    ) {
      this.#fail(block, 'the index leads past an entry');
    }
    this.#firstKey ??= key.slice();
    this.#noteSequence(cursor.sequence);
    hashKey(key, 0, key.length, this.#hash);
    if (filter !== undefined && !filter.mayHave(this.#hash[0]!, this.#hash[1]!)) {
      this.#fail(block, 'the filter denies an entry');
    }
    this.#keyCount += order < 0 ? 1 : 0;
    this.#deleteCount += cursor.kind === EntryKind.delete ? 1 : 0;
    this.#rawSize += key.length + cursor.valueEnd - cursor.valueStart;
    if (key.length > this.#lastKey.length) {
      this.#lastKey = new Uint8Array(key.length * 2);
    }
    this.#lastKey.set(key);
    this.#lastKeySize = key.length;
    this.#lastSequence = cursor.sequence;
  }

  #fail(block: number | undefined, reason: string): never {
    // What no block is to blame for stands in the properties.
    const offset =
      block === undefined ? this.#parts.footer.properties.offset : this.#parts.index.offsets[block];
    throw new CorruptionError(this.#file.path, offset, reason);
  }
}

function checkDigest(file: File, size: number, digest: Uint8Array): void {
  const hash = createHash('sha256');
  for (let offset = 0; offset < size; offset += READ_SIZE) {
    hash.update(readExactly(file, offset, Math.min(READ_SIZE, size - offset)));
  }
  if (compareKeys(hash.digest(), digest) !== 0) {
    throw new CorruptionError(file.path, HEADER_SIZE, 'the table does not match its digest');
  }
}
