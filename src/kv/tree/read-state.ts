/** Everything a read looks at, newest first: memtables, then tables. */
import { type Cursor, EntryKind, type Found } from '../entries/cursor.ts';
import { LevelCursor } from '../sstable/level-cursor.ts';
import type { Memtable } from '../memtable/memtable.ts';
import { mergeCursors } from '../entries/merge-cursor.ts';
import type { RangeTombstones } from '../entries/range-tombstones.ts';
import { newestSequence } from '../manifest/levels.ts';
import { CursorMemoryPool } from '../sstable/cursor-memory.ts';
import { SoughtHash } from '../sstable/filter-part.ts';
import type { TableCursor } from '../sstable/table-cursor.ts';
import type { TableMeta } from '../sstable/table-meta.ts';
import { UncoveredCursor } from '../entries/uncovered-cursor.ts';
import type { EntryBounds } from './entry-iterator.ts';
import type { TableHandle, TableSet, TableView } from './table-set.ts';

export class ReadState {
  /** The active one first, then the frozen ones from the newest to the oldest. Replaced when that changes, never changed. */
  memtables: readonly Memtable[];
  readonly #tables: TableSet;
  readonly #hash = new SoughtHash();
  readonly #cursorMemory = new CursorMemoryPool();

  constructor(memtables: readonly Memtable[], tables: TableSet) {
    this.memtables = memtables;
    this.#tables = tables;
  }

  /** Finds what a reader at `sequence` sees of a key. False if that is nothing. */
  get(key: Uint8Array, sequence: number, found: Found): boolean {
    const { memtables } = this;
    let cover = 0;
    for (let index = 0; index < memtables.length; index += 1) {
      const memtable = memtables[index]!;
      if (memtable.isEmpty) {
        continue;
      }
      if (!memtable.rangeTombstones.isEmpty) {
        cover = memtable.rangeTombstones.newestCovering(key, 0, key.length, sequence);
      }
      if (memtable.get(key, sequence, found)) {
        return found.kind === EntryKind.put && found.sequence > cover;
      }
      if (cover > 0) {
        // Everything further down is older than the deletion.
        return false;
      }
    }
    return this.#getFromTables(key, sequence, found);
  }

