import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { commonPrefixSize, compareBytes } from './compare-bytes.ts';

const bytes = fc.uint8Array({ maxLength: 6, max: 2 });

function placed(key: Uint8Array, before: number): Uint8Array {
  return Uint8Array.from([...Array<number>(before).fill(7), ...key, 9, 9]);
}

describe('compareBytes', () => {
  it('orders ranges as Buffer.compare does, wherever they lie', () => {
    fc.assert(
      fc.property(bytes, bytes, fc.nat(3), fc.nat(3), (one, other, before, beforeOther) => {
        const left = placed(one, before);
        const right = placed(other, beforeOther);
        const order = compareBytes(
          left,
          before,
          before + one.length,
          right,
          beforeOther,
          beforeOther + other.length,
        );
        expect(Math.sign(order)).toBe(Buffer.compare(one, other));
      }),
    );
  });

  it('treats bytes as unsigned and a prefix as smaller', () => {
    expect(compareBytes(Uint8Array.of(0xff), 0, 1, Uint8Array.of(0x7f), 0, 1)).toBeGreaterThan(0);
    expect(compareBytes(Uint8Array.of(1), 0, 1, Uint8Array.of(1, 0), 0, 2)).toBeLessThan(0);
    expect(compareBytes(new Uint8Array(0), 0, 0, new Uint8Array(0), 0, 0)).toBe(0);
  });
});

describe('commonPrefixSize', () => {
  it('counts the bytes shared from the starts on, within both ranges', () => {
    fc.assert(
      fc.property(bytes, bytes, fc.nat(3), (one, other, before) => {
        let expected = 0;
        while (expected < Math.min(one.length, other.length) && one[expected] === other[expected]) {
          expected += 1;
        }
        const left = placed(one, before);
        const right = placed(other, 0);
        const size = commonPrefixSize(left, before, before + one.length, right, 0, other.length);
        expect(size).toBe(expected);
      }),
    );
  });
});
