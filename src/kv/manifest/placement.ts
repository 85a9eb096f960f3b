/**
 * Gives tables back their levels when the manifest is gone. A table knows the level it was made for, and may have been moved deeper since,
 * so two tables of one level may overlap. What a read needs is only this: of two tables that overlap, the one nearer the top holds the
 * newer versions of every key they share.
 *
 * Let `above` be that relation on overlapping tables. Each table gets the smallest level that is not above the one it was made for
 * and below every table that is above it (tables of level 0 may share it, being sorted by age). Overlapping tables then stand in
 * different levels, or in level 0 in order of age: reads are right. And there is always room: the levels the tables had satisfied the
 * same conditions, so by induction along `above` no table gets a deeper level than it had.
 */
import type { TableMeta } from '../sstable/table-meta.ts';
import { LEVEL_COUNT, newestSequence, oldestSequence, tablesOverlap } from './levels.ts';

export interface PlacedTable {
  readonly meta: TableMeta;
  /** That it was made for. */
  readonly madeFor: number;
}

/** What the contents of two tables say: the first is newer, or older, or neither, or they contradict one another. */
export type Evidence = 'newer' | 'older' | 'none' | 'contradiction';

/** The tables of each level; or two that can't be told apart, by number. */
export type Placement =
  | { readonly levels: readonly (readonly TableMeta[])[] }
  | { readonly undecided: readonly [number, number] };

interface Pair {
  readonly upper: number;
  readonly lower: number;
  /** Both may be in level 0: one is older as a whole. */
  readonly areApart: boolean;
}

export function placeTables(
  tables: readonly PlacedTable[],
  evidenceOf: (left: number, right: number) => Evidence,
): Placement {
  const pairs: Pair[] = [];
  for (const [index, left] of tables.entries()) {
    for (let other = 0; other < index; other += 1) {
      const right = tables[other]!;
      if (!tablesOverlap(left.meta, right.meta)) {
        continue;
      }
      const evidence = evidenceOf(left.meta.number, right.meta.number);
      if (evidence === 'contradiction') {
        return { undecided: [left.meta.number, right.meta.number] };
      }
      const isUpper = evidence === 'none' ? standsAbove(left, right) : evidence === 'newer';
      const areApart =
        isOlderAsAWhole(left.meta, right.meta) || isOlderAsAWhole(right.meta, left.meta);
      pairs.push({ upper: isUpper ? index : other, lower: isUpper ? other : index, areApart });
    }
  }
  return sink(tables, pairs);
}

/** Lowers tables until every pair is in order. */
function sink(tables: readonly PlacedTable[], pairs: readonly Pair[]): Placement {
  const levelOf = tables.map(({ madeFor }) => madeFor);
  for (let isChanged = true; isChanged;) {
    isChanged = false;
    for (const { upper, lower, areApart } of pairs) {
      const maySharePlace = areApart && levelOf[upper] === 0 && levelOf[lower] === 0;
      if (maySharePlace || levelOf[lower]! > levelOf[upper]!) {
        continue;
      }
      levelOf[lower] = levelOf[upper]! + 1;
      isChanged = true;
      if (levelOf[lower] === LEVEL_COUNT) {
        return { undecided: [tables[upper]!.meta.number, tables[lower]!.meta.number] };
      }
    }
  }
  const levels: TableMeta[][] = Array.from({ length: LEVEL_COUNT }, () => []);
  for (const [index, { meta }] of tables.entries()) {
    levels[levelOf[index]!]!.push(meta);
  }
  return { levels };
}

/** For tables that share no key and no deletion: any order is right, this is the likely one. */
function standsAbove(left: PlacedTable, right: PlacedTable): boolean {
  if (isOlderAsAWhole(left.meta, right.meta) || isOlderAsAWhole(right.meta, left.meta)) {
    return isOlderAsAWhole(right.meta, left.meta);
  }
  return left.madeFor === right.madeFor
    ? left.meta.number > right.meta.number
    : left.madeFor < right.madeFor;
}

function isOlderAsAWhole(left: TableMeta, right: TableMeta): boolean {
  return newestSequence(left) < oldestSequence(right);
}
