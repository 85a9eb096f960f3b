/** Background maintenance: flushes, compactions, backups, and what callers hear of them when they fail. */
import type { KvOptions, KvStore } from 'varve/kv';
import {
  FaultPlan,
  type Operation,
  SeededRandom,
  SimulatedClock,
  SimulatedFileSystem,
} from 'varve/testing';
import { describe, expect, it } from 'vitest';
import { turns } from '../turns.ts';
import { codeOf, disk, faulty, openOn, text } from './simulated-store.ts';

const tiny: KvOptions = {
  memtableBytes: 4_096,
  blockBytes: 64,
  tableBytes: 1_024,
  levelBaseBytes: 4_096,
  levelMultiplier: 2,
};

/** Puts that spread over the keys and come again. */
function putMany(kv: KvStore, count: number, seed = 1): Promise<number>[] {
  const random = new SeededRandom(seed);
  return Array.from({ length: count }, (_, index) =>
    kv.put(`key ${random.below(200)}`, `value ${index}`.repeat(4)),
  );
}

const ofTables = ({ path, kind }: Operation): boolean => kind === 'create' && path.endsWith('.tbl');

describe('flush', () => {
  it('puts everything written before into tables, those who wait included', async () => {
    const fileSystem = disk();
    const kv = await openOn(fileSystem);
    // The first put of a store waits for space in its log.
    const put = kv.put('a', '1');
    const others = putMany(kv, 300);
    await kv.flush();
    await Promise.all([put, ...others]);
    expect(kv.stats()).toMatchObject({ flushedVersion: 301, lastVersion: 301 });
    expect(kv.tables().length).toBeGreaterThan(0);
    await kv.flush();
    expect(kv.stats().background.flushes).toBe(1);
    await kv.close();
  });

  it('rejects while tables can not be made, and works when they can', async () => {
    const clock = new SimulatedClock();
    const { fileSystem, arm } = faulty(ofTables);
    const kv = await openOn(fileSystem, tiny, { clock });
    await kv.put('a', '1');
    arm(true);
    const before = fileSystem.paths();
    expect(await codeOf(kv.flush())).toBe('UNAVAILABLE');
    expect(kv.stats().background.error).toBeDefined();
    expect(await codeOf(kv.settled())).toBe('UNAVAILABLE');
    expect(text(kv.getSync('a'))).toBe('1');
    expect(fileSystem.paths()).toEqual(before);
    await kv.put('b', '2');
    arm(false);
    clock.advance(60_000);
    await kv.settled();
    expect(kv.stats().background.error).toBeUndefined();
    await kv.flush();
    expect(kv.stats().flushedVersion).toBe(2);
    await kv.close();
  });
});

