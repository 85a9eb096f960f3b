/** Changes to the levels by finished work. */
import { compareKeys } from '../../base/compare-bytes.ts';
import type { CompactionPlan } from '../compaction/compaction-picker.ts';
import type { CompactionSettings } from '../compaction/compaction-settings.ts';
import { coverage, type ManifestState } from '../manifest/format.ts';
import { LEVEL_COUNT, type Levels } from '../manifest/levels.ts';
import { joinedStretch, type TableMeta } from '../sstable/table-meta.ts';

/** A state after a compaction that made `tables`, or that moved them. */
export function compacted(
  state: ManifestState,
  { level, outputLevel, inputs, cursorKey }: CompactionPlan,
  tables: readonly TableMeta[],
): ManifestState {
  const removed = inputs.flat().map(({ number }) => number);
  const cursors = state.cursors.map((before, index) => (index === level ? cursorKey : before));
  const stretch = joinedStretch(inputs.flat());
  // A table that was only moved keeps its own.
  const added = stretch === undefined ? tables : tables.map((table) => ({ stretch, ...table }));
  const levels = state.levels.apply({ added: [{ level: outputLevel, tables: added }], removed });
  return { ...state, levels, cursors };
}

/**
 * A state with new tables, whose entries count as written up to `sequence`. `position`: of a store without a log, up to where its owner's own
 * log is in the tables; so these hold what lies between.
 */
export function arrived(
  state: ManifestState,
  tables: readonly TableMeta[],
  {
    level,
    sequence,
    position,
    mark,
  }: { level: number; sequence: number; position: number; mark?: Uint8Array | undefined },
): ManifestState {
  const { flushedPosition: from, lastSequence } = state;
  const added =
    position > from
      ? tables.map((table) => ({ ...table, stretch: { from, to: position } }))
      : tables;
  return {
    ...state,
    levels: state.levels.apply({ added: [{ level, tables: added }], removed: [] }),
    lastSequence: Math.max(lastSequence, sequence),
    ...coverage(state, position, mark),
  };
}

/**
 * The deepest level that new tables, in key order, can go to: nothing of their range is in it or above it, nor will be by a compaction of
 * `running`. Level 0 takes everything: there the newest goes first, and in a tree of stretches all.
 */
export function levelForNew(
  { policy }: CompactionSettings,
  levels: Levels,
  tables: readonly TableMeta[],
  running: readonly TableMeta[],
): number {
  const first = tables[0];
  const last = tables.at(-1);
  if (policy.kind === 'stretches' || first === undefined || last === undefined) {
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
