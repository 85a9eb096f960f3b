/**
 * Nodes of the radix tree, as words and bytes of an arena. A reference is an address with the node's type in its three low
 * bits, so that the type is known before the node is read; type 0 is a leaf, and reference 0 is nothing.
 *
 *   leaf      payload | key size | key bytes
 *   any node  prefix size << 9 | child count    where the prefix lies    leaf of the key that ends here, or 0
 *     node4     4 key bytes in one word          4 children               sorted by key byte      32 bytes
 *     node16    16 key bytes in four words      16 children               sorted by key byte      96
 *     node48    256 bytes: place + 1, or 0      48 children               in order of arrival    464
 *     node256                                  256 children, or 0         by key byte           1040
 *
 * The prefix is what all keys below share between the byte that led here and the bytes that lead on. It isn't stored:
 * `prefix at` is the address of these bytes in the key of some leaf below, and leaves neither move nor go. So a prefix
 * may have any size, and cutting it in two is arithmetic.
 *
 * Positions number the children in key order, with gaps: an index in node4 and node16, the key byte in the wider ones.
 * Key bytes of node4 and node16 are taken out of their words by shifts, which is the same in either byte order.
 */

export const TYPE_MASK = 7;
export const NODE4 = 1;
export const NODE16 = 2;
export const NODE48 = 3;
export const NODE256 = 4;

export const NODE4_SIZE = 32;
export const NODE16_SIZE = 96;
export const NODE48_SIZE = 464;
export const NODE256_SIZE = 1_040;

/** Words of a node before what its type puts there. */
export const PREFIX_AT = 1;
export const VALUE = 2;
export const BODY = 3;

export const COUNT_BITS = 9;
export const COUNT_MASK: number = (1 << COUNT_BITS) - 1;

/** The position that stands for the key that ends at the node, which comes before all children. */
export const VALUE_POSITION = -1;
/** Behind all positions. */
export const POSITION_END = 256;

const CHILDREN4 = BODY + 1;
const CHILDREN16 = BODY + 4;
const CHILDREN48 = BODY + 64;

/** Index of a node's first word. */
export function wordOf(reference: number): number {
  return (reference >> 2) & ~1;
}

/** Index of the word that holds the child under `byte`, or 0 if there is none. */
export function childSlot(
  words: Int32Array,
  bytes: Uint8Array,
  reference: number,
  byte: number,
): number {
  const node = wordOf(reference);
  switch (reference & TYPE_MASK) {
    case NODE4: {
      const index = indexInWord(words[node + BODY]!, Math.imul(byte, 0x01010101));
      return index < (words[node]! & COUNT_MASK) ? node + CHILDREN4 + index : 0;
    }
    case NODE16: {
      const index = indexIn16(words, node + BODY, Math.imul(byte, 0x01010101));
      return index < (words[node]! & COUNT_MASK) ? node + CHILDREN16 + index : 0;
    }
    case NODE48: {
      const place = bytes[((node + BODY) << 2) + byte]!;
      return place === 0 ? 0 : node + CHILDREN48 - 1 + place;
    }
    default: {
      const slot = node + BODY + byte;
      return words[slot] === 0 ? 0 : slot;
    }
  }
}

/** Place of the first of the four bytes of `word` that is the byte repeated in `pattern`; 16 if none is. */
function indexInWord(word: number, pattern: number): number {
  const difference = word ^ pattern;
  // The lowest bit set belongs to the first byte that is zero; what is set above it may be the work of a borrow.
  const zeros = (difference - 0x01010101) & ~difference & 0x80808080;
  return zeros === 0 ? 16 : (31 - Math.clz32(zeros & (~zeros + 1))) >> 3;
}

function indexIn16(words: Int32Array, at: number, pattern: number): number {
  for (let index = 0; index < 4; index += 1) {
    const found = indexInWord(words[at + index]!, pattern);
    if (found < 16) {
      return (index << 2) + found;
    }
  }
  return 16;
}

