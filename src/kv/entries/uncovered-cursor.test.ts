import { strictEqual } from 'node:assert';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ListCursor, type ListEntry } from '../../testing/list-cursor.ts';
import { EntryKind } from './cursor.ts';
import { RangeTombstones } from './range-tombstones.ts';
import { UncoveredCursor } from './uncovered-cursor.ts';

const READ_SEQUENCE = 50;

function bytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

const keys = fc.constantFrom('', 'a', 'aa', 'ab', 'b', 'c', 'ca', 'd', 'e');
const entryLists = fc.uniqueArray(
  fc.record({ key: keys, sequence: fc.integer({ min: 1, max: 20 }) }),
  { selector: ({ key, sequence }) => `${key} ${sequence}`, maxLength: 20 },
);
const rangeLists = fc.uniqueArray(
  fc.record({ start: keys, end: keys, sequence: fc.integer({ min: 1, max: 80 }) }),
  { selector: ({ sequence }) => sequence, maxLength: 6 },
);
const moves = fc.array(
  fc.oneof(
    fc.constantFrom('first', 'last', 'next', 'previous').map((move) => ({ move, key: '' })),
    fc.record({ move: fc.constantFrom('seek', 'seek before'), key: keys }),
  ),
  { maxLength: 30 },
);

function makeCursors(
  given: readonly { key: string; sequence: number }[],
  ranges: readonly { start: string; end: string; sequence: number }[],
): { cursor: UncoveredCursor; expected: ListCursor; source: ListCursor } {
  const entries = given.map(({ key, sequence }): ListEntry => ({
    key,
    sequence,
    kind: EntryKind.put,
    value: 'v',
  }));
  const newest = Math.max(0, ...given.map(({ sequence }) => sequence));
  const isHidden = (key: string): boolean =>
    ranges.some(
      ({ start, end, sequence }) =>
        start <= key && key < end && sequence > newest && sequence <= READ_SEQUENCE,
    );
  // In two parts, as they lie in several places of a store.
  const tombstones = [0, 1].map((part) =>
    RangeTombstones.from(
      ranges
        .filter(({ start, end, sequence }) => start < end && sequence % 2 === part)
        .map(({ start, end, sequence }) => ({ start: bytes(start), end: bytes(end), sequence })),
    ),
  );
  const source = new ListCursor(entries);
  return {
    cursor: new UncoveredCursor(source, tombstones, READ_SEQUENCE, newest),
    expected: new ListCursor(entries.filter(({ key }) => !isHidden(key))),
    source,
  };
}

function moveTo(cursor: UncoveredCursor | ListCursor, what: string, key: string): void {
  switch (what) {
    case 'first':
      cursor.seekFirst();
      break;
    case 'last':
      cursor.seekLast();
      break;
    case 'seek':
      cursor.seek(bytes(key), Number.MAX_SAFE_INTEGER);
      break;
    case 'seek before':
      cursor.seekBefore(bytes(key));
      break;
    case 'next':
      cursor.next();
      break;
    default:
      cursor.previous();
  }
}

function shown(cursor: UncoveredCursor | ListCursor): string {
  if (!cursor.isValid) {
    return 'nowhere';
  }
  const key = cursor.keyBytes.subarray(cursor.keyStart, cursor.keyEnd);
  return `${Buffer.from(key).toString('latin1')} ${cursor.sequence}`;
}

describe('an uncovered cursor', () => {
  it('shows what is left of its source when the covered keys are taken out, whichever way it moves', () => {
    fc.assert(
      fc.property(entryLists, rangeLists, moves, (entries, ranges, steps) => {
        const { cursor, expected } = makeCursors(entries, ranges);
        for (const { move: what, key } of steps) {
          if ((what === 'next' || what === 'previous') && !expected.isValid) {
            continue;
          }
          moveTo(cursor, what, key);
          moveTo(expected, what, key);
          strictEqual(shown(cursor), shown(expected));
        }
      }),
      { numRuns: 300 },
    );
  });

  it('passes over a covered stretch in one move, however long it is', () => {
    const entries = Array.from({ length: 1_000 }, (_, index) => ({
      key: `k${String(index).padStart(4, '0')}`,
      sequence: index + 1,
    }));
    const ranges = [{ start: 'k0001', end: 'k0999', sequence: 2_000 }];
    const tombstones = RangeTombstones.from(
      ranges.map(({ start, end, sequence }) => ({
        start: bytes(start),
        end: bytes(end),
        sequence,
      })),
    );
    const source = new ListCursor(
      entries.map(({ key, sequence }) => ({ key, sequence, kind: EntryKind.put, value: '' })),
    );
    const cursor = new UncoveredCursor(source, [tombstones], 3_000, 1_000);
    cursor.seekFirst();
    const before = source.moveCount;
    cursor.next();
    expect(shown(cursor)).toBe('k0999 1000');
    expect(source.moveCount - before).toBe(2);
    cursor.previous();
    expect(shown(cursor)).toBe('k0000 1');
  });
});
