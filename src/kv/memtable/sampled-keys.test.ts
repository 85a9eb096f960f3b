import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../base/random.ts';
import { KeySample, SAMPLE_SIZE } from './sampled-keys.ts';

const text = new TextEncoder();

function keyOf(index: number): Uint8Array {
  return text.encode(String(index).padStart(5, '0'));
}

describe('a sample of keys', () => {
  it.each([true, false])('tells about how much lies in a range (in order: %s)', (isInOrder) => {
    const random = new SeededRandom(1);
    const sample = new KeySample();
    const sizes = Array.from({ length: 20_000 }, () => 5 + random.below(200));
    for (let step = 0; step < sizes.length; step += 1) {
      // 7,919 is prime: every key once, far from the one before.
      const index = isInOrder ? step : (step * 7_919) % sizes.length;
      sample.add(keyOf(index), 0, 5, sizes[index]!);
    }
    for (const [start, end] of [
      [0, 20_000],
      [5_000, 9_000],
      [19_000, 20_000],
    ] as const) {
      const actual = sizes.slice(start, end).reduce((sum, size) => sum + size, 0);
      const estimate = sample.sizeIn(keyOf(start), end === 20_000 ? undefined : keyOf(end));
      expect(Math.abs(estimate - actual)).toBeLessThan(Math.max(0.25 * actual, 3 * SAMPLE_SIZE));
    }
  });

  it('counts a large entry with its whole size', () => {
    const sample = new KeySample();
    sample.add(keyOf(1), 0, 5, 100 * SAMPLE_SIZE);
    expect(sample.sizeIn(keyOf(1), keyOf(2))).toBe(100 * SAMPLE_SIZE);
    expect(sample.sizeIn(keyOf(2), undefined)).toBe(0);
  });
});
