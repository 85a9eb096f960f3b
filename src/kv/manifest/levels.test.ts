import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareKeys } from '../../base/compare-bytes.ts';
import type { TableMeta } from '../sstable/table-meta.ts';
import { codeOf } from '../../testing/code-of.ts';
import { Levels, levelsProblem, overlapsRange } from './levels.ts';

const text = new TextEncoder();

function table(number: number, min: string, max: string, rest: Partial<TableMeta> = {}): TableMeta {
  return {
    number,
    size: 100 + number,
    count: 1,
    deleteCount: 0,
    rangeDeleteCount: 0,
    rawSize: 10,
    minKey: text.encode(min),
    maxKey: text.encode(max),
    isMaxExclusive: false,
    minSequence: number,
    maxSequence: number,
    ingestSequence: undefined,
    digest: new Uint8Array(32),
    ...rest,
  };
}

/** Keys that share prefixes, are prefixes of one another, and hold zeros. */
const keys = fc
  .array(fc.constantFrom(0, 1, 0x61, 0xff), { maxLength: 4 })
  .map((bytes) => Uint8Array.from(bytes));

/** Tables side by side: cuts of the key space, some of the tables left out, some ending before the next one's first key. */
const runs = fc
  .uniqueArray(keys, { maxLength: 24, selector: (key) => key.join() })
  .chain((cuts) =>
    fc.tuple(
      fc.constant(cuts.toSorted(compareKeys)),
      fc.array(fc.tuple(fc.boolean(), fc.nat(2)), { minLength: 24, maxLength: 24 }),
    ),
  )
  .map(([cuts, choices]) => {
    const tables: TableMeta[] = [];
    for (let index = 0; index < cuts.length;) {
      const [isKept, shape] = choices[index]!;
      const next = cuts[index + 1];
      const isLone = shape === 0 || next === undefined;
      const meta = table(index + 1, '', '', {
        minKey: cuts[index]!,
        maxKey: isLone ? cuts[index]! : next,
        isMaxExclusive: !isLone && shape === 1,
      });
      index += isLone || shape === 1 ? 1 : 2;
      if (isKept) {
        tables.push(meta);
      }
    }
    return tables;
  });

/** Whether a table may hold a key, written another way. */
function holds({ minKey, maxKey, isMaxExclusive }: TableMeta, key: Uint8Array): boolean {
  const fromMin = Buffer.compare(key, minKey);
  const fromMax = Buffer.compare(key, maxKey);
  return fromMin >= 0 && (isMaxExclusive ? fromMax < 0 : fromMax <= 0);
}

describe('a level of tables in key order', () => {
  it('gives a point read the one table that may hold the key', () => {
    fc.assert(
      fc.property(runs, keys, (tables, key) => {
        const levels = Levels.from([[], tables]);
        expect(levels.tableFor(1, key)).toBe(tables.findIndex((meta) => holds(meta, key)));
        for (const [index, meta] of tables.entries()) {
          for (const asked of [key, meta.minKey, meta.maxKey]) {
            expect(levels.mayHold(1, index, asked)).toBe(holds(meta, asked));
          }
        }
      }),
    );
  });

  it('gives a cursor the first table that has the key or one behind it', () => {
    fc.assert(
      fc.property(runs, keys, (tables, key) => {
        const expected = tables.findIndex((meta) => overlapsRange(meta, key, undefined));
        const found = Levels.from([[], tables]).firstAtOrBehind(1, key);
        expect(found).toBe(expected === -1 ? tables.length : expected);
      }),
    );
  });

  it('gives a range the tables that may hold one of its keys, both ends included', () => {
    const end = fc.option(keys, { nil: undefined });
    fc.assert(
      fc.property(runs, end, end, fc.constantFrom(0, 1), (tables, from, to, level) => {
        fc.pre(from === undefined || to === undefined || compareKeys(from, to) <= 0);
        const levels = Levels.from(level === 0 ? [tables] : [[], tables]);
        const expected = levels.tables(level).filter((meta) => {
          const isBehind = to !== undefined && Buffer.compare(meta.minKey, to) > 0;
          return (
            !isBehind &&
            (from === undefined || Buffer.compare(meta.maxKey, from) > 0 || holds(meta, from))
          );
        });
        expect(levels.overlapping(level, from, to)).toEqual(expected);
      }),
    );
  });

  it('finds nothing in an empty level, and no table for an inverted range', () => {
    const levels = Levels.from([[], [table(1, 'b', 'd')]]);
    expect(Levels.empty.tableFor(3, text.encode('a'))).toBe(-1);
    expect(levels.overlapping(1, text.encode('z'), text.encode('a'))).toEqual([]);
    expect(levels.overlapping(1, undefined, undefined)).toHaveLength(1);
  });
});

