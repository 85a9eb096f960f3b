/** Every method and option of a key-value store, as its interface describes them. */
import { type KvOperation, type KvOptions, type KvStore, openKv, VarveError } from 'varve/kv';
import { describe, expect, it } from 'vitest';
import { codeOf, disk, openOn, text } from './open.ts';

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

  it('of the last operation wins within a batch', () =>
    withStore(async (kv) => {
      await kv.put('old', 'x');
      const version = await kv.batch([
        { type: 'put', key: 'a', value: '1' },
        { type: 'put', key: 'a', value: '2' },
        { type: 'deleteRange', gte: 'a' },
        { type: 'put', key: 'a', value: '3' },
      ]);
      expect(version).toBe(5);
      expect(kv.getEntrySync('a')?.version).toBe(5);
      expect(kv.hasSync('old')).toBe(false);
    }));

  it('deletes to the end of the keys, whatever they are', () =>
    withStore(async (kv) => {
      const last = new Uint8Array(65_535).fill(0xff);
      await kv.put(last, 'last');
      await kv.put('', 'first');
      await kv.deleteRange({ gt: '' });
      expect(kv.hasSync(last)).toBe(false);
      expect(text(kv.getSync(''))).toBe('first');
      await kv.put(last, 'again');
      await kv.deleteRange({ gte: '' });
      expect([...kv.iterateSync()]).toEqual([]);
    }));

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

  it('looks at guards before its own operations', () =>
    withStore(async (kv) => {
      const put = { type: 'put', key: 'p/a', value: '' } as const;
      const guards = [
        { prefix: 'p/', empty: true },
        { key: 'p/a', absent: true },
      ] as const;
      await kv.batch([put], { guards });
      expect(await codeOf(kv.batch([{ type: 'delete', key: 'p/a' }], { guards }))).toBe(
        'CONDITION_FAILED',
      );
      expect(kv.hasSync('p/a')).toBe(true);
      expect(await codeOf(kv.batch([], { guards }))).toBe('CONDITION_FAILED');
      await kv.batch([put], {
        guards: [
          { key: 'p/a', version: 1 },
          { key: 'x', version: 0 },
        ],
      });
    }));

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

  it.each([true, false])('is a copy, unless it is borrowed (flushed: %s)', (isFlushed) =>
    withStore(async (kv) => {
      await kv.put('a', 'value');
      if (isFlushed) {
        await kv.flush();
      }
      kv.getSync('a')!.fill(0);
      const entry = kv.getEntrySync('a')!;
      entry.key.fill(0);
      entry.value.fill(0);
      for (const [key, value] of kv.iterateSync()) {
        key.fill(0);
        value.fill(0);
      }
      for (const [key, value] of kv.iterateSync({ reverse: true })) {
        key.fill(0);
        value.fill(0);
      }
      kv.longestPrefix('ab')!.value.fill(0);
      for (const line of kv.list('')) {
        (line as { value: Uint8Array }).value.fill(0);
      }
      (await kv.getMany(['a', 'b'], { borrow: true }))[0]!.fill(0);
      expect(text(kv.getSync('a', { borrow: true }))).toBe('value');
      expect([...kv.iterateSync({ keysOnly: true })].map(text)).toEqual(['a']);
    }),
  );

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

  it('is a string or bytes, of whatever kind', () =>
    withStore(async (kv) => {
      const pool = new Uint8Array([1, 2, 3, 4, 5]);
      await kv.put(pool.subarray(1, 3), pool.subarray(3));
      expect(kv.getSync(Buffer.from([2, 3]))).toEqual(new Uint8Array([4, 5]));
      expect(kv.getSync(Buffer.from([2, 3]))!.constructor).toBe(Uint8Array);
      await kv.put('ü', 'ö');
      expect(kv.getSync(Buffer.from('ü'))).toEqual(bytes('ö'));
      expect(await codeOf(kv.put('\ud800', ''))).toBe('INVALID_ARGUMENT');
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
  it('gives what its bounds, direction and limit say', () =>
    withStore(async (kv) => {
      await fill(kv);
      const keys = (options: Parameters<KvStore['iterateSync']>[0]): (string | undefined)[] =>
        [...kv.iterateSync({ ...options, keysOnly: true })].map(text);
      expect(keys({ gt: 'a', lte: 'b/1' })).toEqual(['b', 'b/1']);
      expect(keys({ gte: 'b', lt: 'c', reverse: true })).toEqual(['b/2', 'b/1', 'b']);
      expect(keys({ prefix: 'b/', gt: 'b/1' })).toEqual(['b/2']);
      expect(keys({ limit: 2 })).toEqual(['a', 'b']);
      expect(keys({ limit: 0 })).toEqual([]);
      expect(keys({ limit: -1, reverse: true })).toEqual(['c', 'b/2', 'b/1', 'b', 'a']);
      expect(keys({ gt: 'c', lt: 'a' })).toEqual([]);
    }));

  it('sees the store as it was when it was made', () =>
    withStore(async (kv) => {
      await fill(kv);
      const iterator = kv.iterate();
      const first = await iterator.next();
      await kv.deleteRange({ gte: '' });
      await kv.flush();
      await kv.compact();
      const rest: string[] = [];
      for await (const [key] of iterator) {
        rest.push(text(key)!);
      }
      expect([text(first.value![0]), ...rest]).toEqual(['a', 'b', 'b/1', 'b/2', 'c']);
    }));

  it('goes back and on with seek, as long as it is open', () =>
    withStore(async (kv) => {
      await fill(kv);
      const iterator = kv.iterateSync({ gte: 'b', keepOpen: true, keysOnly: true });
      expect(Array.from({ length: 4 }, () => text(iterator.next().value))).toEqual([
        'b',
        'b/1',
        'b/2',
        'c',
      ]);
      expect(iterator.next().done).toBe(true);
      iterator.seek('b/11');
      expect(text(iterator.next().value)).toBe('b/2');
      iterator.seek('a');
      expect(iterator.next().done).toBe(true);
      iterator.seek('b');
      expect(text(iterator.next().value)).toBe('b');
      iterator.close();
      iterator.seek('b');
      expect(iterator.next().done).toBe(true);
      const backwards = kv.iterateSync({ reverse: true, keysOnly: true, limit: 3 });
      backwards.seek('b/1');
      expect([...backwards].map(text)).toEqual(['b/1', 'b', 'a']);
    }));

  it('answers calls of next in their order, even those that did not wait', () =>
    withStore(async (kv) => {
      const count = 2_500;
      await kv.batch(
        Array.from({ length: count }, (_, index) => {
          return { type: 'put', key: String(index).padStart(5, '0'), value: '' };
        }),
      );
      const iterator = kv.iterate({ keysOnly: true });
      const items = await Promise.all(Array.from({ length: count + 1 }, () => iterator.next()));
      const keys = items.map(({ value }) => text(value as Uint8Array | undefined));
      expect(keys.slice(0, count)).toEqual(
        Array.from({ length: count }, (_, index) => String(index).padStart(5, '0')),
      );
      expect(items[count]!.done).toBe(true);
    }));

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
  it('is what reads see, until it is closed', () =>
    withStore(async (kv) => {
      await kv.put('a', '1');
      const snapshot = kv.snapshot();
      expect(snapshot.version).toBe(1);
      await kv.put('a', '2');
      await kv.put('b', '2');
      await kv.flush();
      await kv.deleteRange({ gte: '' });
      await kv.compact();
      expect(text(await kv.get('a', { snapshot }))).toBe('1');
      expect(kv.getEntrySync('a', { snapshot })?.version).toBe(1);
      expect(await kv.has('b', { snapshot })).toBe(false);
      expect([...kv.list('', { snapshot })]).toHaveLength(1);
      expect(kv.longestPrefix('ab', { snapshot })?.version).toBe(1);
      expect((await kv.getMany(['a', 'b'], { snapshot })).map(text)).toEqual(['1', undefined]);
      expect(kv.stats().snapshots).toBe(1);
      snapshot.close();
      snapshot.close();
      expect(kv.stats().snapshots).toBe(0);
      expect(await codeOf(kv.get('a', { snapshot }))).toBe('INVALID_ARGUMENT');
      expect(() => kv.iterateSync({ snapshot })).toThrow(VarveError);
    }));

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
  it('is listed with what lies behind the delimiter rolled up, in pages', () =>
    withStore(async (kv) => {
      const keys = ['p/1', 'p/a/1', 'p/a/2', 'p/a/b/c', 'p/b', 'p/c/1', 'q'];
      await kv.batch(keys.map((key) => ({ type: 'put', key, value: key })));
      const page = (after?: string): string[] =>
        [...kv.list('p/', { delimiter: '/', limit: 2, ...(after && { after }) })].map((line) =>
          text(line.type === 'key' ? line.key : line.prefix)!,
        );
      expect(page()).toEqual(['p/1', 'p/a/']);
      expect(page('p/a/')).toEqual(['p/b', 'p/c/']);
      expect(page('p/c/')).toEqual([]);
      expect(page('a')).toEqual(['p/1', 'p/a/']);
      expect([...kv.list('p/a/')]).toHaveLength(3);
      expect(() => kv.list('', { delimiter: '' })).toThrow(VarveError);
    }));

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

  it('is found by the longest key that it begins with', () =>
    withStore(async (kv) => {
      await kv.batch(
        ['', 'a', 'a/b', 'a/b0', 'a/b/c/d'].map((key) => ({ type: 'put', key, value: key })),
      );
      const found = (path: string): string | undefined => text(kv.longestPrefix(path)?.key);
      expect(found('a/b/c')).toBe('a/b');
      expect(found('a/b/c/d/e')).toBe('a/b/c/d');
      expect(found('a0')).toBe('a');
      expect(found('zzz')).toBe('');
      await kv.delete('');
      expect(found('zzz')).toBeUndefined();
    }));

  it('is counted up to a limit', () =>
    withStore(async (kv) => {
      await kv.batch(['a', 'a/1', 'a/2', 'b'].map((key) => ({ type: 'put', key, value: '' })));
      expect(await kv.count('a/')).toEqual({ count: 2, isExact: true });
      expect(await kv.count('a', 2)).toEqual({ count: 2, isExact: false });
      expect(await kv.count('', 0)).toEqual({ count: 0, isExact: false });
      expect(await kv.count('c', 0)).toEqual({ count: 0, isExact: true });
    }));

  it('is renamed, alone or with all that begin with it', () =>
    withStore(async (kv) => {
      await kv.batch(['a', 'a/1', 'a/2', 'b/1'].map((key) => ({ type: 'put', key, value: key })));
      expect(await kv.rename('a', 'z')).toBe(1);
      expect(await kv.rename('nothing', 'z')).toBe(0);
      expect(await kv.rename('z', 'z')).toBe(1);
      expect(await kv.rename('a/', 'a/', { prefix: true })).toBe(2);
      expect(await codeOf(kv.rename('a/', 'b/', { prefix: true }))).toBe('CONDITION_FAILED');
      expect(await kv.rename('a/', 'b/', { prefix: true, overwrite: true })).toBe(2);
      expect(await kv.rename('b/', 'b/b/', { prefix: true })).toBe(2);
      const pairs = [...kv.iterateSync()].map(([key, value]) => `${text(key)}=${text(value)}`);
      expect(pairs).toEqual(['b/b/1=a/1', 'b/b/2=a/2', 'z=a']);
    }));
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
