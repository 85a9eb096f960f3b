/**
 * What to merge next. Pure functions of the levels and the settings: the same store always asks for the same work.
 *
 *   level 0     merged into level 1 all at once when a key may be in `levelZeroTables` tables
 *   level 1…5   when larger than its target, a few neighbouring tables are merged into the level below: those behind where
 *               the level's last merge ended
 *   scans       level 0 is merged earlier when scans have gone through it so often that this would have cost less
 *   deletions   a table that is mostly deletions goes down until nothing is left for it to delete
 *   versions    a table with many versions that no snapshot needs any more is written anew, where it is
 *
 * Whatever is picked takes along every table of its range in both levels, so tables that finish in any order keep a level
 * free of overlap.
 */
import { compareKeys } from '../../base/compare-bytes.ts';
import { LEVEL_COUNT, type Levels, newestSequence, tablesOverlap } from '../manifest/levels.ts';
import type { TableMeta } from '../sstable/table-meta.ts';
import { type CompactionSettings, targetSize } from './compaction-settings.ts';
import { levelZeroDepth } from './compaction-pressure.ts';

export interface CompactionPlan {
  /** Where the work comes from. */
  readonly level: number;
  readonly outputLevel: number;
  /** Newest source first: each table of level 0 alone, each further level as a run of tables in key order. */
  readonly inputs: readonly (readonly TableMeta[])[];
  /** Tables below the output level that overlap the inputs. */
  readonly deeper: readonly TableMeta[];
  /** Of them, those one level below the output, in key order. */
  readonly grandparents: readonly TableMeta[];
  /** Nothing is to be merged: the tables only change their level, which costs a manifest and nothing else. */
  readonly isTrivialMove: boolean;
  /** The new cursor of `level`. */
  readonly cursorKey: Uint8Array;
  readonly reason: 'size' | 'deletions' | 'versions' | 'scans' | 'manual';
}

/** Neighbours that are merged at once share the table below that they both touch. */
const RUN_COUNT_MAX = 4;
/** What such a merge reads at most, in tables: other work waits for it. */
const RUN_SIZE_MAX = 48;
/** A table is not moved over more than this below it, in tables: it would be expensive to move on. */
const GRANDPARENT_SIZE_MAX = 10;
/** Tables smaller than this part of a full one are merged rather than moved: they would stay small. */
const MOVED_SIZE_SHARE = 1 / 8;
/** Bytes that a manual step reads at most, in tables. */
const MANUAL_SIZE_MAX = 32;
/** How many entries one deleted range counts as: it usually hides more than one. */
const RANGE_DELETE_WEIGHT = 64;
/** A table is written anew for versions that nobody sees if they are at least one in so many of its entries. */
const HIDDEN_SHARE = 3;

/** How urgent a level is; from 1 on it is to be merged. What is being merged already doesn't count. */
export function score(
  levels: Levels,
  level: number,
  settings: CompactionSettings,
  busy: ReadonlySet<number>,
): number {
  if (level === 0) {
    const bySize = levels.sizeOf(0) / targetSize(0, settings);
    return Math.max(levelZeroDepth(levels, settings) / settings.levelZeroTables, bySize);
  }
  if (level === LEVEL_COUNT - 1) {
    return 0;
  }
  let size = levels.sizeOf(level);
  if (busy.size > 0) {
    for (const table of levels.tables(level)) {
      size -= busy.has(table.number) ? table.size : 0;
    }
  }
  return size / targetSize(level, settings);
}

/** What keeps old versions and deletions. */
export interface Kept {
  /** Deletions above it can't be dropped yet. */
  readonly oldestSnapshot: number;
  /** Versions in a table that would go if it were written anew. */
  readonly hiddenIn: (table: TableMeta) => number;
}

export const NOTHING_KEPT: Kept = { oldestSnapshot: Infinity, hiddenIn: () => 0 };

