/** A tree as data derived from a log uses it: in a folder of the log's store, whose owner gives it sequences and replays from its position. */
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../base/random.ts';
import { makeFolders } from '../../io/folders.ts';
import { insertEntry } from '../../testing/insert-entry.ts';
import { SimulatedClock } from '../../testing/simulated-clock.ts';
import { SimulatedFileSystem } from '../../testing/simulated-file-system.ts';
import { compactionSettings } from '../compaction/compaction-settings.ts';
import type { IngestEntry } from '../compaction/ingest-pieces.ts';
import { EntryKind, makeFound } from '../entries/cursor.ts';
import { wholeKeys } from '../sstable/filter-rule.ts';
import { tablesDirectory } from '../sstable/names.ts';
import type { EntryBounds } from './entry-iterator.ts';
import type { TreeOwner } from './maintenance-parts.ts';
import { openTree, type Tree, type TreeSettings } from './tree.ts';
import type { TreeFolderOptions } from './tree-folder.ts';

const DIRECTORY = '/store/derived';
const everything: EntryBounds = { start: new Uint8Array(0), end: undefined };
const settings: TreeSettings = {
  readOnly: false,
  blockCacheSize: 1024 * 1024,
  openCountMax: 10,
  tables: { blockSize: 256, tableSizeMax: 2_048, filter: wholeKeys(10), compression: 'none' },
  compaction: compactionSettings({
    levelZeroTables: 2,
    memtableSize: 4_096,
    tableSizeMax: 2_048,
    levelBaseSize: 4_096,
    levelMultiplier: 2,
  }),
};
const silent: TreeOwner = {
  whenLogged: async () => true,
  flushed: () => {},
  progress: () => {},
  lost: () => {},
};

function disk(): SimulatedFileSystem {
  const fileSystem = new SimulatedFileSystem();
  makeFolders(fileSystem, DIRECTORY);
  return fileSystem;
}

/** Postings of two values, one for each position of a stretch, newest first. */
function* postings(request: unknown): Generator<IngestEntry | undefined> {
  const { from, to } = request as { readonly from: number; readonly to: number };
  for (const value of ['a', 'b']) {
    for (let position = to - 1; position >= from; position -= 1) {
      yield [bytesOf(`${value}|${99_999 - position}`), bytesOf(`${position}`)];
    }
    yield undefined;
  }
}

function open(
  fileSystem: SimulatedFileSystem,
  owner: Partial<TreeOwner> = {},
  changed: Partial<TreeSettings> = {},
  options: Omit<TreeFolderOptions, 'readOnly'> = { create: true },
): Tree {
  const parts = {
    fileSystem,
    held: undefined,
    clock: new SimulatedClock(),
    random: new SeededRandom(1),
    logger: () => {},
    source: { inline: { entries: postings }, worker: undefined },
    threads: {
      usesThreads: false,
      goInline: undefined,
      workers: {},
      namedFileSystem: undefined,
    },
  };
  const given = { ...settings, ...changed };
  return openTree(parts, DIRECTORY, given, { ...silent, ...owner }, options);
}

/** Opens a tree that has nothing to be given back. */
function started(fileSystem: SimulatedFileSystem, owner: Partial<TreeOwner> = {}): Tree {
  const tree = open(fileSystem, owner);
  tree.start();
  return tree;
}

function put(tree: Tree, sequence: number, key: string, value: string | undefined): void {
  const kind = value === undefined ? EntryKind.delete : EntryKind.put;
  insertEntry(tree.memtables, bytesOf(key), sequence, kind, bytesOf(value ?? ''));
}

/** More than memory holds. */
function fill(tree: Tree): void {
  for (let sequence = 1; sequence <= 200; sequence += 1) {
    put(tree, sequence, `key ${sequence}`, 'x'.repeat(50));
  }
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text));
}

function get(tree: Tree, sequence: number, key: string): string | undefined {
  const found = makeFound();
  return tree.get(bytesOf(key), sequence, found)
    ? Buffer.from(found.bytes.subarray(found.start, found.end)).toString()
    : undefined;
}

