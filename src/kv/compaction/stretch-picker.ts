/**
 * Picks what to merge next in a tree of stretches (`MergePolicy`). Level 0 holds the runs that came last, each further level one run, the deeper
 * the older; runs are merged whole, from the newest to some older one.
 *
 * How far that goes decides what it costs. With k runs allowed, and t runs put in so far, write t as a sum of k binomial coefficients, the
 * combinatorial number system: t = C(a, k) + C(b, k − 1) + … with a > b > …. Keeping the oldest run at C(a, k) runs' size, the next at
 * C(b, k − 1) and so on rewrites an entry about n times, where C(n + k, k) ≥ t: nearly the least that is possible (Mathieu, Staelin, Young,
 * Yousefi, "Bigtable Merge Compaction", 2014). Sizes stand for numbers of runs, so nothing is to be remembered.
 */
import { assert } from '../../base/assert.ts';
import { LEVEL_COUNT, type Levels, newestSequence } from '../manifest/levels.ts';
import { joinedStretch, type TableMeta } from '../sstable/table-meta.ts';
import type { CompactionPlan } from './compaction-picker.ts';
import type { MergePolicy } from './compaction-settings.ts';

export type StretchPolicy = Extract<MergePolicy, { kind: 'stretches' }>;

interface Run {
  readonly level: number;
  /** In the order of the level. */
  readonly tables: readonly TableMeta[];
}

/** The runs to merge, or undefined if there are few enough; undefined, too, while a table that would be needed is busy. */
export function pickStretches(
  levels: Levels,
  policy: StretchPolicy,
  busy: ReadonlySet<number>,
): CompactionPlan | undefined {
  const runs = runsOf(levels);
  if (runs.length <= policy.runCountMax) {
    return undefined;
  }
  const kept = keptCount(runs, policy);
  const top = runs.findIndex(({ level }) => level === 0);
  // A run of level 0 that stays goes to a level of its own, or what is merged above it would have none.
  return top >= 0 && top < kept && levelOf(runs, top) > 0
    ? planRuns(runs.slice(0, top + 1), top, busy, 'size')
    : planRuns(runs, kept, busy, 'size');
}

/** All runs into one, if there is more than one. */
export function pickWhole(
  levels: Levels,
  busy: ReadonlySet<number>,
): CompactionPlan | 'busy' | undefined {
  const runs = runsOf(levels);
  return runs.length > 1 ? (planRuns(runs, 0, busy, 'manual') ?? 'busy') : undefined;
}

/** From the oldest to the newest. */
function runsOf(levels: Levels): readonly Run[] {
  const runs: Run[] = [];
  for (let level = LEVEL_COUNT - 1; level > 0; level -= 1) {
    const tables = levels.tables(level);
    if (tables.length > 0) {
      runs.push({ level, tables });
    }
  }
  // Tables that were ingested together stand side by side.
  let last: TableMeta[] = [];
  for (const table of levels.tables(0).toReversed()) {
    if (last.length === 0 || newestSequence(last[0]!) !== newestSequence(table)) {
      last = [];
      runs.push({ level: 0, tables: last });
    }
    last.unshift(table);
  }
  return runs;
}

/** How many of the oldest runs stay as they are: those that are as large as they should be, with all that came before them. */
function keptCount(
  runs: readonly Run[],
  { runCountMax, runSize, runLength }: StretchPolicy,
): number {
  const lengths = runLength === undefined ? undefined : lengthsOf(runs);
  const sizes =
    lengths ?? runs.map(({ tables }) => tables.reduce((sum, { size }) => sum + size, 0));
  const unit = lengths === undefined ? runSize : runLength!;
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const targets = combinationOf(Math.max(1, Math.round(total / unit)), runCountMax);
  let kept = 0;
  let size = 0;
  let target = 0;
  while (kept < runCountMax - 1) {
    size += sizes[kept]!;
    target += targets[kept]! * unit;
    if (size < target) {
      break;
    }
    kept += 1;
  }
  return kept;
}

/** How many positions each run holds; undefined if a table doesn't say. */
function lengthsOf(runs: readonly Run[]): readonly number[] | undefined {
  const lengths = runs.map(({ tables }) => {
    const stretch = joinedStretch(tables);
    return stretch === undefined ? 0 : stretch.to - stretch.from;
  });
  return lengths.includes(0) ? undefined : lengths;
}

/** The `count` numbers of the combinatorial number system whose sum is `total`, the largest first. */
export function combinationOf(total: number, count: number): number[] {
  const terms: number[] = [];
  let rest = total;
  for (let chosen = count; chosen > 0; chosen -= 1) {
    let of = chosen - 1;
    while (binomial(of + 1, chosen) <= rest) {
      of += 1;
    }
    const term = binomial(of, chosen);
    terms.push(term);
    rest -= term;
  }
  return terms;
}

function binomial(of: number, chosen: number): number {
  if (of < chosen) {
    return 0;
  }
  let product = 1;
  for (let index = 1; index <= chosen; index += 1) {
    product = (product * (of - chosen + index)) / index;
  }
  return Math.round(product);
}

/** Merges the runs from `kept` on; a single one only moves. */
function planRuns(
  runs: readonly Run[],
  kept: number,
  busy: ReadonlySet<number>,
  reason: CompactionPlan['reason'],
): CompactionPlan | undefined {
  let first = kept;
  while (levelOf(runs, first) < 1) {
    // Another way of merging has left no level free.
    first -= 1;
  }
  const merged = runs.slice(first).toReversed();
  const tables = merged.flatMap((run) => run.tables);
  if (tables.some(({ number }) => busy.has(number))) {
    return undefined;
  }
  return {
    level: merged[0]!.level,
    outputLevel: levelOf(runs, first),
    inputs: merged.flatMap(({ level, tables: ofRun }) =>
      level === 0 ? ofRun.map((table) => [table]) : [ofRun],
    ),
    deeper: runs.slice(0, first).flatMap((run) => run.tables),
    // Tables are not moved on by themselves: where they end doesn't matter.
    grandparents: [],
    isTrivialMove: merged.length === 1,
    cursorKey: tables[0]!.maxKey,
    reason,
  };
}

/** The level of a run, or the one that it may go to: of runs of level 0 the level above the run before, or the last. */
function levelOf(runs: readonly Run[], first: number): number {
  assert(first >= 0, 'the oldest run has a level');
  const { level } = runs[first]!;
  return level > 0 ? level : (runs[first - 1]?.level ?? LEVEL_COUNT) - 1;
}
