import { strictEqual } from 'node:assert';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../base/random.ts';
import { codeOf } from '../testing/code-of.ts';
import { Arena } from './arena.ts';
import { RadixCursor } from './radix-cursor.ts';
import { RadixTree } from './radix-tree.ts';

function makeTree(arenaSize: number): RadixTree {
  const arena = Arena.create(arenaSize, true);
  arena.bytes.fill(0xa5);
  return new RadixTree(arena);
}

function insert(tree: RadixTree, key: Uint8Array): void {
  tree.upsert(key, 0, key.length);
}

/** The key a cursor stands at, as text that sorts like it. */
function nameAt(tree: RadixTree, cursor: RadixCursor): string | undefined {
  if (!cursor.isValid) {
    return undefined;
  }
  const start = tree.keyStartOf(cursor.leaf);
  return nameOf(tree.arena.bytes.subarray(start, start + tree.keySizeOf(cursor.leaf)));
}

function nameOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1');
}

/** For what is checked very often: an expectation that holds is much dearer than a comparison. */
function same(actual: unknown, expected: unknown): void {
  if (actual !== expected) {
    expect(actual).toBe(expected);
  }
}

/** Keys as a sorted list of distinct names. */
class SortedNames {
  readonly names: string[] = [];

  add(key: Uint8Array): void {
    const name = nameOf(key);
    const index = this.indexFrom(name);
    if (this.names[index] !== name) {
      this.names.splice(index, 0, name);
    }
  }

  /** Of the first name that is not smaller. */
  indexFrom(name: string): number {
    const index = this.names.findIndex((each) => each >= name);
    return index === -1 ? this.names.length : index;
  }
}

const smallBytes = fc.constantFrom(0x00, 0x01, 0x61, 0xfe, 0xff);
const key = fc
  .oneof(
    fc.array(smallBytes, { maxLength: 7 }),
    fc
      .tuple(fc.integer({ min: 0, max: 12 }), fc.array(smallBytes, { maxLength: 3 }))
      .map(([size, tail]) => [...Array<number>(size).fill(0x61), ...tail]),
    fc.array(fc.integer({ min: 0, max: 1 }), { maxLength: 14 }),
    fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 2 }),
  )
  .map((list) => Uint8Array.from(list));
const keys = fc.array(key, { maxLength: 150, size: 'max' });

const moves = fc.array(
  fc.oneof(
    { arbitrary: fc.constant({ kind: 'next' as const, key: new Uint8Array(0) }), weight: 4 },
    { arbitrary: fc.constant({ kind: 'previous' as const, key: new Uint8Array(0) }), weight: 4 },
    { arbitrary: fc.constant({ kind: 'seekFirst' as const, key: new Uint8Array(0) }), weight: 1 },
    { arbitrary: fc.constant({ kind: 'seekLast' as const, key: new Uint8Array(0) }), weight: 1 },
    { arbitrary: fc.record({ kind: fc.constant('seek' as const), key }), weight: 3 },
    { arbitrary: fc.record({ kind: fc.constant('seekBefore' as const), key }), weight: 3 },
    { arbitrary: fc.record({ kind: fc.constant('insert' as const), key }), weight: 4 },
  ),
  { maxLength: 100, size: 'max' },
);

