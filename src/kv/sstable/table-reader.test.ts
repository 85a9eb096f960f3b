import { deepStrictEqual } from 'node:assert';
import fc from 'fast-check';
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../base/random.ts';
import { runBlocking } from '../../io/steps.ts';
import { SimulatedFileSystem } from '../../testing/simulated-file-system.ts';
import {
  compareEntries,
  getFrom,
  makeSample,
  openSample,
  type SampleEntry,
  sampleIdentity,
  samplePath,
  scanAll,
  text,
} from './table-sample.ts';
import { EntryKind } from '../entries/cursor.ts';
import { BlockCache } from './block-cache.ts';
import { FOOTER_SIZE } from './format.ts';
import { ReadCounters } from './read-counters.ts';
import { TableBuilder } from './table-builder.ts';
import { readTableMeta } from './table-file.ts';

const keys = fc
  .array(fc.constantFrom(0, 1, 97, 255), { maxLength: 6 })
  .map((bytes) => Uint8Array.from(bytes));

/** Distinct keys, some with many versions, far apart and close together. */
export const sampleEntries: fc.Arbitrary<SampleEntry[]> = fc
  .uniqueArray(
    fc.record({
      key: keys,
      sequences: fc.uniqueArray(
        fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 2 ** 53 - 1 })),
        { minLength: 1, maxLength: 12 },
      ),
      size: fc.integer({ min: -1, max: 60 }),
    }),
    { minLength: 1, maxLength: 40, selector: ({ key }) => key.join() },
  )
  .map((found) =>
    found
      .flatMap(({ key, sequences, size }) =>
        sequences.map((sequence) => ({
          key,
          sequence,
          value: size < 0 ? undefined : new Uint8Array(size).fill(sequence % 251),
        })),
      )
      .sort(compareEntries),
  );

const settingsOf = fc.record({
  blockSize: fc.constantFrom(64, 128, 1_024, 4_096),
  filterBitsPerKey: fc.constantFrom(0, 1, 10),
  compression: fc.constantFrom('none' as const, 'none' as const, 'deflate' as const),
});

const numbered = (count: number): SampleEntry[] =>
  Array.from({ length: count }, (_, index) => ({
    key: text(`key-${String(index).padStart(5, '0')}`),
    sequence: index + 1,
    value: text(`value of ${index}`),
  }));

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

