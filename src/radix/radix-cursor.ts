/**
 * A place among the leaves of a radix tree, in key order. It keeps the nodes from the root down to its leaf, each with the
 * position taken there. Keys added meanwhile make that path stale but leave the leaf: the next move first finds the leaf
 * again by its key.
 */
import { assert } from '../base/assert.ts';
import {
  byteAt,
  childAt,
  COUNT_BITS,
  positionAfter,
  positionBefore,
  positionFrom,
  POSITION_END,
  PREFIX_AT,
  TYPE_MASK,
  VALUE,
  VALUE_POSITION,
  wordOf,
} from './node.ts';
import type { RadixTree } from './radix-tree.ts';

const DEPTH_FIRST = 16;

export class RadixCursor {
  /** The leaf it stands at; 0 if it stands at none. */
  leaf = 0;
  readonly #tree: RadixTree;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  #nodes: Int32Array = new Int32Array(DEPTH_FIRST);
  #positions: Int32Array = new Int32Array(DEPTH_FIRST);
  #depth = 0;
  #changeCount = 0;

  constructor(tree: RadixTree) {
    this.#tree = tree;
    this.#words = tree.arena.words;
    this.#bytes = tree.arena.bytes;
  }

  get isValid(): boolean {
    return this.leaf !== 0;
  }

  seekFirst(): void {
    this.#restart();
    this.#descendFirst(this.#tree.root);
  }

  seekLast(): void {
    this.#restart();
    this.#descendLast(this.#tree.root);
  }

  /** To the first leaf whose key is not smaller. */
  seek(key: Uint8Array, start = 0, end: number = key.length): void {
    this.#restart();
    const words = this.#words;
    const bytes = this.#bytes;
    let reference = this.#tree.root;
    let at = start;
    while ((reference & TYPE_MASK) !== 0) {
      const node = wordOf(reference);
      const prefixSize = words[node]! >>> COUNT_BITS;
      const order = comparePrefix(bytes, words[node + PREFIX_AT]!, prefixSize, key, at, end);
      if (order < 0) {
        this.#advance();
        return;
      }
      at += prefixSize;
      if (order > 0 || at === end) {
        this.#descendFirst(reference);
        return;
      }
      const byte = key[at]!;
      const position = positionFrom(words, bytes, reference, byte);
      if (position === POSITION_END) {
        this.#advance();
        return;
      }
      this.#push(reference, position);
      const child = childAt(words, bytes, reference, position);
      if (byteAt(words, reference, position) > byte) {
        this.#descendFirst(child);
        return;
      }
      reference = child;
      at += 1;
    }
    this.#seekAtLeaf(reference, key, at, at - start, end);
  }

  /** To the last leaf whose key is smaller. */
  seekBefore(key: Uint8Array, start = 0, end: number = key.length): void {
    this.seek(key, start, end);
    if (this.leaf === 0) {
      this.seekLast();
    } else {
      this.previous();
    }
  }

  /** Only while valid. */
  next(): void {
    assert(this.leaf !== 0, 'a cursor moves from a leaf');
    if (this.#changeCount !== this.#tree.changeCount) {
      this.#findAgain();
    }
    this.#advance();
  }

  /** Only while valid. */
  previous(): void {
    assert(this.leaf !== 0, 'a cursor moves from a leaf');
    if (this.#changeCount !== this.#tree.changeCount) {
      this.#findAgain();
    }
    this.#retreat();
  }

