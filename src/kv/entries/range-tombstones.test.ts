import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  neededSequences,
  type RangeTombstone,
  RangeTombstones,
  stripeOf,
} from './range-tombstones.ts';

/** Few keys, so that everything touches everything; the empty key, zero bytes and prefixes among them. */
const keys = ['', '\0', 'a', 'a\0', 'a\0\0', 'aa', 'ab', 'b', 'ba', 'c', 'd', 'e'].map(bytes);
const keyOf = fc.nat(keys.length - 1).map((index) => keys[index]!);
const lists = fc.array(
  fc.record({ start: keyOf, end: keyOf, sequence: fc.integer({ min: 1, max: 12 }) }),
  { maxLength: 12 },
);
const sequences = Array.from({ length: 14 }, (_, sequence) => sequence);

function bytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'latin1'));
}

function textOf(key: Uint8Array | undefined): string | undefined {
  return key === undefined ? undefined : Buffer.from(key).toString('latin1');
}

function tombstone(start: string, end: string, sequence: number): RangeTombstone {
  return { start: bytes(start), end: bytes(end), sequence };
}

function naive(list: readonly RangeTombstone[], key: Uint8Array, sequence: number): number {
  let newestCovering = 0;
  for (const one of list) {
    const isSeen = one.sequence <= sequence && one.sequence > newestCovering;
    if (isSeen && Buffer.compare(one.start, key) <= 0 && Buffer.compare(key, one.end) < 0) {
      newestCovering = one.sequence;
    }
  }
  return newestCovering;
}

/** With other bytes around it, for keys come as ranges of larger memory. */
function newest(ranges: RangeTombstones, key: Uint8Array, sequence: number): number {
  const within = new Uint8Array(key.length + 4).fill(0x61);
  within.set(key, 2);
  return ranges.newestCovering(within, 2, 2 + key.length, sequence);
}

function checkShape(ranges: RangeTombstones): void {
  ranges.fragments.forEach((fragment, index) => {
    expect(Buffer.compare(fragment.start, fragment.end)).toBeLessThan(0);
    expect(fragment.sequences).toEqual([...new Set(fragment.sequences)].toSorted((a, b) => b - a));
    const next = ranges.fragments[index + 1];
    if (next !== undefined) {
      const order = Buffer.compare(fragment.end, next.start);
      expect(order).toBeLessThanOrEqual(0);
      const areSame = String(fragment.sequences) === String(next.sequences);
      expect(order === 0 && areSame).toBe(false);
    }
  });
}

/** What each key is covered by, for readers at each of the sequences. */
function answers(
  readers: readonly number[],
  cover: (key: Uint8Array, sequence: number) => number,
): string {
  return keys.map((key) => readers.map((sequence) => cover(key, sequence)).join(' ')).join('; ');
}