describe('RadixCursor', () => {
  it('passes all keys in order, and back', () => {
    fc.assert(
      fc.property(keys, (stored) => {
        const tree = makeTree(1 << 18);
        const model = new SortedNames();
        for (const each of stored) {
          insert(tree, each);
          model.add(each);
        }
        const cursor = new RadixCursor(tree);
        expect(cursor.isValid).toBe(false);
        const forward: (string | undefined)[] = [];
        for (cursor.seekFirst(); cursor.isValid; cursor.next()) {
          forward.push(nameAt(tree, cursor));
        }
        expect(forward).toEqual(model.names);
        const backward: (string | undefined)[] = [];
        for (cursor.seekLast(); cursor.isValid; cursor.previous()) {
          backward.push(nameAt(tree, cursor));
        }
        expect(backward.reverse()).toEqual(model.names);
      }),
      { numRuns: 40 },
    );
  });

  it('agrees with a sorted list in every move, while keys are added', () => {
    fc.assert(
      fc.property(keys, moves, (stored, list) => {
        const tree = makeTree(1 << 19);
        const model = new SortedNames();
        for (const each of stored) {
          insert(tree, each);
          model.add(each);
        }
        const cursor = new RadixCursor(tree);
        let at: string | undefined;
        for (const move of list) {
          at = applyMove(tree, model, cursor, at, move);
          same(nameAt(tree, cursor), at);
        }
      }),
      { numRuns: 80 },
    );
  });

  it('seeks each key, and what lies just before and behind it', () => {
    fc.assert(
      fc.property(keys, (stored) => {
        const tree = makeTree(1 << 18);
        const model = new SortedNames();
        for (const each of stored) {
          insert(tree, each);
          model.add(each);
        }
        const cursor = new RadixCursor(tree);
        for (const [index, name] of model.names.entries()) {
          const around = Buffer.from(`-${name}\0`, 'latin1');
          cursor.seek(around, 1, around.length - 1);
          same(nameAt(tree, cursor), name);
          cursor.seekBefore(around, 1, around.length - 1);
          same(nameAt(tree, cursor), model.names[index - 1]);
          cursor.seek(around, 1, around.length);
          same(nameAt(tree, cursor), model.names[model.indexFrom(`${name}\0`)]);
          cursor.seekBefore(around, 1, around.length);
          same(nameAt(tree, cursor), name);
        }
      }),
      { numRuns: 30 },
    );
  });

  it('is valid nowhere in an empty tree, and does not move from nowhere', () => {
    const cursor = new RadixCursor(makeTree(4_096));
    cursor.seekFirst();
    expect(cursor.isValid).toBe(false);
    cursor.seekLast();
    expect(cursor.isValid).toBe(false);
    cursor.seek(Buffer.from('a'));
    expect(cursor.isValid).toBe(false);
    cursor.seekBefore(Buffer.from('a'));
    expect(cursor.isValid).toBe(false);
    expect(codeOf(() => cursor.next())).toBe('INTERNAL');
    expect(codeOf(() => cursor.previous())).toBe('INTERNAL');
  });

  it('goes on from its key when the node under it has been replaced', () => {
    for (const count of [4, 16, 48]) {
      const tree = makeTree(1 << 16);
      for (let index = 0; index < count; index += 1) {
        insert(tree, Uint8Array.of(7, index * 4));
      }
      const cursor = new RadixCursor(tree);
      cursor.seek(Uint8Array.of(7, 8));
      // Grows the node, and the next tree node takes the memory it left.
      insert(tree, Uint8Array.of(7, 9));
      insert(tree, Uint8Array.of(8));
      cursor.next();
      expect(nameAt(tree, cursor)).toBe('\x07\x09');
      insert(tree, Uint8Array.of(7, 7));
      cursor.previous();
      cursor.previous();
      expect(nameAt(tree, cursor)).toBe('\x07\x07');
    }
  });

  it('passes wide nodes that begin and end with any byte', () => {
    for (const count of [3, 15, 40, 60, 200]) {
      for (const first of [0, 1, 30, 256 - count]) {
        const tree = makeTree(1 << 16);
        const names = ['\x06', '\x08'];
        for (let index = 0; index < count; index += 1) {
          names.splice(-1, 0, `\x07${String.fromCharCode(first + index)}`);
        }
        for (const name of names) {
          insert(tree, Buffer.from(name, 'latin1'));
        }
        const cursor = new RadixCursor(tree);
        cursor.seekFirst();
        for (const name of names) {
          strictEqual(nameAt(tree, cursor), name);
          cursor.next();
        }
        cursor.seekLast();
        for (const name of names.reverse()) {
          strictEqual(nameAt(tree, cursor), name);
          cursor.previous();
        }
        strictEqual(cursor.isValid, false);
      }
    }
  });

  it('follows a path of many long keys', () => {
    const tree = makeTree(1 << 24);
    const long = new Uint8Array(65_535).fill(0x61);
    const sizes = Array.from({ length: 200 }, (_, index) => 65_535 - index);
    for (const size of sizes) {
      tree.upsert(long, 0, size);
    }
    const cursor = new RadixCursor(tree);
    cursor.seekLast();
    const sizesSeen: number[] = [];
    while (cursor.isValid) {
      sizesSeen.push(tree.keySizeOf(cursor.leaf));
      cursor.previous();
    }
    expect(sizesSeen).toEqual(sizes);
    cursor.seek(long, 0, 65_400);
    expect(tree.keySizeOf(cursor.leaf)).toBe(65_400);
    cursor.seekBefore(long, 0, 65_400);
    expect(tree.keySizeOf(cursor.leaf)).toBe(65_399);
  });

  it('reads a tree in a copy of its memory', () => {
    const tree = makeTree(1 << 18);
    const model = new SortedNames();
    const random = new SeededRandom(4);
    for (let index = 0; index < 600; index += 1) {
      const bytes = new Uint8Array(random.below(5));
      random.fill(bytes);
      insert(tree, bytes);
      model.add(bytes);
    }
    const memory = new ArrayBuffer(tree.arena.memory.byteLength);
    new Uint8Array(memory).set(tree.arena.bytes);
    const copy = RadixTree.attach(Arena.attach(memory, tree.arena.used), tree.root, tree.count);
    tree.arena.bytes.fill(0);
    const cursor = new RadixCursor(copy);
    const names: (string | undefined)[] = [];
    for (cursor.seekFirst(); cursor.isValid; cursor.next()) {
      names.push(nameAt(copy, cursor));
    }
    expect(names).toEqual(model.names);
  });
});

interface Move {
  readonly kind: 'next' | 'previous' | 'seekFirst' | 'seekLast' | 'seek' | 'seekBefore' | 'insert';
  readonly key: Uint8Array;
}

/** Does a move, and returns the name where it leads according to the model. */
function applyMove(
  tree: RadixTree,
  model: SortedNames,
  cursor: RadixCursor,
  at: string | undefined,
  move: Move,
): string | undefined {
  const { names } = model;
  switch (move.kind) {
    case 'next':
    case 'previous':
      if (at === undefined) {
        return at;
      }
      cursor[move.kind]();
      return names[names.indexOf(at) + (move.kind === 'next' ? 1 : -1)];
    case 'seekFirst':
      cursor.seekFirst();
      return names[0];
    case 'seekLast':
      cursor.seekLast();
      return names.at(-1);
    case 'seek':
      cursor.seek(move.key);
      return names[model.indexFrom(nameOf(move.key))];
    case 'seekBefore':
      cursor.seekBefore(move.key);
      return names[model.indexFrom(nameOf(move.key)) - 1];
    case 'insert':
      insert(tree, move.key);
      model.add(move.key);
      return at;
    default:
      throw new Error('a move has a kind');
  }
}
