/**
 * Adaptive radix tree (Leis, Kemper, Neumann: "The Adaptive Radix Tree", ICDE 2013): an ordered map from byte keys to a
 * number, all of it in an arena. Keys are any bytes, the empty key and keys that are prefixes of others among them: a
 * node has a place for the key that ends there. Keys are added, never removed, so a leaf stays where it is for good.
 *
 * Looking up skips what is compressed and compares the whole key at the leaf; adding compares on the way down. Nothing is
 * recursive: a path has as many nodes as its key has bytes, at worst. `node.ts` has the layout.
 */
import { assert } from '../base/assert.ts';
import { align8 } from '../base/integers.ts';
import type { Arena } from './arena.ts';
import {
  addChild,
  childSlot,
  COUNT_BITS,
  COUNT_MASK,
  grownSize,
  growInto,
  initializeNode4,
  isFull,
  NODE256,
  NODE256_SIZE,
  NODE4,
  NODE4_SIZE,
  PREFIX_AT,
  TYPE_MASK,
  VALUE,
  wordOf,
} from './node.ts';

/** What fits beside a count in the first word of a node. */
const KEY_SIZE_MAX = 2 ** (31 - COUNT_BITS) - 1;
const LEAF_HEADER_SIZE = 8;
/** From here on a native copy is faster than a loop. */
const NATIVE_COPY_SIZE = 96;

export class RadixTree {
  readonly arena: Arena;
  /** Reference to the topmost node or the only leaf; 0 if the tree is empty. */
  root = 0;
  /** Of keys. */
  count = 0;
  /** Moves whenever a key is added: paths into the tree taken before are stale then, leaves are not. */
  changeCount = 0;
  /** Whether the last `upsert` added the key. */
  wasInserted = false;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  /** For each type, nodes left behind by growth, chained by their first words. */
  readonly #free: Int32Array = new Int32Array(NODE256 + 1);

  constructor(arena: Arena) {
    this.arena = arena;
    this.#words = arena.words;
    this.#bytes = arena.bytes;
  }

  /** A tree that another thread has finished, or a copy of one. */
  static attach(arena: Arena, root: number, count: number): RadixTree {
    assert((root & ~TYPE_MASK) < arena.used, 'a root lies in its arena');
    assert((root === 0) === (count === 0), 'only an empty tree has no root');
    const tree = new RadixTree(arena);
    tree.root = root;
    tree.count = count;
    return tree;
  }

  /** Arena bytes that one `upsert` of a key of this size may take. */
  worstCaseSize(keySize: number): number {
    return align8(LEAF_HEADER_SIZE + keySize) + NODE256_SIZE;
  }

  payloadOf(leaf: number): number {
    return this.#words[leaf >> 2]! >>> 0;
  }

  setPayload(leaf: number, payload: number): void {
    this.#words[leaf >> 2] = payload;
  }

  keyStartOf(leaf: number): number {
    return leaf + LEAF_HEADER_SIZE;
  }

  keySizeOf(leaf: number): number {
    return this.#words[(leaf >> 2) + 1]!;
  }

