/** What callers can do to a key-value store by mistake or on purpose, without it being hurt. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type KvOperation, type KvStore, openKv } from 'varve/kv';
import { SeededRandom } from 'varve/testing';
import { describe, expect, it } from 'vitest';
import { codeOf, disk, openOn, text } from './simulated-store.ts';

/** Whatever is tried, the store works afterwards and holds what it held. */
async function unhurt(work: (kv: KvStore) => Promise<void>): Promise<void> {
  const fileSystem = disk();
  const kv = await openOn(fileSystem, { memtableBytes: 4_096 });
  await kv.batch([
    { type: 'put', key: 'a', value: '1' },
    { type: 'put', key: 'b', value: '2' },
  ]);
  await work(kv);
  const { lastVersion } = kv;
  expect(await kv.put('after', 'x')).toBe(lastVersion + 1);
  expect(text(kv.getSync('after'))).toBe('x');
  expect(text(kv.getSync('a'))).toBe('1');
  await kv.close();
  const again = await openOn(fileSystem);
  expect(again.recovery.quarantined).toBeUndefined();
  expect(text(again.getSync('a'))).toBe('1');
  expect(text(again.getSync('after'))).toBe('x');
  expect(await again.verify()).toMatchObject({ ok: true });
  await again.close();
}

const notKeys = [undefined, null, 7, true, {}, [], [1, 2], new Uint16Array(2), new ArrayBuffer(2)];
const notLimits = [Number.NaN, -2, 0.5, 2 ** 53, '3', null, {}, true, 1n];

