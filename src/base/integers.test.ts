import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  align8,
  firstNonZero,
  readInt64,
  readUint64,
  viewOf,
  writeInt64,
  writeUint64,
} from './integers.ts';

describe('64-bit integers', () => {
  const view = viewOf(new Uint8Array(24));

  it('unsigned ones are written as BigInt writes them, and read back', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.nat(16), (value, at) => {
        writeUint64(view, at, value);
        expect(view.getBigUint64(at, true)).toBe(BigInt(value));
        expect(readUint64(view, at)).toBe(value);
      }),
    );
  });

  it('signed ones are written as BigInt writes them, and read back', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => {
        writeInt64(view, 3, value);
        expect(view.getBigInt64(3, true)).toBe(BigInt(value));
        expect(readInt64(view, 3)).toBe(value);
      }),
    );
  });

  it.each([0, 1, -1, 2 ** 31, 2 ** 32, -(2 ** 32), 2 ** 53 - 1, -(2 ** 53) + 1])('%i', (value) => {
    writeInt64(view, 0, value);
    expect(readInt64(view, 0)).toBe(value);
    writeUint64(view, 0, Math.abs(value));
    expect(readUint64(view, 0)).toBe(Math.abs(value));
  });

  it('beyond the safe range are not read as other safe ones', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }), (value) => {
        view.setBigUint64(0, value, true);
        expect(Number.isSafeInteger(readUint64(view, 0))).toBe(false);
      }),
    );
  });
});

describe('align8', () => {
  it('gives the next multiple of 8', () => {
    for (let size = 0; size < 100; size += 1) {
      expect(align8(size)).toBe(Math.ceil(size / 8) * 8);
    }
  });
});

describe('firstNonZero', () => {
  it('finds what a search from the front finds', () => {
    const bytes = fc.uint8Array({ max: 1, maxLength: 40 });
    fc.assert(
      fc.property(bytes, fc.nat(40), fc.nat(40), (content, one, other) => {
        const start = Math.min(one, other, content.length);
        const end = Math.min(Math.max(one, other), content.length);
        const found = content.subarray(start, end).findIndex((byte) => byte !== 0);
        expect(firstNonZero(content, start, end)).toBe(found === -1 ? end : start + found);
      }),
    );
  });
});
