/**
 * Which tables a store consists of, and in what order a read meets them.
 *
 *   level 0    newest first; tables may overlap, but then one is newer than the other as a whole
 *   level 1…6  by key; no two tables share a key, so a key has one place in a level
 *
 * For every key, what stands in a lower-numbered level (or nearer the front of level 0) is newer than what stands
 * behind it: a point read ends with the first table that knows the key. A `Levels` never changes; an edit makes another.
 */
import { assert } from '../../base/assert.ts';
import { compareKeys } from '../../base/compare-bytes.ts';
import type { TableMeta } from '../sstable/table-meta.ts';
import { TableRun } from './table-run.ts';

// Format: persisted; the manifest has this many levels.
export const LEVEL_COUNT = 7;

/** What a finished job changes. */
export interface LevelsEdit {
  readonly added: readonly { readonly level: number; readonly tables: readonly TableMeta[] }[];
  /** Numbers of tables. A table that is removed and added moves to another level. */
  readonly removed: readonly number[];
}

export class Levels {
  static readonly empty: Levels = Levels.from([]);

  /** Number of tables in all levels. */
  readonly tableCount: number;
  /** Bytes of all tables. */
  readonly totalSize: number;
  readonly #runs: readonly TableRun[];

  private constructor(runs: readonly TableRun[]) {
    let tableCount = 0;
    let totalSize = 0;
    for (const run of runs) {
      tableCount += run.tables.length;
      totalSize += run.size;
    }
    this.tableCount = tableCount;
    this.totalSize = totalSize;
    this.#runs = runs;
  }

  /** Tables of each level, in any order within the level; levels left out are empty. */
  static from(tablesOfLevels: readonly (readonly TableMeta[])[]): Levels {
    const ordered = orderLevels(tablesOfLevels);
    assert(
      levelsProblem(ordered) === undefined,
      'tables of a level are in order and do not overlap',
    );
    return new Levels(ordered.map((tables) => new TableRun(tables)));
  }

  /** The tables of a level in its order. */
  tables(level: number): readonly TableMeta[] {
    return this.#run(level).tables;
  }

  countOf(level: number): number {
    return this.#run(level).tables.length;
  }

  sizeOf(level: number): number {
    return this.#run(level).size;
  }

  /**
   * Index of the only table of a level ≥ 1 that may hold `key`, or -1. Allocates nothing: every get comes through here,
   * once a level.
   */
  tableFor(level: number, key: Uint8Array): number {
    assert(level > 0, 'tables of level 0 overlap: each is asked');
    return this.#run(level).find(key);
  }

  /** True if the table at `index` of a level may hold `key`: what a get asks of each table of level 0. */
  mayHold(level: number, index: number, key: Uint8Array): boolean {
    return this.#run(level).mayHold(index, key);
  }

  /**
   * Index of the first table of a level ≥ 1 that may hold `key` or a key behind it; the number of tables if there is
   * none. Where a cursor begins.
   */
  firstAtOrBehind(level: number, key: Uint8Array): number {
    assert(level > 0, 'tables of level 0 are not in key order');
    return this.#run(level).firstAtOrBehind(key);
  }

  /** Tables of a level that may hold a key in [from, to], both inclusive; undefined is an open end. In the level's order. */
  overlapping(
    level: number,
    from: Uint8Array | undefined,
    to: Uint8Array | undefined,
  ): readonly TableMeta[] {
    const run = this.#run(level);
    if (level === 0) {
      return run.tables.filter((table) => overlapsRange(table, from, to));
    }
    const first = from === undefined ? 0 : run.firstAtOrBehind(from);
    const end = to === undefined ? run.tables.length : run.endAt(to);
    return run.tables.slice(first, end);
  }

  /** Tables of all levels that may hold a key in [from, to]. */
  *inRange(
    from: Uint8Array | undefined,
    to: Uint8Array | undefined,
  ): Generator<TableMeta, void, undefined> {
    for (let level = 0; level < LEVEL_COUNT; level += 1) {
      yield* this.overlapping(level, from, to);
    }
  }

  /** All tables, level by level, in the order of their levels. */
  *[Symbol.iterator](): Generator<TableMeta, void, undefined> {
    for (const run of this.#runs) {
      yield* run.tables;
    }
  }

  /** Costs time by the levels that change, and next to nothing by the others. */
  apply(edit: LevelsEdit): Levels {
    const removed = new Set(edit.removed);
    const added = new Set(edit.added.flatMap(({ tables }) => tables.map(({ number }) => number)));
    const addedCount = edit.added.reduce((sum, { tables }) => sum + tables.length, 0);
    assert(removed.size === edit.removed.length, 'a table is removed once');
    assert(added.size === addedCount, 'a table is added once');
    let removedCount = 0;
    const runs = this.#runs.map((run, level) => {
      const kept = run.tables.filter(({ number }) => {
        assert(removed.has(number) || !added.has(number), 'an added table was not there');
        return !removed.has(number);
      });
      removedCount += run.tables.length - kept.length;
      const arrivals = edit.added.filter((addition) => addition.level === level);
      return arrivals.length === 0 && kept.length === run.tables.length
        ? run
        : editedRun(level, [kept, ...arrivals.map(({ tables }) => tables)].flat());
    });
    const levels = new Levels(runs);
    assert(removedCount === removed.size, 'a removed table was there');
    assert(
      levels.tableCount === this.tableCount - removedCount + addedCount,
      'an added table has a level of the store',
    );
    return levels;
  }

  /** The tables of each level, as they are written to the manifest. */
  toArrays(): readonly (readonly TableMeta[])[] {
    return this.#runs.map((run) => run.tables);
  }

  #run(level: number): TableRun {
    const run = this.#runs[level];
    assert(run !== undefined, 'a level is one of those that there are');
    return run;
  }
}

