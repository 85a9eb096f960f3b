import { deepStrictEqual, strictEqual } from 'node:assert';
import { describe, expect, it } from 'vitest';
import { putDigest } from '../base/digest.ts';
import { viewOf } from '../base/integers.ts';
import { SeededRandom } from '../base/random.ts';
import { LeafRing, oldestLeafFor } from './leaf-ring.ts';

/** The leaf of a position in the tests. */
function leafOf(position: number): Int32Array {
  return Int32Array.from({ length: 10 }, (_, word) => Math.imul(position + 1, word + 7));
}

function expectLeaf(ring: LeafRing, position: number): void {
  const [found, expected] = [new Uint8Array(34).fill(7), new Uint8Array(34).fill(7)];
  ring.copyTo(position, viewOf(found), 1);
  putDigest(viewOf(expected), 1, leafOf(position), 2);
  deepStrictEqual(found, expected);
}

describe('a leaf ring', () => {
  it.each([1, 2, 8, 1_024, 4_096])(
    'of %s holds what the owner believes it to hold, and nothing else',
    (countMax) => {
      const random = new SeededRandom(countMax);
      let ring = new LeafRing(countMax);
      let first = 0;
      let position = 0;
      for (let step = 0; step < 6_000; step += 1) {
        if (random.chance(0.001)) {
          position += 1 + random.below(2 * countMax);
          first = position;
        }
        if (random.chance(0.01)) {
          ring = LeafRing.fromState(structuredClone(ring.takeState()));
        }
        ring.add(position, leafOf(position), 2);
        position += 1;
        strictEqual(ring.leavesFrom(position), first);
        const oldest = oldestLeafFor(position, first, countMax);
        expectLeaf(ring, oldest);
        expectLeaf(ring, oldest + random.below(position - oldest));
        expectLeaf(ring, position - 1);
        if (step % 50 === 0) {
          expect(() => expectLeaf(ring, oldest - 1)).toThrow('Invariant broken');
          expect(() => expectLeaf(ring, position)).toThrow('Invariant broken');
        }
      }
    },
  );

  it('holds leaves of positions that 32 bits do not hold', () => {
    const ring = new LeafRing(4);
    for (let position = 2 ** 33 - 3; position < 2 ** 33 + 5; position += 1) {
      ring.add(position, leafOf(position), 2);
    }
    for (let position = 2 ** 33 + 1; position < 2 ** 33 + 5; position += 1) {
      expectLeaf(ring, position);
    }
  });

  it('has no leaf of a log that ends elsewhere', () => {
    const ring = new LeafRing(4);
    expect(ring.leavesFrom(0)).toBe(0);
    expect(ring.leavesFrom(9)).toBe(9);
    ring.add(0, leafOf(0), 2);
    expect([ring.leavesFrom(0), ring.leavesFrom(1), ring.leavesFrom(2)]).toEqual([0, 0, 2]);
  });

  it('is not used after it has moved', () => {
    const ring = new LeafRing();
    ring.takeState();
    expect(() => ring.add(0, leafOf(0), 2)).toThrow('Invariant broken');
    expect(() => ring.takeState()).toThrow('Invariant broken');
  });
});
