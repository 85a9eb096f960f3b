import { type BinaryToTextEncoding, hash } from 'node:crypto';
import { assert } from './assert.ts';
import { viewOf } from './integers.ts';

export const DIGEST_SIZE = 32;
/** 32-bit words of a digest. A digest as words holds its bytes as little-endian numbers. */
export const DIGEST_WORDS = 8;

/**
 * The cheapest form to get a digest in: a string with two bytes to a character, the first of them low. One byte to a
 * character takes twice as long to read, and a buffer takes longer to allocate than 250 bytes take to hash.
 */
const TWO_BYTES = 'utf16le' as BinaryToTextEncoding;

/** SHA-256 of `input` into `target[at, at + 8)`. */
export function sha256Words(input: Uint8Array, target: Int32Array, at: number): void {
  const text = hash('sha256', input, TWO_BYTES);
  for (let index = 0; index < DIGEST_WORDS; index += 1) {
    target[at + index] = text.charCodeAt(index * 2) | (text.charCodeAt(index * 2 + 1) << 16);
  }
}

/** SHA-256 of `input` into `target[at, at + 32)`. */
export function sha256Into(input: Uint8Array, target: Uint8Array, at: number): void {
  const text = hash('sha256', input, TWO_BYTES);
  for (let index = 0; index < DIGEST_SIZE; index += 2) {
    const pair = text.charCodeAt(index >>> 1);
    target[at + index] = pair;
    target[at + index + 1] = pair >>> 8;
  }
}

export function sha256(input: Uint8Array): Uint8Array {
  const result = new Uint8Array(DIGEST_SIZE);
  sha256Into(input, result, 0);
  return result;
}

// These two are written out: as loops they made a commit of one event 2.4 % slower.

/** Copies the digest at `source[from, from + 8)` to `target[to, to + 8)`. */
export function copyDigest(source: Int32Array, from: number, target: Int32Array, to: number): void {
  target[to] = source[from]!;
  target[to + 1] = source[from + 1]!;
  target[to + 2] = source[from + 2]!;
  target[to + 3] = source[from + 3]!;
  target[to + 4] = source[from + 4]!;
  target[to + 5] = source[from + 5]!;
  target[to + 6] = source[from + 6]!;
  target[to + 7] = source[from + 7]!;
}

/** Writes the digest at `words[index, index + 8)` to the 32 bytes from `at` on. */
export function putDigest(target: DataView, at: number, words: Int32Array, index: number): void {
  target.setInt32(at, words[index]!, true);
  target.setInt32(at + 4, words[index + 1]!, true);
  target.setInt32(at + 8, words[index + 2]!, true);
  target.setInt32(at + 12, words[index + 3]!, true);
  target.setInt32(at + 16, words[index + 4]!, true);
  target.setInt32(at + 20, words[index + 5]!, true);
  target.setInt32(at + 24, words[index + 6]!, true);
  target.setInt32(at + 28, words[index + 7]!, true);
}

/** True if the 32 bytes from `at` on are the digest at `words[index, index + 8)`. */
export function hasDigest(source: DataView, at: number, words: Int32Array, index: number): boolean {
  for (let word = 0; word < DIGEST_WORDS; word += 1) {
    if (source.getInt32(at + word * 4, true) !== words[index + word]) {
      return false;
    }
  }
  return true;
}

/** Members of a group whose digest is taken at once. Format: part of the segment digest's definition. */
const GROUP_COUNT = 256;
const GROUP_SIZE = GROUP_COUNT * DIGEST_SIZE;

/** What a hash of hashes has taken in so far: plain bytes, for another thread to go on with. */
export interface HashOfHashesState {
  /** Digests of the groups that are full. */
  readonly groups: Uint8Array<ArrayBuffer>;
  /** The hashes of the group that isn't. */
  readonly rest: Uint8Array<ArrayBuffer>;
}

/**
 * SHA-256 over the SHA-256 of each 256 hashes in a row; the last group may be shorter. Two levels, so that its state is
 * bytes that can move to another thread. Of no hashes at all it is the SHA-256 of nothing.
 */
export class HashOfHashes {
  #group = new Uint8Array(GROUP_SIZE);
  #groupView = viewOf(this.#group);
  #used = 0;
  #groups = new Uint8Array(16 * DIGEST_SIZE);
  #groupsUsed = 0;

  static fromState({ groups, rest }: HashOfHashesState): HashOfHashes {
    assert(groups.length % DIGEST_SIZE === 0, 'the digests of groups are whole');
    assert(rest.length % DIGEST_SIZE === 0, 'the hashes of a group are whole');
    assert(rest.length < GROUP_SIZE, 'the last group is not full');
    const hashes = new HashOfHashes();
    hashes.#groups = new Uint8Array(Math.max(groups.length * 2, hashes.#groups.length));
    hashes.#groups.set(groups);
    hashes.#groupsUsed = groups.length;
    hashes.#group.set(rest);
    hashes.#used = rest.length;
    return hashes;
  }

  /** Adds the digest at `words[index, index + 8)`. */
  add(words: Int32Array, index: number): void {
    assert(this.#used < this.#group.length, 'a hash of hashes is not used after it has moved');
    putDigest(this.#groupView, this.#used, words, index);
    this.#used += DIGEST_SIZE;
    if (this.#used === GROUP_SIZE) {
      this.#endGroup();
    }
  }

  /** The digest of everything added, and a fresh start. */
  finish(): Uint8Array {
    assert(this.#used < this.#group.length, 'a hash of hashes is not used after it has moved');
    if (this.#used > 0) {
      this.#endGroup();
    }
    const result = sha256(this.#groups.subarray(0, this.#groupsUsed));
    this.#groupsUsed = 0;
    return result;
  }

  /** Gives the state away; the object is of no use afterwards. */
  takeState(): HashOfHashesState {
    assert(this.#used < this.#group.length, 'a hash of hashes moves once');
    const state = {
      groups: this.#groups.slice(0, this.#groupsUsed),
      rest: this.#group.slice(0, this.#used),
    };
    this.#group = new Uint8Array(0);
    this.#groupView = viewOf(this.#group);
    return state;
  }

  #endGroup(): void {
    if (this.#groupsUsed === this.#groups.length) {
      const grown = new Uint8Array(this.#groups.length * 2);
      grown.set(this.#groups);
      this.#groups = grown;
    }
    sha256Into(this.#group.subarray(0, this.#used), this.#groups, this.#groupsUsed);
    this.#groupsUsed += DIGEST_SIZE;
    this.#used = 0;
  }
}