/**
 * What to do next, or undefined if there is nothing (or what there is waits for tables that are busy).
 * `isScanned`: scans have paid for merging level 0.
 */
export function pickCompaction(
  levels: Levels,
  cursors: readonly (Uint8Array | undefined)[],
  settings: CompactionSettings,
  busy: ReadonlySet<number>,
  kept: Kept = NOTHING_KEPT,
  isScanned: boolean = false,
): CompactionPlan | undefined {
  const urgent: { readonly level: number; readonly urgency: number }[] = [];
  for (let level = 0; level < LEVEL_COUNT - 1; level += 1) {
    const urgency = score(levels, level, settings, busy);
    if (urgency >= 1) {
      urgent.push({ level, urgency });
    }
  }
  urgent.sort((left, right) => right.urgency - left.urgency || left.level - right.level);
  const work = { levels, settings, busy };
  for (const { level } of urgent) {
    const plan = level === 0 ? planLevelZero(work, 'size') : planLevel(work, level, cursors[level]);
    if (plan !== undefined) {
      return plan;
    }
  }
  const scanned = isScanned ? planLevelZero(work, 'scans') : undefined;
  return scanned ?? planShrinking(work, kept);
}

/** Keys, both ends inclusive; undefined is an open end. */
export interface KeyRange {
  readonly from: Uint8Array | undefined;
  readonly to: Uint8Array | undefined;
}

/**
 * One step of merging the keys of a range out of `level`. To be asked again
 * until it returns undefined, then for the next level. 'busy' if the tables are being merged already.
 */
export function pickManual(
  levels: Levels,
  range: KeyRange,
  level: number,
  settings: CompactionSettings,
  busy: ReadonlySet<number>,
  kept: Kept = NOTHING_KEPT,
): CompactionPlan | 'busy' | undefined {
  const { from, to } = range;
  const work = { levels, settings, busy };
  const tables = levels.overlapping(level, from, to);
  if (tables.length === 0) {
    return undefined;
  }
  if (level === 0) {
    return planLevelZero(work, 'manual') ?? 'busy';
  }
  if (isDeepest(levels, level, from, to)) {
    const table = tables.find(
      (candidate) => canShrink(candidate, kept) || kept.hiddenIn(candidate) > 0,
    );
    return table === undefined ? undefined : (planInPlace(work, level, table, 'manual') ?? 'busy');
  }
  const first = levels.tables(level).indexOf(tables[0]!);
  let size = 0;
  let end = first;
  while (
    end < first + tables.length &&
    (end === first || size < MANUAL_SIZE_MAX * settings.tableSizeMax)
  ) {
    const table = levels.tables(level)[end]!;
    size += table.size + sizeOf(levels.overlapping(level + 1, table.minKey, table.maxKey));
    end += 1;
  }
  return planRun(work, { level, first, end, reason: 'manual' }) ?? 'busy';
}

interface Work {
  readonly levels: Levels;
  readonly settings: CompactionSettings;
  readonly busy: ReadonlySet<number>;
}

/** Neighbouring tables of one level. */
interface Run {
  readonly level: number;
  readonly first: number;
  readonly end: number;
  readonly reason: CompactionPlan['reason'];
}

/** All tables of level 0: whatever stayed behind could be older than what went ahead. */
function planLevelZero(work: Work, reason: CompactionPlan['reason']): CompactionPlan | undefined {
  const tables = work.levels.tables(0);
  if (tables.length === 0) {
    return undefined;
  }
  return finishPlan(work, { level: 0, outputLevel: 1, upper: tables, reason });
}

/** The tables behind the level's cursor, or the next ones that nobody is busy with. */
function planLevel(
  work: Work,
  level: number,
  cursor: Uint8Array | undefined,
): CompactionPlan | undefined {
  const { levels } = work;
  const count = levels.countOf(level);
  const start = cursor === undefined ? 0 : firstBehind(levels, level, cursor);
  for (let index = 0; index < count; index += 1) {
    const run = bestRun(work, level, (start + index) % count);
    const plan = run === undefined ? undefined : planRun(work, run);
    if (plan !== undefined) {
      return plan;
    }
  }
  return undefined;
}

