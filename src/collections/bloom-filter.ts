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

// Format: persisted. MurmurHash3's constants (Austin Appleby, 2011) and the seeds of its two passes.
const C1 = 0xcc9e2d51;
const C2 = 0x1b873593;
const SEED_LINE = 0;
const SEED_BITS = 0x9747b28c;

/** Bits that are set for each key. */
const PROBE_COUNT_MAX = 16;
export const FILTER_BITS_PER_KEY_MAX = 64;

/** The 64-bit hash of a key as two numbers: MurmurHash3_x86_32 with two seeds, in one pass. */
export function hashKey(bytes: Uint8Array, start: number, end: number, into: Uint32Array): void {
  let line = SEED_LINE;
  let bits = SEED_BITS | 0;
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

export class BloomFilter {
  readonly bytes: Uint8Array;
  readonly probeCount: number;
  readonly #lineCount: number;

  /** A filter of these bytes, which are not copied: a whole number of lines. */
  constructor(bytes: Uint8Array, probeCount: number) {
    assert(bytes.length > 0, 'a filter has a line');
    assert(bytes.length % LINE_SIZE === 0, 'a filter has whole lines');
    assert(probeCount >= 1, 'a filter sets a bit for each key');
    assert(probeCount <= PROBE_COUNT_MAX, 'a filter sets few bits for each key');
    this.bytes = bytes;
    this.probeCount = probeCount;
    this.#lineCount = bytes.length / LINE_SIZE;
  }

  /** An empty filter for this many distinct keys. */
  static forKeys(count: number, bitsPerKey: number): BloomFilter {
    assert(bitsPerKey >= 1, 'a filter has a bit for each key');
    assert(bitsPerKey <= FILTER_BITS_PER_KEY_MAX, 'a filter has few bits for each key');
    return new BloomFilter(
      new Uint8Array(filterSizeOf(count, bitsPerKey)),
      probeCountOf(bitsPerKey),
    );
  }

  /** True if `bytes` and `probeCount` can be a filter's. */
  static isPossible(size: number, probeCount: number): boolean {
    return size > 0 && size % LINE_SIZE === 0 && probeCount >= 1 && probeCount <= PROBE_COUNT_MAX;
  }

  /** Takes the two words that `hashKey` gives. */
  add(line: number, bits: number): void {
    const { bytes } = this;
    const start = lineStartOf(line, this.#lineCount);
    let probe = bits | 0;
    for (let count = this.probeCount; count > 0; count -= 1) {
      const bit = probe >>> (32 - LINE_BITS_LOG2);
      bytes[start + (bit >>> 3)]! |= 1 << (bit & 7);
      probe = Math.imul(probe, SPREAD);
    }
  }

  /** False only if no key with this hash was added. */
  mayHave(line: number, bits: number): boolean {
    const { bytes } = this;
    const start = lineStartOf(line, this.#lineCount);
    let probe = bits | 0;
    for (let count = this.probeCount; count > 0; count -= 1) {
      const bit = probe >>> (32 - LINE_BITS_LOG2);
      if ((bytes[start + (bit >>> 3)]! & (1 << (bit & 7))) === 0) {
        return false;
      }
      probe = Math.imul(probe, SPREAD);
    }
    return true;
  }
}

/** Bytes of a filter for this many distinct keys. */
export function filterSizeOf(count: number, bitsPerKey: number): number {
  return Math.max(1, Math.ceil((count * bitsPerKey) / (LINE_SIZE * 8))) * LINE_SIZE;
}

/** The best number is bits × ln 2 in a plain filter and a little less here, where some lines are fuller than others. */
export function probeCountOf(bitsPerKey: number): number {
  return Math.min(PROBE_COUNT_MAX, Math.max(1, Math.floor(bitsPerKey * 0.65)));
}

/** Spreads 32-bit numbers evenly over the lines without a division. Exact: the quotient is a dyadic fraction below 1. */
function lineStartOf(line: number, lineCount: number): number {
  return Math.floor((line / TWO_32) * lineCount) * LINE_SIZE;
}
