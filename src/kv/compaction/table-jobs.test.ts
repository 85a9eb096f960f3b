import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { insertEntry } from '../../testing/insert-entry.ts';
import { SeededRandom } from '../../base/random.ts';
import { Arena } from '../../radix/arena.ts';
import { allEntries, ListCursor, type ListEntry } from '../../testing/list-cursor.ts';
import { SimulatedFileSystem } from '../../testing/simulated-file-system.ts';
import { EntryKind } from '../entries/cursor.ts';
import { Memtable } from '../memtable/memtable.ts';
import { tableNumberOf, tablePath } from '../sstable/names.ts';
import { type RangeTombstone, RangeTombstones } from '../entries/range-tombstones.ts';
import { BlockCache } from '../sstable/block-cache.ts';
import { ReadCounters } from '../sstable/read-counters.ts';
import { TableReader } from '../sstable/table-reader.ts';
import type { TableMeta } from '../sstable/table-meta.ts';
import { IngestFeed } from './ingest-feed.ts';
import { packIngestEntries } from './ingest-pieces.ts';
import type { CompactJob, FlushJob } from './job.ts';
import type { TableSettings } from '../sstable/table-settings.ts';
import { performBlocking, runBlocking } from '../../io/steps.ts';
import { type JobParts, runCompaction, runFlush, runIngest } from './table-jobs.ts';
import { CountedTableNumbers } from './table-numbers.ts';

const identity = new Uint8Array(16).fill(7);
const directory = '/kv';
const settings: TableSettings = {
  blockSize: 256,
  tableSizeMax: 1_500,
  filterBitsPerKey: 10,
  compression: 'none',
};

interface Disk extends JobParts {
  readonly fileSystem: SimulatedFileSystem;
}

function newDisk(): Disk {
  const fileSystem = new SimulatedFileSystem();
  for (const path of [directory, `${directory}/tables`]) {
    fileSystem.makeDirectory(path);
    fileSystem.syncDirectory(path.slice(0, path.lastIndexOf('/')) || '/');
  }
  return {
    fileSystem,
    directory,
    identity,
    numbers: CountedTableNumbers.startingAt(1, false),
    failedSyncs: { count: 0 },
  };
}

interface Data {
  readonly entries: readonly ListEntry[];
  readonly ranges: readonly RangeTombstone[];
}

function bytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'latin1'));
}

function memtableOf({ entries, ranges }: Data): FlushJob {
  const memtable = Memtable.create(Arena.create(1024 * 1024, false), 1024 * 1024);
  for (const { key, sequence, kind, value } of entries.toSorted(
    (a, b) => a.sequence - b.sequence,
  )) {
    insertEntry(memtable, bytes(key), sequence, kind, bytes(value));
  }
  return {
    kind: 'flush',
    memtable: memtable.freeze(),
    rangeTombstones: ranges,
    settings,
    snapshots: [],
  };
}

function open(parts: JobParts, meta: TableMeta): TableReader {
  return TableReader.open(
    parts.fileSystem,
    tablePath(directory, meta.number),
    meta,
    identity,
    new BlockCache(0),
    new ReadCounters(),
  );
}

function contentOf(parts: JobParts, tables: readonly TableMeta[]): Data {
  const all = tables.map((meta) => {
    const reader = open(parts, meta);
    reader.verify();
    const content = { entries: allEntries(reader.cursor()), ranges: reader.rangeTombstones() };
    reader.close();
    return content;
  });
  return { entries: all.flatMap((one) => one.entries), ranges: all.flatMap((one) => one.ranges) };
}

function read({ entries, ranges }: Data, key: string, sequence: number): string {
  const cursor = new ListCursor(entries);
  cursor.seek(bytes(key), sequence);
  const found = entries.find(
    (entry) => cursor.isValid && entry.key === key && entry.sequence === cursor.sequence,
  );
  const cover = RangeTombstones.from(ranges).newestCovering(bytes(key), 0, key.length, sequence);
  const isThere = found?.kind === EntryKind.put && found.sequence > cover;
  return isThere ? found.value : '-';
}

/** Keys in order, no key in two tables, no deleted range across a border. */
function checkApart(tables: readonly TableMeta[]): void {
  tables.slice(1).forEach((meta, index) => {
    const before = tables[index]!;
    const order = Buffer.compare(before.maxKey, meta.minKey);
    expect(order < 0 || (order === 0 && before.isMaxExclusive)).toBe(true);
  });
}

function compactJob(
  inputs: readonly (readonly TableMeta[])[],
  facts: Partial<CompactJob> = {},
): CompactJob {
  return {
    kind: 'compact',
    settings,
    snapshots: [],
    inputs,
    outputLevel: 1,
    deeper: [],
    grandparents: [],
    ...facts,
  };
}

