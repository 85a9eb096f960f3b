/** What the key-value store in a folder does beyond what the conformance suite asks of every one. */
import { type KvOperation, type KvOptions, type KvStore, openKv, VarveError } from 'varve/kv';
import { describe, expect, it } from 'vitest';
import { codeOf, disk, openOn, text } from './simulated-store.ts';

const MiB = 1024 * 1024;

async function withStore(
  work: (kv: KvStore) => Promise<void>,
  options: KvOptions = {},
): Promise<void> {
  const kv = await openOn(disk(), options);
  await work(kv);
  await kv.close();
}

describe('a write', () => {
  it('is visible when its call returns, and resolves to its version', () =>
    withStore(async (kv) => {
      const first = kv.put('a', '1');
      // The first write of a store waits for space in its log.
      expect(await first).toBe(1);
      const second = kv.put('b', '2');
      expect(text(kv.getSync('b'))).toBe('2');
      expect(kv.lastVersion).toBe(2);
      expect(await second).toBe(2);
      expect(
        await kv.batch([
          { type: 'delete', key: 'a' },
          { type: 'put', key: 'c', value: '3' },
        ]),
      ).toBe(4);
      expect(kv.getEntrySync('c')).toEqual({ key: bytes('c'), value: bytes('3'), version: 4 });
      expect(await kv.delete('nothing')).toBe(5);
      expect(await kv.deleteRange({ prefix: 'b' })).toBe(6);
      expect(await kv.deleteRange({ gte: 'b', lt: 'a' })).toBe(6);
      expect(await kv.batch([])).toBe(6);
      expect([...kv.iterateSync({ keysOnly: true })].map(text)).toEqual(['c']);
    }));

  it('acknowledged as written is answered before it is durable, and as durable after', async () => {
    const fileSystem = disk();
    const kv = await openOn(fileSystem);
    await kv.put('a', '1');
    fileSystem.holdSyncs();
    const durable = follow(kv.put('b', '2', { ack: 'durable' }));
    const written = follow(kv.put('c', '3', { ack: 'written' }));
    for (let turn = 0; turn < 20; turn += 1) {
      await new Promise(setImmediate);
    }
    expect(durable.state).toBe('pending');
    expect(written.state).toBe(3);
    fileSystem.releaseSyncs();
    await durable.promise;
    expect(durable.state).toBe(2);
    await kv.close();
  });

  it.each(['absent', 'version', 'delete'])('is refused when its condition fails (%s)', (which) =>
    withStore(async (kv) => {
      const version = await kv.put('a', '1');
      const refused: Record<string, () => Promise<unknown>> = {
        absent: () => kv.put('a', '2', { ifAbsent: true }),
        version: () => kv.put('a', '2', { ifVersion: version + 1 }),
        delete: () => kv.delete('a', { ifVersion: 0 }),
      };
      const error = await failure(refused[which]!());
      expect(error).toMatchObject({ code: 'CONDITION_FAILED', kind: 'conflict', applied: 'no' });
      expect(error.details).toMatchObject({ key: bytes('a'), actual: version });
      expect(kv.getEntrySync('a')?.version).toBe(version);
      expect(kv.lastVersion).toBe(version);
      expect(await kv.put('a', '3', { ifVersion: version })).toBe(version + 1);
      expect(await kv.put('b', '1', { ifVersion: 0 })).toBe(version + 2);
      expect(await kv.put('c', '1', { ifAbsent: true })).toBe(version + 3);
      expect(await kv.delete('c', { ifVersion: version + 3 })).toBe(version + 4);
      expect(await kv.put('c', '2', { ifAbsent: true })).toBe(version + 5);
    }),
  );

  it('keeps to the limits of keys and batches', async () => {
    const kv = await openOn(disk());
    const longest = new Uint8Array(65_535).fill(1);
    await kv.put(longest, '');
    expect(kv.hasSync(longest)).toBe(true);
    const tooLong = new Uint8Array(65_536);
    expect(await codeOf(kv.put(tooLong, ''))).toBe('LIMIT_EXCEEDED');
    expect(await codeOf(kv.get(tooLong))).toBe('LIMIT_EXCEEDED');
    expect(await codeOf(kv.put('a', new Uint8Array(16 * MiB)))).toBe('LIMIT_EXCEEDED');
    const half = new Uint8Array(8 * MiB);
    const puts = (count: number): KvOperation<Uint8Array>[] =>
      Array.from({ length: count }, (_, index) => ({
        type: 'put',
        key: `b/${index}`,
        value: half,
      }));
    expect(await codeOf(kv.batch(puts(8)))).toBe('LIMIT_EXCEEDED');
    expect(kv.lastVersion).toBe(1);
    const large = new Uint8Array(16 * MiB - 1024).fill(7);
    await kv.put('large', large);
    await kv.flush();
    expect(Buffer.compare(kv.getSync('large')!, large)).toBe(0);
    await kv.close();
  });

  it('survives with its neighbours when it is larger than all buffers', async () => {
    const fileSystem = disk();
    const options = { memtableBytes: 4_096, maxPendingBytes: 4_096, maxBatchBytes: 4_096 };
    const kv = await openOn(fileSystem, options);
    const value = new Uint8Array(3 * MiB).fill(3);
    const puts = ['a', 'b', 'c'].map((key) => kv.put(key, value));
    await Promise.all(puts);
    const again = await openOn(fileSystem.clone(), options);
    for (const key of ['a', 'b', 'c']) {
      expect(Buffer.compare(again.getSync(key)!, value)).toBe(0);
    }
    await Promise.all([kv.close(), again.close()]);
  });
});