describe('writes that are held up', () => {
  it('go on when there is room again, in their order', async () => {
    const kv = await openOn(disk(), tiny);
    const versions = await Promise.all(putMany(kv, 3_000));
    expect(versions).toEqual(Array.from({ length: 3_000 }, (_, index) => index + 1));
    await kv.settled();
    expect(kv.stats()).toMatchObject({
      pending: { bytes: 0, waiting: 0 },
      pressure: { state: 'none' },
    });
    expect(kv.stats().background.compactions).toBeGreaterThan(5);
    await kv.close();
  });

  it.each([1, 100])(
    'wait before memory has more than was promised, in batches of %i',
    async (size) => {
      const memtableBytes = 16_384;
      const kv = await openOn(disk(), { memtableBytes });
      const value = 'x'.repeat(100);
      const batches = Array.from({ length: 4_000 / size }, (_, batch) =>
        kv.batch(
          Array.from({ length: size }, (__, index) => ({
            type: 'put' as const,
            key: `key ${batch * size + index}`,
            value,
          })),
        ),
      );
      let most = 0;
      const written = Promise.all(batches);
      for (let isOver = false; !isOver; most = Math.max(most, kv.stats().memtables.size)) {
        isOver = await Promise.race([written.then(() => true), turns(1).then(() => false)]);
      }
      // Three memtables and a batch, with what an entry takes in one.
      expect(most).toBeGreaterThan(2 * memtableBytes);
      expect(most).toBeLessThan(3 * memtableBytes + (size + 3) * 200);
      await kv.close();
    },
  );

  it('are refused when memory is full and tables can not be made, and accepted when they can', async () => {
    const clock = new SimulatedClock();
    const { fileSystem, arm } = faulty(ofTables);
    const kv = await openOn(fileSystem, tiny, { clock });
    await kv.put('first', '1');
    arm(true);
    const outcomes = await Promise.all(putMany(kv, 2_000).map((put) => codeOf(put)));
    expect(new Set(outcomes)).toEqual(new Set([undefined, 'UNAVAILABLE']));
    const accepted = outcomes.filter((code) => code === undefined).length;
    expect(kv.lastVersion).toBe(accepted + 1);
    expect(await codeOf(kv.put('more', ''))).toBe('UNAVAILABLE');
    expect(text(kv.getSync('first'))).toBe('1');
    arm(false);
    clock.advance(60_000);
    await kv.settled();
    await Promise.all(putMany(kv, 500, 2));
    const { lastVersion } = kv;
    expect(lastVersion).toBe(accepted + 501);
    await kv.close();
    const again = await openOn(fileSystem, tiny);
    expect(again.lastVersion).toBe(lastVersion);
    expect(text(again.getSync('first'))).toBe('1');
    await again.close();
  });

  it('are not refused because a table is damaged, as long as memtables can be flushed', async () => {
    const fileSystem = disk();
    const calm = { memtableBytes: 8_192, levelZeroTables: 100 };
    const kv = await openOn(fileSystem, calm);
    for (let round = 0; round < 3; round += 1) {
      await Promise.all(putMany(kv, 50, round));
      await kv.flush();
    }
    const { number } = kv.tables()[0]!;
    const path = `/kv/tables/${String(number).padStart(20, '0')}.tbl`;
    await kv.close();
    fileSystem.flipBit(path, 40, 1);
    const again = await openOn(fileSystem, calm);
    expect(await codeOf(again.compact())).toBe('CORRUPT');
    expect(again.stats().background.error).toMatchObject({ code: 'CORRUPT' });
    const puts = Array.from({ length: 1_000 }, (_, index) =>
      again.put(`new ${index}`, 'x'.repeat(40)),
    );
    expect(new Set(await Promise.all(puts.map((put) => codeOf(put))))).toEqual(
      new Set([undefined]),
    );
    expect(await codeOf(again.flush())).toBeUndefined();
    expect(again.stats().flushedVersion).toBe(again.lastVersion);
    expect(again.stats().background.error).toMatchObject({ code: 'CORRUPT' });
    await again.close();
  });
});

describe('settled', () => {
  it('waits for a compaction that has failed and is tried again, though a flush has succeeded since', async () => {
    const clock = new SimulatedClock();
    let creations = 0;
    const { fileSystem, arm } = faulty((operation) => {
      creations += ofTables(operation) ? 1 : 0;
      // A flush of one entry makes one table; the merge of four comes right behind the fourth.
      return ofTables(operation) && creations === 5;
    });
    const kv = await openOn(fileSystem, { levelZeroTables: 4 }, { clock });
    arm(true);
    for (let round = 0; round < 5; round += 1) {
      await kv.put('a', String(round));
      await kv.put('b', String(round));
      await codeOf(kv.flush());
      await turns(20);
    }
    const outcome = codeOf(kv.settled());
    await turns(20);
    clock.advance(60_000);
    expect([undefined, 'UNAVAILABLE']).toContain(await outcome);
    await kv.settled();
    expect(kv.stats().background.compactions).toBe(1);
    expect(kv.stats().levels[0]!.tableCount).toBeLessThan(4);
    await kv.close();
  });

  it('does not speak of a compaction that failed once, and that nobody asks for any more', async () => {
    const clock = new SimulatedClock();
    const { fileSystem, arm } = faulty(ofTables);
    const kv = await openOn(fileSystem, {}, { clock });
    for (const value of ['1', '2']) {
      await kv.put('a', value);
      await kv.flush();
    }
    arm(true);
    expect(await codeOf(kv.compact())).toBe('UNAVAILABLE');
    expect(kv.stats().background.error).toMatchObject({ code: 'UNAVAILABLE' });
    arm(false);
    await kv.settled();
    expect(kv.stats().background.error).toBeUndefined();
    await kv.close();
  });
});

