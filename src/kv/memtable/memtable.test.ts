import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareKeys } from '../../base/compare-bytes.ts';
import { insertEntry } from '../../testing/insert-entry.ts';
import { Arena } from '../../radix/arena.ts';
import { EntryKind, makeFound } from '../entries/cursor.ts';
import { Memtable } from './memtable.ts';

const MiB = 1024 * 1024;
const keys = ['', '\0', 'a', 'a\0', 'aa', 'ab', 'abc', 'b', '\xff', '\xff\xff'].map((text) =>
  Uint8Array.from(Buffer.from(text, 'latin1')),
);
const writes = fc.array(
  fc.record({ key: fc.nat(keys.length - 1), isPut: fc.boolean(), size: fc.nat(20) }),
  { maxLength: 40 },
);

interface Version {
  readonly key: Uint8Array;
  readonly sequence: number;
  readonly kind: EntryKind;
  readonly value: Uint8Array;
}

/** Sequences far apart: beyond 32 bits, too. */
const STRIDE = 2 ** 31 + 7;

function filled(given: readonly { key: number; isPut: boolean; size: number }[]): {
  readonly memtable: Memtable;
  readonly versions: Version[];
} {
  const memtable = Memtable.create(Arena.create(64 * 1024, true), MiB);
  const versions = given.map(({ key, isPut, size }, index): Version => {
    const kind = isPut ? EntryKind.put : EntryKind.delete;
    const value = new Uint8Array(isPut ? size : 0).fill(index);
    const sequence = (index + 1) * STRIDE;
    insertEntry(memtable, keys[key]!, sequence, kind, value);
    return { key: keys[key]!, sequence, kind, value };
  });
  versions.sort(
    (left, right) => compareKeys(left.key, right.key) || right.sequence - left.sequence,
  );
  return { memtable, versions };
}

function read(memtable: Memtable, isReverse: boolean): Version[] {
  const cursor = memtable.cursor();
  const found: Version[] = [];
  for (
    isReverse ? cursor.seekLast() : cursor.seekFirst();
    cursor.isValid;
    isReverse ? cursor.previous() : cursor.next()
  ) {
    const { keyBytes, keyStart, keyEnd, valueBytes, valueStart, valueEnd } = cursor;
    found.push({
      key: keyBytes.slice(keyStart, keyEnd),
      sequence: cursor.sequence,
      kind: cursor.kind,
      value: valueBytes.slice(valueStart, valueEnd),
    });
  }
  return found;
}

describe('a memtable', () => {
  it('gives all versions in internal order, both ways, and so does another thread’s view of it', () => {
    fc.assert(
      fc.property(writes, (given) => {
        const { memtable, versions } = filled(given);
        expect(read(memtable, false)).toEqual(versions);
        expect(read(memtable, true)).toEqual(versions.toReversed());
        expect(read(Memtable.attach(memtable.freeze()), false)).toEqual(versions);
        expect(memtable.entryCount).toBe(given.length);
        expect(memtable.maxSequence).toBe(given.length * STRIDE);
      }),
    );
  });

  it('finds the newest version that a reader may see, by get and by cursor', () => {
    fc.assert(
      fc.property(writes, fc.nat(keys.length - 1), fc.nat(45), (given, index, at) => {
        const { memtable, versions } = filled(given);
        const key = keys[index]!;
        const sequence = at * STRIDE + (at % 3) - 1;
        const isSeen = (version: Version): boolean =>
          compareKeys(version.key, key) === 0 && version.sequence <= sequence;
        const expected = versions.find(isSeen);
        const found = makeFound();
        expect(memtable.get(key, sequence, found)).toBe(expected !== undefined);
        if (expected !== undefined) {
          expect(found).toMatchObject({ kind: expected.kind, sequence: expected.sequence });
          expect(found.bytes.slice(found.start, found.end)).toEqual(expected.value);
        }
        const cursor = memtable.cursor();
        cursor.seek(key, sequence);
        const following = versions.find(
          (version) => compareKeys(version.key, key) > 0 || isSeen(version),
        );
        expect(cursor.isValid && cursor.sequence).toBe(following?.sequence ?? false);
        cursor.seekBefore(key);
        const before = versions.findLast((version) => compareKeys(version.key, key) < 0);
        expect(cursor.isValid && cursor.sequence).toBe(before?.sequence ?? false);
      }),
    );
  });

  it('is full when its target is reached, and has room for what it says', () => {
    const memtable = Memtable.create(Arena.create(64 * 1024, false), 32 * 1024);
    let sequence = 0;
    while (memtable.hasRoom(100, 300)) {
      sequence += 1;
      insertEntry(
        memtable,
        new Uint8Array(100).fill(sequence),
        sequence,
        EntryKind.put,
        new Uint8Array(300),
      );
    }
    expect(memtable.size).toBeGreaterThanOrEqual(32 * 1024);
    expect(memtable.hasRoom(0, 0)).toBe(false);
    expect(Memtable.create(Arena.create(4_096, false), 4_096).hasRoom(10, 8_000)).toBe(false);
  });

  it('counts deleted ranges and skipped sequences as entries', () => {
    const memtable = Memtable.create(Arena.create(MiB, false), MiB);
    expect(memtable.isEmpty).toBe(true);
    const size = memtable.size;
    memtable.insertRange({ start: keys[1]!, end: keys[8]!, sequence: 3 }, []);
    memtable.skip(4);
    expect(memtable).toMatchObject({ entryCount: 2, maxSequence: 4, isEmpty: false });
    expect(memtable.size).toBeGreaterThan(size);
    expect(memtable.cursor().isValid).toBe(false);
    expect(() => memtable.skip(4)).toThrow('sequences only grow');
  });

  it('lets a cursor go on where it was when entries are added', () => {
    const memtable = Memtable.create(Arena.create(MiB, false), MiB);
    const cursor = memtable.cursor();
    let sequence = 0;
    for (let index = 0; index < 200; index += 2) {
      sequence += 1;
      insertEntry(memtable, Uint8Array.of(index), sequence, EntryKind.put, Uint8Array.of(index));
    }
    cursor.seekFirst();
    const found: number[] = [];
    while (cursor.isValid) {
      const byte = cursor.keyBytes[cursor.keyStart]!;
      if (found.at(-1) !== byte) {
        found.push(byte);
        for (const key of [byte + 1, byte, Math.max(0, byte - 1)]) {
          sequence += 1;
          insertEntry(memtable, Uint8Array.of(key), sequence, EntryKind.put, new Uint8Array(0));
        }
      }
      cursor.next();
    }
    expect(found).toEqual(Array.from({ length: 256 }, (_, index) => index));
  });
});
