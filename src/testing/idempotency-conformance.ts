import { SeededRandom } from '../base/random.ts';
import type { TestFunctions } from './file-system-conformance.ts';

/** What the suite needs of an index; see idempotency/contract.ts. */
export interface IdempotencyIndexUnderTest {
  add(scope: string, key: string, position: number): void;
  candidates(scope: string, key: string): readonly number[];
  readonly count: number;
}

/**
 * What every idempotency index must do. It may name positions that hold other keys (whoever asks looks there), but few;
 * what it must never do is leave out one that was added. `make` is called once per test.
 */
export function idempotencyConformance(
  { describe, it, expect }: TestFunctions,
  make: () => IdempotencyIndexUnderTest,
): void {
  describe('an idempotency index', () => {
    it('names nothing when it is empty', () => {
      const index = make();
      expect(index.count).toBe(0);
      expect(index.candidates('', 'key').length).toBe(0);
    });

    it('names the position of every key that was ever added', () => {
      const index = make();
      const positions = new Map<string, number>();
      const random = new SeededRandom(1);
      for (let count = 0; count < 20_000; count += 1) {
        const key = `${random.uint32()}/${count}`;
        positions.set(key, count * 3);
        index.add('', key, count * 3);
      }
      expect(index.count).toBe(20_000);
      const missing = [...positions].filter(
        ([key, position]) => !index.candidates('', key).includes(position),
      );
      expect(missing).toEqual([]);
    });

    it('names next to nothing for keys that were never added', () => {
      const index = make();
      for (let count = 0; count < 5_000; count += 1) {
        index.add('', `key ${count}`, count);
      }
      let wrong = 0;
      for (let count = 0; count < 5_000; count += 1) {
        wrong += index.candidates('', `other ${count}`).length;
      }
      // Each costs a read of the log: one in a hundred would be felt.
      expect(wrong < 50).toBe(true);
    });

    it('finds a key right after it was added, between all others', () => {
      const index = make();
      const wrong: string[] = [];
      for (let count = 0; count < 3_000; count += 1) {
        const key = `key ${count}`;
        const isThereBefore = index.candidates('', key).includes(count);
        index.add('', key, count);
        if (isThereBefore || !index.candidates('', key).includes(count)) {
          wrong.push(key);
        }
      }
      expect(wrong).toEqual([]);
    });

    addsSameKeyTwice({ describe, it, expect }, make);
  });
}

function addsSameKeyTwice(
  { it, expect }: TestFunctions,
  make: () => IdempotencyIndexUnderTest,
): void {
  it('names both positions of a key that was added twice', () => {
    const index = make();
    index.add('', 'key', 7);
    index.add('', 'key', 9);
    expect([...index.candidates('', 'key')].toSorted((left, right) => left - right)).toEqual([
      7, 9,
    ]);
  });

  it('tells keys apart that look alike', () => {
    const index = make();
    const keys = ['', 'a', 'aa', 'a ', ' a', 'A', 'ab', 'ba', 'é', 'e\u0301', '\u0000', '😀', '😁'];
    for (const [position, key] of keys.entries()) {
      index.add('', key, position);
    }
    const found = keys.map((key) => index.candidates('', key));
    expect(found).toEqual(keys.map((_, position) => [position]));
  });

  it('tells a key of one scope from that of another, of none, and from texts that are the same in a row', () => {
    const index = make();
    const texts = ['', 'a', 'b', 'ab', 'ba', 'aab', '\u0000', 'a\u0000', 'é'];
    const names = texts.flatMap((scope) => texts.map((key) => [scope, key] as const));
    for (const [position, [scope, key]] of names.entries()) {
      index.add(scope, key, position);
    }
    const found = names.map(([scope, key]) => index.candidates(scope, key));
    expect(found).toEqual(names.map((_, position) => [position]));
    expect(index.candidates('c', 'a')).toEqual([]);
  });

  it('adds a key to its scope, whatever was looked for before', () => {
    const index = make();
    for (const [position, scope] of ['', 's', 't'].entries()) {
      index.candidates('s', 'key');
      index.add(scope, 'key', position);
    }
    const found = ['', 's', 't', 'u'].map((scope) => index.candidates(scope, 'key'));
    expect(found).toEqual([[0], [1], [2], []]);
  });

  it('keeps positions of every size, 0 and the largest safe integer included', () => {
    const index = make();
    const positions = [0, 1, 2 ** 31, 2 ** 32, 2 ** 52, Number.MAX_SAFE_INTEGER - 1];
    for (const position of positions) {
      index.add('', `key ${position}`, position);
    }
    const found = positions.map((position) => index.candidates('', `key ${position}`));
    expect(found).toEqual(positions.map((position) => [position]));
  });
}
