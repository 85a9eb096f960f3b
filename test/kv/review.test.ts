/** What a hostile reading of the engine found: bounds, folders, failed syncs, arguments. Each has its name here. */
import { type KvOptions, type KvRange, type KvStore, openKv } from 'varve/kv';
import {
  FaultPlan,
  type Operation,
  SeededRandom,
  SimulatedClock,
  SimulatedFileSystem,
} from 'varve/testing';
import { describe, expect, it } from 'vitest';
import { codeOf, disk, openOn, text } from './open.ts';

const lossy = { keep: 'none', sector: 512, directory: 'ordered' } as const;
const KEY_SIZE_MAX = 65_535;

/** Tables are small, so that every job makes many. */
const smallTables: KvOptions = { tableBytes: 1_024, blockBytes: 64 };

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) {
    await new Promise(setImmediate);
  }
}

function filled(size: number, byte: number): Uint8Array {
  return new Uint8Array(size).fill(byte);
}

/** Keys are short here but for some of one byte over and over: those are written as their size. */
function keysOf(kv: KvStore, range: KvRange = {}): string[] {
  return [...kv.iterateSync({ ...range, keysOnly: true })].map((key) =>
    key.length < 100 ? text(key)! : `${key[0]} x ${key.length}`,
  );
}

/** Faults that strike while they are armed. */
function faulty(strikes: (operation: Operation) => boolean): {
  readonly fileSystem: SimulatedFileSystem;
  readonly arm: (isArmed: boolean) => void;
} {
  let isArmed = false;
  const faults = new FaultPlan({
    when: (operation) => (isArmed && strikes(operation) ? 'EIO' : undefined),
  });
  return { fileSystem: new SimulatedFileSystem({ faults }), arm: (value) => (isArmed = value) };
}

function tablesOn(fileSystem: SimulatedFileSystem): string[] {
  return fileSystem.paths().filter((path) => path.endsWith('.tbl'));
}

/** The store after a power cut. */
function afterPowerCut(fileSystem: SimulatedFileSystem, options?: KvOptions): Promise<KvStore> {
  return openOn(fileSystem.crashClone(new SeededRandom(1), lossy), options);
}

describe('bounds longer than a key', () => {
  const longest = filled(KEY_SIZE_MAX, 0x7a);
  const highest = filled(KEY_SIZE_MAX, 0xff);

  async function store(): Promise<{ kv: KvStore; fileSystem: SimulatedFileSystem }> {
    const fileSystem = disk();
    const kv = await openOn(fileSystem);
    for (const key of ['', 'a', 'b', 'c', longest, '~', highest]) {
      await kv.put(key, '1');
    }
    return { kv, fileSystem };
  }

  const long = '122 x 65535';
  const high = '255 x 65535';
  const ranges: readonly (readonly [string, KvRange, readonly string[]])[] = [
    ['lt: 70,000 bytes', { gte: 'a', lt: filled(70_000, 0x62) }, ['a', 'b']],
    ['lt: one byte more than a key', { gte: 'c', lt: filled(65_536, 0x7a) }, ['c', long]],
    ['lte: the longest key', { gt: 'b', lte: longest }, ['c', long]],
    ['lte: the highest key', { gt: 'c', lte: highest }, [long, '~', high]],
    ['lt: behind all keys', { gte: 'c', lt: filled(70_000, 0xff) }, ['c', long, '~', high]],
    ['gt: the longest key', { gt: longest }, ['~', high]],
    ['gte: 70,000 bytes', { gte: filled(70_000, 0x7a) }, ['~', high]],
    ['gt: the highest key', { gt: highest }, []],
    ['gte: behind all keys', { gte: filled(70_000, 0xff) }, []],
    ['prefix: 70,000 bytes', { prefix: filled(70_000, 0x7a) }, []],
    ['both in one place', { gte: filled(70_000, 0x62), lt: filled(80_000, 0x62) }, []],
  ];

  it.each(ranges)('are those of the keys below or above them (%s)', async (_, range, inside) => {
    const { kv, fileSystem } = await store();
    const all = keysOf(kv);
    expect(keysOf(kv, range)).toEqual(inside);
    expect([...kv.iterateSync({ ...range, reverse: true })]).toHaveLength(inside.length);
    const outside = all.filter((key) => !inside.includes(key));
    await kv.deleteRange(range);
    expect(keysOf(kv)).toEqual(outside);
    const replayed = await afterPowerCut(fileSystem);
    expect(keysOf(replayed)).toEqual(outside);
    await replayed.close();
    await kv.flush();
    expect(keysOf(kv)).toEqual(outside);
    await kv.close();
    const again = await openOn(fileSystem);
    expect(keysOf(again)).toEqual(outside);
    expect(keysOf(again, range)).toEqual([]);
    expect(await again.verify()).toMatchObject({ ok: true });
    await again.compact(range);
    await again.compact();
    expect(keysOf(again)).toEqual(outside);
    expect(await again.verify()).toMatchObject({ ok: true });
    expect(again.sizeOf(range)).toBeGreaterThanOrEqual(0);
    await again.close();
  });

  it('are counted as what they are: none', async () => {
    const { kv } = await store();
    for (const byte of [0x7a, 0xff]) {
      expect(await kv.count(filled(70_000, byte))).toEqual({ count: 0, isExact: true });
    }
    expect(await kv.count(longest)).toEqual({ count: 1, isExact: true });
    await kv.close();
  });
});

