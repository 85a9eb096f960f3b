/** How far the background is behind, and what writers should do about it. */
import { compareKeys } from '../../base/compare-bytes.ts';
import { LEVEL_COUNT, type Levels } from '../manifest/levels.ts';
import type { TableMeta } from '../sstable/table-meta.ts';
import { type CompactionSettings, targetSize } from './compaction-settings.ts';

export type Pressure = 'none' | 'slow' | 'stop';

export function pressureOf(levels: Levels, settings: CompactionSettings): Pressure {
  const depth = levelZeroDepth(levels, settings);
  const debt = debtOf(levels, settings);
  if (depth >= settings.levelZeroStop || debt >= settings.debtStop) {
    return 'stop';
  }
  return depth >= settings.levelZeroSlow || debt >= settings.debtSlow ? 'slow' : 'none';
}

/**
 * How many tables of level 0 a read meets at worst: for a get the tables over one key, for an iterator all of them, where tables that stand
 * side by side, as those of an ingest do, count as one for each memtable that they would fill.
 */
export function levelZeroDepth(levels: Levels, settings: CompactionSettings): number {
  const tables = levels.tables(0);
  const tablesOfFlush = Math.max(1, Math.ceil(settings.memtableSize / settings.tableSizeMax));
  return Math.max(coverage(tables), Math.floor(tables.length / tablesOfFlush));
}

/** The greatest number of tables over one key. */
function coverage(tables: readonly TableMeta[]): number {
  const starts = tables.toSorted((left, right) => compareKeys(left.minKey, right.minKey));
  const ends = tables.toSorted(
    (left, right) => compareKeys(left.maxKey, right.maxKey) || exclusiveFirst(left, right),
  );
  let ended = 0;
  let most = 0;
  for (const [index, { minKey }] of starts.entries()) {
    while (endsBeforeKey(ends[ended]!, minKey)) {
      ended += 1;
    }
    most = Math.max(most, index + 1 - ended);
  }
  return most;
}

function exclusiveFirst(left: TableMeta, right: TableMeta): number {
  return Number(right.isMaxExclusive) - Number(left.isMaxExclusive);
}

function endsBeforeKey(table: TableMeta, key: Uint8Array): boolean {
  const order = compareKeys(table.maxKey, key);
  return order < 0 || (order === 0 && table.isMaxExclusive);
}

/**
 * About how many bytes have to be rewritten until every level has its size, if nothing is written meanwhile: what a level has too
 * much of goes down, together with what it meets there, and may be too much there in its turn.
 */
export function debtOf(levels: Levels, settings: CompactionSettings): number {
  let debt = 0;
  let arriving = 0;
  const isLevelZeroDue = levelZeroDepth(levels, settings) >= settings.levelZeroTables;
  if (isLevelZeroDue || levels.sizeOf(0) >= targetSize(0, settings)) {
    arriving = levels.sizeOf(0);
    debt = arriving + levels.sizeOf(1);
  }
  for (let level = 1; level < LEVEL_COUNT - 1; level += 1) {
    const size = levels.sizeOf(level) + arriving;
    arriving = Math.max(0, size - targetSize(level, settings));
    if (arriving > 0) {
      debt += arriving * (1 + levels.sizeOf(level + 1) / size);
    }
  }
  return debt;
}