describe('a caller', () => {
  it('who gives what is no key, no value or no range is told so', () =>
    unhurt(async (kv) => {
      const { lastVersion } = kv;
      for (const wrong of notKeys as never[]) {
        const calls: (() => unknown)[] = [
          () => kv.getSync(wrong),
          () => kv.get(wrong),
          () => kv.getMany([wrong]),
          () => kv.put(wrong, 'x'),
          () => kv.put('x', wrong),
          () => kv.delete(wrong),
          () => kv.batch([{ type: 'put', key: wrong, value: 'x' }]),
          () => kv.batch([{ type: 'put', key: 'x', value: wrong }]),
          () => kv.batch([], { guards: [{ key: wrong, absent: true }] }),
          () => kv.rename(wrong, 'x'),
          () => kv.rename('x', wrong),
          () => kv.list(wrong),
          () => kv.count(wrong === undefined ? (null as never) : wrong),
          () => kv.longestPrefix(wrong),
          () => kv.iterateSync({ gte: wrong === undefined ? (null as never) : wrong }),
        ];
        for (const [index, call] of calls.entries()) {
          expect(await codeOf(call), `${String(wrong)} ${index}`).toBe('INVALID_ARGUMENT');
        }
      }
      expect(kv.lastVersion).toBe(lastVersion);
    }));

  it('who gives no range deletes nothing', () =>
    unhurt(async (kv) => {
      const noRanges = [undefined, null, 'a', 7, new Uint8Array(0), [], { prefx: 'a' }];
      for (const wrong of noRanges as never[]) {
        expect(await codeOf(kv.deleteRange(wrong)), String(wrong)).toBe('INVALID_ARGUMENT');
        expect(await codeOf(() => kv.sizeOf(wrong)), String(wrong)).toBe('INVALID_ARGUMENT');
      }
      for (const wrong of noRanges.slice(1) as never[]) {
        expect(await codeOf(kv.compact(wrong)), String(wrong)).toBe('INVALID_ARGUMENT');
        expect(await codeOf(() => kv.iterateSync(wrong)), String(wrong)).toBe('INVALID_ARGUMENT');
      }
      expect((await kv.count('')).count).toBe(2);
    }));

  it('who misspells an option or gives nonsense for it is told so', () =>
    unhurt(async (kv) => {
      const calls: (() => unknown)[] = [
        () => kv.put('a', 'x', { ifAbsnt: true } as never),
        () => kv.put('a', 'x', { ifVersion: Number.NaN }),
        () => kv.put('a', 'x', { ifVersion: -1 }),
        () => kv.put('a', 'x', { ifAbsent: 1 as never }),
        () => kv.put('a', 'x', { ifAbsent: true, ifVersion: 1 }),
        () => kv.put('a', 'x', { ack: 'soon' as never }),
        () => kv.put('a', 'x', null as never),
        () => kv.put('a', 'x', 7 as never),
        () => kv.delete('a', { ifAbsent: true } as never),
        () => kv.batch([], { guard: [] } as never),
        () => kv.batch([{ type: 'put', key: 'a', value: 'x', ttl: 1 } as never]),
        () => kv.batch([{ type: 'delete', key: 'a', value: 'x' } as never]),
        () => kv.batch([{ type: 'del', key: 'a' } as never]),
        () => kv.batch([null as never]),
        () => kv.batch(null as never),
        () => kv.batch(7 as never),
        () => kv.batch([], { guards: [{ key: 'a', absent: false } as never] }),
        () => kv.batch([], { guards: [{ key: 'a' } as never] }),
        () => kv.batch([], { guards: [null as never] }),
        () => kv.batch([], { guards: 7 as never }),
        () => kv.rename('a', 'x', { prefixed: true } as never),
        () => kv.rename('a', 'x', { prefix: 'yes' as never }),
        () => kv.iterateSync({ limits: 1 } as never),
        () => kv.iterateSync({ reverse: 'yes' as never }),
        () => kv.list('a', { delimeter: '/' } as never),
        () => kv.getMany('ab' as never),
        () => kv.getMany(null as never),
        () => kv.iterateSync({ snapshot: 7 as never }),
      ];
      for (const [index, call] of calls.entries()) {
        expect(await codeOf(call), `call ${index}`).toBe('INVALID_ARGUMENT');
      }
      for (const limit of notLimits as never[]) {
        expect(await codeOf(() => kv.iterateSync({ limit })), String(limit)).toBe(
          'INVALID_ARGUMENT',
        );
        expect(await codeOf(() => kv.list('', { limit })), String(limit)).toBe('INVALID_ARGUMENT');
        expect(await codeOf(kv.count('', limit)), String(limit)).toBe('INVALID_ARGUMENT');
      }
      expect((await kv.count('')).count).toBe(2);
    }));

  it('whose getter throws gets that error, and nothing is written', () =>
    unhurt(async (kv) => {
      const { lastVersion } = kv;
      for (const name of ['type', 'key', 'value']) {
        const operations = [{ type: 'put', key: 'w', value: '' }, throwing(name)] as never;
        expect(await codeOf(kv.batch(operations))).toBe('RangeError: on purpose');
      }
      const range = throwing('gte') as never;
      expect(await codeOf(kv.deleteRange(range))).toBe('INVALID_ARGUMENT');
      expect(await codeOf(kv.put('x', 'y', throwing('ack') as never))).toBe('INVALID_ARGUMENT');
      expect(kv.lastVersion).toBe(lastVersion);
    }));

  it('whose getter writes is served in some order, and nothing is mixed up', () =>
    unhurt(async (kv) => {
      const inner: Promise<unknown>[] = [];
      const operation = {
        type: 'put',
        key: 'outer',
        get value() {
          inner.push(kv.put('inner', 'of the getter'));
          return 'of the batch';
        },
      } as const;
      await kv.batch([operation, operation]);
      await Promise.all(inner);
      expect(text(kv.getSync('outer'))).toBe('of the batch');
      expect(text(kv.getSync('inner'))).toBe('of the getter');
    }));

  it('whose array grows while it is read writes what was there at the call', async () => {
    const kv = await openKv('/kv', { values: 'json' }, { fileSystem: disk() });
    const operations: KvOperation<unknown>[] = [];
    const growing = {
      toJSON: () => {
        operations.push({ type: 'put', key: `more ${operations.length}`, value: growing });
        if (operations.length > 100) {
          throw new Error('asked too often');
        }
        return 1;
      },
    };
    operations.push({ type: 'put', key: 'a', value: growing });
    await kv.batch(operations);
    expect(kv.lastVersion).toBe(1);
    expect(await kv.get('a')).toBe(1);
    await kv.close();
  });

  it('whose getter changes what was given before writes one thing or the other, whole', () =>
    unhurt(async (kv) => {
      const buffer = new (ArrayBuffer as unknown as new (
        size: number,
        options: object,
      ) => ArrayBuffer)(8, { maxByteLength: 64 }) as ArrayBuffer & {
        resize(size: number): void;
      };
      const key = new Uint8Array(buffer);
      for (const size of [1, 64]) {
        const second = {
          type: 'put',
          key: 'second',
          get value() {
            buffer.resize(size);
            return 'x';
          },
        } as const;
        const before = key.length;
        await kv.batch([{ type: 'put', key, value: 'first' }, second]);
        const keys = [...kv.iterateSync({ keysOnly: true, lt: 'a' })];
        const isWhole = keys.map(({ length }) => length === before || length === size);
        expect(isWhole).toEqual(keys.map(() => true));
        await kv.deleteRange({ lt: 'a' });
      }
      const transferred = new Uint8Array(8).fill(3);
      const taking = {
        type: 'put',
        key: 'third',
        get value() {
          structuredClone(transferred, { transfer: [transferred.buffer] });
          return 'x';
        },
      } as const;
      const code = await codeOf(kv.batch([{ type: 'put', key: transferred, value: 'y' }, taking]));
      expect([undefined, 'INVALID_ARGUMENT']).toContain(code);
    }));

  it('whose own code makes a key too long after it was looked at writes nothing', async () => {
    type Resizable = ArrayBuffer & { resize(size: number): void };
    const Memory = ArrayBuffer as unknown as new (size: number, options: object) => Resizable;
    const memory = (): Resizable => new Memory(8, { maxByteLength: 100_000 });
    const kv = await openKv('/kv', { values: 'json' }, { fileSystem: disk() });
    await kv.put('a', 1);
    const ways: readonly ((key: Uint8Array, grow: () => void) => Promise<number>)[] = [
      async (key, grow) => kv.put(key, { toJSON: () => grow() ?? 1 }),
      async (key, grow) =>
        kv.put(key, 1, {
          get ifAbsent() {
            return grow() === undefined;
          },
        }),
      async (key, grow) =>
        kv.delete(key, {
          get ifVersion() {
            grow();
            return 0;
          },
        }),
    ];
    for (const way of ways) {
      const buffer = memory();
      const grown = way(new Uint8Array(buffer), () => buffer.resize(70_000));
      expect(await codeOf(grown)).toBe('INVALID_ARGUMENT');
    }
    expect(await kv.put('b', 2)).toBe(2);
    await kv.close();
  });

  it('whose array says any length does not end the log', () =>
    unhurt(async (kv) => {
      let length: unknown;
      const lying = Object.defineProperty(new Uint8Array(8).fill(65), 'length', {
        get: () => (typeof length === 'function' ? (length as () => number)() : length),
      });
      let count = 0;
      for (length of [-5, 1.5, Number.NaN, '3', () => (count += 1)]) {
        expect(await codeOf(kv.put(lying, 'x'.repeat(20))), String(length)).toBeDefined();
        expect(await codeOf(kv.put('x', lying)), String(length)).toBeDefined();
        expect(await codeOf(kv.delete(lying)), String(length)).toBeDefined();
      }
    }));

  it('may give arrays of every kind of memory', () =>
    unhurt(async (kv) => {
      const pool = Buffer.from('key value');
      await kv.put(pool.subarray(0, 3), pool.subarray(4));
      pool.fill(0);
      expect(text(kv.getSync('key'))).toBe('value');
      const shared = new Uint8Array(new SharedArrayBuffer(4)).fill(65);
      await kv.put(shared, shared);
      expect(text(kv.getSync('AAAA'))).toBe('AAAA');
      class Bytes extends Uint8Array {
        override slice(): never {
          throw new Error('not to be called');
        }
        override subarray(): never {
          throw new Error('not to be called');
        }
      }
      const own = Bytes.from([66, 66]);
      await kv.put(own, own);
      expect(text(kv.getSync(own))).toBe('BB');
      expect(kv.getSync(own)!.constructor).toBe(Uint8Array);
      const handler = { get: (): never => fail() };
      const proxy = new Proxy(new Uint8Array(2), handler) as Uint8Array;
      expect(await codeOf(kv.put(proxy, 'x'))).toBeDefined();
      expect(await codeOf(kv.put('x', proxy))).toBeDefined();
    }));

  it('who changes what an iterator gave changes nothing else', () =>
    unhurt(async (kv) => {
      await kv.flush();
      for (const isReverse of [true, false]) {
        for (const [key, value] of kv.iterateSync({ reverse: isReverse })) {
          new Uint8Array(key.buffer).fill(0);
          new Uint8Array(value.buffer).fill(0);
        }
      }
      kv.getSync('b')!.buffer.slice(0);
      new Uint8Array(kv.getSync('b')!.buffer).fill(0);
      expect(text(kv.getSync('b'))).toBe('2');
    }));
});