describe('compact', () => {
  it('leaves one version of each key, and only what snapshots see beside it', async () => {
    const kv = await openOn(disk(), { memtableBytes: 16_384 });
    await Promise.all(putMany(kv, 1_000));
    const snapshot = kv.snapshot();
    await Promise.all(putMany(kv, 1_000, 2));
    await kv.compact();
    const count = (): number => kv.tables().reduce((sum, table) => sum + table.count, 0);
    expect(count()).toBeGreaterThan(200);
    expect(count()).toBeLessThanOrEqual(400);
    snapshot.close();
    await kv.put('zz', '');
    await kv.compact();
    expect(kv.tables().every(({ level }) => level > 0)).toBe(true);
    await kv.deleteRange({ gte: '' });
    await kv.compact();
    expect(kv.tables()).toEqual([]);
    expect(kv.sizeOf({})).toBe(0);
    await kv.close();
  });

  it('ends, whatever it is given, and says when it can not', async () => {
    const clock = new SimulatedClock();
    const { fileSystem, arm } = faulty(ofTables);
    const kv = await openOn(fileSystem, { levelZeroTables: 100 }, { clock });
    await kv.compact();
    await kv.compact({ gte: 'b', lt: 'a' });
    for (let round = 0; round < 3; round += 1) {
      await kv.put('a', String(round));
      await kv.put('c', String(round));
      await kv.flush();
    }
    await kv.compact({ gte: 'x' });
    expect(kv.tables()).toHaveLength(3);
    arm(true);
    const outcome = codeOf(kv.compact({ prefix: 'a' }));
    await turns(50);
    arm(false);
    clock.advance(60_000);
    expect(await outcome).toBe('UNAVAILABLE');
    await kv.compact({ prefix: 'a' });
    expect(kv.tables()).toHaveLength(1);
    await kv.close();
  });
});

describe('a compaction whose manifest can not be written', () => {
  it.each([
    ['at once, if the one before is surely there', 'create', '/kv/manifest.tmp', 0],
    ['when a later one is there, if it may be there itself', 'syncDirectory', '/kv', 1],
  ])('leaves its tables no longer than it must: %s', async (_, failingKind, failingPath, more) => {
    const clock = new SimulatedClock();
    const { fileSystem, arm } = faulty(
      ({ path, kind }) => kind === failingKind && path === failingPath,
    );
    const kv = await openOn(fileSystem, { levelZeroTables: 100 }, { clock });
    for (let round = 0; round < 3; round += 1) {
      await Promise.all(putMany(kv, 20, round));
      await kv.flush();
    }
    const onDisk = (): number => fileSystem.list('/kv/tables').length;
    expect(onDisk()).toBe(3);
    arm(true);
    expect(await codeOf(kv.compact())).toBe('UNAVAILABLE');
    await turns(5);
    expect(onDisk()).toBe(3 + more);
    arm(false);
    await kv.put('more', '1');
    await kv.flush();
    await turns(5);
    expect(onDisk()).toBe(4);
    await kv.compact();
    await kv.settled();
    expect(onDisk()).toBe(kv.tables().length);
    await kv.close();
  });
});

