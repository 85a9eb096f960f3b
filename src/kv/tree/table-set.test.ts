import { describe, expect, it } from 'vitest';
import { Levels } from '../manifest/levels.ts';
import type { RangeTombstone } from '../entries/range-tombstones.ts';
import { ReadState } from './read-state.ts';
import type { TableReader } from '../sstable/table-reader.ts';
import type { TableMeta } from '../sstable/table-meta.ts';
import { TableSet } from './table-set.ts';

function bytes(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text));
}

/** Of level 0; `rangeDeleteCount` deleted ranges. */
function table(number: number, rangeDeleteCount: number): TableMeta {
  return {
    number,
    size: 100,
    count: 1,
    deleteCount: 0,
    rangeDeleteCount,
    rawSize: 10,
    minKey: bytes('a'),
    maxKey: bytes('z'),
    isMaxExclusive: false,
    minSequence: number,
    maxSequence: number,
    ingestSequence: undefined,
    digest: new Uint8Array(32),
  };
}

describe('the deleted ranges of all tables', () => {
  it('are put together once for a view, whoever asks and however often', () => {
    const read: number[] = [];
    const open = ({ number }: TableMeta): TableReader => {
      const rangeTombstones = (): RangeTombstone[] => {
        read.push(number);
        return [{ start: bytes('b'), end: bytes(`c${number}`), sequence: number }];
      };
      return { rangeTombstones, close: () => {} } as unknown as TableReader;
    };
    const given = [table(1, 1), table(2, 0), table(3, 2)];
    const levels = Levels.empty.apply({ added: [{ level: 0, tables: given }], removed: [] });
    const tables = new TableSet(
      { open, openAsync: async (meta) => open(meta), unused: () => {} },
      levels,
      10,
    );
    const state = new ReadState([], tables);
    const ranges = tables.rangeTombstonesOf(tables.current);
    expect(new Set(read)).toEqual(new Set([1, 3]));
    expect(read).toHaveLength(2);
    for (let reader = 0; reader < 10; reader += 1) {
      const sources = state.pin(true);
      const [ofTables, ...others] = sources.rangeTombstones();
      expect(ofTables).toBe(ranges);
      expect(others).toEqual([]);
      sources.release();
    }
    expect(read).toHaveLength(2);
    expect(ranges.newestCovering(bytes('c2'), 0, 2, 10)).toBe(3);
    expect(ranges.newestCovering(bytes('b'), 0, 1, 2)).toBe(1);
  });

  it('are put together anew when the tables are others, and those of a pinned view stay', () => {
    const open = ({ number }: TableMeta): TableReader => {
      const tombstone = { start: bytes('b'), end: bytes('d'), sequence: number };
      return { rangeTombstones: () => [tombstone], close: () => {} } as unknown as TableReader;
    };
    const before = Levels.empty.apply({
      added: [{ level: 0, tables: [table(1, 1)] }],
      removed: [],
    });
    const tables = new TableSet(
      { open, openAsync: async (meta) => open(meta), unused: () => {} },
      before,
      10,
    );
    const state = new ReadState([], tables);
    const pinned = state.pin(true);
    tables.install(before.apply({ added: [{ level: 0, tables: [table(2, 1)] }], removed: [1] }));
    const later = state.pin(true);
    expect(pinned.rangeTombstones()[0]!.newestCovering(bytes('c'), 0, 1, 10)).toBe(1);
    expect(later.rangeTombstones()[0]!.newestCovering(bytes('c'), 0, 1, 10)).toBe(2);
    tables.install(Levels.empty);
    expect(state.pin(true).rangeTombstones()).toEqual([]);
  });
});

const KiB = 1024;

function openNothing(): TableReader {
  return { close: () => {} } as unknown as TableReader;
}

function levelsOf(sizes: readonly (readonly number[])[]): Levels {
  let number = 0;
  const added = sizes.map((ofLevel, level) => ({
    level,
    tables: ofLevel.map((size) => {
      number += 1;
      return { ...table(number, 0), size };
    }),
  }));
  return Levels.empty.apply({ added, removed: [] });
}

function scannedOften(levels: Levels): { readonly tables: TableSet; readonly told: number[] } {
  const told: number[] = [];
  let charged = 0;
  const scanned = (): void => {
    told.push(charged);
  };
  const tables = new TableSet(
    { open: openNothing, openAsync: async () => openNothing(), unused: () => {}, scanned },
    levels,
    10,
  );
  for (charged = 1; charged <= 100; charged += 1) {
    tables.chargeLevelZero(1);
  }
  return { tables, told };
}

describe('scans of level 0', () => {
  it('ask for a merge once they have cost as much, and once', () => {
    const levels = levelsOf([[160 * KiB, 160 * KiB], [480 * KiB]]);
    const { tables, told } = scannedOften(levels);
    expect(told).toEqual([50]);
    const more = { ...table(9, 0), size: 16 * KiB };
    tables.install(levels.apply({ added: [{ level: 0, tables: [more] }], removed: [] }));
    tables.chargeLevelZero(50);
    expect(told).toHaveLength(1);
    tables.chargeLevelZero(1);
    expect(told).toHaveLength(2);
  });

  it('that began before level 0 changed have paid for what is gone', () => {
    const levels = levelsOf([[16 * KiB], [16 * KiB]]);
    const { tables, told } = scannedOften(levels);
    expect(told).toEqual([2]);
    const before = tables.pin(tables.current);
    const more = { ...table(9, 0), size: 16 * KiB };
    tables.install(levels.apply({ added: [{ level: 0, tables: [more] }], removed: [] }));
    tables.chargeLevelZero(100, before);
    expect(told).toHaveLength(1);
    tables.chargeLevelZero(3, tables.current);
    expect(told).toHaveLength(2);
  });

  it('ask for none where there is nothing to merge with', () => {
    for (const sizes of [[], [[1]], [[], [1]], [[], [1], [1]]]) {
      expect(scannedOften(levelsOf(sizes)).told).toEqual([]);
    }
    expect(scannedOften(levelsOf([[1], [], [1]])).told).toEqual([1]);
    expect(scannedOften(levelsOf([[1, 1]])).told).toEqual([1]);
  });
});