describe('a deleted range without an end', () => {
  it('ends behind every key there can be, also in tables and after every merge', async () => {
    const fileSystem = disk();
    const kv = await openOn(fileSystem, smallTables);
    const highest = filled(KEY_SIZE_MAX, 0xff);
    await kv.ingest([
      ['a', '1'],
      ['m', '1'],
      [highest, '1'],
    ]);
    const snapshot = kv.snapshot();
    await kv.deleteRange({ gte: 'b' });
    expect(keysOf(kv)).toEqual(['a']);
    await kv.flush();
    expect(keysOf(kv)).toEqual(['a']);
    expect(keysOf(await afterPowerCut(fileSystem))).toEqual(['a']);
    await kv.compact();
    expect(keysOf(kv)).toEqual(['a']);
    expect([...kv.iterateSync({ snapshot })]).toHaveLength(3);
    await kv.put(highest, '2');
    await kv.flush();
    await kv.compact();
    expect(text(kv.getSync(highest))).toBe('2');
    expect(text(kv.getSync(highest, { snapshot }))).toBe('1');
    expect(await kv.verify()).toMatchObject({ ok: true });
    await kv.close();
    const again = await openOn(fileSystem, smallTables);
    expect([...again.iterateSync()]).toHaveLength(2);
    await again.close();
  });
});

describe('a folder', () => {
  it('whose log holds what is not ours is refused, and nothing in it is removed', async () => {
    for (const name of ['app.log', '2024.csv', 'old/notes.txt', '0000.seg']) {
      const fileSystem = disk();
      // A beginning that was cut short, with somebody else's file in it.
      await (await openOn(fileSystem)).close();
      fileSystem.removeFile('/kv/manifest');
      fileSystem.writeFile(`/kv/log/${name}`, Buffer.from('precious'));
      const before = fileSystem.paths().filter((path) => path.startsWith('/kv/log/'));
      expect(await codeOf(openOn(fileSystem)), name).toBe('FOREIGN_FILE');
      expect(fileSystem.paths().filter((path) => path.startsWith('/kv/log/'))).toEqual(before);
      expect(Buffer.from(fileSystem.readFile(`/kv/log/${name}`)).toString()).toBe('precious');
    }
  });

  it('that only has such a log is refused, too', async () => {
    const fileSystem = disk();
    fileSystem.writeFile('/kv/log/app.log', Buffer.from('precious'));
    expect(await codeOf(openOn(fileSystem))).toBe('FOREIGN_FILE');
    expect(Buffer.from(fileSystem.readFile('/kv/log/app.log')).toString()).toBe('precious');
  });

  it('whose making was cut short is made again, and hidden files are left alone', async () => {
    const fileSystem = disk();
    await (await openOn(fileSystem)).close();
    fileSystem.removeFile('/kv/manifest');
    fileSystem.writeFile('/kv/log/.keep', Buffer.from('mine'));
    const kv = await openOn(fileSystem);
    expect(kv.recovery.isNew).toBe(true);
    await kv.put('a', '1');
    await kv.close();
    expect(Buffer.from(fileSystem.readFile('/kv/log/.keep')).toString()).toBe('mine');
  });

  it('of a damaged store with a log is not emptied by opening it without one', async () => {
    for (const damage of ['flip', 'truncate', 'no manifest', 'no table'] as const) {
      const fileSystem = disk();
      const kv = await openOn(fileSystem, smallTables);
      await kv.put('a', '1');
      await kv.flush();
      await kv.put('b', '2');
      await kv.close();
      const manifest = fileSystem.readFile('/kv/manifest');
      if (damage === 'flip') {
        fileSystem.flipBit('/kv/manifest', 40, 0);
      } else if (damage === 'truncate') {
        fileSystem.writeFile('/kv/manifest', manifest.subarray(0, 20));
      } else {
        fileSystem.removeFile(damage === 'no table' ? tablesOn(fileSystem)[0]! : '/kv/manifest');
      }
      const before = fileSystem.snapshotDigest();
      const code = await codeOf(openOn(fileSystem, { log: false }));
      expect(code, damage).toBe(damage === 'no table' ? 'INVALID_ARGUMENT' : 'CORRUPT');
      expect(fileSystem.snapshotDigest(), damage).toBe(before);
    }
  });
});