describe('a caller who comes at the wrong time', () => {
  it('after close hears that it is closed, from every method', async () => {
    const kv = await openOn(disk());
    await kv.put('a', '1');
    const snapshot = kv.snapshot();
    const iterator = kv.iterateSync({ keepOpen: true });
    await kv.close();
    await kv.close();
    await kv[Symbol.asyncDispose]();
    snapshot.close();
    const calls: (() => unknown)[] = [
      () => kv.getSync('a'),
      () => kv.get('a'),
      () => kv.getMany(['a']),
      () => kv.getEntry('a'),
      () => kv.has('a'),
      () => kv.put('a', 'x'),
      () => kv.delete('a'),
      () => kv.deleteRange({ gte: '' }),
      () => kv.batch([]),
      () => kv.rename('a', 'b'),
      () => kv.ingest([]),
      () => kv.iterateSync(),
      () => kv.iterate(),
      () => kv.list(''),
      () => kv.longestPrefix('a'),
      () => kv.count(''),
      () => kv.sizeOf({}),
      () => kv.snapshot(),
      () => kv.flush(),
      () => kv.compact(),
      () => kv.compact({ gte: 'b', lt: 'a' }),
      () => kv.settled(),
      () => kv.verify(),
      () => kv.backup('/elsewhere'),
      () => iterator.next(),
      () => iterator.seek('a'),
    ];
    for (const [index, call] of calls.entries()) {
      expect(await codeOf(call), `call ${index}`).toBe('CLOSED');
    }
    expect(kv.lastVersion).toBe(1);
    expect(kv.stats().lastVersion).toBe(1);
    iterator.close();
  });

  it('while it is being closed ends cleanly, whatever was under way', async () => {
    const fileSystem = disk();
    const options = { memtableBytes: 4_096, tableBytes: 1_024 };
    const random = new SeededRandom(1);
    for (let round = 0; round < 10; round += 1) {
      const kv = await openOn(fileSystem, options);
      const puts = Array.from({ length: 400 }, () =>
        codeOf(kv.put(`key ${random.below(500)}`, 'x'.repeat(50))),
      );
      const reading = codeOf(async () => {
        for await (const _ of kv.iterate()) {
          await new Promise(setImmediate);
        }
      });
      const others = [kv.verify(), kv.flush(), kv.compact(), kv.settled(), kv.count('')].map(
        (call) => codeOf(call),
      );
      const backup = codeOf(kv.backup(`/backup-${round}`));
      for (let turn = 0; turn < 2 * round; turn += 1) {
        await new Promise(setImmediate);
      }
      await kv.close();
      expect(new Set(await Promise.all(puts))).toEqual(new Set([undefined]));
      for (const code of await Promise.all([reading, backup, ...others])) {
        expect([undefined, 'CLOSED', 'ABORTED']).toContain(code);
      }
      expect(fileSystem.openCount).toBe(0);
    }
    const again = await openOn(fileSystem, options);
    // Tables that a verification still read when they were replaced may be left for this open to remove.
    expect(again.recovery.wasClosed).toBe(true);
    expect(again.lastVersion).toBe(4_000);
    await again.close();
  });

  it('second to open a folder is told that it is locked', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'varve-kv-'));
    for (const background of ['inline', 'thread'] as const) {
      const first = await openKv(folder, { background });
      await first.put('a', background);
      expect(await codeOf(openKv(folder))).toBe('LOCKED');
      expect(text(first.getSync('a'))).toBe(background);
      await first.close();
    }
    const both = await Promise.allSettled([openKv(folder), openKv(folder)]);
    const opened = both.filter((one) => one.status === 'fulfilled');
    expect(opened).toHaveLength(1);
    await opened[0]!.value.close();
    rmSync(folder, { recursive: true });
  });

  it('with options or components that are none is told so', async () => {
    const fileSystem = disk();
    const wrong: unknown[] = [
      null,
      7,
      { memtableByte: 1 },
      { memtableBytes: Number.NaN },
      { memtableBytes: -1 },
      { memtableBytes: '4096' },
      { blockCacheBytes: Infinity },
      { blockCacheBytes: 32 * 2 ** 30 + 1 },
      { log: 'yes' },
      { values: 'text' },
      { compression: 'zip' },
      { background: 'somewhere' },
      { background: 'thread' },
    ];
    for (const options of wrong as never[]) {
      expect(await codeOf(openOn(fileSystem, options)), JSON.stringify(options)).toBe(
        'INVALID_ARGUMENT',
      );
    }
    expect(fileSystem.paths()).toEqual([]);
    for (const directory of ['', undefined, 7] as never[]) {
      expect(await codeOf(openKv(directory))).toBe('INVALID_ARGUMENT');
    }
    expect(await codeOf(openOn(fileSystem, { create: false }))).toBe('NOT_A_STORE');
    expect(fileSystem.paths()).toEqual([]);
  });
});

/** A put with one field that throws. */
function throwing(name: string): object {
  return Object.defineProperty({ type: 'put', key: 'x', value: 'y' }, name, {
    enumerable: true,
    get: () => {
      throw new RangeError('on purpose');
    },
  });
}

function fail(): never {
  throw new Error('on purpose');
}