/** The child at a position that is taken. */
export function childAt(
  words: Int32Array,
  bytes: Uint8Array,
  reference: number,
  position: number,
): number {
  const node = wordOf(reference);
  switch (reference & TYPE_MASK) {
    case NODE4:
      return words[node + CHILDREN4 + position]!;
    case NODE16:
      return words[node + CHILDREN16 + position]!;
    case NODE48:
      return words[node + CHILDREN48 - 1 + bytes[((node + BODY) << 2) + position]!]!;
    default:
      return words[node + BODY + position]!;
  }
}

/** The key byte that leads to the child at a position. */
export function byteAt(words: Int32Array, reference: number, position: number): number {
  return (reference & TYPE_MASK) <= NODE16 ? keyByte(words, wordOf(reference), position) : position;
}

/** The first taken position behind `position`, or `POSITION_END`. */
export function positionAfter(
  words: Int32Array,
  bytes: Uint8Array,
  reference: number,
  position: number,
): number {
  const node = wordOf(reference);
  let next = position + 1;
  switch (reference & TYPE_MASK) {
    case NODE4:
    case NODE16:
      return next < (words[node]! & COUNT_MASK) ? next : POSITION_END;
    case NODE48: {
      const places = (node + BODY) << 2;
      while (next < POSITION_END && bytes[places + next] === 0) {
        next += 1;
      }
      return next;
    }
    default: {
      while (next < POSITION_END && words[node + BODY + next] === 0) {
        next += 1;
      }
      return next;
    }
  }
}

/** The last taken position before `position`, or `VALUE_POSITION`, where there may be a value or not. */
export function positionBefore(
  words: Int32Array,
  bytes: Uint8Array,
  reference: number,
  position: number,
): number {
  const node = wordOf(reference);
  let previous = position - 1;
  switch (reference & TYPE_MASK) {
    case NODE4:
    case NODE16: {
      const last = (words[node]! & COUNT_MASK) - 1;
      return previous < last ? previous : last;
    }
    case NODE48: {
      const places = (node + BODY) << 2;
      while (previous >= 0 && bytes[places + previous] === 0) {
        previous -= 1;
      }
      return previous;
    }
    default: {
      while (previous >= 0 && words[node + BODY + previous] === 0) {
        previous -= 1;
      }
      return previous;
    }
  }
}

/** The first taken position whose key byte is not smaller than `byte`, or `POSITION_END`. */
export function positionFrom(
  words: Int32Array,
  bytes: Uint8Array,
  reference: number,
  byte: number,
): number {
  if ((reference & TYPE_MASK) > NODE16) {
    return positionAfter(words, bytes, reference, byte - 1);
  }
  const node = wordOf(reference);
  const count = words[node]! & COUNT_MASK;
  const index = lowerBound(words, node, count, byte);
  return index < count ? index : POSITION_END;
}

/** True if a child more doesn't fit. */
export function isFull(words: Int32Array, reference: number): boolean {
  const count = words[wordOf(reference)]! & COUNT_MASK;
  switch (reference & TYPE_MASK) {
    case NODE4:
      return count === 4;
    case NODE16:
      return count === 16;
    case NODE48:
      return count === 48;
    default:
      return false;
  }
}

/** Writes a node4 without children over memory that holds anything. */
export function initializeNode4(
  words: Int32Array,
  address: number,
  prefixAt: number,
  prefixSize: number,
): void {
  const node = address >> 2;
  words[node] = prefixSize << COUNT_BITS;
  words[node + PREFIX_AT] = prefixAt;
  words[node + VALUE] = 0;
  words[node + BODY] = 0;
}

/** Adds a child under a byte that has none, to a node that isn't full. */
export function addChild(
  words: Int32Array,
  bytes: Uint8Array,
  reference: number,
  byte: number,
  child: number,
): void {
  const node = wordOf(reference);
  const head = words[node]!;
  const count = head & COUNT_MASK;
  words[node] = head + 1;
  switch (reference & TYPE_MASK) {
    case NODE4:
      addSorted(words, node, CHILDREN4, count, byte, child);
      return;
    case NODE16:
      addSorted(words, node, CHILDREN16, count, byte, child);
      return;
    case NODE48:
      words[node + CHILDREN48 + count] = child;
      bytes[((node + BODY) << 2) + byte] = count + 1;
      return;
    default:
      words[node + BODY + byte] = child;
  }
}