function syncsTables({ kind, path }: Operation): boolean {
  return kind === 'syncDirectory' && path === '/kv/tables';
}

/** A flush whose names are not made durable, and what the store does afterwards. */
async function failFlush(
  kv: KvStore,
  clock: SimulatedClock,
  arm: (isArmed: boolean) => void,
): Promise<void> {
  await kv.put('meanwhile', '1');
  arm(true);
  expect(await codeOf(kv.flush())).toBe('UNAVAILABLE');
  arm(false);
  clock.advance(60_000);
  await turns(30);
  expect(kv.stats().flushedVersion).toBe(kv.lastVersion);
}

describe('a sync of the tables that fails', () => {
  it('by a flush costs an ingest that had made names none of its tables', async () => {
    const { fileSystem, arm } = faulty(syncsTables);
    const clock = new SimulatedClock();
    const kv = await openOn(fileSystem, { tableBytes: 65_536 }, { clock });
    let goOn: (() => void) | undefined;
    const gate = new Promise<void>((resolve) => (goOn = resolve));
    async function* entries(): AsyncGenerator<[string, Uint8Array]> {
      for (let index = 0; index < 300; index += 1) {
        yield [`m${index + 100}`, filled(10_000, index)];
      }
      await gate;
    }
    const ingested = codeOf(kv.ingest(entries()));
    while (tablesOn(fileSystem).length < 5) {
      await turns(1);
    }
    await failFlush(kv, clock, arm);
    goOn?.();
    expect(await ingested).toBe('UNAVAILABLE');
    await kv.ingest(entries());
    const again = await afterPowerCut(fileSystem);
    expect(keysOf(again)).toHaveLength(301);
    expect(await again.verify()).toMatchObject({ ok: true });
    await again.close();
    await kv.close();
  });

  it('by a flush costs a compaction that had made names none of its tables', async () => {
    const { fileSystem, arm } = faulty(syncsTables);
    const clock = new SimulatedClock();
    const kv = await openOn(fileSystem, { ...smallTables, levelZeroTables: 100 }, { clock });
    for (let round = 0; round < 2; round += 1) {
      await Promise.all(
        Array.from({ length: 400 }, (_, index) =>
          kv.put(`k${index + 100}`, filled(500, round), { ack: 'written' }),
        ),
      );
      await kv.flush();
    }
    const before = tablesOn(fileSystem).length;
    const merged = codeOf(kv.compact());
    while (tablesOn(fileSystem).length < before + 5) {
      await turns(1);
    }
    await failFlush(kv, clock, arm);
    expect(await merged).toBe('UNAVAILABLE');
    await kv.compact();
    const again = await afterPowerCut(fileSystem, smallTables);
    expect(keysOf(again)).toHaveLength(401);
    expect([...again.iterateSync({ prefix: 'k' })].every(([, value]) => value[0] === 1)).toBe(true);
    expect(await again.verify()).toMatchObject({ ok: true });
    await again.close();
    await kv.close();
  });
});

async function churn(kv: KvStore): Promise<void> {
  for (let round = 0; round < 3; round += 1) {
    await Promise.all(Array.from({ length: 20 }, (_, index) => kv.put(`k${index}`, `${round}`)));
    await kv.flush();
  }
  await kv.compact();
}

