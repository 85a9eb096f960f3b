/** Defects that engines of this kind have had, each shown to be absent. The sweeps cover more of each; here each has its name. */
import { type KvOptions, type KvStore, openKv, type VarveError } from 'varve/kv';
import {
  FaultPlan,
  type Operation,
  SeededRandom,
  SimulatedClock,
  SimulatedFileSystem,
} from 'varve/testing';
import { describe, expect, it } from 'vitest';
import { Settling, calmOptions, KV_STORE, textOfBytes, tinyOptions } from './wishes.ts';

const lossy = { keep: 'none', sector: 512, directory: 'ordered' } as const;

interface Setup {
  readonly disk: SimulatedFileSystem;
  readonly clock: SimulatedClock;
  /** What fails from now on. */
  failing: (operation: Operation) => boolean;
  open(options?: KvOptions, disk?: SimulatedFileSystem): Promise<KvStore>;
}

function setUp(): Setup {
  const when = (operation: Operation): 'EIO' | undefined =>
    setup.failing(operation) ? 'EIO' : undefined;
  const disk = new SimulatedFileSystem({ faults: new FaultPlan({ when }) });
  const clock = new SimulatedClock({ tickMs: 1 });
  const setup: Setup = {
    disk,
    clock,
    failing: () => false,
    open: async (options = tinyOptions, fileSystem = disk) =>
      openKv(KV_STORE, options, { fileSystem, clock, random: new SeededRandom(1) }),
  };
  return setup;
}

function isTable({ kind, path }: Operation): boolean {
  return path.endsWith('.tbl') && kind === 'create';
}

/** Holds the syncs of the log alone. */
class LogGate {
  readonly fileSystem: SimulatedFileSystem;
  waitingCount = 0;
  #gate: Promise<void> | undefined;
  #open: (() => void) | undefined;

  constructor(disk: SimulatedFileSystem) {
    const file = (opened: File): File =>
      opened.path.includes('/log/')
        ? replaced(opened, 'syncAsync', async () => {
            this.waitingCount += this.#gate === undefined ? 0 : 1;
            await this.#gate;
            return opened.syncAsync();
          })
        : opened;
    const open: SimulatedFileSystem['open'] = (path, mode) => file(disk.open(path, mode));
    this.fileSystem = replaced(disk, 'open', open);
  }

  close(): void {
    this.#gate = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  open(): void {
    this.#gate = undefined;
    this.#open?.();
  }
}

type File = ReturnType<SimulatedFileSystem['open']>;

/** The same object but for one method. */
function replaced<T extends object>(target: T, name: keyof T, method: unknown): T {
  return new Proxy(target, {
    get: (_, key) => {
      const found: unknown = key === name ? method : Reflect.get(target, key);
      return typeof found === 'function' && key !== name ? found.bind(target) : found;
    },
  });
}

/** Lets time pass until a promise is settled. */
async function pump<T>({ clock }: Setup, promise: Promise<T>): Promise<T> {
  const settling = new Settling(promise);
  for (let turn = 0; !settling.isOver; turn += 1) {
    expect(turn, 'turns until a promise is settled').toBeLessThan(20_000);
    await clock.pause();
    clock.advance(10);
  }
  return promise;
}

async function fill(store: KvStore, count: number, round = 0): Promise<void> {
  await Promise.all(
    Array.from({ length: count }, (_, index) => store.put(`k/${index}`, `${round} ${index}`)),
  );
}

function expectFilled(store: KvStore, count: number, round = 0): void {
  for (let index = 0; index < count; index += 1) {
    expect(textOfBytes(store.getSync(`k/${index}`)!)).toBe(`${round} ${index}`);
  }
}

function segments(disk: SimulatedFileSystem): string[] {
  return disk.paths().filter((path) => path.endsWith('.seg'));
}

