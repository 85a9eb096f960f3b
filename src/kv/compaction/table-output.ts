/**
 * The tables that a job makes, one after the other. Where one ends and the next begins is always at a key, and deleted ranges
 * are cut there:
 *
 *     entries        a  b  b  d   │   f  h   │   k
 *     deleted range     [c ───────┼──────────┼─────── m)
 *     tables         [a, f)           [f, k)     [k, …
 *
 * So tables of one job never share a key, and no part of a deleted range is lost between two of them.
 */
import { assert } from '../../base/assert.ts';
import { compareBytes, compareKeys } from '../../base/compare-bytes.ts';
import { VarveError } from '../../base/errors.ts';
import { reached } from '../../base/reached.ts';
import type { File } from '../../io/file-system.ts';
import type { Cursor, EntryKind } from '../entries/cursor.ts';
import { tablePath, tablesDirectory } from '../sstable/names.ts';
import type { RangeTombstone } from '../entries/range-tombstones.ts';
import { TableBuilder } from '../sstable/table-builder.ts';
import type { TableMeta } from '../sstable/table-meta.ts';
import type { TableSettings } from '../sstable/table-settings.ts';
import type { Work } from '../../io/steps.ts';
import type { JobParts } from './table-jobs.ts';

/** A table that overlapped more of the next level would make a later merge of it costly, measured in full tables. */
const GRANDPARENTS_MAX = 10;

/** What a range takes besides its bounds; only to know when a table is full. */
const RANGE_OVERHEAD = 16;

export interface OutputPlan {
  readonly level: number;
  /** Numbers of the tables that the new ones are made from. */
  readonly inputs: readonly number[];
  readonly settings: TableSettings;
  /** Deleted ranges in order of start; equal or separate ones. */
  readonly ranges: readonly RangeTombstone[];
  /** Tables of the next level, in key order. */
  readonly grandparents: readonly TableMeta[];
}

export class TableOutput {
  readonly #parts: JobParts;
  readonly #plan: OutputPlan;
  readonly #made: TableMeta[] = [];
  readonly #paths: string[] = [];
  #file: File | undefined;
  #builder: TableBuilder | undefined;
  /** Where the table under way begins; undefined for the first one, which takes whatever comes first. */
  #start: Uint8Array | undefined;
  /** The first range that isn't wholly in tables that are finished. */
  #rangeIndex = 0;
  /** The first range that starts behind all keys so far, and the size of those before it in the table under way. */
  #rangesPassed = 0;
  #rangeSize = 0;
  /** The first grandparent that reaches behind all keys so far, and the size of those before it since the table began. */
  #grandparentIndex = 0;
  #grandparentSize = 0;

  /** As it was before the first name was made. */
  readonly #failedSyncCount: number;

  constructor(parts: JobParts, plan: OutputPlan) {
    this.#parts = parts;
    this.#failedSyncCount = parts.failedSyncs.count;
    this.#plan = plan;
  }

  /** Whether `prepare` must run before the entry is added, which is of another key than the one before. */
  mustPrepare(entry: Cursor): boolean {
    return this.#passGrandparents(entry) || this.isFull || this.#startsNext(entry);
  }

  /** Ends the table under way if it is full, so that the next one begins with the entry's key. */
  *prepare(entry: Cursor): Work<void> {
    while (this.#startsNext(entry)) {
      yield* this.#passRange();
    }
    const isCostly = this.#grandparentSize > GRANDPARENTS_MAX * this.#plan.settings.tableSizeMax;
    if ((this.isFull || isCostly) && this.#hasContentBefore(entry)) {
      yield* this.finishBefore(entry.keyBytes, entry.keyStart, entry.keyEnd);
    }
  }

  /** Ends the table under way; the next one begins with the key. */
  *finishBefore(keyBytes: Uint8Array, keyStart: number, keyEnd: number): Work<void> {
    yield* this.#finish(keyBytes.slice(keyStart, keyEnd));
  }

  add(entry: Cursor): void {
    this.addEntry(
      entry.keyBytes,
      entry.keyStart,
      entry.keyEnd,
      entry.sequence,
      entry.kind,
      entry.valueBytes,
      entry.valueStart,
      entry.valueEnd,
    );
  }

  addEntry(
    keyBytes: Uint8Array,
    keyStart: number,
    keyEnd: number,
    sequence: number,
    kind: EntryKind,
    valueBytes: Uint8Array,
    valueStart: number,
    valueEnd: number,
  ): void {
    const builder = this.#builder ?? this.#open();
    builder.add(keyBytes, keyStart, keyEnd, sequence, kind, valueBytes, valueStart, valueEnd);
  }

  /** The table under way has grown to its full size. */
  get isFull(): boolean {
    const size = this.#builder === undefined ? 0 : this.#builder.size;
    return size + this.#rangeSize >= this.#plan.settings.tableSizeMax;
  }

  get wantsWrite(): boolean {
    return this.#builder?.wantsWrite === true;
  }

  *write(): Work<void> {
    yield* this.#open().write();
  }

  /** Finishes the last table. Names and contents of all of them are durable then. */
  *end(): Work<readonly TableMeta[]> {
    while (this.#rangesPassed < this.#plan.ranges.length) {
      yield* this.#passRange();
    }
    if (this.#hasContent) {
      yield* this.#finish(undefined);
    }
    if (this.#made.length > 0) {
      this.#syncNames();
    }
    return this.#made;
  }

