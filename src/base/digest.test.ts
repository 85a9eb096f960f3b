import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  copyDigest,
  DIGEST_SIZE,
  DIGEST_WORDS,
  hasDigest,
  HashOfHashes,
  putDigest,
  sha256,
  sha256Into,
  sha256Words,
} from './digest.ts';
import { viewOf } from './integers.ts';

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

describe('a digest as words', () => {
  it('is that of the streaming interface in little-endian words, put anywhere and nowhere else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(9), fc.nat(20), (input, index, at) => {
        const words = new Int32Array(20).fill(7);
        sha256Words(input, words, index);
        const copied = new Int32Array(20).fill(7);
        copyDigest(words, index, copied, 9 - index);
        const target = new Uint8Array(60).fill(7);
        putDigest(viewOf(target), at, copied, 9 - index);
        expect(target.slice(at, at + DIGEST_SIZE)).toEqual(reference(input));
        expect(words.filter((word) => word !== 7).length).toBeLessThanOrEqual(DIGEST_WORDS);
        expect(copied.filter((word) => word !== 7).length).toBeLessThanOrEqual(DIGEST_WORDS);
        expect(target.subarray(0, at).every((byte) => byte === 7)).toBe(true);
        expect(target.subarray(at + DIGEST_SIZE).every((byte) => byte === 7)).toBe(true);
      }),
    );
  });

  it('is told from bytes that differ in any bit', () => {
    const bytes = new Uint8Array(37);
    const words = new Int32Array(11);
    sha256Words(bytes, words, 3);
    putDigest(viewOf(bytes), 5, words, 3);
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      bytes[bit >>> 3]! ^= 1 << (bit & 7);
      expect(hasDigest(viewOf(bytes), 5, words, 3)).toBe(bit < 40);
      bytes[bit >>> 3]! ^= 1 << (bit & 7);
    }
  });
});

/** What the definition says, said again. */
function twoLevels(all: Uint8Array): Uint8Array {
  const groups: Uint8Array[] = [];
  for (let at = 0; at < all.length; at += 256 * DIGEST_SIZE) {
    groups.push(reference(all.subarray(at, at + 256 * DIGEST_SIZE)));
  }
  return reference(Buffer.concat(groups));
}

function hashesOf(count: number): Uint8Array {
  return new Uint8Array(count * DIGEST_SIZE).map((_, index) => (index >>> 8) + index * 31);
}

function addAll(hashes: HashOfHashes, all: Uint8Array, first = 0): void {
  const view = viewOf(all);
  const words = new Int32Array(DIGEST_WORDS + 1);
  for (let at = first * DIGEST_SIZE; at < all.length; at += DIGEST_SIZE) {
    for (let word = 0; word < DIGEST_WORDS; word += 1) {
      words[word + 1] = view.getInt32(at + word * 4, true);
    }
    hashes.add(words, 1);
  }
}

describe('a hash of hashes', () => {
  it('is that of the hashes of its groups of 256, and starts afresh', () => {
    const hashes = new HashOfHashes();
    for (const count of [0, 1, 255, 256, 257, 512, 1_000, 0, 256 * 40 + 3]) {
      const all = hashesOf(count);
      addAll(hashes, all);
      expect(hashes.finish()).toEqual(twoLevels(all));
    }
  });

  it('is the hash of nothing when nothing was added', () => {
    expect(new HashOfHashes().finish()).toEqual(reference(new Uint8Array(0)));
  });

  it('goes on from a state that was cloned or transferred as if it had not moved', () => {
    const all = hashesOf(256 * 33 + 1);
    for (const count of [0, 1, 255, 256, 257, 256 * 16, 256 * 32 + 255]) {
      for (const isTransferred of [false, true]) {
        const first = new HashOfHashes();
        addAll(first, all.subarray(0, count * DIGEST_SIZE));
        const state = first.takeState();
        const transfer = isTransferred ? [state.groups.buffer, state.rest.buffer] : [];
        const second = HashOfHashes.fromState(structuredClone(state, { transfer }));
        addAll(second, all, count);
        expect(second.finish()).toEqual(twoLevels(all));
      }
    }
  });

  it('is not used after it has moved', () => {
    const hashes = new HashOfHashes();
    hashes.takeState();
    expect(() => hashes.add(new Int32Array(DIGEST_WORDS), 0)).toThrow('Invariant broken');
    expect(() => hashes.finish()).toThrow('Invariant broken');
    expect(() => hashes.takeState()).toThrow('Invariant broken');
  });
});
