import { deepStrictEqual, strictEqual } from 'node:assert';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../base/random.ts';
import { GenerationStreams } from './generation-streams.ts';

describe('a stream index', () => {
  it('agrees with a map of arrays', () => {
    const streams = fc.array(fc.constantFrom('a', 'b', 'c/d', 'e'), {
      maxLength: 300,
      size: 'max',
    });
    fc.assert(
      fc.property(streams, fc.nat(300), (names, bound) => {
        const index = new GenerationStreams();
        const model = new Map<string, number[]>();
        for (const [position, name] of names.entries()) {
          push(index, name, position);
          model.set(name, [...(model.get(name) ?? []), position]);
        }
        compare(index, model, bound);
      }),
      { numRuns: 50 },
    );
  });

  it('agrees with it for one long stream among thousands of short ones', () => {
    const random = new SeededRandom(3);
    const index = new GenerationStreams();
    const model = new Map<string, number[]>();
    for (let position = 0; position < 20_000; position += 1) {
      const name = random.chance(0.5) ? 'long' : `short/${random.below(3_000)}`;
      push(index, name, position);
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

  it('keeps names in order, whatever order they came in', () => {
    const index = new GenerationStreams();
    for (const name of ['x', 'é', 'a']) {
      index.add(name, 0);
    }
    expect(index.sortedNames()).toEqual(['a', 'x', 'é']);
    for (const name of ['b', '\u{1f600}', '\ue000']) {
      index.add(name, 0);
    }
    expect(index.sortedNames()).toEqual(['a', 'b', 'x', 'é', '\ue000', '\u{1f600}']);
  });

  it('knows the sizes of names in UTF-8, and how many events came before', () => {
    const index = new GenerationStreams();
    const numbers = ['x', 'é/ü', '😀'].map((name, nth) => index.add(name, 7 * nth));
    expect(numbers.map((number) => index.nameSizeOf(number))).toEqual([1, 5, 4]);
    expect(numbers.map((number) => index.baseOf(number))).toEqual([0, 7, 14]);
  });
});

function push(index: GenerationStreams, name: string, position: number): void {
  index.push(index.find(name) ?? index.add(name, 0), position);
}

function compare(
  index: GenerationStreams,
  model: ReadonlyMap<string, number[]>,
  bound: number,
): void {
  strictEqual(index.streamCount, model.size);
  for (const [name, positions] of model) {
    const number = index.find(name)!;
    strictEqual(index.countOf(number), positions.length);
    const found = positions.map((_, revision) => index.at(number, revision));
    deepStrictEqual(found, positions);
    const below = positions.filter((position) => position < bound);
    strictEqual(index.countBelow(number, bound), below.length);
  }
}
