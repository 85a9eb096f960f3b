import { describe, expect, it } from 'vitest';
import { nodeRandom } from './node-random.ts';

describe('nodeRandom', () => {
  it('fills all of the target, whatever its size', () => {
    for (const size of [16, 100, 1_023, 1_024, 1_025, 100_000]) {
      const target = new Uint8Array(size);
      nodeRandom.fill(target);
      // All of 16 bytes being zero has a probability of 2^-128.
      expect(target.subarray(0, 16).every((byte) => byte === 0)).toBe(false);
      expect(target.subarray(-16).every((byte) => byte === 0)).toBe(false);
    }
    nodeRandom.fill(new Uint8Array(0));
  });

  it('never hands out the same bytes twice, also when its pool is renewed', () => {
    const seen = new Set<string>();
    const sizes = [16, 9, 21, 1_000];
    for (let index = 0; index < 8_000; index += 1) {
      const target = new Uint8Array(sizes[index % sizes.length] as number);
      nodeRandom.fill(target);
      seen.add(Buffer.from(target).toString('hex'));
    }
    expect(seen.size).toBe(8_000);
  });

  it('leaves the neighbours of a view alone', () => {
    const whole = new Uint8Array(48);
    nodeRandom.fill(whole.subarray(16, 32));
    expect(whole.subarray(0, 16)).toEqual(new Uint8Array(16));
    expect(whole.subarray(32)).toEqual(new Uint8Array(16));
  });
});