describe('backup', () => {
  it('is a store of its own, as it was, while the first one is written', async () => {
    const fileSystem = disk();
    const kv = await openOn(fileSystem, tiny);
    await Promise.all(putMany(kv, 500));
    const expected = [...kv.iterateSync()].map(([key, value]) => `${text(key)}=${text(value)}`);
    const version = kv.lastVersion;
    const backup = kv.backup('/backup');
    const puts = putMany(kv, 800, 2);
    await Promise.all([backup, ...puts]);
    await kv.compact();
    await kv.close();
    const copyDisk = fileSystem.crashClone(new SeededRandom(1), {
      keep: 'none',
      sector: 512,
      directory: 'ordered',
    });
    const { openKv } = await import('varve/kv');
    const copy = await openKv('/backup', tiny, { fileSystem: copyDisk });
    expect(copy.recovery).toMatchObject({
      isNew: false,
      wasClosed: true,
      orphans: [],
      replayed: 0,
    });
    // At least what was there at the call; what was written since, only from the front.
    expect(copy.lastVersion).toBeGreaterThanOrEqual(version);
    const found = [...copy.iterateSync()].map(([key, value]) => `${text(key)}=${text(value)}`);
    if (copy.lastVersion === version) {
      expect(found).toEqual(expected);
    }
    expect(await copy.verify()).toMatchObject({ ok: true });
    expect(await copy.put('new', 'x')).toBe(copy.lastVersion);
    await copy.close();
  });

  it('refuses a place that is taken, or in the store', async () => {
    const fileSystem = disk();
    const kv = await openOn(fileSystem);
    await kv.put('a', '1');
    fileSystem.writeFile('/taken/file', new Uint8Array(1));
    for (const place of [
      '/kv',
      '/kv/backup',
      '/kv/tables',
      '/taken',
      '/taken/file',
      '',
      7 as never,
    ]) {
      expect(await codeOf(kv.backup(place))).toBe('INVALID_ARGUMENT');
    }
    await kv.close();
  });
});

describe('close', () => {
  it('answers every write, those who wait included, and lets no more in', async () => {
    const fileSystem = disk();
    const kv = await openOn(fileSystem, tiny);
    const puts = putMany(kv, 1_000);
    const closing = kv.close();
    expect(await codeOf(kv.put('late', ''))).toBe('CLOSED');
    expect(await Promise.all(puts)).toHaveLength(1_000);
    await closing;
    await kv.close();
    expect(fileSystem.openCount).toBe(0);
    const again = await openOn(fileSystem, tiny);
    expect(again.lastVersion).toBe(1_000);
    expect(again.recovery).toMatchObject({ wasClosed: true, orphans: [] });
    await again.close();
  });

  it('amid flushes and compactions leaves nothing behind', async () => {
    const fileSystem = disk();
    for (let round = 0; round < 12; round += 1) {
      const kv = await openOn(fileSystem, tiny);
      expect(kv.recovery.orphans).toEqual([]);
      await Promise.all(putMany(kv, 300 + 17 * round, round));
      const compacting = codeOf(kv.compact());
      await turns(3 * round);
      await kv.close();
      expect([undefined, 'CLOSED']).toContain(await compacting);
    }
  });

  it('rejects with what could not be done, and still lets go of the folder', async () => {
    const { fileSystem, arm } = faulty(ofTables);
    const kv = await openOn(fileSystem, { log: false });
    await kv.put('a', '1');
    arm(true);
    expect(await codeOf(kv.close())).toBe('UNAVAILABLE');
    expect(await codeOf(kv.close())).toBe('UNAVAILABLE');
    arm(false);
    const again = await openOn(fileSystem, { log: false });
    expect(again.hasSync('a')).toBe(false);
    await again.close();
  });
});

