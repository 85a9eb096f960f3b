import { crc32 as zlibCrc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc32 } from './crc32.ts';

describe('crc32', () => {
  it('gives the check value of CRC-32/ISO-HDLC', () => {
    expect(crc32(Buffer.from('123456789'), 0, 9)).toBe(0xcbf43926);
  });

  it('is that of zlib for every range', () => {
    const bytes = fc.uint8Array({ maxLength: 600, size: 'max' });
    fc.assert(
      fc.property(bytes, fc.nat(600), fc.nat(600), (content, one, other) => {
        const start = Math.min(one, other, content.length);
        const end = Math.min(Math.max(one, other), content.length);
        expect(crc32(content, start, end)).toBe(zlibCrc32(content.subarray(start, end)));
      }),
    );
  });

  it('is that of zlib for every size around the change to native code', () => {
    const content = Uint8Array.from({ length: 600 }, (_, index) => (index * 7) ^ (index >> 3));
    for (let size = 0; size <= content.length; size += 1) {
      expect(crc32(content, 0, size)).toBe(zlibCrc32(content.subarray(0, size)));
    }
  });

  it('changes with every single bit', () => {
    const content = new Uint8Array(64);
    const whole = crc32(content, 0, 64);
    for (let bit = 0; bit < 512; bit += 1) {
      content[bit >>> 3]! ^= 1 << (bit & 7);
      expect(crc32(content, 0, 64)).not.toBe(whole);
      content[bit >>> 3]! ^= 1 << (bit & 7);
    }
  });
});