function editedRun(level: number, tables: readonly TableMeta[]): TableRun {
  const ordered = orderLevel(level, tables);
  assert(
    levelProblem(level, ordered) === undefined,
    'an edit leaves the tables of a level without overlap',
  );
  return new TableRun(ordered);
}

/** The sequence that the table's newest entry counts as written with. */
export function newestSequence(table: TableMeta): number {
  return table.ingestSequence ?? table.maxSequence;
}

/** The sequence that the table's oldest entry counts as written with. */
export function oldestSequence(table: TableMeta): number {
  return table.ingestSequence ?? table.minSequence;
}

/** True if `left` ends before `right` begins: no key may be in both. */
export function endsBefore(left: TableMeta, right: TableMeta): boolean {
  const order = compareKeys(left.maxKey, right.minKey);
  return order < 0 || (order === 0 && left.isMaxExclusive);
}

export function tablesOverlap(left: TableMeta, right: TableMeta): boolean {
  return !endsBefore(left, right) && !endsBefore(right, left);
}

/** True if the table may hold a key in [from, to]. */
export function overlapsRange(
  table: TableMeta,
  from: Uint8Array | undefined,
  to: Uint8Array | undefined,
): boolean {
  if (to !== undefined && compareKeys(table.minKey, to) > 0) {
    return false;
  }
  if (from === undefined) {
    return true;
  }
  const order = compareKeys(table.maxKey, from);
  return order > 0 || (order === 0 && !table.isMaxExclusive);
}

/** Why tables can't be the levels of a store, or undefined if they can: what a manifest says is judged by it, too. */
export function levelsProblem(
  tablesOfLevels: readonly (readonly TableMeta[])[],
): string | undefined {
  if (tablesOfLevels.length > LEVEL_COUNT) {
    return `there are ${tablesOfLevels.length} levels`;
  }
  const numbers = new Set<number>();
  for (const [level, tables] of tablesOfLevels.entries()) {
    for (const table of tables) {
      if (numbers.has(table.number)) {
        return `table ${table.number} is there twice`;
      }
      numbers.add(table.number);
    }
    const problem = levelProblem(level, tables);
    if (problem !== undefined) {
      return problem;
    }
  }
  return undefined;
}

function levelProblem(level: number, tables: readonly TableMeta[]): string | undefined {
  return level === 0 ? level0Problem(tables) : runProblem(level, tables);
}

function level0Problem(tables: readonly TableMeta[]): string | undefined {
  for (const [index, older] of tables.entries()) {
    if (index > 0 && compareAge(tables[index - 1]!, older) > 0) {
      return `table ${older.number} of level 0 does not stand in its place`;
    }
    for (let newer = 0; newer < index; newer += 1) {
      const table = tables[newer]!;
      // Invariant: tables that overlap are of different ages as a whole, or "newest first" would not be a truth.
      if (oldestSequence(table) <= newestSequence(older) && tablesOverlap(table, older)) {
        return `tables ${table.number} and ${older.number} of level 0 overlap in keys and in sequences`;
      }
    }
  }
  return undefined;
}

function runProblem(level: number, tables: readonly TableMeta[]): string | undefined {
  for (let index = 1; index < tables.length; index += 1) {
    if (!endsBefore(tables[index - 1]!, tables[index]!)) {
      const numbers = `${tables[index - 1]!.number} and ${tables[index]!.number}`;
      return `tables ${numbers} of level ${level} overlap`;
    }
  }
  return undefined;
}

/** Every level in its order; levels left out are empty. */
export function orderLevels(tablesOfLevels: readonly (readonly TableMeta[])[]): TableMeta[][] {
  const ordered = tablesOfLevels.map((tables, level) => orderLevel(level, tables));
  while (ordered.length < LEVEL_COUNT) {
    ordered.push([]);
  }
  return ordered;
}

function orderLevel(level: number, tables: readonly TableMeta[]): TableMeta[] {
  return level === 0
    ? tables.toSorted(compareAge)
    : tables.toSorted(
        (left, right) => compareKeys(left.minKey, right.minKey) || compareEnds(left, right),
      );
}

/** Newest first. Tables of one flush may tie: they share no key. */
function compareAge(left: TableMeta, right: TableMeta): number {
  return newestSequence(right) - newestSequence(left) || right.number - left.number;
}

/** An empty interval such as [k, k) can't be, but order should not depend on it. */
function compareEnds(left: TableMeta, right: TableMeta): number {
  return compareKeys(left.maxKey, right.maxKey) || left.number - right.number;
}
