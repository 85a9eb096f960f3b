import { strictEqual } from 'node:assert';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../base/random.ts';
import { codeOf } from '../testing/code-of.ts';
import { Arena } from './arena.ts';
import {
  byteAt,
  childAt,
  COUNT_BITS,
  COUNT_MASK,
  NODE16,
  NODE16_SIZE,
  NODE256,
  NODE256_SIZE,
  NODE4,
  NODE48,
  NODE48_SIZE,
  NODE4_SIZE,
  positionAfter,
  POSITION_END,
  TYPE_MASK,
  VALUE,
  VALUE_POSITION,
  wordOf,
} from './node.ts';
import { RadixTree } from './radix-tree.ts';

/** An arena in its second life: what it gives out is anything but zero. */
function usedArena(size: number): Arena {
  const arena = Arena.create(size, true);
  arena.bytes.fill(0xa5);
  return arena;
}

/** For what is checked very often: an expectation that holds is much dearer than a comparison. */
function same(actual: unknown, expected: unknown): void {
  if (actual !== expected) {
    expect(actual).toBe(expected);
  }
}

function insert(tree: RadixTree, key: Uint8Array): number {
  const before = tree.arena.used;
  const leaf = tree.upsert(key, 0, key.length);
  same(tree.arena.used - before <= tree.worstCaseSize(key.length), true);
  return leaf;
}

function keyOf(tree: RadixTree, leaf: number): Buffer {
  const start = tree.keyStartOf(leaf);
  return Buffer.from(tree.arena.bytes.slice(start, start + tree.keySizeOf(leaf)));
}

interface Walk {
  readonly keys: Buffer[];
  /** How many nodes of each type. */
  readonly counts: number[];
}

/** All keys in order, while every node is checked against what it says of itself. */
function walk(tree: RadixTree): Walk {
  const result: Walk = { keys: [], counts: [0, 0, 0, 0, 0] };
  if (tree.root !== 0) {
    walkBelow(tree, tree.root, Buffer.alloc(0), result);
  }
  return result;
}

function walkBelow(tree: RadixTree, reference: number, path: Buffer, result: Walk): void {
  const { words, bytes } = tree.arena;
  const type = reference & TYPE_MASK;
  result.counts[type]! += 1;
  if (type === 0) {
    const key = keyOf(tree, reference);
    same(path.equals(key.subarray(0, path.length)), true);
    result.keys.push(key);
    return;
  }
  const node = wordOf(reference);
  const prefixAt = words[node + 1]!;
  const prefix = bytes.slice(prefixAt, prefixAt + (words[node]! >>> COUNT_BITS));
  const end = Buffer.concat([path, prefix]);
  const value = words[node + VALUE]!;
  if (value !== 0) {
    same(end.equals(keyOf(tree, value)), true);
    result.keys.push(end);
    result.counts[0]! += 1;
  }
  let count = 0;
  let position = positionAfter(words, bytes, reference, VALUE_POSITION);
  while (position !== POSITION_END) {
    const byte = byteAt(words, reference, position);
    const below = Buffer.concat([end, Buffer.of(byte)]);
    walkBelow(tree, childAt(words, bytes, reference, position), below, result);
    count += 1;
    position = positionAfter(words, bytes, reference, position);
  }
  same(count, words[node]! & COUNT_MASK);
  same(count + (value === 0 ? 0 : 1) >= 2, true);
}

function sorted(keys: Iterable<Uint8Array>): Buffer[] {
  const distinct = new Map([...keys].map((key) => [Buffer.from(key).toString('hex'), key]));
  return [...distinct.values()]
    .map((key) => Buffer.from(key))
    .sort((left, right) => Buffer.compare(left, right));
}

/** For comparing long lists in one step. */
function hexOf(keys: readonly Buffer[]): string {
  return keys.map((key) => key.toString('hex')).join(' ');
}

const smallBytes = fc.constantFrom(0x00, 0x01, 0x61, 0xfe, 0xff);
const shortKey = fc.array(smallBytes, { maxLength: 7 });
/** Many keys share long beginnings, and some are beginnings of others. */
const sharingKey = fc
  .tuple(fc.integer({ min: 0, max: 12 }), fc.array(smallBytes, { maxLength: 3 }))
  .map(([size, tail]) => [...Array<number>(size).fill(0x61), ...tail]);