describe('an edit', () => {
  const before = Levels.from([
    [table(7, 'a', 'z'), table(9, 'c', 'd')],
    [table(3, 'a', 'c'), table(2, 'd', 'f')],
  ]);

  it('makes other levels and leaves the old ones as they are', () => {
    const moved = table(2, 'd', 'f');
    const after = before.apply({
      removed: [7, 2],
      added: [
        { level: 2, tables: [moved] },
        { level: 1, tables: [table(12, 'x', 'z'), table(11, 'd', 'e')] },
      ],
    });
    expect([...after].map(({ number }) => number)).toEqual([9, 3, 11, 12, 2]);
    expect([...before].map(({ number }) => number)).toEqual([9, 7, 3, 2]);
    expect(after.sizeOf(1)).toBe(103 + 111 + 112);
    expect(after.tableCount).toBe(5);
    expect(after.totalSize).toBe(109 + 103 + 111 + 112 + 102);
    expect(after.toArrays().map((tables) => tables.length)).toEqual([1, 3, 1, 0, 0, 0, 0]);
  });

  it('counts what a model counts, over many edits', () => {
    const move = fc.record({ number: fc.nat(30), level: fc.integer({ min: 1, max: 6 }) });
    fc.assert(
      fc.property(fc.array(move, { maxLength: 40 }), (moves) => {
        let levels = Levels.empty;
        const model = new Map<number, number>();
        for (const { number, level } of moves) {
          const key = String(number).padStart(2, '0');
          const added = { level, tables: [table(number, key, key)] };
          levels = levels.apply({ added: [added], removed: model.has(number) ? [number] : [] });
          model.set(number, level);
        }
        for (let level = 0; level < 7; level += 1) {
          const numbers = [...model].filter(([, at]) => at === level).map(([number]) => number);
          expect(levels.tables(level).map(({ number }) => number)).toEqual(
            numbers.toSorted((left, right) => left - right),
          );
          expect(levels.sizeOf(level)).toBe(numbers.reduce((sum, number) => sum + 100 + number, 0));
        }
      }),
      { numRuns: 50 },
    );
  });

  it.each([
    ['removes what is not there', { removed: [8], added: [] }],
    ['removes a table twice', { removed: [7, 7], added: [] }],
    [
      'adds a table that is there',
      { removed: [], added: [{ level: 3, tables: [table(2, 'k', 'l')] }] },
    ],
    ['adds an overlap', { removed: [], added: [{ level: 1, tables: [table(11, 'f', 'g')] }] }],
    [
      'adds to a level that there isn’t',
      { removed: [], added: [{ level: 7, tables: [table(11, 'y', 'z')] }] },
    ],
  ])('that %s is refused', (_what, edit) => {
    expect(codeOf(() => before.apply(edit))).toBe('INTERNAL');
  });
});

describe('what can be levels', () => {
  it('a range that ends before a key shares nothing with the table that begins there', () => {
    const first = table(1, 'a', 'm', { isMaxExclusive: true });
    expect(levelsProblem([[], [first, table(2, 'm', 'z')]])).toBeUndefined();
    expect(levelsProblem([[], [table(1, 'a', 'm'), table(2, 'm', 'z')]])).toBe(
      'tables 1 and 2 of level 1 overlap',
    );
  });

  it('tables of level 0 that overlap are of different ages as a whole', () => {
    const older = table(1, 'a', 'm', { minSequence: 1, maxSequence: 10 });
    const newer = table(2, 'k', 'z', { minSequence: 11, maxSequence: 20 });
    const mixed = table(3, 'k', 'z', { minSequence: 10, maxSequence: 20 });
    const apart = table(4, 'n', 'z', { minSequence: 5, maxSequence: 20 });
    expect(Levels.from([[older, newer]]).tables(0)).toEqual([newer, older]);
    expect(codeOf(() => Levels.from([[older, mixed]]))).toBe('INTERNAL');
    expect(Levels.from([[older, apart]]).tables(0)).toEqual([apart, older]);
    expect(levelsProblem([[older, newer]])).toBe('table 2 of level 0 does not stand in its place');
  });

  it('an ingested table is as old as its ingestion, whatever its file says', () => {
    const flushed = table(5, 'a', 'm', { minSequence: 11, maxSequence: 20 });
    const ingested = table(4, 'a', 'm', { minSequence: 1, maxSequence: 1, ingestSequence: 30 });
    expect(Levels.from([[flushed, ingested]]).tables(0)).toEqual([ingested, flushed]);
  });
});
