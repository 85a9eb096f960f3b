import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../base/random.ts';
import { RowHash, RowSums, STRETCH_COUNT } from './row-sums.ts';

type Row = readonly [low: number, high: number, one: number, position: number];

function rowsOf(random: SeededRandom, count: number): Row[] {
  return Array.from({ length: count }, (_, position) => [
    random.uint32(),
    random.uint32(),
    random.below(1_000),
    position,
  ]);
}

function sumOf(hash: RowHash, rows: readonly Row[]): RowSums {
  const sums = new RowSums(3 * STRETCH_COUNT);
  for (const [low, high, one, position] of rows) {
    hash.takeRow(low, high, one, position);
    sums.add(position, hash);
  }
  return sums;
}

describe('sums of rows', () => {
  const random = new SeededRandom(1);
  const hash = new RowHash(random);
  const rows = rowsOf(random, 3 * STRETCH_COUNT);

  it('are equal whatever the order', () => {
    const sums = sumOf(hash, rows);
    expect([...sums.differences(sumOf(hash, rows.toReversed()))]).toEqual([]);
    expect(sums.count).toBe(3 * STRETCH_COUNT);
  });

  it('tell in which stretch a row is missing, too many, twice or another one', () => {
    const sums = sumOf(hash, rows);
    const at = STRETCH_COUNT + 7;
    const [low, high, one] = rows[at]!;
    const without = rows.toSpliced(at, 1);
    const changes: readonly (readonly [number, Row[]])[] = [
      [-1, without],
      [1, [...rows, [1, 2, 3, at]]],
      [1, [...rows, rows[at]!]],
      [0, [...without, [low, high, one, at + 1]]],
      [0, [...without, [low, high, one + 1, at]]],
      [0, [...without, [low + 1, high, one, at]]],
      [0, [...without, [low, high + 1, one, at]]],
    ];
    for (const [more, changed] of changes) {
      const differences = [...sums.differences(sumOf(hash, changed))];
      const count = STRETCH_COUNT;
      expect(differences).toEqual([{ stretch: 1, count, otherCount: count + more }]);
    }
  });

  it('show a row that has moved to another stretch in both', () => {
    const [low, high, one] = rows[3]!;
    const moved = [...rows.toSpliced(3, 1), [low, high, one, 2 * STRETCH_COUNT + 3] as const];
    const differences = [...sumOf(hash, rows).differences(sumOf(hash, moved))];
    expect(differences.map(({ stretch }) => stretch)).toEqual([0, 2]);
  });

  it('hash bytes by content and length, wherever they lie', () => {
    const seen = new Set<string>();
    for (let size = 0; size < 300; size += 1) {
      const bytes = new Uint8Array(size + 3);
      hash.takeBytes(bytes, 0, size);
      const first = `${hash.low}/${hash.high}`;
      hash.takeBytes(bytes, 3, size);
      expect(`${hash.low}/${hash.high}`).toBe(first);
      seen.add(first);
    }
    for (let at = 0; at < 9; at += 1) {
      const bytes = new Uint8Array(9);
      bytes[at] = 1;
      hash.takeBytes(bytes, 0, 9);
      seen.add(`${hash.low}/${hash.high}`);
    }
    expect(seen.size).toBe(309);
  });
});
