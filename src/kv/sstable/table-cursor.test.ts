import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SimulatedFileSystem } from '../../testing/simulated-file-system.ts';
import {
  compareEntries,
  entryAt,
  makeSample,
  openSample,
  type SampleEntry,
  samplePath,
} from './table-sample.ts';
import { BlockCache } from './block-cache.ts';
import { ReadCounters } from './read-counters.ts';

const keys = fc
  .array(fc.constantFrom(0, 1, 97, 255), { maxLength: 5 })
  .map((bytes) => Uint8Array.from(bytes));

const entriesOf: fc.Arbitrary<SampleEntry[]> = fc
  .uniqueArray(fc.tuple(keys, fc.integer({ min: 1, max: 6 }), fc.integer({ min: -1, max: 30 })), {
    minLength: 1,
    maxLength: 80,
    selector: ([key, sequence]) => `${key.join()}@${sequence}`,
  })
  .map((found) =>
    found
      .map(([key, sequence, size]) => ({
        key,
        sequence,
        value: size < 0 ? undefined : new Uint8Array(size).fill(key.length * 10 + sequence),
      }))
      .sort(compareEntries),
  );

type Move =
  | { readonly kind: 'first' | 'last' }
  | { readonly kind: 'next' | 'previous' }
  | { readonly kind: 'seek'; readonly key: Uint8Array; readonly sequence: number }
  | { readonly kind: 'before'; readonly key: Uint8Array };

const step: fc.Arbitrary<Move> = fc.record({ kind: fc.constantFrom('next', 'previous') });
const moves: fc.Arbitrary<Move[]> = fc.array(
  fc.oneof(
    { weight: 10, arbitrary: step },
    { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('first', 'last') }) },
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant('seek'), key: keys, sequence: fc.nat(7) }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('before'), key: keys }) },
  ),
  { maxLength: 80 },
);

/** Where a move leads in a sorted array; -1 or the array's length if nowhere. */
function expectedAfter(entries: readonly SampleEntry[], at: number, move: Move): number {
  if (move.kind === 'first' || move.kind === 'last') {
    return move.kind === 'first' ? 0 : entries.length - 1;
  }
  if (move.kind === 'next' || move.kind === 'previous') {
    return move.kind === 'next' ? at + 1 : at - 1;
  }
  if (move.kind === 'before') {
    return entries.findLastIndex(({ key }) => Buffer.compare(key, move.key) < 0);
  }
  if (!('sequence' in move)) {
    return at;
  }
  const place = { key: move.key, sequence: move.sequence, value: undefined };
  return entries.findIndex((entry) => compareEntries(entry, place) >= 0);
}

describe('a table cursor', () => {
  it.each([
    ['that fills the cache', true, 1024 * 1024],
    ['that bypasses it', false, 1024 * 1024],
    ['without a cache', true, 0],
  ])('%s goes wherever a sorted array goes', (_name, fillCache, capacity) => {
    fc.assert(
      fc.property(entriesOf, moves, fc.constantFrom(64, 300, 4_096), (entries, path, blockSize) => {
        const fileSystem = new SimulatedFileSystem();
        const meta = makeSample(fileSystem, samplePath, entries, { settings: { blockSize } });
        const reader = openSample(fileSystem, meta, { cache: new BlockCache(capacity) });
        const cursor = reader.cursor({ fillCache });
        expect(cursor.isValid).toBe(false);
        let at = -1;
        for (const move of path) {
          if ((move.kind === 'next' || move.kind === 'previous') && !cursor.isValid) {
            continue;
          }
          at = expectedAfter(entries, at, move);
          if (move.kind === 'seek') {
            cursor.seek(move.key, move.sequence);
          } else if (move.kind === 'before') {
            cursor.seekBefore(move.key);
          } else if (move.kind === 'first') {
            cursor.seekFirst();
          } else if (move.kind === 'last') {
            cursor.seekLast();
          } else {
            cursor[move.kind]();
          }
          expect(entryAt(cursor)).toEqual(entries[at]);
        }
        reader.close();
      }),
      { numRuns: 50 },
    );
  });

  it('goes all the way back as it went there, over more than one run and block', () => {
    const entries = Array.from({ length: 500 }, (_, index) => ({
      key: Uint8Array.of(index >> 4, index & 15, 7),
      sequence: 500 - index,
      value: new Uint8Array(index % 7),
    }));
    const fileSystem = new SimulatedFileSystem();
    const meta = makeSample(fileSystem, samplePath, entries, { settings: { blockSize: 700 } });
    const cursor = openSample(fileSystem, meta).cursor({ fillCache: false });
    const seen: (SampleEntry | undefined)[] = [];
    for (cursor.seekLast(); cursor.isValid; cursor.previous()) {
      seen.push(entryAt(cursor));
    }
    expect(seen.reverse()).toEqual(entries);
  });

  it('goes before a key by reading and decoding no more than on the way forwards', () => {
    const entries = Array.from({ length: 2_000 }, (_, index) => ({
      key: Uint8Array.of(index >> 8, index & 255, 7),
      sequence: 1,
      value: new Uint8Array(10),
    }));
    const fileSystem = new SimulatedFileSystem();
    const meta = makeSample(fileSystem, samplePath, entries, { settings: { blockSize: 1_024 } });
    const costOf = (move: 'seek' | 'seekBefore'): { blocks: number; runs: number } => {
      const counters = new ReadCounters();
      const reader = openSample(fileSystem, meta, { counters });
      let runs = 0;
      for (let index = 1; index < 2_000; index += 1) {
        const cursor = reader.cursor();
        cursor[move](entries[index]!.key, 1);
        expect(entryAt(cursor)).toEqual(entries[move === 'seek' ? index : index - 1]);
        runs += cursor.release().run === undefined ? 0 : 1;
      }
      return { blocks: counters.blockReads + counters.blockHits, runs };
    };
    const forwards = costOf('seek');
    const backwards = costOf('seekBefore');
    expect(forwards.runs).toBe(0);
    // Where a block begins, the one before is entered from its end: there are some forty.
    expect(backwards.blocks).toBeLessThan(forwards.blocks + 60);
    expect(backwards.runs).toBeLessThan(60);
  });
});