describe('a table', () => {
  it('gives back every version of every key, for every sequence', () => {
    fc.assert(
      fc.property(
        sampleEntries,
        settingsOf,
        fc.array(keys, { maxLength: 20 }),
        (entries, settings, others) => {
          const fileSystem = new SimulatedFileSystem();
          const meta = makeSample(fileSystem, samplePath, entries, { settings });
          const reader = openSample(fileSystem, meta);
          reader.verify();
          deepStrictEqual(scanAll(reader.cursor()), entries);
          for (const { key, sequence } of [
            ...entries,
            ...others.map((other) => ({ key: other, sequence: 17 })),
          ]) {
            for (const asked of [sequence - 1, sequence, sequence + 1]) {
              const expected = entries.find(
                (entry) => Buffer.compare(entry.key, key) === 0 && entry.sequence <= asked,
              );
              deepStrictEqual(getFrom(reader, key, asked), expected);
            }
          }
          reader.close();
        },
      ),
      { numRuns: 15 },
    );
  });

  it('says what it holds, and so does its file alone', () => {
    fc.assert(
      fc.property(sampleEntries, settingsOf, (entries, settings) => {
        const fileSystem = new SimulatedFileSystem();
        const options = { settings, level: 3, inputs: [4, 2 ** 40], outputIndex: 2 };
        const meta = makeSample(fileSystem, samplePath, entries, {
          ...options,
          isLastOutput: false,
        });
        const bytes = fileSystem.readFile(samplePath);
        const sequences = entries.map(({ sequence }) => sequence);
        deepStrictEqual(meta, {
          number: 7,
          size: bytes.length,
          count: entries.length,
          deleteCount: entries.filter(({ value }) => value === undefined).length,
          rangeDeleteCount: 0,
          rawSize: sum(entries.map(({ key, value }) => key.length + (value?.length ?? 0))),
          minKey: entries[0]!.key,
          maxKey: entries.at(-1)!.key,
          isMaxExclusive: false,
          minSequence: Math.min(...sequences),
          maxSequence: Math.max(...sequences),
          ingestSequence: undefined,
          digest: new Uint8Array(
            createHash('sha256').update(bytes.subarray(0, -FOOTER_SIZE)).digest(),
          ),
        });
        const { level, inputs, outputIndex, isLastOutput, ...rest } = readTableMeta(
          fileSystem,
          samplePath,
          sampleIdentity,
        );
        deepStrictEqual(rest, { ...meta, settings: { tableSizeMax: 1024 * 1024, ...settings } });
        deepStrictEqual(
          { level, inputs, outputIndex, isLastOutput },
          {
            level: 3,
            inputs: [4, 2 ** 40],
            outputIndex: 2,
            isLastOutput: false,
          },
        );
      }),
      { numRuns: 15 },
    );
  });

  it('holds values of any size, the largest in blocks of their own', () => {
    const fileSystem = new SimulatedFileSystem();
    const entries: SampleEntry[] = [
      { key: text(''), sequence: 9, value: text('') },
      { key: text('a'), sequence: 8, value: new Uint8Array(300_000).fill(1) },
      { key: text('b'), sequence: 7, value: text('small') },
      { key: text('c'), sequence: 6, value: new Uint8Array(16 * 1024 * 1024).fill(2) },
      { key: new Uint8Array(65_535).fill(100), sequence: 5, value: text('under a long key') },
      { key: new Uint8Array(65_535).fill(101), sequence: 4, value: undefined },
    ];
    const meta = makeSample(fileSystem, samplePath, entries, { settings: { blockSize: 4_096 } });
    const reader = openSample(fileSystem, meta, { cache: new BlockCache(64 * 1024 * 1024) });
    for (const entry of entries) {
      const found = getFrom(reader, entry.key);
      expect(found?.sequence).toBe(entry.sequence);
      expect(Buffer.compare(found?.value ?? text('none'), entry.value ?? text('none'))).toBe(0);
    }
    const cursor = reader.cursor();
    const sequences: number[] = [];
    for (cursor.seekLast(); cursor.isValid; cursor.previous()) {
      sequences.push(cursor.sequence);
    }
    expect(sequences).toEqual([4, 5, 6, 7, 8, 9]);
    expect(reader.sizeOfRange(text('b'), text('c'))).toBeLessThan(200);
    reader.close();
  });

  it('keeps deleted ranges and takes them into its bounds', () => {
    const fileSystem = new SimulatedFileSystem();
    const rangeTombstones = [
      { start: text('a'), end: text('c'), sequence: 9 },
      { start: text('a'), end: text('c'), sequence: 3 },
      { start: text('x'), end: text('z'), sequence: 40 },
    ];
    const entries = [{ key: text('b'), sequence: 5, value: text('1') }];
    const meta = makeSample(fileSystem, samplePath, entries, { rangeTombstones });
    expect(meta).toMatchObject({
      rangeDeleteCount: 3,
      minKey: text('a'),
      maxKey: text('z'),
      isMaxExclusive: true,
      minSequence: 3,
      maxSequence: 40,
    });
    const reader = openSample(fileSystem, meta);
    expect(reader.rangeTombstones()).toEqual(rangeTombstones);
    expect(getFrom(reader, text('b'))?.value).toEqual(text('1'));
    reader.verify();

    const alone = makeSample(fileSystem, '/alone.tbl', [], { rangeTombstones });
    const empty = openSample(fileSystem, alone, { path: '/alone.tbl' });
    expect(scanAll(empty.cursor())).toEqual([]);
    const cursor = empty.cursor();
    cursor.seekLast();
    expect(cursor.isValid).toBe(false);
    cursor.seekBefore(text('z'));
    expect(cursor.isValid).toBe(false);
    expect(getFrom(empty, text('b'))).toBe(undefined);
    expect(empty.sizeOfRange()).toBe(0);
    empty.verify();
  });

  it('is not bounded exclusively where its last key is the end of a deleted range', () => {
    const fileSystem = new SimulatedFileSystem();
    const rangeTombstones = [{ start: text('a'), end: text('c'), sequence: 9 }];
    const entries = [{ key: text('c'), sequence: 5, value: text('1') }];
    const meta = makeSample(fileSystem, samplePath, entries, { rangeTombstones });
    expect(meta).toMatchObject({ minKey: text('a'), maxKey: text('c'), isMaxExclusive: false });
  });

  it('that was ingested counts as written when it was', () => {
    const fileSystem = new SimulatedFileSystem();
    const entries = numbered(40).map((entry) => ({ ...entry, sequence: 0 }));
    const rangeTombstones = [{ start: text('x'), end: text('y'), sequence: 0 }];
    const meta = makeSample(fileSystem, samplePath, entries, { rangeTombstones });
    const ingested = { ...meta, minSequence: 50, maxSequence: 50, ingestSequence: 50 };
    const reader = openSample(fileSystem, ingested);
    const expected = entries.map((entry) => ({ ...entry, sequence: 50 }));
    for (const entry of expected) {
      expect(getFrom(reader, entry.key, 49)).toBe(undefined);
      expect(getFrom(reader, entry.key, 50)).toEqual(entry);
    }
    expect(scanAll(reader.cursor())).toEqual(expected);
    expect(reader.rangeTombstones()[0]!.sequence).toBe(50);
    const cursor = reader.cursor();
    cursor.seek(entries[5]!.key, 50);
    expect([cursor.sequence, cursor.keyBytes[8]]).toEqual([50, 0x35]);
    cursor.seek(entries[5]!.key, 49);
    expect([cursor.sequence, cursor.keyBytes[8]]).toEqual([50, 0x36]);
    cursor.seek(entries[39]!.key, 49);
    expect(cursor.isValid).toBe(false);
    reader.verify();
  });

  it('shows its size by range without reading', () => {
    const fileSystem = new SimulatedFileSystem();
    const counters = new ReadCounters();
    const reader = openSample(fileSystem, makeSample(fileSystem, samplePath, numbered(1_000)), {
      counters,
    });
    const whole = reader.sizeOfRange();
    const half = reader.sizeOfRange(undefined, text('key-00500'));
    expect(half / whole).toBeGreaterThan(0.45);
    expect(half / whole).toBeLessThan(0.55);
    expect(half + reader.sizeOfRange(text('key-00500'))).toBe(whole);
    expect(reader.sizeOfRange(text('key-00600'), text('key-00400'))).toBe(0);
    expect(reader.sizeOfRange(text('m'))).toBe(0);
    expect(counters).toEqual(new ReadCounters());
  });
});

