import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { limits } from '../base/limits.ts';
import { SEGMENT_HEADER_SIZE } from './format.ts';
import { SegmentCursor, segmentCapacity } from './segment-cursor.ts';

const MiB = 1024 * 1024;
const frameSizes = fc.integer({ min: 7, max: limits.frameSizeMax / 8 }).map((size) => size * 8);

describe('a segment cursor', () => {
  it('places frames one behind the other, and opens a segment for what no longer fits', () => {
    fc.assert(
      fc.property(fc.array(frameSizes), fc.integer({ min: 1, max: 64 }), (sizes, sizeMaxMiB) => {
        const cursor = new SegmentCursor(0, SEGMENT_HEADER_SIZE, sizeMaxMiB * MiB);
        let index = 0;
        let used = SEGMENT_HEADER_SIZE;
        for (const size of sizes) {
          const capacity = Math.min(sizeMaxMiB * MiB, MiB * 2 ** index);
          const rotates = used + size > capacity && used > SEGMENT_HEADER_SIZE;
          expect(cursor.rotatesFor(size)).toBe(rotates);
          index += rotates ? 1 : 0;
          used = (rotates ? SEGMENT_HEADER_SIZE : used) + size;
          cursor.advance(size);
          expect({ index: cursor.index, offset: cursor.offset }).toEqual({ index, offset: used });
        }
      }),
    );
  });

  it('carried on from anywhere agrees with one that was there from the start', () => {
    fc.assert(
      fc.property(fc.array(frameSizes, { minLength: 1 }), fc.nat(), (sizes, cut) => {
        const whole = new SegmentCursor(0, SEGMENT_HEADER_SIZE, 8 * MiB);
        const half = cut % sizes.length;
        sizes.slice(0, half).forEach((size) => whole.advance(size));
        const continued = new SegmentCursor(whole.index, whole.offset, 8 * MiB);
        for (const size of sizes.slice(half)) {
          whole.advance(size);
          continued.advance(size);
        }
        expect([continued.index, continued.offset]).toEqual([whole.index, whole.offset]);
      }),
    );
  });

  it('stays within offsets of 32 bits, whatever is appended', () => {
    const cursor = new SegmentCursor(40, limits.segmentSizeMax - 8, limits.segmentSizeMax);
    cursor.advance(limits.frameSizeMax);
    expect(cursor).toMatchObject({ index: 41, offset: SEGMENT_HEADER_SIZE + limits.frameSizeMax });
  });
});

describe('the capacity of a segment', () => {
  it('doubles from 1 MiB up to the option', () => {
    const capacities = [0, 1, 2, 5, 6, 7, 1_000_000].map((index) =>
      segmentCapacity(index, 64 * MiB),
    );
    expect(capacities).toEqual([1, 2, 4, 32, 64, 64, 64].map((size) => size * MiB));
    expect(segmentCapacity(50, limits.segmentSizeMax)).toBe(limits.segmentSizeMax);
  });
});