/**
 * Of the runs that begin with the table at `first`, the one with the least to be rewritten below it, byte for byte. Undefined if
 * something that the first table needs is busy.
 */
function bestRun(work: Work, level: number, first: number): Run | undefined {
  const { levels, settings, busy } = work;
  const tables = levels.tables(level);
  const below = levels.tables(level + 1);
  const end = Math.min(tables.length, first + RUN_COUNT_MAX);
  let lower = levels.firstAtOrBehind(level + 1, tables[first]!.minKey);
  let best: Run | undefined;
  let bestRatio = Infinity;
  let size = 0;
  let sizeBelow = 0;
  for (let index = first; index < end; index += 1) {
    const table = tables[index]!;
    size += table.size;
    let isBusy = busy.has(table.number);
    while (lower < below.length && compareKeys(below[lower]!.minKey, table.maxKey) <= 0) {
      isBusy ||= busy.has(below[lower]!.number);
      sizeBelow += below[lower]!.size;
      lower += 1;
    }
    const isTooMuch = index > first && size + sizeBelow > RUN_SIZE_MAX * settings.tableSizeMax;
    if (isBusy || isTooMuch) {
      break;
    }
    if (sizeBelow / size < bestRatio) {
      best = { level, first, end: index + 1, reason: 'size' };
      bestRatio = sizeBelow / size;
    }
  }
  return best;
}

function planRun(work: Work, { level, first, end, reason }: Run): CompactionPlan | undefined {
  const upper = work.levels.tables(level).slice(first, end);
  return finishPlan(work, { level, outputLevel: level + 1, upper, reason });
}

function planInPlace(
  work: Work,
  level: number,
  table: TableMeta,
  reason: CompactionPlan['reason'],
): CompactionPlan | undefined {
  return finishPlan(work, { level, outputLevel: level, upper: [table], reason });
}

/** Data that is deleted or overwritten should go at last, even if its level is small enough and nobody writes. */
function planShrinking(work: Work, kept: Kept): CompactionPlan | undefined {
  const { levels } = work;
  for (let level = 1; level < LEVEL_COUNT; level += 1) {
    for (const [index, table] of levels.tables(level).entries()) {
      const plan = planShrinkingOf(work, level, index, table, kept);
      if (plan !== undefined) {
        return plan;
      }
    }
  }
  return undefined;
}

function planShrinkingOf(
  work: Work,
  level: number,
  index: number,
  table: TableMeta,
  kept: Kept,
): CompactionPlan | undefined {
  if (isMostlyDeletions(table) && canShrink(table, kept)) {
    return isDeepest(work.levels, level, table.minKey, table.maxKey)
      ? planInPlace(work, level, table, 'deletions')
      : planRun(work, { level, first: index, end: index + 1, reason: 'deletions' });
  }
  return kept.hiddenIn(table) * HIDDEN_SHARE >= Math.max(1, table.count)
    ? planInPlace(work, level, table, 'versions')
    : undefined;
}

/** True if a merge with nothing below drops every deletion of the table, and so makes it smaller for certain. */
function canShrink(table: TableMeta, { oldestSnapshot }: Kept): boolean {
  return table.deleteCount + table.rangeDeleteCount > 0 && newestSequence(table) <= oldestSnapshot;
}

function isMostlyDeletions(table: TableMeta): boolean {
  const ranges = table.rangeDeleteCount * RANGE_DELETE_WEIGHT;
  return (table.deleteCount + ranges) * 2 > table.count + ranges;
}