describe('what others have lost', () => {
  it('a flush that fails loses nothing, and neither does the next one that succeeds', async () => {
    const setup = setUp();
    const store = await setup.open();
    await fill(store, 20);
    setup.failing = isTable;
    await expect(store.flush()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expectFilled(store, 20);
    expect(store.stats().background.error).toMatchObject({ code: 'UNAVAILABLE' });
    setup.failing = () => false;
    setup.clock.advance(60_000);
    await pump(
      setup,
      store.settled().catch(() => store.settled()),
    );
    await pump(setup, store.flush());
    expect(store.stats().background.error).toBeUndefined();
    expectFilled(store, 20);
    const cut = setup.disk.crashClone(new SeededRandom(1), lossy);
    expectFilled(await setup.open(calmOptions, cut), 20);
  });

  it('nothing gets into a table before the log holds it durably', async () => {
    const setup = setUp();
    const gate = new LogGate(setup.disk);
    const store = await setup.open(tinyOptions, gate.fileSystem);
    gate.close();
    const puts = fill(store, 60);
    const flushed = store.flush();
    for (let turn = 0; turn < 500; turn += 1) {
      await setup.clock.pause();
    }
    expect(gate.waitingCount).toBeGreaterThan(0);
    expect(setup.disk.paths().filter((path) => path.endsWith('.tbl'))).toEqual([]);
    const cut = await setup.open(calmOptions, setup.disk.crashClone(new SeededRandom(1), lossy));
    expect(cut.lastVersion).toBe(0);
    gate.open();
    await pump(setup, Promise.all([puts, flushed]));
    expect(store.tables().length).toBeGreaterThan(0);
  });

  it('nobody is let in twice', async () => {
    const setup = setUp();
    await setup.open();
    await expect(setup.open()).rejects.toMatchObject({ code: 'LOCKED' });
  });

  it('after a failed sync of the log writing has ended, reads go on, and reopening recovers', async () => {
    const setup = setUp();
    const store = await setup.open();
    await fill(store, 5);
    setup.failing = ({ kind, path }) => kind === 'sync' && path.includes('/log/');
    await expect(store.put('lost', 'or not')).rejects.toMatchObject({
      code: 'POISONED',
      applied: 'unknown',
    });
    setup.failing = () => false;
    await expect(store.put('late', '')).rejects.toMatchObject({ code: 'POISONED', applied: 'no' });
    await expect(store.flush()).rejects.toMatchObject({ code: 'POISONED' });
    expectFilled(store, 5);
    await store.close().catch((error: VarveError) => expect(error.code).toBe('POISONED'));
    const again = await setup.open();
    expectFilled(again, 5);
    expect(again.hasSync('late')).toBe(false);
    expect(await again.put('late', 'now')).toBeGreaterThan(5);
  });

  it('a store with a log is not opened without one, nor the other way round', async () => {
    for (const log of [true, false]) {
      const setup = setUp();
      await (await setup.open({ ...tinyOptions, log })).close();
      const other = setup.open({ ...tinyOptions, log: !log });
      await expect(other).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
  });

  it('what is refused is refused when it is written, and what is taken can be read from every place', async () => {
    const setup = setUp();
    const store = await setup.open({ ...calmOptions, memtableBytes: 4 * 1024 * 1024 });
    const largest = new Uint8Array(16 * 1024 * 1024 - 4_096).fill(7);
    await expect(store.put('too large', new Uint8Array(16 * 1024 * 1024))).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED',
      applied: 'no',
    });
    await expect(store.put(new Uint8Array(65_536), '')).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED',
    });
    const longest = new Uint8Array(65_535).fill(107);
    await store.put('largest', largest);
    await store.put(longest, 'longest key');
    const check = (from: KvStore): void => {
      expect(Buffer.compare(from.getSync('largest')!, largest)).toBe(0);
      expect(textOfBytes(from.getSync(longest)!)).toBe('longest key');
    };
    check(store);
    check(await setup.open(calmOptions, setup.disk.clone()));
    await store.flush();
    check(store);
    await store.compact();
    check(store);
    expect(await store.verify()).toMatchObject({ ok: true });
  });

  it('a put is not blamed for a flush that fails', async () => {
    const setup = setUp();
    const store = await setup.open();
    setup.failing = isTable;
    const answers = await Promise.allSettled(
      Array.from({ length: 70 }, (_, index) => store.put(`k/${index}`, 'x'.repeat(80))),
    );
    for (const [index, answer] of answers.entries()) {
      if (answer.status === 'rejected') {
        expect(answer.reason).toMatchObject({ code: 'UNAVAILABLE', applied: 'no' });
      }
      expect(store.hasSync(`k/${index}`)).toBe(answer.status === 'fulfilled');
    }
    expect(answers[0]!.status).toBe('fulfilled');
  });

  it('no path leads out of the folder, and nothing outside of it is touched', async () => {
    const setup = setUp();
    setup.disk.writeFile('/home/mine.tbl', Buffer.from('mine'));
    setup.disk.writeFile('/home/MANIFEST.tmp', Buffer.from('mine'));
    const touched = new Set<string>();
    setup.disk.onOperation = ({ kind, path, target }) => {
      if (kind !== 'stat' && kind !== 'syncDirectory' && kind !== 'makeDirectory') {
        touched.add(path).add(target ?? path);
      }
    };
    const store = await setup.open();
    await fill(store, 100);
    await store.compact();
    await store.close();
    await (await setup.open()).close();
    expect([...touched].filter((path) => !path.startsWith(`${KV_STORE}/`))).toEqual([KV_STORE]);
    expect([...touched].filter((path) => path.includes('..'))).toEqual([]);
  });
});

