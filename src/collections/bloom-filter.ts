/**
 * A Bloom filter whose bits for one key all lie in one line of 64 bytes, so that a test costs one cache miss (Bloom,
 * "Space/Time Trade-offs in Hash Coding with Allowable Errors", 1970; blocked: Putze, Sanders, Singler, "Cache-, Hash- and
 * Space-Efficient Bloom Filters", 2007). The first word of a key's hash picks the line. The second one gives the bits:
 * the top nine bits of it, of it times an odd constant, of that times the constant, … Plain double hashing (Kirsch and
 * Mitzenmacher, 2006) has too few different steps within 512 bits and twice the false positives.
 *
 * With c keys a line, k bits a key and 512 bits a line, a line answers "maybe" to a key that isn't there with probability
 * (1 − (1 − 1/512)^(kc))^k; c is Poisson distributed. At 10 bits a key and k = 6 that is 0.95 % on average.
 *
 * Persisted: the hash, the lines and the number of bits are part of a format (docs/formats/table.md).
 */
import { assert } from '../base/assert.ts';

const LINE_SIZE = 64;
const LINE_BITS_LOG2 = 9;
const TWO_32 = 2 ** 32;
/** 2^32 divided by the golden ratio, odd: spreads what it multiplies over the top bits. */
const SPREAD = 0x9e3779b9;

// Format: persisted. MurmurHash3's constants (Austin Appleby, 2011) and what tells the seed of its second pass from that of the first.
const C1 = 0xcc9e2d51;
const C2 = 0x1b873593;
const SEED_BITS = 0x9747b28c;

/** Bits that are set for each key. */
const PROBE_COUNT_MAX = 16;
export const FILTER_BITS_PER_KEY_MAX = 64;

/** The 64-bit hash of a key as two numbers: MurmurHash3_x86_32 with two seeds, in one pass. */
export function hashKey(
  bytes: Uint8Array,
  start: number,
  end: number,
  into: Uint32Array,
  seed: number = 0,
): void {
  let line = seed | 0;
  let bits = (seed ^ SEED_BITS) | 0;
  let at = start;
  for (const wordsEnd = end - 3; at < wordsEnd; at += 4) {
    let word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    word = Math.imul(word, C1);
    word = Math.imul((word << 15) | (word >>> 17), C2);
    line ^= word;
    line = (Math.imul((line << 13) | (line >>> 19), 5) + 0xe6546b64) | 0;
    bits ^= word;
    bits = (Math.imul((bits << 13) | (bits >>> 19), 5) + 0xe6546b64) | 0;
  }
  if (at < end) {
    let word = bytes[at]!;
    if (at + 1 < end) {
      word |= bytes[at + 1]! << 8;
    }
    if (at + 2 < end) {
      word |= bytes[at + 2]! << 16;
    }
    word = Math.imul(word, C1);
    word = Math.imul((word << 15) | (word >>> 17), C2);
    line ^= word;
    bits ^= word;
  }
  into[0] = finalMix(line ^ (end - start));
  into[1] = finalMix(bits ^ (end - start));
}

function finalMix(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}

/** Keys of different kinds may have different numbers of bits in one filter: each kind is as likely to pass as if it had one of its own. */
export class BloomFilter {
  readonly bytes: Uint8Array;
  readonly #lineCount: number;

  /** A filter of these bytes, which are not copied: a whole number of lines. */
  constructor(bytes: Uint8Array) {
    assert(BloomFilter.isPossible(bytes.length), 'a filter has whole lines');
    this.bytes = bytes;
    this.#lineCount = bytes.length / LINE_SIZE;
  }

  /** An empty filter with so many bits for all its distinct keys together. */
  static ofBits(bitCount: number): BloomFilter {
    return new BloomFilter(new Uint8Array(filterSizeOf(bitCount)));
  }

  /** True if so many bytes can be a filter's. */
  static isPossible(size: number): boolean {
    return size > 0 && size % LINE_SIZE === 0;
  }

  /** Takes the two words that `hashKey` gives, and `probeCountOf` the bits of such a key. */
  add(line: number, bits: number, probeCount: number): void {
    const { bytes } = this;
    const start = lineStartOf(line, this.#lineCount);
    let probe = bits | 0;
    for (let count = probeCount; count > 0; count -= 1) {
      const bit = probe >>> (32 - LINE_BITS_LOG2);
      bytes[start + (bit >>> 3)]! |= 1 << (bit & 7);
      probe = Math.imul(probe, SPREAD);
    }
  }

  /** False only if no key with this hash was added with so many probes. */
  mayHave(line: number, bits: number, probeCount: number): boolean {
    const { bytes } = this;
    const start = lineStartOf(line, this.#lineCount);
    let probe = bits | 0;
    for (let count = probeCount; count > 0; count -= 1) {
      const bit = probe >>> (32 - LINE_BITS_LOG2);
      if ((bytes[start + (bit >>> 3)]! & (1 << (bit & 7))) === 0) {
        return false;
      }
      probe = Math.imul(probe, SPREAD);
    }
    return true;
  }
}

/** Bytes of a filter whose distinct keys have so many bits together. */
export function filterSizeOf(bitCount: number): number {
  return Math.max(1, Math.ceil(bitCount / (LINE_SIZE * 8))) * LINE_SIZE;
}

/** The best number is bits × ln 2 in a plain filter and a little less here, where some lines are fuller than others. */
export function probeCountOf(bitsPerKey: number): number {
  return Math.min(PROBE_COUNT_MAX, Math.max(1, Math.floor(bitsPerKey * 0.65)));
}

/** Spreads 32-bit numbers evenly over the lines without a division. Exact: the quotient is a dyadic fraction below 1. */
function lineStartOf(line: number, lineCount: number): number {
  return Math.floor((line / TWO_32) * lineCount) * LINE_SIZE;
}
