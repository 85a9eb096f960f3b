import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { copyBytes, copyRange, type ViewedBytes } from './copy-bytes.ts';
import { viewOf } from './integers.ts';

function viewed(bytes: Uint8Array): ViewedBytes {
  return { bytes, view: viewOf(bytes) };
}

describe('a copy of bytes', () => {
  it('is the same bytes, and changes nothing beside them', () => {
    // Around the sizes at which the way of copying changes, from and to addresses on no border.
    const size = fc.oneof(fc.nat(40), fc.integer({ min: 150, max: 270 }), fc.nat(2_000));
    fc.assert(
      fc.property(size, fc.nat(9), fc.nat(9), fc.boolean(), (count, start, at, isShared) => {
        const from = Uint8Array.from({ length: start + count + 9 }, (_, index) => index * 7 + 1);
        const room = at + count + 9;
        const memory = isShared ? new SharedArrayBuffer(room + 3) : new ArrayBuffer(room + 3);
        const target = new Uint8Array(memory, 3).fill(0xaa);
        const expected = Uint8Array.from(target);
        expected.set(from.subarray(start, start + count), at);
        copyBytes(viewed(target), at, viewed(from), start, start + count);
        expect(Buffer.compare(target, expected)).toBe(0);
        target.fill(0xaa);
        expect(copyRange(from, start, start + count, target, at)).toBe(at + count);
        expect(Buffer.compare(target, expected)).toBe(0);
      }),
    );
  });
});