  /**
   * Makes the names durable. If somebody else's sync of the folder has failed since the first of them was made, the system may have given
   * up on them, and no later sync would tell: they are made anew.
   */
  #syncNames(): void {
    const { fileSystem, directory, failedSyncs } = this.#parts;
    try {
      fileSystem.syncDirectory(tablesDirectory(directory));
    } catch (error) {
      failedSyncs.count += 1;
      throw error;
    }
    if (failedSyncs.count !== this.#failedSyncCount) {
      reached('made tables anew after a failed sync');
      throw new VarveError(
        'UNAVAILABLE',
        'The folder of the tables could not be synced while tables were made: they are made again.',
      );
    }
  }

  get bytesWritten(): number {
    return this.#made.reduce((sum, { size }) => sum + size, 0);
  }

  /** Removes what was made. What can't be removed is left to the next open. */
  discard(): void {
    try {
      this.#file?.close();
    } catch {
      // The file is removed anyway.
    }
    for (const path of this.#paths) {
      try {
        this.#parts.fileSystem.remove(path);
      } catch {
        // Nobody refers to it.
      }
    }
  }

  /** The table under way would not be empty if it ended here. */
  get #hasContent(): boolean {
    return this.#builder !== undefined || this.#rangeIndex < this.#rangesPassed;
  }

  /** The same if it ended before the entry's key: a range that begins at the key is not part of it then. */
  #hasContentBefore({ keyBytes, keyStart, keyEnd }: Cursor): boolean {
    if (this.#builder !== undefined || !this.#hasContent) {
      return this.#builder !== undefined;
    }
    const { start } = this.#plan.ranges[this.#rangeIndex]!;
    const first =
      this.#start !== undefined && compareKeys(start, this.#start) < 0 ? this.#start : start;
    return compareBytes(first, 0, first.length, keyBytes, keyStart, keyEnd) < 0;
  }

  /** True if the table under way has passed more of the next level than it should overlap. */
  #passGrandparents({ keyBytes, keyStart, keyEnd }: Cursor): boolean {
    const { grandparents, settings } = this.#plan;
    while (this.#grandparentIndex < grandparents.length) {
      const { maxKey, size } = grandparents[this.#grandparentIndex]!;
      if (compareBytes(maxKey, 0, maxKey.length, keyBytes, keyStart, keyEnd) >= 0) {
        break;
      }
      this.#grandparentSize += this.#builder === undefined ? 0 : size;
      this.#grandparentIndex += 1;
    }
    return this.#grandparentSize > GRANDPARENTS_MAX * settings.tableSizeMax;
  }

  /** True if the next range starts at the entry's key or before it. */
  #startsNext({ keyBytes, keyStart, keyEnd }: Cursor): boolean {
    const range = this.#plan.ranges[this.#rangesPassed];
    return (
      range !== undefined &&
      compareBytes(range.start, 0, range.start.length, keyBytes, keyStart, keyEnd) <= 0
    );
  }

  *#passRange(): Work<void> {
    const { ranges } = this.#plan;
    const { start, end } = ranges[this.#rangesPassed]!;
    const before = ranges[this.#rangesPassed - 1];
    const isFirstThere = before === undefined || compareKeys(before.start, start) < 0;
    if (this.isFull && isFirstThere && this.#hasContent) {
      yield* this.#finish(start);
    }
    this.#rangesPassed += 1;
    this.#rangeSize += start.length + end.length + RANGE_OVERHEAD;
  }

  #open(): TableBuilder {
    if (this.#builder === undefined) {
      const { fileSystem, directory, identity, numbers } = this.#parts;
      const { level, inputs, settings } = this.#plan;
      const number = numbers.next();
      const path = tablePath(directory, number);
      this.#file = fileSystem.open(path, 'create');
      this.#paths.push(path);
      const outputIndex = this.#made.length;
      const options = { identity, number, level, inputs, outputIndex, settings };
      this.#builder = new TableBuilder(this.#file, options);
    }
    return this.#builder;
  }

  /** Ends the table under way before `end`, where the next one begins; undefined: there is no next one. */
  *#finish(end: Uint8Array | undefined): Work<void> {
    const builder = this.#open();
    this.#addRanges(builder, end);
    const meta = yield* builder.finish(end === undefined);
    const file = this.#file;
    assert(file !== undefined, 'a table under way has a file');
    this.#file = undefined;
    file.close();
    this.#made.push(meta);
    this.#builder = undefined;
    this.#start = end;
    this.#rangeSize = 0;
    this.#grandparentSize = 0;
  }

  #addRanges(builder: TableBuilder, end: Uint8Array | undefined): void {
    const { ranges } = this.#plan;
    let index = this.#rangeIndex;
    for (; index < ranges.length; index += 1) {
      const range = ranges[index]!;
      if (end !== undefined && compareKeys(range.start, end) >= 0) {
        break;
      }
      const first = this.#start;
      const isCutAtStart = first !== undefined && compareKeys(range.start, first) < 0;
      const isCutAtEnd = end !== undefined && compareKeys(end, range.end) < 0;
      builder.addRangeTombstone(
        isCutAtStart ? first : range.start,
        isCutAtEnd ? end : range.end,
        range.sequence,
      );
      if (!isCutAtEnd) {
        this.#rangeIndex = index + 1;
      }
    }
  }
}
