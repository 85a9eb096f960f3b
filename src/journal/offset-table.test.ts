import { deepStrictEqual, strictEqual } from 'node:assert';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OffsetTable } from './offset-table.ts';

const offsets = fc.array(fc.integer({ min: 0, max: 2 ** 32 - 1 }), { maxLength: 600, size: 'max' });

describe('an offset table', () => {
  it('holds what was pushed, in order, and says it in little-endian bytes', () => {
    fc.assert(
      fc.property(offsets, (pushed) => {
        const table = tableOf(pushed);
        expect(table.count).toBe(pushed.length);
        expect(pushed.map((_, index) => table.at(index))).toEqual(pushed);
        const bytes = Buffer.from(table.toBytes());
        expect(pushed.map((_, index) => bytes.readUInt32LE(index * 4))).toEqual(pushed);
        expect(bytes).toHaveLength(pushed.length * 4);
      }),
      { numRuns: 12 },
    );
  });

  it('takes one offset for many positions as it takes them one by one', () => {
    const runs = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 400 })), { maxLength: 12 });
    fc.assert(
      fc.property(runs, (given) => {
        const table = new OffsetTable();
        given.forEach(([offset, count]) => table.pushEqual(offset, count));
        const one = tableOf(
          given.flatMap(([offset, count]) => Array.from({ length: count }, () => offset)),
        );
        strictEqual(table.count, one.count);
        deepStrictEqual(table.toBytes(), one.toBytes());
      }),
      { numRuns: 30 },
    );
  });

  it('has clones that go their own way', () => {
    const table = tableOf([1, 2, 3]);
    const clone = table.clone();
    table.push(4);
    clone.push(5);
    expect([table.at(3), clone.at(3), clone.count]).toEqual([4, 5, 4]);
  });

  it('is not asked for what is not there', () => {
    expect(() => tableOf([1]).at(1)).toThrow('Invariant broken');
  });
});

function tableOf(pushed: readonly number[]): OffsetTable {
  const table = new OffsetTable();
  pushed.forEach((offset) => table.push(offset));
  return table;
}