describe('reading', () => {
  it('costs what it must and no more', () => {
    const fileSystem = new SimulatedFileSystem();
    const counters = new ReadCounters();
    const meta = makeSample(fileSystem, samplePath, numbered(2_000));
    const reader = openSample(fileSystem, meta, { counters });
    let denied = 0;
    for (let index = 0; index < 200; index += 1) {
      expect(getFrom(reader, text(`key-00${index + 100}x`))).toBe(undefined);
      denied = counters.filterMisses;
    }
    expect(counters.filterChecks).toBe(200);
    expect(denied).toBeGreaterThan(190);
    // Every key that the filter let pass cost one block, at most.
    expect(counters.blockReads + counters.blockHits).toBe(200 - denied);
    const before = counters.blockReads;
    for (let round = 0; round < 5; round += 1) {
      expect(getFrom(reader, text('key-01234'))?.sequence).toBe(1_235);
    }
    expect(counters.blockReads).toBe(before + 1);
    expect(counters.blockHits).toBeGreaterThanOrEqual(4);
    const cursor = reader.cursor();
    cursor.seekFirst();
    cursor.seek(text('key-01234'), 2_000);
    expect(counters.seeks).toBe(2);
  });

  it('does not take an entry that only ends like the key for the key', () => {
    const fileSystem = new SimulatedFileSystem();
    const entries = ['ab', 'ad', 'adc', 'b', 'bc'].map((key) => ({
      key: text(key),
      sequence: 1,
      value: text(key),
    }));
    const meta = makeSample(fileSystem, samplePath, entries, { settings: { filterBitsPerKey: 0 } });
    const reader = openSample(fileSystem, meta);
    for (const key of ['abc', 'ac', 'a', 'adb', 'add', 'bb']) {
      expect(getFrom(reader, text(key))).toBe(undefined);
    }
    for (const entry of entries) {
      expect(getFrom(reader, entry.key)).toEqual(entry);
    }
  });

  it('goes to a single block where versions of one key fill many', () => {
    const fileSystem = new SimulatedFileSystem();
    const counters = new ReadCounters();
    const entries = Array.from({ length: 200 }, (_, index) => ({
      key: text('hot'),
      sequence: 1_000 - index,
      value: new Uint8Array(20),
    }));
    const meta = makeSample(fileSystem, samplePath, entries);
    const reader = openSample(fileSystem, meta, { cache: new BlockCache(0), counters });
    for (const entry of entries) {
      const before = counters.blockReads;
      expect(getFrom(reader, entry.key, entry.sequence)?.sequence).toBe(entry.sequence);
      expect(counters.blockReads).toBe(before + 1);
    }
    expect(getFrom(reader, text('hot'), 800)).toBe(undefined);
  });

  it('of a scan that fills no cache reads every block once and ahead', () => {
    const fileSystem = new SimulatedFileSystem();
    const counters = new ReadCounters();
    const cache = new BlockCache(1024 * 1024);
    const meta = makeSample(fileSystem, samplePath, numbered(3_000), {
      settings: { blockSize: 1_024 },
    });
    const reader = openSample(fileSystem, meta, { cache, counters });
    let fileReads = 0;
    fileSystem.onOperation = ({ kind }) => {
      fileReads += kind === 'read' ? 1 : 0;
    };
    expect(scanAll(reader.cursor({ fillCache: false }))).toHaveLength(3_000);
    const blockCount = counters.blockReads;
    expect(cache.count).toBe(0);
    expect(blockCount).toBeGreaterThan(50);
    expect(fileReads).toBeLessThan(8);
    expect(scanAll(reader.cursor())).toHaveLength(3_000);
    expect([counters.blockReads, cache.count]).toEqual([blockCount * 2, blockCount]);
    expect(scanAll(reader.cursor({ fillCache: false }))).toHaveLength(3_000);
    expect([counters.blockReads, counters.blockHits]).toEqual([blockCount * 2, blockCount]);
    reader.close();
    expect([cache.count, cache.size]).toEqual([0, 0]);
  });
});