function put(key: string, sequence: number, value: string): ListEntry {
  return { key, sequence, kind: EntryKind.put, value };
}

function numberedKeys(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `key${String(index).padStart(4, '0')}`);
}

function pathsOf(fileSystem: SimulatedFileSystem): string[] {
  return fileSystem.paths().filter((path) => path.startsWith(`${directory}/tables/`));
}

describe('a flush', () => {
  it('makes tables of the memtable that are durable when it returns', () => {
    const disk = newDisk();
    const entries = numberedKeys(100).map((key, index) => put(key, index + 1, `value ${key}`));
    const { tables, bytesWritten } = runBlocking(
      runFlush(memtableOf({ entries, ranges: [] }), disk),
    );
    expect(tables.length).toBeGreaterThan(1);
    expect(tables.map(({ number }) => number)).toEqual(tables.map((_, index) => index + 1));
    checkApart(tables);
    const choice = { keep: 'none', sector: 512, directory: 'ordered' } as const;
    const fileSystem = disk.fileSystem.crashClone(new SeededRandom(1), choice);
    expect(contentOf({ ...disk, fileSystem }, tables).entries).toEqual(entries);
    expect(bytesWritten).toBe(tables.reduce((sum, { size }) => sum + size, 0));
    expect(disk.fileSystem.counts.syncDirectory).toBe(3);
    expect(pathsOf(fileSystem).map((path) => tableNumberOf(path.slice(-24)))).toEqual(
      tables.map(({ number }) => number),
    );
  });

  it('says in the last table of a job, and only there, that it is the last', () => {
    const disk = newDisk();
    const entries = numberedKeys(100).map((key, index) => put(key, index + 1, 'x'.repeat(30)));
    const { tables } = runBlocking(runFlush(memtableOf({ entries, ranges: [] }), disk));
    const origins = tables.map((meta) => {
      const reader = open(disk, meta);
      reader.close();
      return reader.origin;
    });
    const last = tables.length - 1;
    expect(origins.map(({ isLastOutput }) => isLastOutput)).toEqual(
      tables.map((_, index) => index === last),
    );
    expect(origins.map(({ outputIndex }) => outputIndex)).toEqual(tables.map((_, index) => index));
  });

  it('makes a table of deleted ranges alone, and none of nothing', () => {
    const disk = newDisk();
    const range = { start: bytes('a'), end: bytes('m'), sequence: 3 };
    const nothing = runBlocking(runFlush(memtableOf({ entries: [], ranges: [] }), disk));
    expect(nothing).toEqual({ tables: [], bytesRead: 0, bytesWritten: 0 });
    expect(pathsOf(disk.fileSystem)).toEqual([]);
    const { tables } = runBlocking(runFlush(memtableOf({ entries: [], ranges: [range] }), disk));
    expect(contentOf(disk, tables)).toEqual({ entries: [], ranges: [range] });
    expect(tables).toMatchObject([{ count: 0, rangeDeleteCount: 1, isMaxExclusive: true }]);
  });

  it('splits ranges that would make a table too large, too', () => {
    const disk = newDisk();
    const ranges = numberedKeys(200).flatMap((key, index) => {
      const end = bytes(`${key}~`);
      return [
        { start: bytes(key), end, sequence: 2 * index + 2 },
        { start: bytes(key), end, sequence: 2 * index + 1 },
      ];
    });
    const job = {
      ...memtableOf({ entries: [], ranges }),
      snapshots: ranges.map(({ sequence }) => sequence).toSorted((a, b) => a - b),
    };
    const { tables } = runBlocking(runFlush(job, disk));
    expect(tables.length).toBeGreaterThan(5);
    checkApart(tables);
    expect(contentOf(disk, tables).ranges).toEqual(ranges);
  });

  it('keeps all deletions of one range in one table, however many', () => {
    const disk = newDisk();
    const snapshots = Array.from({ length: 100 }, (_, index) => index + 1);
    const newestFirst = snapshots.toReversed();
    const ranges = ['a', 'c'].flatMap((start) =>
      newestFirst.map((sequence) => ({ start: bytes(start), end: bytes(`${start}~`), sequence })),
    );
    const { tables } = runBlocking(
      runFlush({ ...memtableOf({ entries: [], ranges }), snapshots }, disk),
    );
    expect(tables.map(({ rangeDeleteCount }) => rangeDeleteCount)).toEqual([100, 100]);
    expect(contentOf(disk, tables).ranges).toEqual(ranges);
  });

  it('keeps all versions of a key in one table, however many', () => {
    const disk = newDisk();
    const sequences = Array.from({ length: 200 }, (_, index) => index + 1);
    const entries = sequences.map((sequence) =>
      put(sequence > 100 ? 'a' : 'b', sequence, 'x'.repeat(50)),
    );
    const { tables } = runBlocking(
      runFlush({ ...memtableOf({ entries, ranges: [] }), snapshots: sequences }, disk),
    );
    expect(tables.map(({ count }) => count)).toEqual([100, 100]);
    expect(tables[0]!.size).toBeGreaterThan(2 * settings.tableSizeMax);
  });

  it('splits between keys whose newest versions are all gone', () => {
    const disk = newDisk();
    const keys = numberedKeys(100);
    const entries = keys.flatMap((key, index) => [
      put(key, index + 1, 'x'.repeat(50)),
      put(key, index + 501, 'y'.repeat(50)),
    ]);
    const range = { start: bytes(''), end: bytes('z'), sequence: 900 };
    const job = { ...memtableOf({ entries, ranges: [range] }), snapshots: [400] };
    const { tables } = runBlocking(runFlush(job, disk));
    expect(tables.length).toBeGreaterThan(3);
    checkApart(tables);
    expect(contentOf(disk, tables).entries.map(({ key }) => key)).toEqual(keys);
  });
});