describe('what is given and what is got', () => {
  it('may be changed by the caller as soon as the call returns, even when the write has to wait', async () => {
    const kv = await openOn(disk(), { maxPendingBytes: 4_096, memtableBytes: 4_096 });
    const key = Buffer.from('key 00');
    const value = new Uint8Array(1_500);
    const puts: Promise<unknown>[] = [];
    for (let index = 0; index < 20; index += 1) {
      key.write(String(index).padStart(2, '0'), 4);
      value.fill(index);
      const guardKey = Buffer.from(key);
      const guards = [{ key: guardKey, absent: true } as const];
      puts.push(kv.batch([{ type: 'put', key, value }], { guards }));
      guardKey.fill(0);
    }
    expect(kv.stats().pending.waiting).toBeGreaterThan(0);
    key.fill(0);
    value.fill(0xff);
    await Promise.all(puts);
    for (let index = 0; index < 20; index += 1) {
      const found = kv.getSync(`key ${String(index).padStart(2, '0')}`);
      expect(found).toEqual(new Uint8Array(1_500).fill(index));
    }
    await kv.close();
  });

  it('can be kept while the iterator goes on', () =>
    withStore(async (kv) => {
      for (let index = 0; index < 500; index += 1) {
        void kv.put(String(index), `value ${index}`);
      }
      await kv.flush();
      const pairs = [...kv.iterateSync()];
      pairs[3]![0].fill(0);
      pairs[3]![1].fill(0);
      for (const [index, [key, value]] of pairs.entries()) {
        expect(index === 3 || text(value) === `value ${text(key)}`).toBe(true);
      }
    }));

  it('is JSON if the store is opened so', async () => {
    const fileSystem = disk();
    const kv = await openKv<{ n: number } | null | string>(
      '/kv',
      { values: 'json' },
      { fileSystem },
    );
    await kv.put('a', { n: 1 });
    await kv.put('b', null);
    expect(await kv.get('a')).toEqual({ n: 1 });
    expect([...kv.iterateSync({ borrow: true })].map(([, value]) => value)).toEqual([
      { n: 1 },
      null,
    ]);
    expect(await codeOf(kv.put('c', undefined as never))).toBe('INVALID_ARGUMENT');
    expect(await codeOf(kv.put('c', (() => 1) as never))).toBe('INVALID_ARGUMENT');
    expect([...kv.list('')].map((line) => line.type === 'key' && line.value)).toEqual([
      { n: 1 },
      null,
    ]);
    await kv.close();
    const plain = await openOn(fileSystem);
    await plain.put('b', 'no JSON');
    await plain.close();
    const again = await openKv('/kv', { values: 'json' }, { fileSystem });
    expect(await codeOf(again.get('b'))).toBe('INVALID_ARGUMENT');
    expect(await again.get('a')).toEqual({ n: 1 });
    const iterator = again.iterateSync();
    iterator.next();
    expect(() => iterator.next()).toThrow(VarveError);
    expect(() => iterator.next()).toThrow(VarveError);
    await again.close();
  });
});

describe('an iterator', () => {
  it('ends with an error when the store is closed, and at once when it is left', async () => {
    const kv = await openOn(disk());
    await fill(kv);
    const open = kv.iterateSync();
    const later = kv.iterate();
    open.next();
    for (const [key] of kv.iterateSync()) {
      expect(text(key)).toBe('a');
      break;
    }
    await kv.close();
    expect(() => open.next()).toThrow(expect.objectContaining({ code: 'CLOSED' }));
    expect(await codeOf(later.next())).toBe('CLOSED');
    open.close();
    expect(open.next().done).toBe(true);
  });
});

describe('a snapshot', () => {
  it('is of one store only, and nothing a caller can make up', () =>
    withStore(async (kv) => {
      const other = await openOn(disk());
      const snapshot = other.snapshot();
      expect(await codeOf(kv.get('a', { snapshot }))).toBe('INVALID_ARGUMENT');
      const forged = { version: 1, close: () => {} } as never;
      expect(await codeOf(kv.get('a', { snapshot: forged }))).toBe('INVALID_ARGUMENT');
      await other.close();
    }));
});

describe('a key read as a path', () => {
  it('costs a seek for each line, not for each key', async () => {
    const kv = await openOn(disk());
    for (let index = 0; index < 20_000; index += 1) {
      void kv.put(`${index % 10}/${index}`, 'x'.repeat(20), { ack: 'written' });
    }
    await kv.flush();
    await kv.settled();
    const before = kv.stats().reads;
    expect([...kv.list('', { delimiter: '/' })]).toHaveLength(10);
    const after = kv.stats().reads;
    const looks = after.blockHits + after.blockReads - before.blockHits - before.blockReads;
    expect(looks).toBeGreaterThan(0);
    expect(looks).toBeLessThan(60 * kv.tables().length);
    expect(after.seeks - before.seeks).toBeLessThan(60 * kv.tables().length);
    await kv.close();
  });
});

async function fill(kv: KvStore): Promise<void> {
  await kv.batch(['a', 'b', 'b/1', 'b/2', 'c'].map((key) => ({ type: 'put', key, value: key })));
}

function bytes(given: string): Uint8Array {
  return new Uint8Array(Buffer.from(given));
}

async function failure(call: Promise<unknown>): Promise<VarveError> {
  const error: unknown = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(VarveError);
  return error as VarveError;
}

function follow<T>(promise: Promise<T>): { state: T | 'pending'; readonly promise: Promise<T> } {
  const followed: { state: T | 'pending'; readonly promise: Promise<T> } = {
    state: 'pending',
    promise,
  };
  void promise.then((value) => {
    followed.state = value;
  });
  return followed;
}