const add = (builder: TableBuilder, key: string, sequence: number): void =>
  builder.add(text(key), 0, key.length, sequence, EntryKind.put, text('v'), 0, 1);
const builderOf = (fileSystem: SimulatedFileSystem, settings = {}): TableBuilder =>
  new TableBuilder(fileSystem.open(samplePath, 'create'), {
    identity: sampleIdentity,
    number: 1,
    level: 0,
    inputs: [],
    outputIndex: 0,
    settings: {
      blockSize: 128,
      tableSizeMax: 1,
      filterBitsPerKey: 10,
      compression: 'none',
      ...settings,
    },
  });

function sizeWith(compression: 'none' | 'deflate', value: Uint8Array): number {
  const entries = numbered(12).map((entry) => ({ ...entry, value }));
  const settings = { compression, blockSize: 1_024 };
  const fileSystem = new SimulatedFileSystem();
  const meta = makeSample(fileSystem, samplePath, entries, { settings });
  deepStrictEqual(scanAll(openSample(fileSystem, meta).cursor()), entries);
  return meta.size;
}

const chooseZstd = (): TableBuilder =>
  builderOf(new SimulatedFileSystem(), { compression: 'zstd' });

describe('a builder', () => {
  it.each([
    ['b', 1, 'a', 1],
    ['b', 1, 'b', 1],
    ['b', 1, 'b', 2],
    ['ba', 1, 'b', 1],
  ])('refuses entries out of order: %s@%i before %s@%i', (key, sequence, next, nextSequence) => {
    const builder = builderOf(new SimulatedFileSystem());
    add(builder, key, sequence);
    expect(() => add(builder, next, nextSequence)).toThrow(/ascending order|from the newest/);
  });

  it('refuses deleted ranges that are no fragments', () => {
    const builder = builderOf(new SimulatedFileSystem());
    builder.addRangeTombstone(text('b'), text('d'), 5);
    for (const [start, end, sequence] of [
      ['b', 'd', 5],
      ['b', 'd', 6],
      ['b', 'e', 4],
      ['c', 'f', 4],
      ['a', 'b', 4],
      ['e', 'e', 4],
    ] as const) {
      expect(() => builder.addRangeTombstone(text(start), text(end), sequence)).toThrow('range');
    }
  });

  it('refuses to make an empty table', () => {
    const builder = builderOf(new SimulatedFileSystem());
    expect(() => runBlocking(builder.finish(true))).toThrow('not empty');
  });

  it('knows its size and wants to write when there is enough', () => {
    const fileSystem = new SimulatedFileSystem();
    const builder = builderOf(fileSystem, { blockSize: 4_096 });
    const value = new Uint8Array(1_000);
    let writes = 0;
    for (let index = 0; index < 1_000; index += 1) {
      const key = text(String(index).padStart(8, '0'));
      builder.add(key, 0, 8, 1, EntryKind.put, value, 0, value.length);
      if (builder.wantsWrite) {
        runBlocking(builder.write());
        expect(builder.wantsWrite).toBe(false);
        writes += 1;
      }
    }
    const estimate = builder.size;
    const meta = runBlocking(builder.finish(true));
    expect(writes).toBe(3);
    expect(Math.abs(estimate - meta.size)).toBeLessThan(meta.size / 100);
  });

  it('names a compression that is not there', () => {
    if ('zstdCompressSync' in process.getBuiltinModule('node:zlib')) {
      expect(chooseZstd).not.toThrow();
    } else {
      expect(chooseZstd).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    }
  });

  it('compresses blocks that shrink and stores the others as they are', () => {
    const even = new Uint8Array(200);
    expect(sizeWith('deflate', even)).toBeLessThan(sizeWith('none', even) / 2);
    // Every block a value that is all digest, with hardly a key: nothing to gain.
    const noise = new Uint8Array(32 * 60);
    for (let at = 0; at < noise.length; at += 32) {
      noise.set(createHash('sha256').update(String(at)).digest(), at);
    }
    expect(sizeWith('deflate', noise)).toBe(sizeWith('none', noise));
  });

  it('has made its content durable when it has finished', () => {
    const fileSystem = new SimulatedFileSystem();
    const meta = makeSample(fileSystem, samplePath, numbered(100));
    fileSystem.syncDirectory('/');
    const choice = { keep: 'none', sector: 512, directory: 'ordered' } as const;
    const after = fileSystem.crashClone(new SeededRandom(1), choice);
    openSample(after, meta).verify();
  });

  it('that could not write leaves the failure to its caller', () => {
    const fileSystem = new SimulatedFileSystem();
    const builder = builderOf(fileSystem);
    add(builder, 'a', 1);
    fileSystem.faults.capacity = 10;
    expect(() => runBlocking(builder.finish(true))).toThrow(
      expect.objectContaining({ code: 'ENOSPC' }),
    );
  });
});