describe('a compaction', () => {
  const someKey = fc.constantFrom('', '\0', ...numberedKeys(12), 'z');
  const write = fc.record({
    type: fc.constantFrom('put', 'put', 'put', 'delete', 'deleteRange'),
    key: someKey,
    end: someKey,
    size: fc.nat(400),
  });

  it('changes no answer at any snapshot or now, through two levels', () => {
    const batches = fc.array(fc.array(write, { maxLength: 12 }), { minLength: 1, maxLength: 4 });
    const given = fc.uniqueArray(fc.integer({ min: 1, max: 50 }), { maxLength: 3 });
    fc.assert(
      fc.property(batches, given, fc.boolean(), (lists, someSnapshots, isBottom) => {
        const disk = newDisk();
        const snapshots = someSnapshots.toSorted((a, b) => a - b);
        const written: { entries: ListEntry[]; ranges: RangeTombstone[] } = {
          entries: [],
          ranges: [],
        };
        let sequence = 0;
        let level: readonly TableMeta[] = [];
        for (const list of lists) {
          const batch: { entries: ListEntry[]; ranges: RangeTombstone[] } = {
            entries: [],
            ranges: [],
          };
          for (const { type, key, end, size } of list) {
            sequence += 1;
            if (type === 'deleteRange') {
              batch.ranges.push({ start: bytes(key), end: bytes(end), sequence });
            } else {
              const kind = type === 'put' ? EntryKind.put : EntryKind.delete;
              batch.entries.push({
                key,
                sequence,
                kind,
                value: kind === 0 ? '' : `${sequence}`.padStart(size, '.'),
              });
            }
          }
          written.entries.push(...batch.entries);
          written.ranges.push(...batch.ranges);
          const flushed = runBlocking(runFlush({ ...memtableOf(batch), snapshots }, disk)).tables;
          checkApart(flushed);
          const deeper = isBottom ? [] : level;
          const job = compactJob([flushed, level], { snapshots, deeper });
          const merged = runBlocking(runCompaction(job, disk)).tables;
          checkApart(merged);
          level = merged;
        }
        const left = contentOf(disk, level);
        const ask = (data: Data): string[] =>
          [...snapshots, 100].flatMap((at) =>
            ['', '\0', ...numberedKeys(12), 'z'].map((key) => read(data, key, at)),
          );
        expect(ask(left)).toEqual(ask(written));
        if (isBottom && snapshots.length === 0) {
          expect(left.ranges).toEqual([]);
        }
        expect(disk.fileSystem.openCount).toBe(0);
      }),
      { numRuns: 12 },
    );
  });

  it('ends a table early rather than overlap much of the next level', () => {
    const disk = newDisk();
    const keys = numberedKeys(40);
    const entries = keys.map((key, index) => put(key, index + 1, ''));
    const { tables } = runBlocking(runFlush(memtableOf({ entries, ranges: [] }), disk));
    const grandparents = keys.map((key) => ({
      ...tables[0]!,
      minKey: bytes(key),
      maxKey: bytes(key),
      size: settings.tableSizeMax,
    }));
    const job = { settings: { ...settings, tableSizeMax: 1_500 }, grandparents };
    const split = runBlocking(runCompaction(compactJob([tables], job), disk)).tables;
    expect(split.map(({ count }) => count)).toEqual([11, 11, 11, 7]);
  });

  it('reads what it says, with one table of a run open at a time', () => {
    const disk = newDisk();
    const flush = (first: number): readonly TableMeta[] =>
      runBlocking(
        runFlush(
          memtableOf({
            entries: numberedKeys(200).map((key, index) => put(key, first + index, 'x'.repeat(20))),
            ranges: [],
          }),
          disk,
        ),
      ).tables;
    const inputs = [flush(1_001), flush(1)];
    let openMax = 0;
    disk.fileSystem.onOperation = () => {
      openMax = Math.max(openMax, disk.fileSystem.openCount);
    };
    const { bytesRead, tables } = runBlocking(runCompaction(compactJob(inputs), disk));
    expect(openMax).toBeLessThanOrEqual(3);
    expect(bytesRead).toBe(inputs.flat().reduce((sum, { size }) => sum + size, 0));
    expect(tables.reduce((sum, { count }) => sum + count, 0)).toBe(200);
  });

  it('leaves nothing behind when any operation fails, and reports the failure', () => {
    const keys = numberedKeys(80);
    const make = (): { disk: Disk; job: CompactJob; before: number } => {
      const disk = newDisk();
      const first = memtableOf({
        entries: keys.map((key, index) => put(key, index + 1, 'x'.repeat(40))),
        ranges: [],
      });
      const second = memtableOf({
        entries: [],
        ranges: [{ start: bytes('key0010'), end: bytes('key0020'), sequence: 500 }],
      });
      const older = runBlocking(runFlush(first, disk)).tables;
      const newer = runBlocking(runFlush(second, disk)).tables;
      return { disk, job: compactJob([newer, older]), before: disk.fileSystem.operations };
    };
    const whole = make();
    runBlocking(runCompaction(whole.job, whole.disk));
    const operationCount = whole.disk.fileSystem.operations - whole.before;
    for (let index = 1; index <= operationCount; index += 3) {
      const { disk, job, before } = make();
      const paths = pathsOf(disk.fileSystem);
      disk.fileSystem.faults.failAt(before + index, 'EIO');
      expect(() => runBlocking(runCompaction(job, disk))).toThrow('EIO');
      expect(pathsOf(disk.fileSystem)).toEqual(paths);
      expect(disk.fileSystem.openCount).toBe(0);
    }
    expect(operationCount).toBeGreaterThan(20);
  });

  it('does not pass damage on', () => {
    const disk = newDisk();
    const entries = numberedKeys(60).map((key, index) => put(key, index + 1, 'x'.repeat(40)));
    const { tables } = runBlocking(runFlush(memtableOf({ entries, ranges: [] }), disk));
    disk.fileSystem.flipBit(tablePath(directory, tables[1]!.number), 300, 3);
    const before = pathsOf(disk.fileSystem);
    expect(() => runBlocking(runCompaction(compactJob([tables]), disk))).toThrow(
      expect.objectContaining({
        code: 'CORRUPT',
        file: tablePath(directory, tables[1]!.number),
      }) as Error,
    );
    expect(pathsOf(disk.fileSystem)).toEqual(before);
  });
});