  /** The leaf of a key, or 0. */
  find(key: Uint8Array, start: number, end: number): number {
    return findLeaf(this.#words, this.#bytes, this.root, key, start, end);
  }

  /** The leaf of the longest key that `key` starts with, which may be `key` itself; 0 if there is none. */
  longestPrefix(key: Uint8Array, start: number, end: number): number {
    return findLongestPrefix(this.#words, this.#bytes, this.root, key, start, end);
  }

  /** The leaf of a key, added with payload 0 if it wasn't there: `wasInserted` tells. */
  upsert(key: Uint8Array, start: number, end: number): number {
    const words = this.#words;
    const bytes = this.#bytes;
    this.wasInserted = false;
    let slot = 0;
    let reference = this.root;
    let at = start;
    while ((reference & TYPE_MASK) !== 0) {
      const node = wordOf(reference);
      const prefixSize = words[node]! >>> COUNT_BITS;
      if (prefixSize !== 0) {
        const shared = sharedSize(bytes, words[node + PREFIX_AT]!, prefixSize, key, at, end);
        if (shared < prefixSize) {
          return this.#splitPrefix(slot, reference, shared, key, start, at + shared, end);
        }
        at += prefixSize;
      }
      if (at === end) {
        const value = words[node + VALUE]!;
        return value === 0 ? this.#addValue(node, key, start, end) : value;
      }
      const next = childSlot(words, bytes, reference, key[at]!);
      if (next === 0) {
        return this.#addLeaf(slot, reference, key, start, at, end);
      }
      slot = next;
      reference = words[next]!;
      at += 1;
    }
    return this.#upsertAtLeaf(slot, reference, key, start, at, end);
  }

  /** The way down has ended at a leaf, or in an empty tree. */
  #upsertAtLeaf(
    slot: number,
    leaf: number,
    key: Uint8Array,
    start: number,
    at: number,
    end: number,
  ): number {
    const words = this.#words;
    const bytes = this.#bytes;
    if (leaf === 0) {
      const only = this.#makeLeaf(key, start, end);
      this.#link(slot, only);
      return this.#inserted(only);
    }
    const keyAt = this.keyStartOf(leaf) + at - start;
    const leafSize = this.keySizeOf(leaf) - (at - start);
    const shared = sharedSize(bytes, keyAt, leafSize, key, at, end);
    if (shared === leafSize && shared === end - at) {
      return leaf;
    }
    const added = this.#makeLeaf(key, start, end);
    const reference = this.#makeNode4(keyAt, shared);
    const node = wordOf(reference);
    if (shared === leafSize) {
      words[node + VALUE] = leaf;
    } else {
      addChild(words, bytes, reference, bytes[keyAt + shared]!, leaf);
    }
    this.#place(reference, added, key, at + shared, end);
    this.#link(slot, reference);
    return this.#inserted(added);
  }

  /** Puts a node above one whose prefix the key shares only `shared` bytes of, up to `at`. */
  #splitPrefix(
    slot: number,
    reference: number,
    shared: number,
    key: Uint8Array,
    start: number,
    at: number,
    end: number,
  ): number {
    const words = this.#words;
    const added = this.#makeLeaf(key, start, end);
    const below = wordOf(reference);
    const prefixAt = words[below + PREFIX_AT]!;
    const above = this.#makeNode4(prefixAt, shared);
    const rest = (words[below]! >>> COUNT_BITS) - shared - 1;
    words[below] = (rest << COUNT_BITS) | (words[below]! & COUNT_MASK);
    words[below + PREFIX_AT] = prefixAt + shared + 1;
    addChild(words, this.#bytes, above, this.#bytes[prefixAt + shared]!, reference);
    this.#place(above, added, key, at, end);
    this.#link(slot, above);
    return this.#inserted(added);
  }

  #addValue(node: number, key: Uint8Array, start: number, end: number): number {
    const added = this.#makeLeaf(key, start, end);
    this.#words[node + VALUE] = added;
    return this.#inserted(added);
  }

  /** Adds a leaf below a node that has no child under `key[at]`. */
  #addLeaf(
    slot: number,
    reference: number,
    key: Uint8Array,
    start: number,
    at: number,
    end: number,
  ): number {
    const words = this.#words;
    const bytes = this.#bytes;
    const added = this.#makeLeaf(key, start, end);
    if (!isFull(words, reference)) {
      addChild(words, bytes, reference, key[at]!, added);
      return this.#inserted(added);
    }
    const type = (reference & TYPE_MASK) + 1;
    const address = this.#takeNode(type, grownSize(reference));
    const grown = growInto(words, bytes, reference, address);
    addChild(words, bytes, grown, key[at]!, added);
    this.#link(slot, grown);
    this.#giveNode(reference);
    return this.#inserted(added);
  }

  /** Puts a leaf below a node where its key goes on, or ends. */
  #place(reference: number, leaf: number, key: Uint8Array, at: number, end: number): void {
    if (at === end) {
      this.#words[wordOf(reference) + VALUE] = leaf;
    } else {
      addChild(this.#words, this.#bytes, reference, key[at]!, leaf);
    }
  }

  #link(slot: number, reference: number): void {
    if (slot === 0) {
      this.root = reference;
    } else {
      this.#words[slot] = reference;
    }
  }

  /** Order: counted when everything is linked, for an arena that is full throws before anything is. */
  #inserted(leaf: number): number {
    this.count += 1;
    this.changeCount += 1;
    this.wasInserted = true;
    return leaf;
  }

  #makeLeaf(key: Uint8Array, start: number, end: number): number {
    const size = end - start;
    assert(size >= 0, 'a key does not end before it starts');
    assert(size <= KEY_SIZE_MAX, 'a key is not longer than what a node can say of its prefix');
    const leaf = this.arena.allocate(LEAF_HEADER_SIZE + size);
    this.#words[leaf >> 2] = 0;
    this.#words[(leaf >> 2) + 1] = size;
    const bytes = this.#bytes;
    const target = leaf + LEAF_HEADER_SIZE;
    if (size >= NATIVE_COPY_SIZE) {
      bytes.set(key.subarray(start, end), target);
      return leaf;
    }
    for (let index = 0; index < size; index += 1) {
      bytes[target + index] = key[start + index]!;
    }
    return leaf;
  }

  #makeNode4(prefixAt: number, prefixSize: number): number {
    const address = this.#takeNode(NODE4, NODE4_SIZE);
    initializeNode4(this.#words, address, prefixAt, prefixSize);
    return address | NODE4;
  }

  #takeNode(type: number, size: number): number {
    const free = this.#free[type]!;
    if (free === 0) {
      return this.arena.allocate(size);
    }
    this.#free[type] = this.#words[free >> 2]!;
    return free;
  }

  #giveNode(reference: number): void {
    const type = reference & TYPE_MASK;
    const node = wordOf(reference);
    this.#words[node] = this.#free[type]!;
    this.#free[type] = node << 2;
  }
}