  #getFromTables(key: Uint8Array, sequence: number, found: Found): boolean {
    const view = this.#tables.current;
    if (view.depth === 0) {
      return false;
    }
    const { levels, handles } = view;
    this.#hash.begin(key);
    const levelZero = handles[0]!;
    for (let index = 0; index < levelZero.length; index += 1) {
      if (levels.mayHold(0, index, key)) {
        const answer = this.#getFromTable(levelZero[index]!, key, sequence, found);
        if (answer !== undefined) {
          return answer;
        }
      }
    }
    for (let level = 1; level < view.depth; level += 1) {
      const index = levels.tableFor(level, key);
      if (index >= 0) {
        const answer = this.#getFromTable(handles[level]![index]!, key, sequence, found);
        if (answer !== undefined) {
          return answer;
        }
      }
    }
    return false;
  }

  /** Undefined if the table doesn't know the key. */
  #getFromTable(
    handle: TableHandle,
    key: Uint8Array,
    sequence: number,
    found: Found,
  ): boolean | undefined {
    const tables = this.#tables;
    const hasRanges = handle.meta.rangeDeleteCount > 0;
    const cover = hasRanges
      ? tables.rangeTombstones(handle).newestCovering(key, 0, key.length, sequence)
      : 0;
    if (tables.reader(handle).get(key, this.#hash, sequence, found)) {
      return found.kind === EntryKind.put && found.sequence > cover;
    }
    return cover > 0 ? false : undefined;
  }

  /** Everything there is now, held until it is released. */
  pin(fillCache: boolean): PinnedSources {
    return new PinnedSources(this.memtables, this.#tables, fillCache, this.#cursorMemory);
  }
}

/** The sources of a read that lasts. What is written meanwhile may show in them, with higher sequences. */
export class PinnedSources {
  readonly #memtables: readonly Memtable[];
  readonly #tables: TableSet;
  readonly #view: TableView;
  readonly #fillCache: boolean;
  readonly #pool: CursorMemoryPool;
  readonly #opened: OpenedTable[] = [];
  #isReleased = false;

  constructor(
    memtables: readonly Memtable[],
    tables: TableSet,
    fillCache: boolean,
    pool: CursorMemoryPool,
  ) {
    this.#memtables = memtables;
    this.#tables = tables;
    this.#view = tables.pin(tables.current);
    this.#fillCache = fillCache;
    this.#pool = pool;
    for (const memtable of memtables) {
      memtable.pinCount += 1;
    }
  }

  /** All entries in order that are in `bounds` and some others, but none that `ranges` hide in whole stretches from a reader at `sequence`. */
  cursor(ranges: readonly RangeTombstones[], sequence: number, bounds: EntryBounds): Cursor {
    const uncovered = (source: Cursor, newest: number): Cursor =>
      ranges.length === 0 ? source : new UncoveredCursor(source, ranges, sequence, newest);
    const sources: Cursor[] = [];
    for (const memtable of this.#memtables) {
      if (!memtable.isEmpty) {
        sources.push(uncovered(memtable.cursor(), memtable.maxSequence));
      }
    }
    for (const meta of this.#tablesOf(0, bounds)) {
      const { cursor } = this.#open(this.#tables.handle(meta.number), true);
      sources.push(uncovered(cursor, newestSequence(meta)));
    }
    for (let level = 1; level < this.#view.depth; level += 1) {
      const tables = this.#tablesOf(level, bounds);
      if (tables.length > 0) {
        let current: OpenedTable | undefined;
        const open = (meta: TableMeta): Cursor => {
          // A level has one cursor at a time: the table that it leaves need not stay open.
          this.#leave(current);
          current = undefined;
          current = this.#open(this.#tables.handle(meta.number), false);
          return uncovered(current.cursor, newestSequence(meta));
        };
        sources.push(new LevelCursor(tables, open));
      }
    }
    return mergeCursors(sources);
  }

  /** Those of a level that may hold what is wanted. */
  #tablesOf(level: number, { start, end, wanted, positions }: EntryBounds): readonly TableMeta[] {
    const { levels } = this.#view;
    let tables =
      wanted === undefined ? levels.tables(level) : levels.overlapping(level, start, end);
    if (positions !== undefined) {
      const { from, to } = positions;
      tables = tables.filter(
        ({ stretch }) => stretch === undefined || (stretch.from < to && from < stretch.to),
      );
    }
    if (wanted !== undefined) {
      const hash = new SoughtHash();
      hash.begin(start);
      tables = tables.filter((table) => {
        const handle = this.#tables.handle(table.number);
        return this.#tables.reader(handle).mayHoldWanted(start, wanted, hash);
      });
    }
    return tables;
  }

  /** Deleted ranges of all sources: those of each memtable, and those of all tables. */
  rangeTombstones(): readonly RangeTombstones[] {
    const ranges = this.#memtables
      .map(({ rangeTombstones }) => rangeTombstones)
      .filter(({ isEmpty }) => !isEmpty);
    if (this.#view.hasRangeTombstones) {
      ranges.push(this.#tables.rangeTombstonesOf(this.#view));
    }
    return ranges;
  }

  release(): void {
    if (this.#isReleased) {
      return;
    }
    this.#isReleased = true;
    for (const opened of this.#opened) {
      this.#close(opened);
    }
    for (const memtable of this.#memtables) {
      memtable.pinCount -= 1;
    }
    this.#tables.unpin(this.#view);
  }

  #leave(opened: OpenedTable | undefined): void {
    if (opened !== undefined) {
      this.#opened.splice(this.#opened.indexOf(opened), 1);
      this.#close(opened);
    }
  }

  #close({ handle, cursor, isLevelZero }: OpenedTable): void {
    handle.cursorCount -= 1;
    if (isLevelZero) {
      this.#tables.chargeLevelZero(cursor.loadCount, this.#view);
    }
    this.#pool.give(cursor.release());
  }

  #open(handle: TableHandle, isLevelZero: boolean): OpenedTable {
    const reader = this.#tables.reader(handle);
    const cursor = reader.cursor({ fillCache: this.#fillCache, memory: this.#pool.take() });
    handle.cursorCount += 1;
    const opened = { handle, cursor, isLevelZero };
    this.#opened.push(opened);
    return opened;
  }
}

interface OpenedTable {
  readonly handle: TableHandle;
  readonly cursor: TableCursor;
  readonly isLevelZero: boolean;
}