describe('an ingest', () => {
  it('makes tables of the entries it is fed', () => {
    const disk = newDisk();
    const entries = numberedKeys(300).map((key): [Uint8Array, Uint8Array] => [
      bytes(key),
      bytes(`value of ${key}`),
    ]);
    let takenCount = 0;
    const feed = new IngestFeed(() => (takenCount += 1));
    for (const piece of packIngestEntries(entries)) {
      feed.push(piece);
    }
    feed.end();
    const { tables } = runBlocking(runIngest({ kind: 'ingest', settings }, feed, disk));
    expect(tables.length).toBeGreaterThan(3);
    checkApart(tables);
    expect(contentOf(disk, tables).entries).toEqual(
      numberedKeys(300).map((key) => put(key, 0, `value of ${key}`)),
    );
    expect(takenCount).toBe(1);
  });

  it('leaves nothing behind if it is aborted', () => {
    const disk = newDisk();
    const feed = new IngestFeed(() => {});
    const entries = numberedKeys(300).map((key): [Uint8Array, Uint8Array] => [
      bytes(key),
      bytes('x'.repeat(30)),
    ]);
    const work = runIngest({ kind: 'ingest', settings }, feed, disk);
    for (const piece of packIngestEntries(entries)) {
      feed.push(piece);
    }
    const steps: string[] = [];
    let step = work.next(0);
    while (step.done !== true && step.value.operation !== 'wait') {
      steps.push(step.value.operation);
      step = work.next(performBlocking(step.value));
    }
    expect(steps).toContain('write');
    feed.abort();
    expect(() => work.next(0)).toThrow(expect.objectContaining({ code: 'ABORTED' }) as Error);
    expect(pathsOf(disk.fileSystem)).toEqual([]);
    expect(disk.fileSystem.openCount).toBe(0);
  });
});
