import { deepStrictEqual } from 'node:assert';
import { describe, expect, it } from 'vitest';
import { SimulatedFileSystem } from '../../testing/simulated-file-system.ts';
import { Levels } from '../manifest/levels.ts';
import { BlockCache } from '../sstable/block-cache.ts';
import { type FilterRule, wholeKeys } from '../sstable/filter-rule.ts';
import { ReadCounters } from '../sstable/read-counters.ts';
import { makeSample, openSample } from '../sstable/table-sample.ts';
import type { TableMeta } from '../sstable/table-meta.ts';
import { type EntryBounds, EntryIterator } from './entry-iterator.ts';
import { ReadState } from './read-state.ts';
import { TableSet } from './table-set.ts';

/** Postings: an axis, a value of four bytes, and the complement of a position. */
const POSTING = 1;
const KEY = 2;
const OLD_POSTING = 3;
const rule: FilterRule = {
  bitsPerKey: 10,
  axes: [
    { axis: POSTING, bitsPerKey: 14, uncovered: 6 },
    { axis: KEY, bitsPerKey: 16, uncovered: 0 },
    { axis: OLD_POSTING, bitsPerKey: 0, uncovered: 6 },
  ],
};
const PREFIX_SIZE = 5;
const KEY_SIZE = 11;

function posting(value: number, position: number, axis = POSTING): Uint8Array {
  const key = new Uint8Array(KEY_SIZE);
  const view = new DataView(key.buffer);
  key[0] = axis;
  view.setUint32(1, value);
  view.setUint16(5, 0xffff);
  view.setUint32(7, 0xffff_ffff - position);
  return key;
}

/** Each table holds its own hundred values, with two postings each. */
function stateOf(rules: readonly FilterRule[], axis = POSTING) {
  const fileSystem = new SimulatedFileSystem();
  const counters = new ReadCounters();
  const cache = new BlockCache(1024 * 1024);
  const metas: TableMeta[] = rules.map((filter, index) => {
    const entries = Array.from({ length: 200 }, (_, at) => {
      // Values of all tables are mixed: bounds rule nothing out.
      const value = (at >>> 1) * 10 + index;
      return {
        key: posting(value, 10 * index + 1 - (at & 1), axis),
        sequence: index + 1,
        value: Uint8Array.of(index),
      };
    });
    const options = { number: index, settings: { filter } };
    const meta = makeSample(fileSystem, `/${index}.tbl`, entries, options);
    return { ...meta, stretch: { from: 10 * index, to: 10 * index + 10 } };
  });
  const levels = Levels.from([metas.slice(1), metas.slice(0, 1)]);
  const open = (meta: TableMeta) =>
    openSample(fileSystem, meta, { path: `/${meta.number}.tbl`, cache, counters });
  const tables = new TableSet(
    { open, openAsync: async (meta) => open(meta), unused: () => {} },
    levels,
    100,
  );
  return { state: new ReadState([], tables), counters };
}

function seek(
  state: ReadState,
  value: number,
  isReverse: boolean,
  axis = POSTING,
  more: Partial<EntryBounds> = {},
): number[] {
  const start = posting(value, 0xffff_ffff, axis);
  const end = posting(value + 1, 0xffff_ffff, axis);
  const wanted = { prefixSize: PREFIX_SIZE, keySize: KEY_SIZE };
  const entries = new EntryIterator(
    state,
    { start, end, wanted, ...more },
    { sequence: 1_000, isReverse, fillCache: true },
  );
  const found: number[] = [];
  while (entries.next()) {
    const view = new DataView(entries.keyBytes.buffer, entries.keyBytes.byteOffset);
    found.push(0xffff_ffff - view.getUint32(entries.keyStart + 7));
  }
  entries.close();
  return found;
}

describe('a seek for a value that the filters cover', () => {
  it('goes only to tables that may hold it, in both directions', () => {
    const { state, counters } = stateOf([rule, rule, rule, rule]);
    for (let value = 0; value < 1_000; value += 10) {
      for (const [index, positions] of [0, 1, 2, 3].map(
        (at) => [at, [10 * at + 1, 10 * at]] as const,
      )) {
        deepStrictEqual(seek(state, value + index, false), positions);
        deepStrictEqual(seek(state, value + index, true), positions.toReversed());
      }
    }
    const { filterChecks, filterMisses, seeks } = counters;
    // Four tables, 800 seeks; nearly each of them goes to one.
    expect(filterChecks).toBeGreaterThan(3_000);
    expect(seeks).toBe(filterChecks - filterMisses);
    expect(seeks).toBeLessThan(830);
  });

  it('reads no block of a value that is nowhere', () => {
    const { state, counters } = stateOf([rule, rule, rule, rule]);
    for (let value = 5; value < 1_000; value += 10) {
      expect(seek(state, value, false)).toEqual([]);
    }
    expect(counters.blockReads).toBeLessThanOrEqual(4);
  });

  it('believes no filter that covers more of the keys, or not these', () => {
    const whole = stateOf([wholeKeys(10), rule, rule]);
    expect(seek(whole.state, 20, false)).toEqual([1, 0]);
    const longer = { ...rule, axes: [{ axis: POSTING, bitsPerKey: 14, uncovered: 5 }] };
    expect(seek(stateOf([longer, longer]).state, 21, true)).toEqual([10, 11]);
    const silent = stateOf([rule, rule], OLD_POSTING);
    expect(seek(silent.state, 21, false, OLD_POSTING)).toEqual([11, 10]);
    expect(silent.counters.filterChecks).toBe(0);
  });

  it('uses a filter that covers less', () => {
    const shorter = { ...rule, axes: [{ axis: POSTING, bitsPerKey: 14, uncovered: 7 }] };
    const { state, counters } = stateOf([shorter, shorter]);
    expect(seek(state, 20, false)).toEqual([1, 0]);
    expect(counters.filterChecks).toBe(2);
  });
});

describe('a read of some positions', () => {
  it('passes over tables of other stretches, and knows nothing of tables without one', () => {
    const { state, counters } = stateOf([rule, rule, rule, rule]);
    for (const [from, to, tableCount] of [
      [0, 40, 4],
      [10, 20, 1],
      [19, 21, 2],
      [40, 50, 0],
    ] as const) {
      const before = counters.filterChecks;
      seek(state, 5, false, POSTING, { positions: { from, to } });
      expect(counters.filterChecks - before).toBe(tableCount);
    }
    expect(seek(state, 21, false, POSTING, { positions: { from: 10, to: 20 } })).toEqual([11, 10]);
    expect(seek(state, 21, true, POSTING, { positions: { from: 20, to: 30 } })).toEqual([]);
  });
});