/** Neighbouring bytes, and long beginnings that few keys share. */
const binaryKey = fc.array(fc.integer({ min: 0, max: 1 }), { maxLength: 14 });
/** Wide nodes. */
const wideKey = fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 2 });
const key = fc.oneof(shortKey, sharingKey, binaryKey, wideKey).map((list) => Uint8Array.from(list));
const keys = fc.array(key, { maxLength: 150, size: 'max' });

describe('RadixTree', () => {
  it('agrees with a sorted list of keys about what it holds', () => {
    fc.assert(
      fc.property(keys, keys, (stored, asked) => {
        const tree = new RadixTree(usedArena(1 << 19));
        const leaves = new Map<string, number>();
        for (const each of stored) {
          const name = Buffer.from(each).toString('hex');
          const leaf = insert(tree, each);
          same(tree.wasInserted, !leaves.has(name));
          same(leaves.get(name) ?? leaf, leaf);
          if (tree.wasInserted) {
            same(tree.payloadOf(leaf), 0);
            tree.setPayload(leaf, leaves.size + 1);
          }
          leaves.set(name, leaf);
          same(tree.count, leaves.size);
        }
        const { keys: walked, counts } = walk(tree);
        same(hexOf(walked), hexOf(sorted(stored)));
        same(counts[0], leaves.size);
        let place = 0;
        for (const [name, leaf] of leaves) {
          place += 1;
          const bytes = Buffer.from(name, 'hex');
          same(tree.find(bytes, 0, bytes.length), leaf);
          same(tree.payloadOf(leaf), place);
          same(keyOf(tree, leaf).toString('hex'), name);
        }
        for (const each of asked) {
          const name = Buffer.from(each).toString('hex');
          same(tree.find(each, 0, each.length), leaves.get(name) ?? 0);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('finds the longest stored key that a key starts with', () => {
    fc.assert(
      fc.property(keys, keys, (stored, asked) => {
        const tree = new RadixTree(usedArena(1 << 19));
        const names = new Set<string>();
        for (const each of stored) {
          insert(tree, each);
          names.add(Buffer.from(each).toString('hex'));
        }
        for (const each of [...asked, ...stored]) {
          const name = Buffer.from(each).toString('hex');
          let size = each.length;
          while (size >= 0 && !names.has(name.slice(0, size * 2))) {
            size -= 1;
          }
          const leaf = tree.longestPrefix(each, 0, each.length);
          const expected = size < 0 ? undefined : name.slice(0, size * 2);
          same(leaf === 0 ? undefined : keyOf(tree, leaf).toString('hex'), expected);
        }
      }),
      { numRuns: 30 },
    );
  });

  it('takes keys from the middle of larger buffers', () => {
    const tree = new RadixTree(usedArena(1 << 16));
    const around = Buffer.from('xxabcdxxabceyyabyy');
    const first = tree.upsert(around, 2, 6);
    const second = tree.upsert(around, 8, 12);
    const third = tree.upsert(around, 14, 16);
    expect([first, second, third].map((leaf) => keyOf(tree, leaf).toString())).toEqual([
      'abcd',
      'abce',
      'ab',
    ]);
    expect(tree.find(Buffer.from('--abce'), 2, 6)).toBe(second);
    expect(tree.find(Buffer.from('--abce'), 2, 5)).toBe(0);
    expect(tree.longestPrefix(Buffer.from('--abcf'), 2, 6)).toBe(third);
    expect(tree.longestPrefix(Buffer.from('--abcdef'), 2, 8)).toBe(first);
  });

  it('takes no more of a larger buffer than the key', () => {
    const tree = new RadixTree(usedArena(4_096));
    const around = new Uint8Array(8_192).fill(0x61);
    const leaf = tree.upsert(around, 100, 300);
    expect(tree.keySizeOf(leaf)).toBe(200);
    expect(tree.arena.bytes[tree.arena.used]).toBe(0xa5);
    expect(tree.find(around, 0, 200)).toBe(leaf);
  });

  it('does not find a key that differs from a stored one only in bytes that nodes skip', () => {
    const tree = new RadixTree(usedArena(4_096));
    const stored = Buffer.from('shared/1');
    insert(tree, stored);
    insert(tree, Buffer.from('shared/2'));
    for (let index = 0; index < 7; index += 1) {
      const other = Buffer.from(stored);
      other[index]! += 1;
      expect(tree.find(other, 0, other.length)).toBe(0);
      expect(tree.longestPrefix(other, 0, other.length)).toBe(0);
    }
  });

  it('holds the empty key beside others', () => {
    const tree = new RadixTree(usedArena(4_096));
    const none = new Uint8Array(0);
    expect(tree.find(none, 0, 0)).toBe(0);
    expect(tree.longestPrefix(none, 0, 0)).toBe(0);
    const empty = insert(tree, none);
    expect(tree.find(none, 0, 0)).toBe(empty);
    const zero = insert(tree, Uint8Array.of(0));
    expect(tree.find(none, 0, 0)).toBe(empty);
    expect(tree.find(Uint8Array.of(0), 0, 1)).toBe(zero);
    expect(tree.longestPrefix(Uint8Array.of(1), 0, 1)).toBe(empty);
  });

  it('keeps payloads of 32 bits', () => {
    const tree = new RadixTree(usedArena(4_096));
    const leaf = insert(tree, Buffer.from('key'));
    tree.setPayload(leaf, 0xffff_fffe);
    expect(tree.payloadOf(leaf)).toBe(0xffff_fffe);
  });

  it('counts changes of its shape, and only these', () => {
    const tree = new RadixTree(usedArena(4_096));
    insert(tree, Buffer.from('one'));
    const before = tree.changeCount;
    tree.setPayload(insert(tree, Buffer.from('one')), 7);
    tree.find(Buffer.from('two'), 0, 3);
    expect(tree.changeCount).toBe(before);
    insert(tree, Buffer.from('two'));
    expect(tree.changeCount).toBeGreaterThan(before);
  });

  it('changes nothing when the arena has no room left', () => {
    const sizes = Array.from({ length: 40 }, (_, index) => 64 + index * 8);
    for (const size of sizes) {
      const tree = new RadixTree(usedArena(size));
      const stored: Buffer[] = [];
      let code: string | undefined;
      for (let byte = 0; code === undefined; byte += 1) {
        const next = Buffer.from([...Buffer.from('shared'), byte * 37]);
        code = codeOf(() => tree.upsert(next, 0, next.length));
        if (code === undefined) {
          stored.push(next);
        }
      }
      expect(code).toBe('INTERNAL');
      expect(hexOf(walk(tree).keys)).toBe(hexOf(sorted(stored)));
      expect(tree.count).toBe(stored.length);
    }
  });

  it('is the same in a copy of its memory', () => {
    const tree = new RadixTree(usedArena(1 << 18));
    const random = new SeededRandom(3);
    for (let index = 0; index < 500; index += 1) {
      const bytes = new Uint8Array(random.below(6));
      random.fill(bytes);
      tree.setPayload(insert(tree, bytes), index);
    }
    const copy = new ArrayBuffer(tree.arena.memory.byteLength);
    new Uint8Array(copy).set(tree.arena.bytes);
    const attached = RadixTree.attach(Arena.attach(copy, tree.arena.used), tree.root, tree.count);
    tree.arena.bytes.fill(0);
    const { keys: walked } = walk(attached);
    expect(walked).toHaveLength(attached.count);
    expect(hexOf(walked)).toBe(hexOf(sorted(walked)));
    for (const each of walked) {
      expect(attached.find(each, 0, each.length)).not.toBe(0);
    }
  });

  it('refuses a root that its arena does not have', () => {
    const arena = Arena.create(64, false);
    expect(codeOf(() => RadixTree.attach(arena, 16, 1))).toBe('INTERNAL');
    expect(codeOf(() => RadixTree.attach(arena, 0, 1))).toBe('INTERNAL');
  });
});

describe('RadixTree nodes', () => {
  const steps = [
    { children: 2, type: NODE4 },
    { children: 4, type: NODE4 },
    { children: 5, type: NODE16 },
    { children: 16, type: NODE16 },
    { children: 17, type: NODE48 },
    { children: 48, type: NODE48 },
    { children: 49, type: NODE256 },
    { children: 256, type: NODE256 },
  ];

  it.each(steps)('hold $children children in type $type', ({ children, type }) => {
    for (const stride of [1, 3, 85, 255]) {
      const tree = new RadixTree(usedArena(1 << 16));
      for (let index = 0; index < children; index += 1) {
        const bytes = Uint8Array.of(9, 8, (index * stride + 5) & 0xff);
        expect(tree.find(bytes, 0, 3)).toBe(0);
        insert(tree, bytes);
      }
      insert(tree, Uint8Array.of(9, 8));
      const { keys: walked, counts } = walk(tree);
      const expected = [children + 1, 0, 0, 0, 0];
      expected[type] = 1;
      expect(counts).toEqual(expected);
      expect(hexOf(walked)).toBe(hexOf(sorted(walked)));
    }
  });

  it('give their memory to later nodes of their size', () => {
    const tree = new RadixTree(usedArena(1 << 17));
    function cost(bytes: number[]): number {
      const before = tree.arena.used;
      insert(tree, Uint8Array.from(bytes));
      return tree.arena.used - before - 16;
    }
    cost([0, 0]);
    expect(cost([0, 1])).toBe(NODE4_SIZE);
    expect([cost([0, 2]), cost([0, 3])]).toEqual([0, 0]);
    expect(cost([0, 4])).toBe(NODE16_SIZE);
    // The node4 left behind takes the split above.
    expect(cost([1, 0])).toBe(0);
    for (let byte = 5; byte < 16; byte += 1) {
      expect(cost([0, byte])).toBe(0);
    }
    expect(cost([0, 16])).toBe(NODE48_SIZE);
    const grown = Array.from({ length: 32 }, (_, index) => cost([0, 17 + index]));
    expect(grown.slice(0, -1).every((size) => size === 0)).toBe(true);
    expect(grown.at(-1)).toBe(NODE256_SIZE);
    // Of the second node, only the first two sizes are new: the others were left behind by the first one.
    const second = Array.from({ length: 48 }, (_, index) => cost([1, 1 + index]));
    expect(second.filter((size) => size !== 0)).toEqual([NODE4_SIZE, NODE256_SIZE]);
    expect(walk(tree).counts).toEqual([98, 1, 0, 0, 2]);
  });
});

describe('RadixTree with long keys', () => {
  it('compresses 64 KiB that two keys share into one node', () => {
    const tree = new RadixTree(usedArena(1 << 20));
    const long = new Uint8Array(65_535).fill(0x61);
    const other = long.slice();
    other[65_534] = 0x62;
    const leaf = insert(tree, long);
    const otherLeaf = insert(tree, other);
    const shorter = tree.upsert(long, 0, 40_000);
    expect(tree.find(long, 0, long.length)).toBe(leaf);
    expect(tree.find(other, 0, other.length)).toBe(otherLeaf);
    expect(tree.find(long, 0, 40_000)).toBe(shorter);
    expect(tree.find(long, 0, 40_001)).toBe(0);
    expect(tree.longestPrefix(other, 0, 65_534)).toBe(shorter);
    expect(walk(tree).counts).toEqual([3, 2, 0, 0, 0]);
  });

  it('holds a chain of keys that each end one byte behind another', () => {
    const tree = new RadixTree(usedArena(1 << 22));
    const long = new Uint8Array(1_500).fill(0xff);
    for (let size = 0; size <= long.length; size += 1) {
      tree.upsert(long, 0, (size * 701) % 1_501);
    }
    strictEqual(tree.count, 1_501);
    for (let size = 0; size <= long.length; size += 1) {
      const leaf = tree.find(long, 0, size);
      strictEqual(tree.keySizeOf(leaf), size);
    }
  });
});