describe('files that are not needed any more', () => {
  it('are gone when the store has settled', async () => {
    const fileSystem = disk();
    const kv = await openOn(fileSystem, { ...smallTables, levelZeroTables: 2 });
    for (let round = 0; round < 5; round += 1) {
      await churn(kv);
      await kv.settled();
      expect(tablesOn(fileSystem)).toHaveLength(kv.tables().length);
    }
    await kv.close();
  });

  it('and can not be removed are told of, fail nothing, and are removed by the next open', async () => {
    const { fileSystem, arm } = faulty(
      ({ kind, path }) => kind === 'remove' && path.endsWith('.tbl'),
    );
    const events: string[] = [];
    const logger = ({ event }: { event: string }): void => void events.push(event);
    const kv = await openOn(fileSystem, smallTables, { logger });
    arm(true);
    await churn(kv);
    await kv.settled();
    expect(events).toContain('derived-write-failed');
    expect(events).not.toContain('background-failed');
    expect(kv.stats().background.error).toBeUndefined();
    expect(tablesOn(fileSystem).length).toBeGreaterThan(kv.tables().length);
    await kv.close();
    arm(false);
    const again = await openOn(fileSystem, smallTables);
    expect(again.recovery.orphans.length).toBeGreaterThan(0);
    expect(tablesOn(fileSystem)).toHaveLength(again.tables().length);
    await again.close();
  });

  it('are removed one after the other, the manifest that names none of them first', async () => {
    const fileSystem = disk();
    const kv = await openOn(fileSystem, smallTables);
    const seen: string[] = [];
    fileSystem.onOperation = ({ kind, path }) => {
      if ((kind === 'rename' && path.includes('manifest')) || kind === 'remove') {
        seen.push(kind === 'rename' ? 'manifest' : path.slice(-3));
      }
    };
    await churn(kv);
    await kv.settled();
    const last = seen.lastIndexOf('manifest');
    expect(seen.slice(last + 1).filter((name) => name === 'tbl')).toHaveLength(3);
    await kv.close();
  });
});

function failOnPurpose(): never {
  throw new RangeError('on purpose');
}

describe('calls', () => {
  it('of a store without a log: an empty batch with a position is recorded by the next flush', async () => {
    const fileSystem = disk();
    const kv = await openOn(fileSystem, { log: false });
    await kv.put('a', '1', { position: 3 });
    expect(await kv.batch([], { position: 9 })).toBe(2);
    expect(await kv.batch([])).toBe(2);
    await kv.flush();
    expect(kv.flushedPosition).toBe(9);
    await kv.batch([], { position: 12 });
    await kv.flush();
    const again = await afterPowerCut(fileSystem, { log: false });
    expect(again.flushedPosition).toBe(12);
    expect(again.lastVersion).toBe(3);
    expect(keysOf(again)).toEqual(['a']);
    await again.close();
    await kv.close();
  });

  it('with values that are nothing for JSON are refused as mistakes of the call', async () => {
    const kv = await openKv('/kv', { values: 'json' }, { fileSystem: disk() });
    const circular: Record<string, unknown> = {};
    circular['itself'] = circular;
    for (const value of [1n, { deep: [1n] }, circular, undefined, () => 1]) {
      expect(await codeOf(kv.put('a', value as never))).toBe('INVALID_ARGUMENT');
      const operations = [{ type: 'put', key: 'a', value: value as never }] as const;
      expect(await codeOf(kv.batch(operations))).toBe('INVALID_ARGUMENT');
      expect(await codeOf(kv.ingest([['a', value as never]]))).toBe('INVALID_ARGUMENT');
    }
    expect(await codeOf(kv.put('a', { toJSON: failOnPurpose }))).toBe('RangeError: on purpose');
    expect(kv.hasSync('a')).toBe(false);
    expect(await kv.put('a', null)).toBe(1);
    await kv.close();
  });

  it('of ingest with anything but an iterable of pairs are refused', async () => {
    const kv = await openOn(disk());
    for (const entries of [null, undefined, 'abc', 5, {}, ['abc'], [['a']], [null], [[1, 2]]]) {
      expect(await codeOf(kv.ingest(entries as never))).toBe('INVALID_ARGUMENT');
    }
    expect(kv.lastVersion).toBe(0);
    await kv.close();
  });

  it('of ingest that close ends reject with CLOSED', async () => {
    for (const isPaused of [true, false]) {
      const kv = await openOn(disk());
      async function* endless(): AsyncGenerator<[string, string]> {
        for (let index = 1_000_000; ; index += 1) {
          yield [String(index), ''];
          await (isPaused ? new Promise<never>(() => {}) : turns(1));
        }
      }
      const ingested = codeOf(kv.ingest(endless()));
      await turns(5);
      await kv.close();
      expect(await ingested).toBe('CLOSED');
    }
  });

  it('of deleteRange without any bound are refused', async () => {
    const kv = await openOn(disk());
    await kv.put('a', '1');
    for (const range of [{}, { gte: undefined }, { prefix: undefined, lt: undefined }]) {
      expect(await codeOf(kv.deleteRange(range as KvRange))).toBe('INVALID_ARGUMENT');
      const operations = [{ type: 'deleteRange', ...(range as KvRange) }] as const;
      expect(await codeOf(kv.batch(operations))).toBe('INVALID_ARGUMENT');
    }
    expect(keysOf(kv)).toEqual(['a']);
    await kv.deleteRange({ gte: '' });
    expect(keysOf(kv)).toEqual([]);
    await kv.close();
  });
});
