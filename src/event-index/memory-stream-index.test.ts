import { deepStrictEqual, strictEqual } from 'node:assert';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../base/random.ts';
import { MemoryStreamIndex } from './memory-stream-index.ts';

describe('a stream index', () => {
  it('agrees with a map of arrays', () => {
    const streams = fc.array(fc.constantFrom('a', 'b', 'c/d', 'e'), {
      maxLength: 300,
      size: 'max',
    });
    fc.assert(
      fc.property(streams, fc.nat(300), (names, bound) => {
        const index = new MemoryStreamIndex();
        const model = new Map<string, number[]>();
        for (const [position, name] of names.entries()) {
          index.add(index.intern(name), position);
          model.set(name, [...(model.get(name) ?? []), position]);
        }
        compare(index, model, bound);
      }),
      { numRuns: 50 },
    );
  });

  it('agrees with it for one long stream among thousands of short ones', () => {
    const random = new SeededRandom(3);
    const index = new MemoryStreamIndex();
    const model = new Map<string, number[]>();
    for (let position = 0; position < 20_000; position += 1) {
      const name = random.chance(0.5) ? 'long' : `short/${random.below(3_000)}`;
      index.add(index.intern(name), position);
      const positions = model.get(name);
      if (positions === undefined) {
        model.set(name, [position]);
      } else {
        positions.push(position);
      }
    }
    for (const bound of [0, 1, 777, 10_000, 19_999, 20_000, 30_000]) {
      const number = index.find('long')!;
      const below = model.get('long')!.filter((position) => position < bound);
      expect(index.countBelow(number, bound)).toBe(below.length);
    }
    compare(index, model, 9_999);
  });

  it('numbers streams in the order they are seen, once', () => {
    const index = new MemoryStreamIndex();
    expect(['x', 'y', 'x', 'z'].map((name) => index.intern(name))).toEqual([0, 1, 0, 2]);
    expect(index.find('y')).toBe(1);
    expect(index.find('never')).toBeUndefined();
    expect(index.nameOf(2)).toBe('z');
    expect(index.streamCount).toBe(3);
  });

  it('knows the sizes of names in UTF-8', () => {
    const index = new MemoryStreamIndex();
    expect(['x', 'é/ü', '😀'].map((name) => index.nameSizeOf(index.intern(name)))).toEqual([
      1, 5, 4,
    ]);
  });

  it('refuses a position that its words can not hold', () => {
    const index = new MemoryStreamIndex();
    const number = index.intern('s');
    index.add(number, 2 ** 32 - 1);
    expect(index.positionAt(number, 0)).toBe(2 ** 32 - 1);
    expect(() => index.add(number, 2 ** 32)).toThrow(
      expect.objectContaining({ code: 'LIMIT_EXCEEDED' }),
    );
  });
});

function compare(
  index: MemoryStreamIndex,
  model: ReadonlyMap<string, number[]>,
  bound: number,
): void {
  strictEqual(index.streamCount, model.size);
  for (const [name, positions] of model) {
    const number = index.find(name)!;
    strictEqual(index.nameOf(number), name);
    strictEqual(index.countOf(number), positions.length);
    const found = positions.map((_, revision) => index.positionAt(number, revision));
    deepStrictEqual(found, positions);
    const below = positions.filter((position) => position < bound);
    strictEqual(index.countBelow(number, bound), below.length);
  }
}