describe('deleted ranges', () => {
  it('cover what a plain list of them covers, at every sequence', () => {
    fc.assert(
      fc.property(lists, (list) => {
        const ranges = RangeTombstones.from(list);
        checkShape(ranges);
        expect(answers(sequences, (key, sequence) => newest(ranges, key, sequence))).toBe(
          answers(sequences, (key, sequence) => naive(list, key, sequence)),
        );
      }),
      { seed: 1, numRuns: 80 },
    );
  });

  it('answer the same to all who read at a snapshot or later after they were pruned', () => {
    const someSnapshots = fc.uniqueArray(fc.integer({ min: 0, max: 12 }), { maxLength: 3 });
    fc.assert(
      fc.property(lists, someSnapshots, (list, given) => {
        const snapshots = given.toSorted((a, b) => a - b);
        const ranges = new RangeTombstones();
        const ascending = list.toSorted((a, b) => a.sequence - b.sequence);
        for (const one of ascending) {
          ranges.add(one, snapshots);
        }
        checkShape(ranges);
        const readers = [...snapshots, 12, 13];
        expect(answers(readers, (key, sequence) => newest(ranges, key, sequence))).toBe(
          answers(readers, (key, sequence) => naive(list, key, sequence)),
        );
      }),
      { seed: 2, numRuns: 80 },
    );
  });

  it('take no more room for the same range deleted again and again', () => {
    const ranges = new RangeTombstones();
    for (let sequence = 1; sequence <= 1_000; sequence += 1) {
      ranges.add(tombstone('', String(sequence).padStart(4, '0'), sequence), []);
    }
    expect(ranges.fragments).toEqual([
      { start: bytes(''), end: bytes('1000'), sequences: [1_000] },
    ]);
  });

  it('know how far a run of them reaches, both ways', () => {
    fc.assert(
      fc.property(lists, fc.nat(13), fc.nat(13), (list, sequence, floor) => {
        const ranges = RangeTombstones.from(list);
        const covers = (key: Uint8Array): boolean => naive(list, key, sequence) > floor;
        const expected = keys.map((key, index) => {
          const end = keys.findIndex((other, at) => at >= index && !covers(other));
          const before = keys.findLastIndex((other, at) => at < index && !covers(other));
          return covers(key) ? [textOf(keys[before + 1]), textOf(keys[end])] : [];
        });
        const found = keys.map((key) => {
          const start = ranges.startOfCover(key, 0, key.length, sequence, floor);
          const end = ranges.endOfCover(key, 0, key.length, sequence, floor);
          return start === undefined && end === undefined ? [] : [textOf(start), textOf(end)];
        });
        expect(found).toEqual(expected);
      }),
      { seed: 3, numRuns: 60 },
    );
  });

  it('say the same between two bounds when they are cut there, and nothing outside', () => {
    const bound = fc.option(keyOf, { nil: undefined });
    fc.assert(
      fc.property(lists, bound, bound, (list, from, to) => {
        const clipped = RangeTombstones.from(list).clip(from, to);
        const isWithin = (key: Uint8Array): boolean =>
          (from === undefined || Buffer.compare(from, key) <= 0) &&
          (to === undefined || Buffer.compare(key, to) < 0);
        expect(answers(sequences, (key, sequence) => naive(clipped, key, sequence))).toBe(
          answers(sequences, (key, sequence) => (isWithin(key) ? naive(list, key, sequence) : 0)),
        );
      }),
      { seed: 4, numRuns: 60 },
    );
  });

  it('delete nothing if they are empty or inverted', () => {
    const ranges = RangeTombstones.from([tombstone('a', 'a', 1), tombstone('b', 'a', 2)]);
    expect(ranges.isEmpty).toBe(true);
    expect(newest(ranges, bytes('a'), 9)).toBe(0);
  });

  it('keep their order when many lie side by side, whatever order they are added in', () => {
    const count = 1_100;
    for (const step of [1, 7, count - 1]) {
      const ranges = new RangeTombstones();
      const names = Array.from({ length: count }, (_, turn) =>
        String((turn * step) % count).padStart(4, '0'),
      );
      for (const [turn, name] of names.entries()) {
        ranges.add(tombstone(name, `${name}\0`, turn + 1));
      }
      expect(ranges.fragments.map(({ start }) => textOf(start))).toEqual(names.toSorted());
      // More pieces at once than fit a call.
      ranges.add(tombstone('', 'z', count + 1));
      expect(ranges.fragments).toHaveLength(2 * count + 1);
      expect(ranges.endOfCover(new Uint8Array(0), 0, 0, count + 1, count)).toEqual(bytes('z'));
    }
  });
});

describe('stripes', () => {
  it('are cut by snapshots, each of which ends one', () => {
    const found = [1, 3, 4, 6, 7].map((sequence) => stripeOf(sequence, [3, 6]));
    expect(found).toEqual([0, 0, 1, 1, 2]);
    expect(neededSequences([9, 8, 6, 5, 4, 3, 1], [3, 6])).toEqual([9, 6, 3]);
    expect(neededSequences([9, 8, 1], [])).toEqual([9]);
  });
});
