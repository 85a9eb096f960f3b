import { describe, expect, it } from 'vitest';
import { Levels } from '../manifest/levels.ts';
import type { TableMeta } from '../sstable/table-meta.ts';
import { type CompactionPlan, pickCompaction, pickManual } from './compaction-picker.ts';
import { compactionSettings } from './compaction-settings.ts';
import { combinationOf } from './stretch-picker.ts';

const settings = compactionSettings({
  policy: { kind: 'stretches', runCountMax: 3, runSize: 10 },
});
const idle: ReadonlySet<number> = new Set();

function table(number: number, size: number, key = 'a-z', sequence = number): TableMeta {
  const [min, max] = key.split('-');
  return {
    number,
    size,
    count: 4,
    deleteCount: 0,
    rangeDeleteCount: 0,
    rawSize: size,
    minKey: Buffer.from(min!),
    maxKey: Buffer.from(max!),
    isMaxExclusive: false,
    minSequence: 0,
    maxSequence: 0,
    ingestSequence: sequence,
    digest: new Uint8Array(32),
  };
}

function pick(levels: Levels, busy = idle): CompactionPlan | undefined {
  return pickCompaction(levels, [], settings, busy);
}

function numbersOf({ inputs }: CompactionPlan): number[][] {
  return inputs.map((run) => run.map(({ number }) => number));
}

/** Four runs. */
function ofLevels(first: number, second: number): Levels {
  return Levels.from([
    [table(4, 10), table(3, 10)],
    [],
    [],
    [],
    [],
    [table(2, second)],
    [table(1, first)],
  ]);
}

describe('a tree of stretches', () => {
  it('counts in the combinatorial number system', () => {
    expect(combinationOf(1, 4)).toEqual([1, 0, 0, 0]);
    expect(combinationOf(5, 2)).toEqual([3, 2]);
    expect(combinationOf(305, 4)).toEqual([210, 84, 10, 1]);
    for (let total = 1; total < 2_000; total += 1) {
      expect(combinationOf(total, 4).reduce((sum, term) => sum + term, 0)).toBe(total);
    }
  });

  it('merges nothing while there are few runs, and counts tables of one ingest as one', () => {
    const run = [table(3, 10, 'a-f', 9), table(4, 10, 'g-m', 9), table(5, 10, 'n-z', 9)];
    const levels = Levels.from([run, [], [], [], [], [table(2, 20)], [table(1, 30)]]);
    expect(pick(levels)).toBe(undefined);
    expect(pickManual(levels, { from: undefined, to: undefined }, 0, settings, idle)).toMatchObject(
      { outputLevel: 6, deeper: [], inputs: { length: 5 } },
    );
    const one = Levels.from([[], [], [], [], [], [], [table(1, 30)]]);
    expect(pickManual(one, { from: undefined, to: undefined }, 0, settings, idle)).toBe(undefined);
  });

  it('merges neighbours only, from the newest on, into the place of the oldest of them', () => {
    // 24 runs: 20 + 3 + 1.
    const newest = pick(ofLevels(200, 30))!;
    expect(numbersOf(newest)).toEqual([[4], [3]]);
    expect(newest).toMatchObject({ outputLevel: 4, deeper: [{ number: 1 }, { number: 2 }] });
    const more = pick(ofLevels(210, 10))!;
    expect(numbersOf(more)).toEqual([[4], [3], [2]]);
    expect(more).toMatchObject({ outputLevel: 5, deeper: [{ number: 1 }] });
    const all = pick(ofLevels(190, 30))!;
    expect(numbersOf(all)).toEqual([[4], [3], [2], [1]]);
    expect(all).toMatchObject({ outputLevel: 6, deeper: [] });
  });

  it('waits for tables that are busy', () => {
    const levels = Levels.from([[4, 3, 2, 1].map((number) => table(number, 10))]);
    expect(pick(levels)).toMatchObject({ outputLevel: 6 });
    expect(pick(levels, new Set([4]))).toBe(undefined);
    expect(pickManual(levels, { from: undefined, to: undefined }, 0, settings, new Set([1]))).toBe(
      'busy',
    );
  });
});