  #restart(): void {
    this.#depth = 0;
    this.leaf = 0;
    this.#changeCount = this.#tree.changeCount;
  }

  #findAgain(): void {
    const leaf = this.leaf;
    const start = this.#tree.keyStartOf(leaf);
    this.seek(this.#bytes, start, start + this.#tree.keySizeOf(leaf));
    assert(this.leaf === leaf, 'a leaf stays where it is');
  }

  /** The way down has ended at a leaf that shares the key up to `at`, or in an empty tree. */
  #seekAtLeaf(leaf: number, key: Uint8Array, at: number, shared: number, end: number): void {
    if (leaf === 0) {
      return;
    }
    const stored = this.#tree.keyStartOf(leaf) + shared;
    const storedSize = this.#tree.keySizeOf(leaf) - shared;
    const order = comparePrefix(this.#bytes, stored, storedSize, key, at, end);
    // Equal so far, it is smaller only if the key goes on behind it.
    if (order < 0 || (order === 0 && storedSize < end - at)) {
      this.#advance();
    } else {
      this.leaf = leaf;
    }
  }

  /** To the first leaf behind the position on top of the path. */
  #advance(): void {
    const words = this.#words;
    const bytes = this.#bytes;
    while (this.#depth > 0) {
      const top = this.#depth - 1;
      const reference = this.#nodes[top]!;
      const position = positionAfter(words, bytes, reference, this.#positions[top]!);
      if (position !== POSITION_END) {
        this.#positions[top] = position;
        this.#descendFirst(childAt(words, bytes, reference, position));
        return;
      }
      this.#depth = top;
    }
    this.leaf = 0;
  }

  /** To the last leaf before the position on top of the path. */
  #retreat(): void {
    const words = this.#words;
    const bytes = this.#bytes;
    while (this.#depth > 0) {
      const top = this.#depth - 1;
      const reference = this.#nodes[top]!;
      const from = this.#positions[top]!;
      const position =
        from === VALUE_POSITION ? from : positionBefore(words, bytes, reference, from);
      this.#positions[top] = position;
      if (position !== VALUE_POSITION) {
        this.#descendLast(childAt(words, bytes, reference, position));
        return;
      }
      const value = words[wordOf(reference) + VALUE]!;
      if (from !== VALUE_POSITION && value !== 0) {
        this.leaf = value;
        return;
      }
      this.#depth = top;
    }
    this.leaf = 0;
  }

  #descendFirst(from: number): void {
    const words = this.#words;
    const bytes = this.#bytes;
    let reference = from;
    while ((reference & TYPE_MASK) !== 0) {
      const value = words[wordOf(reference) + VALUE]!;
      if (value !== 0) {
        this.#push(reference, VALUE_POSITION);
        reference = value;
        break;
      }
      const position = positionAfter(words, bytes, reference, VALUE_POSITION);
      this.#push(reference, position);
      reference = childAt(words, bytes, reference, position);
    }
    this.leaf = reference;
  }

  #descendLast(from: number): void {
    const words = this.#words;
    const bytes = this.#bytes;
    let reference = from;
    while ((reference & TYPE_MASK) !== 0) {
      const position = positionBefore(words, bytes, reference, POSITION_END);
      this.#push(reference, position);
      reference = childAt(words, bytes, reference, position);
    }
    this.leaf = reference;
  }

  #push(reference: number, position: number): void {
    const depth = this.#depth;
    if (depth === this.#nodes.length) {
      this.#nodes = doubled(this.#nodes);
      this.#positions = doubled(this.#positions);
    }
    this.#nodes[depth] = reference;
    this.#positions[depth] = position;
    this.#depth = depth + 1;
  }
}

/**
 * Order of a stored piece of key and `key` from `at` on, as far as the piece goes: 0 if the key goes through it or ends
 * with it. A key that ends before it is smaller.
 */
function comparePrefix(
  bytes: Uint8Array,
  stored: number,
  storedSize: number,
  key: Uint8Array,
  at: number,
  end: number,
): number {
  const size = storedSize < end - at ? storedSize : end - at;
  for (let index = 0; index < size; index += 1) {
    const difference = bytes[stored + index]! - key[at + index]!;
    if (difference !== 0) {
      return difference;
    }
  }
  return storedSize - size;
}

function doubled(stack: Int32Array): Int32Array {
  const larger = new Int32Array(stack.length * 2);
  larger.set(stack);
  return larger;
}