function isDeepest(
  levels: Levels,
  level: number,
  from: Uint8Array | undefined,
  to: Uint8Array | undefined,
): boolean {
  for (let below = level + 1; below < LEVEL_COUNT; below += 1) {
    if (levels.overlapping(below, from, to).length > 0) {
      return false;
    }
  }
  return true;
}

interface Draft {
  readonly level: number;
  readonly outputLevel: number;
  readonly upper: readonly TableMeta[];
  readonly reason: CompactionPlan['reason'];
}

/** Adds what the inputs overlap. Undefined if a table that would be needed is busy. */
function finishPlan(
  work: Work,
  { level, outputLevel, upper, reason }: Draft,
): CompactionPlan | undefined {
  const { levels, settings, busy } = work;
  const upperRange = rangeOf(upper);
  const lower =
    outputLevel === level ? [] : levels.overlapping(outputLevel, upperRange.from, upperRange.to);
  const all = [...upper, ...lower];
  if (all.some((table) => busy.has(table.number))) {
    return undefined;
  }
  const { from, to } = rangeOf(all);
  const deeper: TableMeta[] = [];
  for (let below = outputLevel + 1; below < LEVEL_COUNT; below += 1) {
    deeper.push(...levels.overlapping(below, from, to));
  }
  const grandparents =
    outputLevel + 1 < LEVEL_COUNT ? levels.overlapping(outputLevel + 1, from, to) : [];
  const upperRuns = level === 0 ? upper.map((table) => [table]) : [upper];
  return {
    level,
    outputLevel,
    inputs: lower.length === 0 ? upperRuns : [...upperRuns, lower],
    deeper,
    grandparents,
    isTrivialMove:
      lower.length === 0 &&
      outputLevel !== level &&
      canMove(upper, { reason, sizeBelow: sizeOf(grandparents), settings }),
    cursorKey: upperRange.to,
    reason,
  };
}

function canMove(
  tables: readonly TableMeta[],
  facts: {
    readonly reason: CompactionPlan['reason'];
    readonly sizeBelow: number;
    readonly settings: CompactionSettings;
  },
): boolean {
  const { reason, sizeBelow, settings } = facts;
  const hasDeletions = tables.some((table) => table.deleteCount + table.rangeDeleteCount > 0);
  // A merge is asked for because of the deletions: moving them on would not drop one.
  if (hasDeletions && reason !== 'size') {
    return false;
  }
  if (sizeBelow > GRANDPARENT_SIZE_MAX * settings.tableSizeMax) {
    return false;
  }
  if (sizeOf(tables) < tables.length * settings.tableSizeMax * MOVED_SIZE_SHARE) {
    return false;
  }
  return areApart(tables);
}

function areApart(tables: readonly TableMeta[]): boolean {
  const sorted = tables.toSorted((left, right) => compareKeys(left.minKey, right.minKey));
  return sorted.every((table, index) => index === 0 || !tablesOverlap(sorted[index - 1]!, table));
}

/** The keys from the smallest to the greatest of some tables. An end that is exclusive counts as inclusive: that is on the safe side. */
function rangeOf(tables: readonly TableMeta[]): {
  readonly from: Uint8Array;
  readonly to: Uint8Array;
} {
  let from = tables[0]!.minKey;
  let to = tables[0]!.maxKey;
  for (const { minKey, maxKey } of tables) {
    from = compareKeys(minKey, from) < 0 ? minKey : from;
    to = compareKeys(maxKey, to) > 0 ? maxKey : to;
  }
  return { from, to };
}

function firstBehind(levels: Levels, level: number, cursor: Uint8Array): number {
  const tables = levels.tables(level);
  let index = levels.firstAtOrBehind(level, cursor);
  while (index < tables.length && compareKeys(tables[index]!.minKey, cursor) <= 0) {
    index += 1;
  }
  return index === tables.length ? 0 : index;
}

function sizeOf(tables: readonly TableMeta[]): number {
  return tables.reduce((sum, { size }) => sum + size, 0);
}
