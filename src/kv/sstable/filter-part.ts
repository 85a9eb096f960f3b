/** The filter of a table: nothing but its lines. What they cover the properties say. See docs/formats/table.md. */
import {
  BloomFilter,
  filterSizeOf,
  hashKey,
  probeCountOf,
} from '../../collections/bloom-filter.ts';
import type { Refusal } from '../../base/refusal.ts';
import { axisOf, coveredSize, type FilterRule, type WantedKeys } from './filter-rule.ts';
import { filterSeedOf, TRAILER_SIZE } from './format.ts';

const nothing = new Uint8Array(0);
/** Hash and probes of each covered part. */
const WORDS = 3;

/** Gathers the covered parts of a table's keys: the filter is made when their number is known. */
export class TableFilterBuilder {
  readonly #rule: FilterRule;
  readonly #seed: number;
  #words = new Uint32Array(WORDS * 1_024);
  #count = 0;
  /** Of all parts together. */
  #bitCount = 0;
  readonly #hash = new Uint32Array(2);

  /** `identity`: of the tree. */
  constructor(rule: FilterRule, identity: Uint8Array) {
    this.#rule = rule;
    this.#seed = filterSeedOf(identity);
  }

  /** Bytes of the filter, as far as it goes; 0 if there is none. */
  get size(): number {
    return this.#count === 0 ? 0 : filterSizeOf(this.#bitCount);
  }

  /** Keys come in order, each of them once. */
  add(bytes: Uint8Array, start: number, end: number): void {
    const axis = axisOf(this.#rule, bytes, start, end);
    const { bitsPerKey } = axis ?? this.#rule;
    if (bitsPerKey === 0) {
      return;
    }
    const hash = this.#hash;
    hashKey(bytes, start, start + coveredSize(axis, end - start), hash, this.#seed);
    const at = this.#count * WORDS;
    const isSeen =
      at > 0 && this.#words[at - WORDS] === hash[0] && this.#words[at - WORDS + 1] === hash[1];
    if (isSeen) {
      // The key before has the same covered part.
      return;
    }
    if (at === this.#words.length) {
      const grown = new Uint32Array(at * 2);
      grown.set(this.#words);
      this.#words = grown;
    }
    this.#words[at] = hash[0]!;
    this.#words[at + 1] = hash[1]!;
    this.#words[at + 2] = probeCountOf(bitsPerKey);
    this.#count += 1;
    this.#bitCount += bitsPerKey;
  }

  /** The payload of the part, with room for a trailer; undefined if there is nothing to be in it. */
  finish(): Uint8Array<ArrayBuffer> | undefined {
    if (this.#count === 0) {
      return undefined;
    }
    const bytes = new Uint8Array(this.size + TRAILER_SIZE);
    const filter = new BloomFilter(bytes.subarray(0, this.size));
    const words = this.#words;
    for (let at = 0; at < this.#count * WORDS; at += WORDS) {
      filter.add(words[at]!, words[at + 1]!, words[at + 2]!);
    }
    return bytes;
  }
}

/** The hash of a key that is looked for, as far as the tables asked so far have covered it. */
export class SoughtHash {
  readonly #words = new Uint32Array(2);
  #key: Uint8Array = nothing;
  #size = -1;
  #seed = 0;

  /** From now on this key is looked for. */
  begin(key: Uint8Array): void {
    this.#key = key;
    this.#size = -1;
  }

  /** The hash of the key's first bytes. */
  of(size: number, seed: number): Uint32Array {
    if (size !== this.#size || seed !== this.#seed) {
      hashKey(this.#key, 0, size, this.#words, seed);
      this.#size = size;
      this.#seed = seed;
    }
    return this.#words;
  }
}

/** Answer of a filter about a key: surely not there, perhaps there; or nothing, because it doesn't cover such keys. */
export type FilterAnswer = 'absent' | 'possible' | 'silent';

export class TableFilter {
  readonly #bloom: BloomFilter;
  readonly #rule: FilterRule;
  readonly #seed: number;

  /** `lines` are not copied. */
  constructor(lines: Uint8Array, rule: FilterRule, identity: Uint8Array) {
    this.#bloom = new BloomFilter(lines);
    this.#rule = rule;
    this.#seed = filterSeedOf(identity);
  }

  /** Returns a reason if the bytes can't be such a part. */
  static decode(
    payload: Uint8Array,
    rule: FilterRule,
    identity: Uint8Array,
  ): TableFilter | Refusal {
    return BloomFilter.isPossible(payload.length)
      ? new TableFilter(payload, rule, identity)
      : { reason: 'the filter is not laid out as filters are' };
  }

  get size(): number {
    return this.#bloom.bytes.length;
  }

  /** `hash` is the key's. */
  ask(key: Uint8Array, hash: SoughtHash): FilterAnswer {
    const axis = axisOf(this.#rule, key, 0, key.length);
    const { bitsPerKey } = axis ?? this.#rule;
    return this.#answer(bitsPerKey, coveredSize(axis, key.length), hash);
  }

  /** Asks about all keys that a search wants at once, which begin like `start`, if they share what the filter covers. */
  askWanted(start: Uint8Array, wanted: WantedKeys, hash: SoughtHash): FilterAnswer {
    const axis = axisOf(this.#rule, start, 0, wanted.prefixSize);
    const { bitsPerKey } = axis ?? this.#rule;
    const size = coveredSize(axis, wanted.keySize);
    const isShared = wanted.prefixSize > 0 && size <= wanted.prefixSize;
    return isShared ? this.#answer(bitsPerKey, size, hash) : 'silent';
  }

  #answer(bitsPerKey: number, size: number, hash: SoughtHash): FilterAnswer {
    if (bitsPerKey === 0) {
      return 'silent';
    }
    const words = hash.of(size, this.#seed);
    return this.#bloom.mayHave(words[0]!, words[1]!, probeCountOf(bitsPerKey))
      ? 'possible'
      : 'absent';
  }
}
