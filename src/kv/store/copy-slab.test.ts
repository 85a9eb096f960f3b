import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CopySlab } from './copy-slab.ts';

describe('a slab of copies', () => {
  it('gives each receiver bytes of its own, of every size', () => {
    const sizes = fc.array(fc.oneof(fc.nat(100), fc.nat(20_000)), { maxLength: 60 });
    fc.assert(
      fc.property(sizes, (given) => {
        const slab = new CopySlab(64 * 1024);
        const source = new Uint8Array(20_010);
        const copies = given.map((size, index) => {
          source.fill(index + 1);
          return index % 2 === 0
            ? slab.copy(source.subarray(5), 3, 3 + size)
            : slab.copyOf(source.buffer, 8, size);
        });
        for (const [index, copy] of copies.entries()) {
          expect(copy.length).toBe(given[index]);
          expect(copy.every((byte) => byte === index + 1)).toBe(true);
          copy.fill(0xff);
        }
      }),
      { numRuns: 40 },
    );
  });

  it('copies what was asked for, wherever in its buffer the source begins', () => {
    const slab = new CopySlab(64 * 1024);
    const all = Uint8Array.from({ length: 300 }, (_, index) => index);
    for (const source of [all, all.subarray(7), all.subarray(100), all]) {
      for (const [start, end] of [
        [0, 0],
        [3, 35],
        [3, 36],
        [5, 150],
      ] as const) {
        expect(slab.copy(source, start, end)).toEqual(source.slice(start, end));
      }
    }
  });

  it('takes one allocation for many small pieces', () => {
    const slab = new CopySlab(64 * 1024);
    const source = new Uint8Array(10);
    const buffers = new Set(Array.from({ length: 1_000 }, () => slab.copy(source, 0, 10).buffer));
    expect(buffers.size).toBeLessThan(5);
  });
});
