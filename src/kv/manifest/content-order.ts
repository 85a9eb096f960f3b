/** Finds out from the contents of tables which of two that overlap is the newer one. Reads all of them once, side by side. */
import type { FileSystem } from '../../io/file-system.ts';
import { compareBytes, compareKeys } from '../../base/compare-bytes.ts';
import type { Cursor } from '../entries/cursor.ts';
import { tablePath } from '../sstable/names.ts';
import { RangeTombstones } from '../entries/range-tombstones.ts';
import { BlockCache } from '../sstable/block-cache.ts';
import { ReadCounters } from '../sstable/read-counters.ts';
import { TableReader } from '../sstable/table-reader.ts';
import type { TableMeta } from '../sstable/table-meta.ts';
import { endsBefore } from './levels.ts';
import type { Evidence } from './placement.ts';

interface OpenTable {
  readonly meta: TableMeta;
  readonly reader: TableReader;
  readonly cursor: Cursor;
  readonly ranges: RangeTombstones | undefined;
  /** Versions of the key under consideration; 0 if the table has none. */
  newest: number;
  oldest: number;
}

export class ContentOrder {
  readonly #evidence = new Map<string, Evidence>();
  readonly #fileSystem: FileSystem;
  readonly #directory: string;
  readonly #identity: Uint8Array;
  #open: OpenTable[] = [];

  /** Throws `CORRUPT` if a table can't be read to its end. */
  static of(
    parts: {
      readonly fileSystem: FileSystem;
      readonly directory: string;
      readonly identity: Uint8Array;
    },
    tables: readonly TableMeta[],
  ): ContentOrder {
    const order = new ContentOrder(parts.fileSystem, parts.directory, parts.identity);
    try {
      order.#readAll(tables.toSorted((left, right) => compareKeys(left.minKey, right.minKey)));
    } finally {
      order.#open.forEach(({ reader }) => reader.close());
    }
    return order;
  }

  private constructor(fileSystem: FileSystem, directory: string, identity: Uint8Array) {
    this.#fileSystem = fileSystem;
    this.#directory = directory;
    this.#identity = identity;
  }

  evidenceOf(left: number, right: number): Evidence {
    return this.#evidence.get(`${left} ${right}`) ?? 'none';
  }

  #readAll(sorted: readonly TableMeta[]): void {
    let next = 0;
    while (next < sorted.length || this.#open.length > 0) {
      const smallest = this.#smallestKey();
      if (
        next < sorted.length &&
        (smallest === undefined || compareKeys(sorted[next]!.minKey, smallest) <= 0)
      ) {
        this.#begin(sorted[next]!);
        next += 1;
      } else if (smallest === undefined) {
        this.#end(this.#open);
      } else {
        this.#take(smallest);
      }
    }
  }

  #begin(meta: TableMeta): void {
    this.#end(this.#open.filter((table) => !table.cursor.isValid && endsBefore(table.meta, meta)));
    const path = tablePath(this.#directory, meta.number);
    const cache = new BlockCache(0);
    const counters = new ReadCounters();
    const reader = TableReader.open(this.#fileSystem, path, meta, this.#identity, cache, counters);
    const cursor = reader.cursor({ fillCache: false });
    const ranges =
      meta.rangeDeleteCount > 0 ? RangeTombstones.from(reader.rangeTombstones()) : undefined;
    this.#open.push({ meta, reader, cursor, ranges, newest: 0, oldest: 0 });
    cursor.seekFirst();
  }

  #end(tables: readonly OpenTable[]): void {
    tables.forEach(({ reader }) => reader.close());
    this.#open = this.#open.filter((table) => !tables.includes(table));
  }

  #smallestKey(): Uint8Array | undefined {
    let smallest: Uint8Array | undefined;
    for (const { cursor } of this.#open) {
      if (cursor.isValid && (smallest === undefined || compareToKey(cursor, smallest) < 0)) {
        smallest = cursor.keyBytes.slice(cursor.keyStart, cursor.keyEnd);
      }
    }
    return smallest;
  }

  /** Passes all versions of a key, in all tables, and notes what they say. */
  #take(key: Uint8Array): void {
    for (const table of this.#open) {
      const { cursor } = table;
      table.newest = 0;
      while (cursor.isValid && compareToKey(cursor, key) === 0) {
        table.newest = Math.max(table.newest, cursor.sequence);
        table.oldest = cursor.sequence;
        cursor.next();
      }
    }
    for (const left of this.#open) {
      const cover = left.ranges?.newestCovering(key, 0, key.length, Number.MAX_SAFE_INTEGER) ?? 0;
      for (const right of this.#open) {
        if (left !== right && right.newest > 0) {
          this.#compareKeys(left, cover, right);
        }
      }
    }
  }

  /** `right` has versions of a key; `left` may, and may have deleted it in a range at `cover`. */
  #compareKeys(left: OpenTable, cover: number, right: OpenTable): void {
    if (left.newest > 0) {
      const isNewer = left.oldest > right.newest;
      this.#note(
        left,
        right,
        isNewer ? 'newer' : left.newest < right.oldest ? 'older' : 'contradiction',
      );
    }
    if (cover > 0) {
      const isBetween = cover <= right.newest && cover >= right.oldest;
      this.#note(
        left,
        right,
        isBetween ? 'contradiction' : cover > right.newest ? 'newer' : 'older',
      );
    }
  }

  #note(left: OpenTable, right: OpenTable, evidence: Evidence): void {
    const opposite = {
      newer: 'older',
      older: 'newer',
      contradiction: 'contradiction',
      none: 'none',
    } as const;
    for (const [key, found] of [
      [`${left.meta.number} ${right.meta.number}`, evidence],
      [`${right.meta.number} ${left.meta.number}`, opposite[evidence]],
    ] as const) {
      const before = this.#evidence.get(key) ?? found;
      this.#evidence.set(key, before === found ? found : 'contradiction');
    }
  }
}

function compareToKey({ keyBytes, keyStart, keyEnd }: Cursor, key: Uint8Array): number {
  return compareBytes(keyBytes, keyStart, keyEnd, key, 0, key.length);
}