describe('what a failure of the disk left undecided', () => {
  it('a manifest whose name could not be synced gets its name once more at the next open', async () => {
    const setup = setUp();
    const store = await setup.open({ ...tinyOptions, levelZeroTables: 100 });
    for (let round = 0; round < 3; round += 1) {
      await fill(store, 20, round);
      await store.flush();
    }
    setup.failing = ({ kind, path }) => kind === 'syncDirectory' && path === KV_STORE;
    await expect(pump(setup, store.compact())).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await pump(setup, store.close());
    setup.failing = () => false;
    const again = await setup.open();
    await again.put('later', 'x');
    const cut = setup.disk.crashClone(new SeededRandom(1), lossy);
    const recovered = await setup.open(calmOptions, cut);
    expectFilled(recovered, 20, 2);
    expect(textOfBytes(recovered.getSync('later')!)).toBe('x');
    expect(await recovered.verify()).toMatchObject({ ok: true });
  });

  it('removed segments of the log that a power cut brings back are passed over, and removed again', async () => {
    const setup = setUp();
    const options = {
      ...calmOptions,
      memtableBytes: 8 * 1024 * 1024,
      maxPendingBytes: 8 * 1024 * 1024,
    };
    const store = await setup.open(options);
    const largest = 'x'.repeat(400_000);
    for (let index = 0; index < 12; index += 1) {
      await store.put(`k/${index}`, `${index}${largest}`);
    }
    const before = segments(setup.disk);
    expect(before).toHaveLength(3);
    const [first] = before;
    const bytes = setup.disk.readFile(first!);
    await store.flush();
    await store.settled();
    expect(segments(setup.disk)).toEqual(before.slice(2));
    const cut = setup.disk.clone();
    cut.writeFile(first!, bytes);
    const recovered = await setup.open(calmOptions, cut);
    await recovered.settled();
    expect(segments(cut)).toEqual(before.slice(2));
    expect(recovered.lastVersion).toBe(12);
    expect(textOfBytes(recovered.getSync('k/11')!)).toBe(`11${largest}`);
  });

  it('even that of a store that was just made', async () => {
    const setup = setUp();
    let syncCount = 0;
    setup.failing = ({ kind, path }) => {
      syncCount += kind === 'syncDirectory' && path === KV_STORE ? 1 : 0;
      return syncCount === 2 && kind === 'syncDirectory';
    };
    await expect(setup.open()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(setup.disk.paths()).toContain(`${KV_STORE}/manifest`);
    setup.failing = () => false;
    const store = await setup.open();
    await store.put('acknowledged', '!');
    const cut = setup.disk.crashClone(new SeededRandom(1), lossy);
    const recovered = await setup.open(calmOptions, cut);
    expect(textOfBytes(recovered.getSync('acknowledged')!)).toBe('!');
  });

  it('has a code of ours wherever it strikes', async () => {
    const setup = setUp();
    const store = await setup.open({ ...calmOptions, blockCacheBytes: 0 });
    await fill(store, 20);
    await store.flush();
    const unavailable = { code: 'UNAVAILABLE' };
    setup.failing = ({ kind, path }) => kind === 'read' && path.endsWith('.tbl');
    expect(() => store.getSync('k/1')).toThrow(expect.objectContaining(unavailable));
    expect(() => [...store.iterateSync()]).toThrow(expect.objectContaining(unavailable));
    await expect(store.rename('k/1', 'k/renamed')).rejects.toMatchObject({
      ...unavailable,
      applied: 'no',
    });
    await expect(store.put('k/1', '', { ifVersion: 7 })).rejects.toMatchObject({
      ...unavailable,
      applied: 'no',
    });
    setup.failing = isTable;
    await expect(store.ingest([['a', 'b']])).rejects.toMatchObject(unavailable);
    setup.failing = ({ kind }) => kind === 'link';
    await expect(store.backup('/home/backup')).rejects.toMatchObject(unavailable);
    setup.failing = ({ kind, path }) => kind === 'sync' && path.includes('/log/');
    await expect(store.close()).rejects.toMatchObject(unavailable);
  });
});

describe('what others have kept silent about', () => {
  it('a compaction that keeps failing is reported, leaves no files behind, and is done in the end', async () => {
    const setup = setUp();
    const store = await setup.open({ ...tinyOptions, levelZeroTables: 100 });
    for (let round = 0; round < 4; round += 1) {
      await fill(store, 20, round);
      await store.flush();
    }
    const files = setup.disk.paths();
    setup.failing = ({ kind, path }) => kind === 'write' && path.endsWith('.tbl');
    for (let failures = 0; failures < 5; failures += 1) {
      await expect(pump(setup, store.compact())).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      expect(store.stats().background.error).toMatchObject({ code: 'UNAVAILABLE' });
      expect(setup.disk.paths()).toEqual(files);
      expectFilled(store, 20, 3);
    }
    setup.failing = () => false;
    await pump(setup, store.compact());
    expect(store.stats().background.error).toBeUndefined();
    expect(store.tables().some(({ level }) => level === 0)).toBe(false);
    expectFilled(store, 20, 3);
  });

  it('a damaged table is not merged, and nobody tries again and again', async () => {
    const setup = setUp();
    const store = await setup.open(calmOptions);
    for (let round = 0; round < 4; round += 1) {
      await fill(store, 20, round);
      await store.flush();
    }
    await store.close();
    const [path] = setup.disk.paths().filter((one) => one.endsWith('.tbl'));
    setup.disk.flipBit(path!, 60, 1);
    const again = await setup.open();
    await expect(again.settled()).rejects.toMatchObject({ code: 'CORRUPT', file: path });
    const { operations } = setup.disk;
    for (let turn = 0; turn < 100; turn += 1) {
      setup.clock.advance(60_000);
      await setup.clock.pause();
    }
    expect(setup.disk.operations).toBe(operations);
    expect(again.stats().background.error).toMatchObject({ code: 'CORRUPT', file: path });
  });

  it('writers hear of it rather than wait for ever when no table can be made', async () => {
    const setup = setUp();
    const store = await setup.open();
    setup.failing = isTable;
    const failures: VarveError[] = [];
    for (let index = 0; index < 500 && failures.length === 0; index += 1) {
      const put = store.put(`k/${index}`, 'x'.repeat(80));
      await pump(setup, put).catch((error: VarveError) => failures.push(error));
    }
    const [refused] = failures;
    expect(refused).toMatchObject({ code: 'UNAVAILABLE', applied: 'no' });
    expect(refused!.cause).toMatchObject({ code: 'UNAVAILABLE' });
    expect(store.stats().memtables.size).toBeLessThan(5 * 4_096);
    setup.failing = () => false;
    setup.clock.advance(60_000);
    for (let turn = 0; turn < 200; turn += 1) {
      await setup.clock.pause();
    }
    await pump(setup, store.put('at last', ''));
    await pump(setup, store.close());
  });

  it('writes wait while merging is behind: level 0 stays small', async () => {
    const setup = setUp();
    const store = await setup.open();
    let most = 0;
    for (let round = 0; round < 20; round += 1) {
      await pump(setup, fill(store, 60, round));
      most = Math.max(most, store.stats().levels[0]?.tableCount ?? 0);
    }
    await pump(setup, store.settled());
    expectFilled(store, 60, 19);
    expect(most).toBeLessThan(40);
  });

  it('a store with many tables of level 0 merges them when it is opened', async () => {
    const setup = setUp();
    const store = await setup.open(calmOptions);
    for (let round = 0; round < 12; round += 1) {
      await fill(store, 10, round);
      await store.flush();
    }
    expect(store.stats().levels[0]!.tableCount).toBeGreaterThanOrEqual(12);
    await store.close();
    const again = await setup.open();
    await pump(setup, again.settled());
    expect(again.stats().levels[0]?.tableCount ?? 0).toBeLessThan(tinyOptions.levelZeroTables!);
    expectFilled(again, 10, 11);
  });

  it('closing loses nothing, with a log or without one', async () => {
    for (const log of [true, false]) {
      const setup = setUp();
      const store = await setup.open({ ...tinyOptions, log });
      await fill(store, 30);
      await store.close();
      const cut = setup.disk.crashClone(new SeededRandom(1), lossy);
      const again = await setup.open({ ...tinyOptions, log }, cut);
      expectFilled(again, 30);
      expect(again.recovery).toMatchObject({ wasClosed: true, orphans: [], discarded: undefined });
    }
  });

  it('a flush that can not be done when closing is an error of close', async () => {
    const setup = setUp();
    const store = await setup.open({ ...tinyOptions, log: false });
    await fill(store, 10);
    setup.failing = isTable;
    await expect(pump(setup, store.close())).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});

describe('what others have waited for', () => {
  it('reads and writes are answered while a flush waits for the disk', async () => {
    const setup = setUp();
    const store = await setup.open();
    await fill(store, 20);
    setup.disk.holdSyncs();
    const syncs: string[] = [];
    setup.disk.onBeforeOperation = ({ kind, path }) => {
      if (kind === 'sync' && path.endsWith('.tbl')) {
        syncs.push(path);
      }
    };
    const flushed = store.flush();
    while (syncs.length === 0) {
      await setup.clock.pause();
    }
    expectFilled(store, 20);
    const put = store.put('meanwhile', 'visible');
    expect(textOfBytes(store.getSync('meanwhile')!)).toBe('visible');
    expect([...store.iterateSync({ prefix: 'k/' })]).toHaveLength(20);
    await setup.clock.pause();
    expectFilled(store, 20);
    setup.disk.releaseSyncs();
    await pump(setup, Promise.all([flushed, put]));
  });

  it('writers share a sync, and readers wait for none', async () => {
    const setup = setUp();
    const store = await setup.open(calmOptions);
    await store.put('first', '');
    const before = setup.disk.counts.sync;
    const puts = fill(store, 200);
    expectFilled(store, 200);
    expect(setup.disk.counts.sync).toBe(before);
    await puts;
    expect(setup.disk.counts.sync - before).toBeLessThan(10);
  });
});
