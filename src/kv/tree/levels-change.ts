/** What finished work changes about the levels. */
import { compareKeys } from '../../base/compare-bytes.ts';
import type { CompactionPlan } from '../compaction/compaction-picker.ts';
import type { ManifestState } from '../manifest/format.ts';
import { LEVEL_COUNT, type Levels } from '../manifest/levels.ts';
import type { TableMeta } from '../sstable/table-meta.ts';

/** A state after a compaction that made `tables`, or that moved them. */
export function compacted(
  state: ManifestState,
  { level, outputLevel, inputs, cursorKey }: CompactionPlan,
  tables: readonly TableMeta[],
): ManifestState {
  const removed = inputs.flat().map(({ number }) => number);
  const cursors = state.cursors.map((before, index) => (index === level ? cursorKey : before));
  const levels = state.levels.apply({ added: [{ level: outputLevel, tables }], removed });
  return { ...state, levels, cursors };
}

/**
 * The deepest level that new tables, in key order, can go to: nothing of their range is in it or above it, nor will be by a compaction of
 * `running`. Level 0 takes everything: there the newest goes first.
 */
export function levelForNew(
  levels: Levels,
  tables: readonly TableMeta[],
  running: readonly TableMeta[],
): number {
  const first = tables[0];
  const last = tables.at(-1);
  if (first === undefined || last === undefined) {
    return 0;
  }
  // Its outputs may span what lies between its inputs.
  const isAmidRunning =
    running.some(({ minKey }) => compareKeys(minKey, last.maxKey) <= 0) &&
    running.some(({ maxKey }) => compareKeys(maxKey, first.minKey) >= 0);
  if (isAmidRunning) {
    return 0;
  }
  let level = 0;
  while (level < LEVEL_COUNT && levels.overlapping(level, first.minKey, last.maxKey).length === 0) {
    level += 1;
  }
  return Math.max(0, level - 1);
}
