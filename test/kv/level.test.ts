/** What programs of the Level family call and rely on beyond abstract-level's own suite. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open } from 'varve';
import { openKv } from 'varve/kv';
import { VarveLevel, type VarveLevelOptions } from 'varve/level';
import { SimulatedClock } from 'varve/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { disk } from './simulated-store.ts';

const root = mkdtempSync(join(tmpdir(), 'varve-level-'));
let folderCount = 0;

afterAll(() => rmSync(root, { recursive: true }));

function newFolder(): string {
  folderCount += 1;
  return join(root, String(folderCount));
}

function inMemory(options: VarveLevelOptions<string, string> = {}): VarveLevel {
  return new VarveLevel('/level', { components: { fileSystem: disk() }, ...options });
}

function keyOf(index: number): string {
  return String(index).padStart(6, '0');
}

async function fill(db: VarveLevel, count: number): Promise<void> {
  await db.batch(
    Array.from({ length: count }, (_, index) => ({
      type: 'put',
      key: keyOf(index),
      value: `value ${index}`,
    })),
  );
}

interface LevelFailure {
  readonly code?: string;
  readonly message: string;
  readonly cause?: LevelFailure;
}

async function failureOf(call: Promise<unknown>): Promise<LevelFailure> {
  try {
    await call;
  } catch (error) {
    return error as LevelFailure;
  }
  throw new Error('the call succeeded');
}

describe('reading and clearing much', () => {
  const keys = Array.from({ length: 2_000 }, (_, index) => keyOf(index));
  const calls: Readonly<Record<string, (db: VarveLevel) => Promise<unknown>>> = {
    'for await': async (db) => {
      for await (const _ of db.iterator()) {
        // Every entry is read.
      }
    },
    nextv: async (db) => {
      const iterator = db.iterator();
      expect(await iterator.nextv(2_000)).toHaveLength(2_000);
      await iterator.close();
    },
    'iterator.all': async (db) => expect(await db.iterator().all()).toHaveLength(2_000),
    'keys.all': async (db) => expect(await db.keys().all()).toEqual(keys),
    'values.all': async (db) => expect(await db.values().all()).toHaveLength(2_000),
    getMany: async (db) => expect((await db.getMany(keys)).at(-1)).toBe('value 1999'),
    hasMany: async (db) => expect(await db.hasMany(keys)).not.toContain(false),
    'get again and again': async (db) => {
      for (const key of keys) {
        await db.get(key);
      }
    },
    'clear with a limit': (db) => db.clear({ limit: 2_000 }),
    'clear at a snapshot': async (db) => {
      const snapshot = db.snapshot();
      await db.clear({ snapshot });
      await snapshot.close();
    },
  };

  it.each(Object.keys(calls))('lets others run in between: %s', async (name) => {
    // Every look at this clock takes a ms, so that time passes with the work.
    const clock = new SimulatedClock({ tickMs: 1 });
    const db = inMemory({ components: { fileSystem: disk(), clock } });
    await fill(db, 2_000);
    let turns = 0;
    let isOver = false;
    const counting = (): void => {
      turns += 1;
      if (!isOver) {
        setImmediate(counting);
      }
    };
    setImmediate(counting);
    await calls[name]!(db);
    isOver = true;
    expect(turns).toBeGreaterThan(10);
    await db.close();
  });

  it('looks up what was there at the call, whatever is written meanwhile', async () => {
    const clock = new SimulatedClock({ tickMs: 1 });
    const db = inMemory({ components: { fileSystem: disk(), clock } });
    await fill(db, 2_000);
    const values = db.getMany(keys);
    const there = db.hasMany(keys);
    await db.clear();
    expect((await values).at(-1)).toBe('value 1999');
    expect(await there).not.toContain(false);
    expect(await db.has(keys[0]!)).toBe(false);
    expect(db.kv.stats().snapshots).toBe(0);
    await db.close();
  });
});

describe('clear', () => {
  it('works in pieces where keys have to be looked for: no batch is too large', async () => {
    const db = inMemory();
    await fill(db, 10_000);
    const { kv } = db;
    const batch = kv.batch.bind(kv);
    const counts: number[] = [];
    kv.batch = (operations, options) => {
      counts.push(operations.length);
      return batch(operations, options);
    };
    await db.clear({ limit: 9_995, reverse: true });
    expect(counts).toEqual([4_096, 4_096, 1_803]);
    expect(await db.keys().all()).toEqual([0, 1, 2, 3, 4].map(keyOf));
    await db.close();
  });

  it('at a snapshot leaves what came after it', async () => {
    const db = inMemory();
    await fill(db, 10_000);
    const snapshot = db.snapshot();
    await db.put('later', '');
    await db.clear({ snapshot });
    await snapshot.close();
    expect(await db.keys().all()).toEqual(['later']);
    await db.close();
  });
});

describe('a range', () => {
  it('has a size, which compactRange makes smaller when keys are deleted', async () => {
    const db = inMemory();
    // Before the database is open: the call waits.
    expect(await db.approximateSize('', '~')).toBe(0);
    await fill(db, 1_000);
    const inMemorySize = await db.approximateSize(keyOf(0), keyOf(500));
    expect(inMemorySize).toBeGreaterThan(500 * 12);
    expect(inMemorySize).toBeLessThan(500 * 20);
    await db.compactRange(keyOf(0), keyOf(999));
    const before = await db.approximateSize(keyOf(0), keyOf(999));
    await db.clear({ lt: keyOf(900) });
    await db.compactRange(keyOf(0), keyOf(999));
    expect(await db.approximateSize(keyOf(0), keyOf(999))).toBeLessThan(before / 4);
    const key = Buffer.from(keyOf(950));
    expect(
      await db.approximateSize(key, Buffer.from('~'), { keyEncoding: 'buffer' }),
    ).toBeGreaterThan(0);
    expect(await failureOf(db.approximateSize('a', undefined as never))).toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    await db.close();
    for (const call of [db.approximateSize('a', 'b'), db.compactRange('a', 'b')]) {
      expect(await failureOf(call)).toMatchObject({ code: 'LEVEL_DATABASE_NOT_OPEN' });
    }
  });
});

describe('nextv', () => {
  it('gives no more bytes than highWaterMarkBytes says, but for the last entry', async () => {
    const db = inMemory();
    await fill(db, 100);
    const read = async (highWaterMarkBytes: number): Promise<number[]> => {
      const iterator = db.iterator({ highWaterMarkBytes } as object);
      const counts = [
        (await iterator.nextv(50)).length,
        (await iterator.nextv(50)).length,
        (await iterator.nextv(1)).length,
      ];
      await iterator.close();
      return counts;
    };
    expect(await read(0)).toEqual([1, 1, 1]);
    expect(await read(60)).toEqual([5, 5, 1]);
    expect(await read(1_000_000)).toEqual([50, 50, 0]);
    const keysOnly = db.keys({ highWaterMarkBytes: 60 } as object);
    expect(await keysOnly.nextv(50)).toHaveLength(11);
    await keysOnly.close();
    expect(() => db.iterator({ highWaterMarkBytes: -1 } as object)).toThrow(/highWaterMarkBytes/);
    await db.close();
  });
});

describe('a database that is open', () => {
  it('can not be opened twice, nor removed: LEVEL_LOCKED', async () => {
    const folder = newFolder();
    const db = new VarveLevel(folder, { kv: { background: 'inline' } });
    await db.open();
    const other = new VarveLevel(folder, { kv: { background: 'inline' } });
    const error = await failureOf(other.open());
    expect(error.code).toBe('LEVEL_DATABASE_NOT_OPEN');
    expect(error.cause).toMatchObject({ code: 'LEVEL_LOCKED', cause: { code: 'LOCKED' } });
    expect(await failureOf(VarveLevel.destroy(folder))).toMatchObject({ code: 'LEVEL_LOCKED' });
    expect(await failureOf(VarveLevel.repair(folder))).toMatchObject({ code: 'LEVEL_LOCKED' });
    await db.put('a', '1');
    expect(await db.get('a')).toBe('1');
    await db.close();
  });
});

async function filledFolder(): Promise<string> {
  const folder = newFolder();
  const db = new VarveLevel(folder, { kv: { background: 'inline' } });
  await db.put('a', '1');
  await db.kv.flush();
  await db.put('b', '2');
  await db.close();
  return folder;
}

describe('destroy', () => {
  it('removes a database and its folder, and does nothing where there is none', async () => {
    const folder = await filledFolder();
    await VarveLevel.destroy(folder);
    expect(existsSync(folder)).toBe(false);
    await VarveLevel.destroy(folder);
    mkdirSync(folder);
    await VarveLevel.destroy(folder);
    expect(existsSync(folder)).toBe(false);
  });

  it('leaves what is not of the database', async () => {
    const folder = await filledFolder();
    writeFileSync(join(folder, 'notes.txt'), 'mine');
    writeFileSync(join(folder, 'tables', 'notes.txt'), 'mine');
    await VarveLevel.destroy(folder);
    expect(readdirSync(folder).toSorted()).toEqual(['notes.txt', 'tables']);
    expect(readdirSync(join(folder, 'tables'))).toEqual(['notes.txt']);
  });

  it('touches no event store and no other folder', async () => {
    const folder = newFolder();
    const store = await open(folder, { background: 'inline' });
    await store.append('a', [{ type: 'Happened' }]);
    await store.close();
    expect(await failureOf(VarveLevel.destroy(folder))).toMatchObject({ code: 'NOT_A_STORE' });
    const again = await open(folder, { background: 'inline' });
    expect(again.head).toBe(1);
    await again.close();
    const other = newFolder();
    mkdirSync(join(other, 'log'), { recursive: true });
    expect(await failureOf(VarveLevel.destroy(other))).toMatchObject({ code: 'NOT_A_STORE' });
    expect(existsSync(join(other, 'log'))).toBe(true);
  });
});

describe('repair', () => {
  it('makes a database without a manifest open again, and leaves a whole one alone', async () => {
    const folder = await filledFolder();
    await VarveLevel.repair(folder);
    rmSync(join(folder, 'manifest'));
    await VarveLevel.repair(folder);
    const kv = await openKv(folder, { background: 'inline' });
    expect(
      [...kv.iterateSync({ keysOnly: true })].map((key) => Buffer.from(key).toString()),
    ).toEqual(['a', 'b']);
    await kv.close();
    expect(await failureOf(VarveLevel.repair(newFolder()))).toMatchObject({ code: 'NOT_A_STORE' });
  });
});