/** How many bytes of a stored piece of key `key` shares from `at` on. */
function sharedSize(
  bytes: Uint8Array,
  stored: number,
  storedSize: number,
  key: Uint8Array,
  at: number,
  end: number,
): number {
  const size = storedSize < end - at ? storedSize : end - at;
  let index = 0;
  while (index < size && bytes[stored + index] === key[at + index]) {
    index += 1;
  }
  return index;
}

function findLeaf(
  words: Int32Array,
  bytes: Uint8Array,
  root: number,
  key: Uint8Array,
  start: number,
  end: number,
): number {
  let reference = root;
  let at = start;
  while ((reference & TYPE_MASK) !== 0) {
    const node = wordOf(reference);
    at += words[node]! >>> COUNT_BITS;
    if (at >= end) {
      reference = at === end ? words[node + VALUE]! : 0;
      break;
    }
    const slot = childSlot(words, bytes, reference, key[at]!);
    if (slot === 0) {
      return 0;
    }
    reference = words[slot]!;
    at += 1;
  }
  return reference !== 0 && isKeyOf(words, bytes, reference, key, start, end) ? reference : 0;
}

/** Compares from the end: keys that came to the same leaf differ there rather than where they start. */
function isKeyOf(
  words: Int32Array,
  bytes: Uint8Array,
  leaf: number,
  key: Uint8Array,
  start: number,
  end: number,
): boolean {
  if (words[(leaf >> 2) + 1] !== end - start) {
    return false;
  }
  const shift = leaf + LEAF_HEADER_SIZE - start;
  for (let at = end - 1; at >= start; at -= 1) {
    if (bytes[shift + at] !== key[at]) {
      return false;
    }
  }
  return true;
}

function findLongestPrefix(
  words: Int32Array,
  bytes: Uint8Array,
  root: number,
  key: Uint8Array,
  start: number,
  end: number,
): number {
  let longest = 0;
  let reference = root;
  let at = start;
  while ((reference & TYPE_MASK) !== 0) {
    const node = wordOf(reference);
    const prefixSize = words[node]! >>> COUNT_BITS;
    if (sharedSize(bytes, words[node + PREFIX_AT]!, prefixSize, key, at, end) < prefixSize) {
      return longest;
    }
    at += prefixSize;
    const value = words[node + VALUE]!;
    longest = value === 0 ? longest : value;
    const slot = at === end ? 0 : childSlot(words, bytes, reference, key[at]!);
    if (slot === 0) {
      return longest;
    }
    reference = words[slot]!;
    at += 1;
  }
  if (reference === 0) {
    return longest;
  }
  const stored = reference + LEAF_HEADER_SIZE + at - start;
  const storedSize = words[(reference >> 2) + 1]! - (at - start);
  return sharedSize(bytes, stored, storedSize, key, at, end) === storedSize ? reference : longest;
}
