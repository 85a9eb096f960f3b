import { crc32 as zlibCrc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc32, crc32At } from './crc32.ts';
import { viewOf } from './integers.ts';
import { SeededRandom } from './random.ts';

function randomBytes(size: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(size);
  new SeededRandom(seed).fill(bytes);
  return bytes;
}

describe.each([
  ['of bytes', crc32],
  [
    'in a view',
    (bytes: Uint8Array, start: number, end: number) => crc32At(viewOf(bytes), start, end),
  ],
])('crc32 %s', (_name, crcOf) => {
  it('gives the check value of CRC-32/ISO-HDLC', () => {
    expect(crcOf(Buffer.from('123456789'), 0, 9)).toBe(0xcbf43926);
  });

  it('is that of zlib for every range', () => {
    const bytes = fc.uint8Array({ maxLength: 600, size: 'max' });
    fc.assert(
      fc.property(bytes, fc.nat(600), fc.nat(600), (content, one, other) => {
        const start = Math.min(one, other, content.length);
        const end = Math.min(Math.max(one, other), content.length);
        expect(crcOf(content, start, end)).toBe(zlibCrc32(content.subarray(start, end)));
      }),
    );
  });

  it('is that of zlib for every size up to 2,100 at every alignment', () => {
    const content = randomBytes(2_116, 1);
    for (let start = 0; start < 16; start += 1) {
      const wrong: number[] = [];
      for (let size = 0; size <= 2_100; size += 1) {
        const expected = zlibCrc32(content.subarray(start, start + size));
        if (crcOf(content, start, start + size) !== expected) {
          wrong.push(size);
        }
      }
      expect(wrong).toEqual([]);
    }
  });

  it('is that of zlib for long ranges', () => {
    const content = randomBytes(3 * 1024 * 1024, 2);
    for (const [start, end] of [
      [0, content.length],
      [7, content.length - 5],
      [1, 65_538],
    ] as const) {
      expect(crcOf(content, start, end)).toBe(zlibCrc32(content.subarray(start, end)));
    }
  });

  it('is that of zlib in shared memory and inside a larger buffer', () => {
    const shared = new Uint8Array(new SharedArrayBuffer(2_048), 24, 1_500);
    shared.set(randomBytes(1_500, 3));
    for (const size of [44, 188, 312, 1_023, 1_024, 1_400]) {
      const expected = zlibCrc32(shared.slice(56, 56 + size));
      expect(crcOf(shared, 56, 56 + size)).toBe(expected);
    }
  });

  it('changes with every single bit', () => {
    const content = new Uint8Array(64);
    const whole = crcOf(content, 0, 64);
    for (let bit = 0; bit < 512; bit += 1) {
      content[bit >>> 3]! ^= 1 << (bit & 7);
      expect(crcOf(content, 0, 64)).not.toBe(whole);
      content[bit >>> 3]! ^= 1 << (bit & 7);
    }
  });
});