function read(tree: Tree, sequence: number, isReverse = false, bounds = everything): string[] {
  const entries = tree.entries(bounds, sequence, isReverse);
  const found: string[] = [];
  while (entries.next()) {
    const key = Buffer.from(entries.keyBytes.subarray(entries.keyStart, entries.keyEnd));
    const value = Buffer.from(entries.valueBytes.subarray(entries.valueStart, entries.valueEnd));
    found.push(`${key.toString()}=${value.toString()}`);
  }
  entries.close();
  return found;
}

describe('a tree', () => {
  it('keeps entries with the sequences of its owner, and gives them back from memory and tables', async () => {
    const tree = started(disk());
    expect(tree.folder).toMatchObject({ isNew: true, discarded: undefined });
    put(tree, 10, 'a', '1');
    put(tree, 20, 'b', '1');
    await tree.maintenance.flush();
    put(tree, 30, 'a', '2');
    put(tree, 31, 'b', undefined);
    put(tree, 40, 'c', '1');
    expect([9, 10, 29, 30].map((at) => get(tree, at, 'a'))).toEqual([undefined, '1', '1', '2']);
    expect(read(tree, 20)).toEqual(['a=1', 'b=1']);
    expect(read(tree, 40)).toEqual(['a=2', 'c=1']);
    expect(read(tree, 40, true)).toEqual(['c=1', 'a=2']);
    const bounds = { start: bytesOf('a\0'), end: bytesOf('c') };
    expect(read(tree, 30, true, bounds)).toEqual(['b=1']);
    tree.memtables.insertRange(bytesOf('a'), bytesOf('c'), 50);
    expect(read(tree, 50)).toEqual(['c=1']);
    expect(read(tree, 49)).toEqual(['a=2', 'c=1']);
    expect(tree.sizeOf(bytesOf('a'), undefined)).toBeGreaterThan(0);
    expect(tree.stats()).toMatchObject({ flushedVersion: 20, openTables: 1 });
    await tree.close();
  });

  it('says how far it is covered, and is filled again from there after a crash', async () => {
    const fileSystem = disk();
    const flushed: number[] = [];
    const random = new SeededRandom(7);
    const log = Array.from({ length: 400 }, () => `key ${random.below(60)}`);
    const replay = (tree: Tree, from: number, to: number): void => {
      for (let position = from; position < to; position += 1) {
        const sequence = 1 + 2 * position;
        tree.memtables.beginBatch(sequence);
        put(tree, sequence, log[position]!, String(position));
        put(tree, sequence + 1, 'position', String(position));
        tree.memtables.endBatch(position + 1);
      }
    };
    const tree = started(fileSystem, { flushed: (sequence) => flushed.push(sequence) });
    replay(tree, 0, 290);
    await tree.maintenance.settled();
    replay(tree, 290, 300);
    expect(flushed.length).toBeGreaterThan(0);
    expect(tree.state.flushedSequence).toBe(flushed.at(-1));
    expect(tree.state.flushedPosition).toBeGreaterThan(0);
    expect(tree.state.flushedPosition).toBeLessThan(300);
    const clone = fileSystem.crashClone(random, { keep: 'none', sector: 512, directory: 'any' });
    await tree.close();
    const again = open(clone);
    const { flushedPosition, lastSequence } = again.state;
    expect(again.folder).toMatchObject({ isNew: false, discarded: undefined });
    expect(get(again, lastSequence, 'position')).toBe(String(flushedPosition - 1));
    replay(again, flushedPosition, 400);
    again.start();
    await again.maintenance.flush();
    expect(again.state.flushedPosition).toBe(400);
    const last = new Map(log.map((key, position) => [key, `${key}=${position}`]));
    const expected = [...last.keys()].toSorted().map((key) => last.get(key)!);
    expect(read(again, Infinity).slice(0, -1)).toEqual(expected);
    await again.maintenance.compactRange(undefined, undefined, async () => {});
    expect(read(again, Infinity, true).slice(1)).toEqual(expected.toReversed());
    await again.close();
    expect(clone.openCount).toBe(0);
  });

  it('puts nothing in a table that the log of its owner may still lose', async () => {
    const fileSystem = disk();
    const asked: number[] = [];
    let answer: ((isLogged: boolean) => void) | undefined;
    const tree = started(fileSystem, {
      whenLogged: (sequence) => {
        asked.push(sequence);
        return new Promise((resolve) => (answer = resolve));
      },
    });
    put(tree, 5, 'a', '1');
    const flush = tree.maintenance.flush();
    await new Promise(setImmediate);
    expect(asked).toEqual([5]);
    expect(fileSystem.list(tablesDirectory(DIRECTORY))).toEqual([]);
    answer!(true);
    await flush;
    expect(fileSystem.list(tablesDirectory(DIRECTORY))).toHaveLength(1);
    put(tree, 6, 'b', '1');
    const lost = tree.maintenance.flush().catch((error: Error) => error.message);
    await new Promise(setImmediate);
    answer!(false);
    await new Promise(setImmediate);
    expect(tree.state.flushedSequence).toBe(5);
    await tree.close();
    expect(await lost).toContain('closed');
  });

  it('changes nothing on disk before it is started, or when it is only read', async () => {
    const fileSystem = disk();
    await started(fileSystem).close();
    const digest = fileSystem.snapshotDigest();
    const reader = open(fileSystem, {}, { readOnly: true });
    fill(reader);
    reader.start();
    await new Promise(setImmediate);
    expect(read(reader, 200)).toHaveLength(200);
    expect(reader.memtables.frozenCount).toBeGreaterThan(1);
    await reader.close();
    expect(fileSystem.snapshotDigest()).toBe(digest);
    const tree = open(fileSystem);
    fill(tree);
    const writes = fileSystem.counts.write;
    await new Promise(setImmediate);
    expect(fileSystem.counts.write).toBe(writes);
    tree.start();
    await tree.maintenance.settled();
    expect(tree.memtables.frozenCount).toBe(0);
    await tree.close();
  });

  it('whose manifest is missing or damaged is emptied, and says why', async () => {
    for (const damage of ['missing', 'flip', 'truncate'] as const) {
      const fileSystem = disk();
      const tree = started(fileSystem);
      put(tree, 1, 'a', '1');
      tree.memtables.endBatch(9);
      await tree.maintenance.flush();
      await tree.close();
      const path = `${DIRECTORY}/manifest`;
      const manifest = fileSystem.readFile(path);
      if (damage === 'missing') {
        fileSystem.removeFile(path);
      } else if (damage === 'flip') {
        fileSystem.flipBit(path, manifest.length >>> 1, 2);
      } else {
        fileSystem.writeFile(path, manifest.subarray(0, 30));
      }
      const again = started(fileSystem);
      expect(again.folder, damage).toMatchObject({ isNew: true, discarded: expect.any(String) });
      expect(again.state).toMatchObject({ flushedPosition: 0, lastSequence: 0 });
      expect(again.state.identity).toHaveLength(16);
      expect(fileSystem.list(tablesDirectory(DIRECTORY))).toEqual([]);
      put(again, 1, 'a', '2');
      await again.maintenance.flush();
      await again.close();
      const third = started(fileSystem);
      expect(third.folder).toMatchObject({ isNew: false, discarded: undefined });
      expect(read(third, 1)).toEqual(['a=2']);
      await third.close();
    }
  });

  it("keeps its owner's bytes in the manifest, whatever else changes there", async () => {
    const fileSystem = disk();
    const ownerData = Uint8Array.of(1, 2, 3);
    const tree = open(fileSystem, {}, {}, { create: true, ownerData });
    tree.start();
    expect(tree.state.ownerData).toEqual(ownerData);
    fill(tree);
    await tree.maintenance.flush();
    await tree.maintenance.settled();
    expect(tree.state.edit).toBeGreaterThan(3);
    await tree.close();
    const other = Uint8Array.of(9);
    const again = open(fileSystem, {}, {}, { create: true, ownerData: other });
    expect(again.state.ownerData).toEqual(ownerData);
    again.start();
    await again.discard();
    // One that is made again is made with what is given then.
    const third = open(fileSystem, {}, {}, { create: true, ownerData: other });
    expect(third.state.ownerData).toEqual(other);
    await third.close();
  });

  it('takes tables made from sorted entries, as written at a given sequence and position', async () => {
    const fileSystem = disk();
    const tree = started(fileSystem);
    put(tree, 3, 'k10', 'old');
    await tree.maintenance.flush();
    const entries = Array.from({ length: 200 }, (_, index): [Uint8Array, Uint8Array] => [
      bytesOf(`k${index + 100}`),
      bytesOf(String(index)),
    ]);
    entries.unshift([bytesOf('k10'), bytesOf('new')]);
    const made = await tree.maintenance.makeIngested(entries);
    expect(made.tables.length).toBeGreaterThan(1);
    expect(read(tree, 100)).toEqual(['k10=old']);
    let isShown = false;
    await tree.maintenance.addIngested(made, 7, 50, () => {
      isShown = get(tree, 7, 'k10') === 'new';
    });
    expect(isShown).toBe(true);
    expect(tree.state).toMatchObject({ lastSequence: 7, flushedPosition: 50 });
    put(tree, 8, 'k100', 'newest');
    const again = open(fileSystem.clone());
    expect(again.state).toMatchObject({ lastSequence: 7, flushedPosition: 50 });
    for (const one of [tree, again]) {
      expect(read(one, 7)).toHaveLength(201);
      expect(read(one, 7, true).at(-1)).toBe('k10=new');
      expect(get(one, 7, 'k299')).toBe('199');
      expect(await one.verify()).toMatchObject({ ok: true, entries: 202 });
    }
    expect(get(tree, 8, 'k100')).toBe('newest');
    await again.close();
    await tree.close();
  });

  it('says with tables that are added which log they are of, and goes on where a stretch of it gives none', async () => {
    const fileSystem = disk();
    const tree = started(fileSystem);
    const mark = new Uint8Array(32).fill(7);
    const build = { from: 0, to: 20 };
    const made = await tree.maintenance.makeBuilt(build);
    await tree.maintenance.addIngested(made, 1, 20, () => {}, mark);
    const stretches = (): unknown[] => [...tree.state.levels].map(({ stretch }) => stretch);
    expect(stretches()).toEqual([build]);
    expect(tree.state).toMatchObject({ flushedPosition: 20, flushedMark: mark });
    const later = Uint8Array.of(9);
    const padded = new Uint8Array(32);
    padded[0] = 9;
    const nothing = await tree.maintenance.makeBuilt({ from: 20, to: 20 });
    expect(nothing.tables).toEqual([]);
    await tree.maintenance.addIngested(nothing, 2, 45, () => {}, later);
    const again = open(fileSystem.clone());
    for (const { state } of [tree, again]) {
      expect(state).toMatchObject({ flushedPosition: 45, flushedMark: padded });
      expect(state.levels.tableCount).toBe(1);
    }
    // A failure leaves both as they were, or takes them back.
    fileSystem.faults.failAt(fileSystem.operations + 2, 'EIO');
    const failed = tree.maintenance.addIngested(nothing, 3, 60, () => {}, mark);
    await expect(failed).rejects.toMatchObject({ applied: 'no' });
    expect(tree.state).toMatchObject({ flushedPosition: 45, flushedMark: padded });
    const more = await tree.maintenance.makeBuilt({ from: 45, to: 50 });
    await tree.maintenance.addIngested(more, 4, 50, () => {}, mark);
    expect(stretches()).toContainEqual({ from: 45, to: 50 });
    await again.close();
    await tree.close();
  });

  it('keeps what a snapshot sees until it is closed', async () => {
    const tree = started(disk());
    put(tree, 1, 'a', '1');
    await tree.maintenance.flush();
    const snapshot = tree.snapshots.add(1);
    put(tree, 2, 'a', '2');
    const merge = (): Promise<void> =>
      tree.maintenance.compactRange(undefined, undefined, () => tree.maintenance.flush());
    await merge();
    expect([get(tree, snapshot.version, 'a'), get(tree, 2, 'a')]).toEqual(['1', '2']);
    snapshot.close();
    await merge();
    await tree.maintenance.settled();
    expect((await tree.verify()).entries).toBe(1);
    expect(tree.stats().snapshots).toBe(0);
    await tree.close();
  });

  it('finds damage in its tables when it is asked, and goes on with the rest', async () => {
    const fileSystem = disk();
    const tree = started(fileSystem);
    put(tree, 1, 'a', 'x'.repeat(100));
    await tree.maintenance.flush();
    const { name } = fileSystem.list(tablesDirectory(DIRECTORY))[0]!;
    fileSystem.flipBit(`${tablesDirectory(DIRECTORY)}/${name}`, 150, 1);
    const report = await tree.verify();
    expect(report).toMatchObject({ ok: false, tables: 1 });
    expect(report.problems[0]!.file).toContain(name);
    put(tree, 2, 'b', '1');
    await tree.maintenance.flush();
    expect(get(tree, 2, 'b')).toBe('1');
    await tree.close();
  });

  it('ends its iterators when it is closed, and keeps what was flushed', async () => {
    const fileSystem = disk();
    const tree = started(fileSystem);
    put(tree, 1, 'a', '1');
    await tree.maintenance.flush();
    put(tree, 2, 'b', '1');
    const entries = tree.entries(everything, 2);
    tree.iterators.add(entries);
    await tree.close();
    expect(entries.isClosed).toBe(true);
    await expect(tree.verify()).rejects.toMatchObject({ code: 'CLOSED' });
    expect(fileSystem.openCount).toBe(0);
    const again = started(fileSystem);
    expect(read(again, 2)).toEqual(['a=1']);
    put(again, 2, 'b', '2');
    await again.maintenance.flushRest();
    await again.close();
    expect(read(open(fileSystem), 2)).toEqual(['a=1', 'b=2']);
  });

  it('that is discarded leaves nothing behind, and its folder takes a new one', async () => {
    const fileSystem = disk();
    const tree = started(fileSystem);
    put(tree, 1, 'a', '1');
    await tree.maintenance.flush();
    await tree.discard();
    expect(fileSystem.list(tablesDirectory(DIRECTORY))).toEqual([]);
    expect(fileSystem.openCount).toBe(0);
    const again = started(fileSystem);
    expect(again.folder).toMatchObject({ isNew: true, discarded: undefined });
    expect(read(again, 1)).toEqual([]);
    await again.close();
  });

  it('of stretches is filled by its own background, and asks few tables', async () => {
    const fileSystem = disk();
    const changed = {
      compaction: compactionSettings({
        policy: { kind: 'stretches', runCountMax: 4, runSize: 1_000 },
        memtableSize: 4_096,
        tableSizeMax: 2_048,
      }),
      tables: {
        ...settings.tables,
        filter: { bitsPerKey: 0, axes: [{ axis: 0x61, bitsPerKey: 14, uncovered: 5 }] },
      },
    };
    const tree = open(fileSystem, {}, changed);
    tree.start();
    for (let run = 0; run < 40; run += 1) {
      const made = await tree.maintenance.makeBuilt({ from: run * 20, to: run * 20 + 20 });
      await tree.maintenance.addIngested(made, run + 1, run * 20 + 20, () => {});
      await tree.maintenance.settled();
      const runs = tree.state.levels
        .toArrays()
        .map((tables, level) => (level === 0 ? tables.length : Math.min(1, tables.length)));
      expect(runs.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(4);
    }
    await tree.close();
    const again = open(fileSystem, {}, changed);
    expect(again.state.flushedPosition).toBe(800);
    const whole = read(again, Infinity);
    expect(whole).toHaveLength(1_600);
    const newest = { start: bytesOf('a|'), end: bytesOf('a}') };
    const wanted = { prefixSize: 2, keySize: 7 };
    expect(read(again, Infinity, false, { ...newest, wanted })).toEqual(whole.slice(0, 800));
    expect(read(again, Infinity, false, { ...newest, wanted })[0]).toBe('a|99200=799');
    const { to } = [...again.state.levels].at(-1)!.stretch!;
    expect(to).toBeGreaterThan(400);
    const old = read(again, Infinity, true, { ...newest, wanted, positions: { from: 0, to: 1 } });
    expect(old).toEqual(whole.slice(800 - to, 800).toReversed());
    const absent = { start: bytesOf('a}'), end: bytesOf('a~'), wanted };
    const { blockReads, filterMisses } = again.stats().reads;
    expect(read(again, Infinity, false, absent)).toEqual([]);
    expect(again.stats().reads.blockReads).toBe(blockReads);
    expect(again.stats().reads.filterMisses).toBeGreaterThanOrEqual(filterMisses);
    await again.close();
  });

  it('answers who asks for work while it is being closed, or afterwards', async () => {
    const tree = started(disk());
    put(tree, 1, 'key', 'value');
    const closing = tree.close();
    await expect(tree.maintenance.flush()).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(tree.maintenance.settled()).rejects.toMatchObject({ code: 'CLOSED' });
    await closing;
    await expect(tree.maintenance.flush()).rejects.toMatchObject({ code: 'CLOSED' });
  });
});