describe('the log', () => {
  it('has on disk what gets into a table, before it does', async () => {
    const fileSystem = disk();
    const kv = await openOn(fileSystem, tiny);
    await kv.put('a', '1');
    fileSystem.holdSyncs();
    const puts = putMany(kv, 120);
    const flushed = kv.flush();
    await turns(100);
    expect(fileSystem.paths().filter((path) => path.endsWith('.tbl'))).toEqual([]);
    fileSystem.releaseSyncs();
    await Promise.all([...puts, flushed]);
    expect(kv.tables().length).toBeGreaterThan(0);
    await kv.close();
  });

  it('that can not be synced ends writing, and reads go on', async () => {
    const { fileSystem, arm } = faulty(
      ({ path, kind }) => kind === 'sync' && path.endsWith('.seg'),
    );
    const kv = await openOn(fileSystem);
    await kv.put('a', '1');
    arm(true);
    const failed = await Promise.all(['b', 'c'].map((key) => codeOf(kv.put(key, '2'))));
    expect(new Set(failed)).toEqual(new Set(['POISONED']));
    expect(await codeOf(kv.put('d', '3'))).toBe('POISONED');
    expect(text(kv.getSync('a'))).toBe('1');
    expect(await codeOf(kv.flush())).toBe('POISONED');
    await codeOf(kv.close());
    arm(false);
    const again = await openOn(fileSystem);
    expect(text(again.getSync('a'))).toBe('1');
    expect(await again.put('e', '1')).toBeGreaterThan(1);
    await again.close();
  });

  it('that finds no space refuses what waits, and goes on when there is some', async () => {
    const faults = new FaultPlan();
    const fileSystem = new SimulatedFileSystem({ faults });
    const kv = await openOn(fileSystem);
    await kv.put('a', '1');
    faults.capacity = fileSystem.allocatedSize;
    const value = new Uint8Array(200_000);
    const codes: (string | undefined)[] = [];
    for (let index = 0; index < 12; index += 1) {
      codes.push(await codeOf(kv.put(`b${index}`, value)));
    }
    expect(codes).toContain('UNAVAILABLE');
    faults.capacity = Infinity;
    await kv.put('c', '1');
    const kept = codes.filter((code) => code === undefined).length;
    expect(kv.lastVersion).toBe(2 + kept);
    await kv.close();
    const again = await openOn(fileSystem);
    expect((await again.count('b')).count).toBe(kept);
    await again.close();
  });
});

describe('stats', () => {
  it('count what was done, and nothing else changes by looking', async () => {
    const kv = await openOn(disk(), { memtableBytes: 16_384, maxOpenFiles: 3, tableBytes: 1_024 });
    await Promise.all(putMany(kv, 600));
    await kv.flush();
    // More tables than may be open.
    await kv.compact();
    const stats = kv.stats();
    expect(stats).toEqual(kv.stats());
    expect(stats.written.raw).toBeGreaterThan(10_000);
    expect(stats.written.log).toBeGreaterThan(stats.written.raw);
    expect(stats.background.flushes).toBeGreaterThan(0);
    expect(stats.background.bytesWritten).toBeGreaterThan(0);
    expect(stats.memtables).toMatchObject({ count: 1 });
    for (let index = 0; index < 200; index += 1) {
      kv.getSync(`key ${index}`);
      kv.getSync(`key ${index} absent`);
    }
    const { reads, cache } = kv.stats();
    expect(reads.tableGets).toBeGreaterThan(100);
    expect(reads.filterMisses).toBeGreaterThan(0);
    expect(cache.size).toBeLessThanOrEqual(cache.capacity);
    expect(kv.tables().length).toBeGreaterThan(6);
    expect(kv.stats().openTables).toBeLessThanOrEqual(3);
    await kv.close();
  });

  it('show that a scan keeps few tables open', async () => {
    const kv = await openOn(disk(), { memtableBytes: 16_384, maxOpenFiles: 3, tableBytes: 1_024 });
    await Promise.all(putMany(kv, 600));
    await kv.compact();
    expect(kv.tables().length).toBeGreaterThan(8);
    let most = 0;
    for (const _ of kv.iterateSync()) {
      most = Math.max(most, kv.stats().openTables);
    }
    expect(most).toBeLessThanOrEqual(4);
    await kv.close();
  });
});
