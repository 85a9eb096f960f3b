import { expect, it } from 'vitest';
import { pickStretches, type StretchPolicy } from '../kv/compaction/stretch-picker.ts';
import { emptyManifest } from '../kv/manifest/format.ts';
import type { TableMeta } from '../kv/sstable/table-meta.ts';
import { arrived, compacted } from '../kv/tree/levels-change.ts';
import { indexSettings, treeSettings } from './settings.ts';

const settings = indexSettings(64 * 1024 * 1024, false);
const length = settings.generationCount;

/** Merging leaves out what a newer run says again: a merged table is smaller than what it was made of. */
function table(number: number, count: number, sequence: number): TableMeta {
  return {
    number,
    count,
    size: Math.round(20 * count + 1_000_000 * (1 - Math.exp(-count / 200_000))),
    minKey: Uint8Array.of(1),
    maxKey: Uint8Array.of(5),
    isMaxExclusive: false,
    deleteCount: 0,
    rangeDeleteCount: 0,
    rawSize: 0,
    minSequence: 0,
    maxSequence: 0,
    ingestSequence: sequence,
    digest: new Uint8Array(32),
  };
}

/** Events written in all, for each one, and the most tables that a key was in. */
function simulate(runCount: number): { readonly rewrites: number; readonly tables: number } {
  const policy = treeSettings(settings).compaction.policy as StretchPolicy;
  let state = emptyManifest({ identity: new Uint8Array(16), hasLog: false });
  let [number, written, tables] = [0, 0, 0];
  for (let run = 1; run <= runCount; run += 1) {
    number += 1;
    written += length;
    const arriving = { level: 0, sequence: run, position: run * length };
    state = arrived(state, [table(number, length, run)], arriving);
    for (
      let plan = pickStretches(state.levels, policy, new Set());
      plan !== undefined;
      plan = pickStretches(state.levels, policy, new Set())
    ) {
      const inputs = plan.inputs.flat();
      const count = inputs.reduce((sum, one) => sum + one.count, 0);
      number += 1;
      written += plan.isTrivialMove ? 0 : count;
      state = compacted(state, plan, plan.isTrivialMove ? inputs : [table(number, count, run)]);
    }
    tables = Math.max(tables, [...state.levels].length);
  }
  return { rewrites: written / (runCount * length), tables };
}

it('a key is in four tables at most, and merged as seldom as that allows', () => {
  const { rewrites, tables } = simulate(305);
  expect(tables).toBeLessThanOrEqual(4);
  // 10 million events. Measured by bytes it would be 9.
  expect(rewrites).toBeLessThan(6.8);
  expect(simulate(31).rewrites).toBeLessThan(3.2);
});
