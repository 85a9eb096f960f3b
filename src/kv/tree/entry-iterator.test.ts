import { deepStrictEqual, strictEqual } from 'node:assert';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { insertEntry } from '../../testing/insert-entry.ts';
import { EntryKind, makeFound } from '../entries/cursor.ts';
import { EntryIterator } from './entry-iterator.ts';
import { Levels } from '../manifest/levels.ts';
import { MemtableQueue } from './memtable-queue.ts';
import { ReadState } from './read-state.ts';
import { TableSet } from './table-set.ts';

const keys = ['', '\0', 'a', 'a\0', 'ab', 'b', 'ba', '\xff'];
const keyOf = fc.constantFrom(...keys);
const writes = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ type: fc.constant('put' as const), key: keyOf }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constant('delete' as const), key: keyOf }) },
    {
      weight: 1,
      arbitrary: fc.record({ type: fc.constant('range' as const), key: keyOf, end: keyOf }),
    },
    { weight: 1, arbitrary: fc.constant({ type: 'freeze' as const }) },
  ),
  { maxLength: 60 },
);
type Write = typeof writes extends fc.Arbitrary<(infer One)[]> ? One : never;

function bytes(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'latin1'));
}

function byKey([left]: [string, number], [right]: [string, number]): number {
  return left < right ? -1 : 1;
}

/** Of what the iterators below look at. */
function isInside(key: string): boolean {
  return key >= '\0' && key < 'ba';
}

function none(): never {
  throw new Error('there are no tables');
}

function noTables(): TableSet {
  return new TableSet({ open: none, openAsync: none, unused: none }, Levels.empty, 1);
}

/** Applies the writes; the states of the model are by sequence. */
function apply(given: readonly Write[]): {
  readonly state: ReadState;
  readonly states: ReadonlyMap<string, number>[];
} {
  const state = new ReadState([], noTables());
  const queue = new MemtableQueue(state, { sizeTarget: 4_096, isShared: false }, () => {});
  const states: ReadonlyMap<string, number>[] = [new Map()];
  for (const write of given) {
    const sequence = states.length;
    const next = new Map(states.at(-1));
    const memtable = queue.memtableFor(10, 10);
    // Reads at every sequence follow.
    const everyone = Array.from(states.keys());
    switch (write.type) {
      case 'put':
        insertEntry(memtable, bytes(write.key), sequence, EntryKind.put, Uint8Array.of(sequence));
        next.set(write.key, sequence);
        break;
      case 'delete':
        insertEntry(memtable, bytes(write.key), sequence, EntryKind.delete, new Uint8Array(0));
        next.delete(write.key);
        break;
      case 'range':
        if (write.key >= write.end) {
          continue;
        }
        memtable.insertRange(
          { start: bytes(write.key), end: bytes(write.end), sequence },
          everyone,
        );
        for (const key of keys.filter((one) => one >= write.key && one < write.end)) {
          next.delete(key);
        }
        break;
      case 'freeze':
        queue.freeze();
        continue;
    }
    states.push(next);
  }
  return { state, states };
}

function itemsOf(iterator: EntryIterator): [string, number][] {
  const found: [string, number][] = [];
  while (iterator.next()) {
    const { keyBytes, keyStart, keyEnd, valueBytes, valueStart, valueEnd, sequence } = iterator;
    expect([...valueBytes.subarray(valueStart, valueEnd)]).toEqual([sequence]);
    found.push([Buffer.from(keyBytes.subarray(keyStart, keyEnd)).toString('latin1'), sequence]);
  }
  return found;
}

describe('an iterator over entries', () => {
  it('gives what was visible at its sequence, in both directions, and the same as single reads', () => {
    const all = fc.tuple(
      writes,
      fc.nat(60),
      keyOf,
      fc.option(keyOf, { nil: undefined }),
      fc.boolean(),
    );
    fc.assert(
      fc.property(all, ([given, at, start, end, isReverse]) => {
        const { state, states } = apply(given);
        const sequence = Math.min(at, states.length - 1);
        const seen = states[sequence]!;
        const inside = [...seen]
          .filter(([key]) => key >= start && (end === undefined || key < end))
          .toSorted(byKey);
        const bounds = { start: bytes(start), end: end === undefined ? undefined : bytes(end) };
        const iterator = new EntryIterator(state, bounds, { sequence, isReverse, fillCache: true });
        deepStrictEqual(itemsOf(iterator), isReverse ? inside.toReversed() : inside);
        strictEqual(iterator.next(), false);
        iterator.close();
        const found = makeFound();
        for (const key of keys) {
          const isFound = state.get(bytes(key), sequence, found);
          strictEqual(isFound ? found.sequence : undefined, seen.get(key));
        }
      }),
      { numRuns: 100 },
    );
  });

  it('passes many versions of one key, older and newer than it may see', () => {
    const given = Array.from({ length: 60 }, (_, index): Write => ({
      type: 'put',
      key: index % 20 === 0 ? 'b' : 'a',
    }));
    const { state, states } = apply(given);
    for (let sequence = 0; sequence < states.length; sequence += 1) {
      const expected = [...states[sequence]!].toSorted(byKey);
      for (const isReverse of [false, true]) {
        const bounds = { start: bytes(''), end: undefined };
        const iterator = new EntryIterator(state, bounds, { sequence, isReverse, fillCache: true });
        expect(itemsOf(iterator)).toEqual(isReverse ? expected.toReversed() : expected);
        iterator.close();
      }
    }
  });

  it('goes where it is sent, from anywhere, and lets go of what it read', () => {
    const seeks = fc.array(fc.tuple(keyOf, fc.nat(3)), { maxLength: 8 });
    fc.assert(
      fc.property(writes, seeks, fc.boolean(), (given, moves, isReverse) => {
        const { state, states } = apply(given);
        const sorted = [...states.at(-1)!.keys()].toSorted();
        const bounds = { start: bytes('\0'), end: bytes('ba') };
        const sequence = states.length - 1;
        const iterator = new EntryIterator(state, bounds, { sequence, isReverse, fillCache: true });
        for (const [target, count] of moves) {
          iterator.seek(bytes(target));
          const rest = sorted
            .filter((key) => isInside(key) && (isReverse ? key <= target : key >= target))
            .filter(() => isInside(target));
          const expected = (isReverse ? rest.toReversed() : rest).slice(0, count);
          const found: string[] = [];
          while (found.length < count && iterator.next()) {
            const { keyBytes, keyStart, keyEnd } = iterator;
            found.push(Buffer.from(keyBytes.subarray(keyStart, keyEnd)).toString('latin1'));
          }
          expect(found).toEqual(expected);
        }
        iterator.close();
        iterator.close();
        expect(state.memtables.every(({ pinCount }) => pinCount === 0)).toBe(true);
      }),
    );
  });
});
