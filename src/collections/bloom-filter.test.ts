import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../base/random.ts';
import { BloomFilter, filterSizeOf, hashKey, probeCountOf } from './bloom-filter.ts';

const SEED = 20_240_611;

function hashOf(bytes: Uint8Array): [number, number] {
  const hash = new Uint32Array(2);
  hashKey(bytes, 0, bytes.length, hash);
  return [hash[0]!, hash[1]!];
}

/** Chance that a blocked filter answers "maybe" to a key that isn't there: Poisson over the keys of a line. */
function falsePositiveRate(bitsPerKey: number): number {
  const mean = 512 / bitsPerKey;
  const probeCount = probeCountOf(bitsPerKey);
  let chance = Math.exp(-mean);
  let rate = 0;
  for (let keys = 0; keys < mean * 6 + 50; keys += 1) {
    rate += chance * (1 - (1 - 1 / 512) ** (probeCount * keys)) ** probeCount;
    chance *= mean / (keys + 1);
  }
  return rate;
}

describe('the hash of a key', () => {
  it('is MurmurHash3 of the reference', () => {
    const vectors: [string, number][] = [
      ['', 0],
      ['test', 0xba6bd213],
      ['Hello, world!', 0xc0363e43],
      ['The quick brown fox jumps over the lazy dog', 0x2e4ff723],
    ];
    for (const [text, expected] of vectors) {
      expect(hashOf(new TextEncoder().encode(text))[0]).toBe(expected);
    }
    expect(hashOf(new TextEncoder().encode('The quick brown fox jumps over the lazy dog'))[1]).toBe(
      0x2fa826cd,
    );
  });

  it('differs in both words when the seed does', () => {
    const hash = new Uint32Array(2);
    const key = new TextEncoder().encode('Hello, world!');
    hashKey(key, 0, key.length, hash, 7);
    const [line, bits] = hashOf(key);
    expect(hash[0]).not.toBe(line);
    expect(hash[1]).not.toBe(bits);
    // MurmurHash3's own seed.
    hashKey(key, 0, key.length, hash, 0x9747b28c);
    expect(hash[0]).toBe(bits);
  });

  it('does not depend on where the key stands', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(9), (key, at) => {
        const bytes = new Uint8Array(key.length + 20).fill(0xaa);
        bytes.set(key, at);
        const hash = new Uint32Array(2);
        hashKey(bytes, at, at + key.length, hash);
        expect([...hash]).toEqual(hashOf(key));
      }),
    );
  });
});

describe('a filter', () => {
  it('never denies a key that was added', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 12 }), { maxLength: 60 }),
        fc.integer({ min: 1, max: 30 }),
        (keys, bitsPerKey) => {
          const filter = BloomFilter.ofBits(keys.length * bitsPerKey);
          const probeCount = probeCountOf(bitsPerKey);
          for (const key of keys) {
            filter.add(...hashOf(key), probeCount);
          }
          const copy = new BloomFilter(filter.bytes.slice());
          expect(keys.every((key) => copy.mayHave(...hashOf(key), probeCount))).toBe(true);
        },
      ),
    );
  });

  it.each([5, 10, 16])('is wrong as seldom as theory says, at %i bits a key', (bitsPerKey) => {
    const random = new SeededRandom(SEED);
    const count = 20_000;
    const filter = BloomFilter.ofBits(count * bitsPerKey);
    const probeCount = probeCountOf(bitsPerKey);
    const key = new Uint8Array(16);
    const view = new DataView(key.buffer);
    for (let index = 0; index < count; index += 1) {
      view.setUint32(8, index);
      filter.add(...hashOf(key), probeCount);
    }
    let wrong = 0;
    const asked = 60_000;
    for (let index = 0; index < asked; index += 1) {
      view.setUint32(0, 1 + random.below(2 ** 31));
      view.setUint32(8, index);
      wrong += filter.mayHave(...hashOf(key), probeCount) ? 1 : 0;
    }
    const expected = falsePositiveRate(bitsPerKey);
    expect(wrong / asked).toBeLessThan(expected * 1.5);
    expect(wrong / asked).toBeGreaterThan(expected * 0.6);
  });

  it('has the rate at 10 bits a key that its page promises', () => {
    expect(falsePositiveRate(10)).toBeCloseTo(0.0095, 3);
  });

  it('lets keys of each kind pass as seldom as if they had a filter of their own', () => {
    const count = 20_000;
    const kinds = [4, 14] as const;
    const filter = BloomFilter.ofBits(count * (kinds[0] + kinds[1]));
    const key = new Uint8Array(16);
    const view = new DataView(key.buffer);
    const wrong = [0, 0];
    for (const [kind, bitsPerKey] of kinds.entries()) {
      key[0] = kind;
      for (let index = 0; index < count; index += 1) {
        view.setUint32(8, index);
        filter.add(...hashOf(key), probeCountOf(bitsPerKey));
      }
    }
    for (const [kind, bitsPerKey] of kinds.entries()) {
      key[0] = kind;
      for (let index = count; index < 4 * count; index += 1) {
        view.setUint32(8, index);
        wrong[kind]! += filter.mayHave(...hashOf(key), probeCountOf(bitsPerKey)) ? 1 : 0;
      }
      const expected = falsePositiveRate(bitsPerKey);
      expect(wrong[kind]! / (3 * count)).toBeLessThan(expected * 1.6);
      expect(wrong[kind]! / (3 * count)).toBeGreaterThan(expected * 0.4);
    }
  });

  it('denies everything while it is empty', () => {
    const filter = BloomFilter.ofBits(0);
    expect(filter.bytes.length).toBe(64);
    expect(filter.mayHave(...hashOf(new Uint8Array(3)), probeCountOf(10))).toBe(false);
  });

  it('reaches its last line and no further', () => {
    const filter = BloomFilter.ofBits(10_000);
    expect(filter.bytes.length).toBe(filterSizeOf(10_000));
    filter.add(0xffff_ffff, 0xffff_ffff, 6);
    filter.add(0, 0, 6);
    expect(filter.bytes.subarray(-64).some((byte) => byte !== 0)).toBe(true);
    expect(filter.bytes.subarray(0, 64).some((byte) => byte !== 0)).toBe(true);
  });

  it('can only be made of whole lines', () => {
    expect(BloomFilter.isPossible(64)).toBe(true);
    for (const size of [0, -8, 63]) {
      expect(BloomFilter.isPossible(size)).toBe(false);
    }
  });
});
