import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DIGEST_SIZE, HashOfHashes, sha256, sha256Into } from './digest.ts';

function reference(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(bytes).digest());
}

describe('sha256', () => {
  it('gives the result of FIPS 180 for "abc"', () => {
    const hex = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
    expect(Buffer.from(sha256(Buffer.from('abc'))).toString('hex')).toBe(hex);
  });

  it('is that of the streaming interface, written where it is asked for and nowhere else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(20), (input, at) => {
        const target = new Uint8Array(60).fill(7);
        sha256Into(input, target, at);
        expect(target.slice(at, at + DIGEST_SIZE)).toEqual(reference(input));
        expect(target.subarray(0, at).every((byte) => byte === 7)).toBe(true);
        expect(target.subarray(at + DIGEST_SIZE).every((byte) => byte === 7)).toBe(true);
      }),
    );
  });
});

describe('a hash of hashes', () => {
  it('is that of all of them in one piece, and starts afresh', () => {
    const hashes = new HashOfHashes();
    for (const count of [0, 1, 255, 256, 257, 512, 1_000]) {
      const all = new Uint8Array(count * DIGEST_SIZE).map((_, index) => index * 31);
      for (let index = 0; index < count; index += 1) {
        hashes.add(all, index * DIGEST_SIZE);
      }
      expect(hashes.finish()).toEqual(reference(all));
    }
  });
});