function addSorted(
  words: Int32Array,
  node: number,
  children: number,
  count: number,
  byte: number,
  child: number,
): void {
  const position = lowerBound(words, node, count, byte);
  let slot = node + children + count;
  for (const stop = node + children + position; slot > stop; slot -= 1) {
    words[slot] = words[slot - 1]!;
  }
  words[slot] = child;
  // The word that takes the byte keeps what lies below it; what it pushes out goes into the next one.
  let at = node + BODY + (position >> 2);
  const word = words[at]!;
  const shift = (position & 3) << 3;
  const below = (1 << shift) - 1;
  words[at] = (word & below) | (byte << shift) | ((word & ~below) << 8);
  let pushedOut = word >>> 24;
  for (const last = node + BODY + (count >> 2); at < last;) {
    at += 1;
    const next = words[at]!;
    words[at] = (next << 8) | pushedOut;
    pushedOut = next >>> 24;
  }
}

/** How many of the first `count` sorted key bytes are smaller than `byte`. */
function lowerBound(words: Int32Array, node: number, count: number, byte: number): number {
  let index = 0;
  while (index < count && keyByte(words, node, index) < byte) {
    index += 1;
  }
  return index;
}

function keyByte(words: Int32Array, node: number, index: number): number {
  return (words[node + BODY + (index >> 2)]! >>> ((index & 3) << 3)) & 0xff;
}

/** Size of the node that a full node of this type grows into. */
export function grownSize(reference: number): number {
  switch (reference & TYPE_MASK) {
    case NODE4:
      return NODE16_SIZE;
    case NODE16:
      return NODE48_SIZE;
    default:
      return NODE256_SIZE;
  }
}

/** Copies a full node into the next wider type, over memory that holds anything. Returns the reference to the copy. */
export function growInto(
  words: Int32Array,
  bytes: Uint8Array,
  reference: number,
  address: number,
): number {
  const from = wordOf(reference);
  const to = address >> 2;
  words[to] = words[from]!;
  words[to + PREFIX_AT] = words[from + PREFIX_AT]!;
  words[to + VALUE] = words[from + VALUE]!;
  switch (reference & TYPE_MASK) {
    case NODE4:
      grow4(words, from, to);
      return address | NODE16;
    case NODE16:
      grow16(words, bytes, from, to);
      return address | NODE48;
    default:
      grow48(words, bytes, from, to);
      return address | NODE256;
  }
}

function grow4(words: Int32Array, from: number, to: number): void {
  words[to + BODY] = words[from + BODY]!;
  words[to + BODY + 1] = 0;
  words[to + BODY + 2] = 0;
  words[to + BODY + 3] = 0;
  for (let index = 0; index < 4; index += 1) {
    words[to + CHILDREN16 + index] = words[from + CHILDREN4 + index]!;
  }
}

function grow16(words: Int32Array, bytes: Uint8Array, from: number, to: number): void {
  for (let index = 0; index < 64; index += 1) {
    words[to + BODY + index] = 0;
  }
  const places = (to + BODY) << 2;
  for (let index = 0; index < 16; index += 1) {
    words[to + CHILDREN48 + index] = words[from + CHILDREN16 + index]!;
    bytes[places + keyByte(words, from, index)] = index + 1;
  }
}

function grow48(words: Int32Array, bytes: Uint8Array, from: number, to: number): void {
  const places = (from + BODY) << 2;
  for (let byte = 0; byte < 256; byte += 1) {
    const place = bytes[places + byte]!;
    words[to + BODY + byte] = place === 0 ? 0 : words[from + CHILDREN48 - 1 + place]!;
  }
}
