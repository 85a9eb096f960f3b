/** docs/errors.md: every rejected write says whether it took effect, and nothing else does. */
import { attach, type EventStore, type NewEvent, open, type StoreClient, VarveError } from 'varve';
import { type KvOptions, type KvStore, openKv } from 'varve/kv';
import { FaultPlan, openInMemory, SimulatedFileSystem } from 'varve/testing';
import { describe, expect, it } from 'vitest';

type Call = () => unknown;
type Calls = Readonly<Record<string, Call>>;

async function failureOf(call: Call): Promise<VarveError> {
  try {
    await call();
  } catch (error) {
    if (error instanceof VarveError) {
      return error;
    }
    throw error;
  }
  throw new Error('it was taken');
}

async function expectEach(calls: Calls, code: string, applied: string | undefined): Promise<void> {
  for (const [name, call] of Object.entries(calls)) {
    const error = await failureOf(call);
    expect([name, error.code, error.applied]).toEqual([name, code, applied]);
  }
}

const nothing = null as never;
const event: NewEvent = { type: 'T', data: 1 };
const deep = JSON.parse('['.repeat(1_001) + ']'.repeat(1_001)) as unknown;

/** Space for what comes next is made in the turns after an append. */
async function spacePrepared(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function readAll(items: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of items) {
    // Only its end matters.
  }
}

function appends(store: StoreClient, events: readonly NewEvent[], options = {}): Calls {
  return {
    append: () => store.append('a', events, options),
    commit: () => store.commit([{ stream: 'a', events }], options),
  };
}

function writes(kv: KvStore<unknown>, key: never, value: unknown = 1, more = {}): Calls {
  return {
    put: () => kv.put(key, value, more),
    'put in a batch': () => kv.batch([{ type: 'put', key, value }], more),
    ingest: () => kv.ingest([[key, value]], more),
  };
}

function otherWrites(kv: KvStore<unknown>, key: never, more = {}): Calls {
  return {
    delete: () => kv.delete(key, more),
    'delete in a batch': () => kv.batch([{ type: 'delete', key }], more),
    deleteRange: () => kv.deleteRange({ gte: key }, more),
    'deleteRange in a batch': () => kv.batch([{ type: 'deleteRange', gte: key }], more),
    rename: () => kv.rename(key, 'other', more),
    'rename to': () => kv.rename('other', key, more),
  };
}

function reads(kv: KvStore<unknown>, key: never): Calls {
  return {
    getSync: () => kv.getSync(key),
    get: () => kv.get(key),
    getEntrySync: () => kv.getEntrySync(key),
    getEntry: () => kv.getEntry(key),
    getMany: () => kv.getMany([key]),
    hasSync: () => kv.hasSync(key),
    has: () => kv.has(key),
    iterateSync: () => [...kv.iterateSync({ gte: key })],
    iterate: () => readAll(kv.iterate({ gte: key })),
    list: () => [...kv.list(key)],
    longestPrefix: () => kv.longestPrefix(key),
    count: () => kv.count(key),
    sizeOf: () => kv.sizeOf({ gte: key }),
  };
}

function upkeep(kv: KvStore<unknown>): Calls {
  return {
    snapshot: () => kv.snapshot(),
    flush: () => kv.flush(),
    compact: () => kv.compact(),
    settled: () => kv.settled(),
    verify: () => kv.verify(),
    backup: () => kv.backup('/copy'),
  };
}

describe.each(['the owner', 'a client'])('an event store, by %s', (who) => {
  async function opened(
    fileSystem = new SimulatedFileSystem(),
  ): Promise<{ owner: EventStore; store: StoreClient }> {
    const owner = await open('/store', {}, { fileSystem });
    const store = who === 'the owner' ? owner : await attach(owner.share());
    return { owner, store };
  }

  it('says of writes that are wrong that they were not applied', async () => {
    const { owner, store } = await opened();
    await store.append('a', [event], { idempotencyKey: 'k' });
    const invalid = 'INVALID_ARGUMENT';
    await expectEach(appends(store, []), invalid, 'no');
    await expectEach(appends(store, nothing), invalid, 'no');
    await expectEach(appends(store, [{ type: '' }]), invalid, 'no');
    await expectEach(appends(store, [{ type: 'T', data: Number.NaN }]), invalid, 'no');
    await expectEach(appends(store, [event], { signal: 7 }), invalid, 'no');
    await expectEach(appends(store, [event], { akc: 'written' }), invalid, 'no');
    await expectEach(appends(store, [event], nothing), invalid, 'no');
    const limit = 'LIMIT_EXCEEDED';
    await expectEach(appends(store, [{ type: 'T', data: deep }]), limit, 'no');
    await expectEach(appends(store, [{ type: 'x'.repeat(257) }]), limit, 'no');
    await expectEach(appends(store, [{ type: 'T', data: 'x'.repeat(17e6) }]), limit, 'no');
    const key = { idempotencyKey: 'k' };
    await expectEach(appends(store, [{ type: 'Other' }], key), 'IDEMPOTENCY_CONFLICT', 'no');
    const signal = AbortSignal.abort();
    await expectEach(appends(store, [event], { signal }), 'ABORTED', 'no');
    const expected = { stream: 'a', events: [event], expectedRevision: 'none' } as const;
    const conflict = { commit: () => store.commit([expected]) };
    await expectEach(conflict, 'REVISION_CONFLICT', 'no');
    await owner.close();
    await expectEach(appends(store, [event]), 'CLOSED', 'no');
    await store.close();
    await expectEach(appends(store, [event]), 'CLOSED', 'no');
  });

  it('says of writes that the disk ends whether they may have been applied', async () => {
    let isArmed = false;
    const faults = new FaultPlan({
      when: ({ kind, path, async: isAsync }) =>
        isArmed && isAsync && kind === 'sync' && path.endsWith('.seg') ? 'EIO' : undefined,
    });
    const { owner, store } = await opened(new SimulatedFileSystem({ faults }));
    await store.append('a', [event]);
    await spacePrepared();
    isArmed = true;
    const key = { idempotencyKey: 'lost' };
    await expectEach({ append: () => store.append('a', [event], key) }, 'POISONED', 'unknown');
    await expectEach(appends(store, [event]), 'POISONED', 'no');
    const lost = { findCommit: () => store.findCommit(key) };
    await expectEach(lost, 'POISONED', undefined);
    await store.close();
    await owner.close();
  });

  it('says of a retry that damage leaves undecided that nobody knows', async () => {
    const fileSystem = new SimulatedFileSystem();
    const { owner, store } = await opened(fileSystem);
    const key = { idempotencyKey: 'k' };
    await store.append('a', [{ type: 'T', data: 'x'.repeat(100) }], key);
    const path = fileSystem.paths().find((name) => name.endsWith('.seg'))!;
    const bytes = Buffer.from(fileSystem.readFile(path));
    fileSystem.writeFile(path, bytes.fill(0, 128, 600));
    await expectEach(appends(store, [event], key), 'CORRUPT', 'unknown');
    const asks = { get: () => store.get(0), findCommit: () => store.findCommit(key) };
    await expectEach(asks, 'CORRUPT', undefined);
    await store.close();
    await owner.close();
  });

  it('says nothing of the kind where nothing was to be written', async () => {
    const { owner, store } = await opened();
    await store.append('a', [event]);
    const signal = AbortSignal.abort();
    await expectEach(
      {
        read: () => readAll(store.read(nothing)),
        'read of a stream': () => readAll(store.read({ stream: '' })),
        get: () => store.get(-1),
        getById: () => store.getById(''),
        streams: () => readAll(store.streams({ limit: -1 })),
        findCommit: () => store.findCommit({ idempotencyKey: '' }),
        'findCommit without a key': () => store.findCommit({ idempotencyScope: 's' } as never),
        'findCommit of nothing': () => store.findCommit(nothing),
        'findCommit of more': () => store.findCommit({ idempotencyKey: 'k', key: 'k' } as never),
        streamHead: () => store.streamHead(''),
        waitFor: () => store.waitFor(-2),
      },
      'INVALID_ARGUMENT',
      undefined,
    );
    await expectEach(
      {
        read: () => readAll(store.read({}, { signal })),
        waitFor: () => store.waitFor(9, { signal }),
      },
      'ABORTED',
      undefined,
    );
    await store.close();
    await expectEach(
      {
        read: () => readAll(store.read()),
        get: () => store.get(0),
        getById: () => store.getById('x'),
        streams: () => readAll(store.streams()),
        streamHead: () => store.streamHead('a'),
        flush: () => store.flush(),
        waitFor: () => store.waitFor(0),
      },
      'CLOSED',
      undefined,
    );
    await owner.close();
    const ownersCalls = {
      verify: () => owner.verify(),
      backup: () => owner.backup('/copy'),
      segments: () => owner.segments(),
      share: () => owner.share(),
    };
    await expectEach(ownersCalls, 'CLOSED', undefined);
  });
});

describe('an event store', () => {
  it('says of writes that found no space that they were not applied', async () => {
    const faults = new FaultPlan({
      when: ({ kind, path }) =>
        kind === 'write' && path.endsWith('.seg') && isArmed ? 'ENOSPC' : undefined,
    });
    let isArmed = false;
    const store = await openInMemory({}, { fileSystem: new SimulatedFileSystem({ faults }) });
    isArmed = true;
    await expectEach({ append: () => store.append('a', [event]) }, 'UNAVAILABLE', 'no');
    isArmed = false;
    await store.close();
  });
});

describe('a key-value store', () => {
  const options: KvOptions = { values: 'json', memtableBytes: 4_096, background: 'inline' };

  async function opened(fileSystem = new SimulatedFileSystem()): Promise<KvStore<unknown>> {
    return openKv('/kv', options, { fileSystem });
  }

  it('says of writes that are wrong that they were not applied', async () => {
    const kv = await opened();
    await kv.put('a', 1);
    const invalid = 'INVALID_ARGUMENT';
    for (const key of [7, null, '\ud800'] as never[]) {
      await expectEach(writes(kv, key), invalid, 'no');
      await expectEach(otherWrites(kv, key), invalid, 'no');
    }
    await expectEach(writes(kv, 'b' as never, Number.NaN), invalid, 'no');
    for (const more of [nothing, { akc: 1 }]) {
      await expectEach(writes(kv, 'b' as never, 1, more), invalid, 'no');
      await expectEach(otherWrites(kv, 'b' as never, more), invalid, 'no');
    }
    const position = { position: 1 };
    await expectEach(writes(kv, 'b' as never, 1, position), invalid, 'no');
    await expectEach(otherWrites(kv, 'b' as never, position), invalid, 'no');
    await expectEach(
      {
        'a batch of nothing': () => kv.batch(nothing),
        'a batch of null': () => kv.batch([nothing]),
        'a batch with a guard of nothing': () => kv.batch([], { guards: [nothing] }),
        'a batch of an unknown type': () => kv.batch([{ type: 'get' } as never]),
        'a put with a version that is none': () => kv.put('b', 1, { ifVersion: -1 }),
        'a put with two conditions': () => kv.put('b', 1, { ifAbsent: true, ifVersion: 1 }),
        'a range that is none': () => kv.deleteRange(nothing),
        'a range without a bound': () => kv.deleteRange({}),
        'keys out of order': () => kv.ingest(['b', 'a'].map((key) => [key, 1] as const)),
        'entries that are none': () => kv.ingest(nothing),
        'a rename into itself': () => kv.rename('a', 'ab', { prefix: 1 as never }),
      },
      invalid,
      'no',
    );
    const limit = 'LIMIT_EXCEEDED';
    const long = 'k'.repeat(70_000) as never;
    await expectEach(writes(kv, long), limit, 'no');
    await expectEach({ delete: () => kv.delete(long) }, limit, 'no');
    await expectEach(writes(kv, 'b' as never, deep), limit, 'no');
    await expectEach({ put: () => kv.put('b', 'x'.repeat(17e6)) }, limit, 'no');
    const condition = {
      put: () => kv.put('a', 2, { ifAbsent: true }),
      delete: () => kv.delete('a', { ifVersion: 7 }),
      batch: () => kv.batch([], { guards: [{ key: 'a', absent: true }] }),
    };
    await expectEach(condition, 'CONDITION_FAILED', 'no');
    await kv.close();
    await expectEach(writes(kv, 'b' as never), 'CLOSED', 'no');
    await expectEach(otherWrites(kv, 'b' as never), 'CLOSED', 'no');
  });

  it('says of writes that the disk ends whether they may have been applied', async () => {
    let isArmed = false;
    const faults = new FaultPlan({
      when: ({ kind, path, async: isAsync }) =>
        isArmed && isAsync && kind === 'sync' && path.endsWith('.seg') ? 'EIO' : undefined,
    });
    const kv = await opened(new SimulatedFileSystem({ faults }));
    await kv.put('a', 1);
    isArmed = true;
    await expectEach({ put: () => kv.put('b', 1) }, 'POISONED', 'unknown');
    const { ingest: _, ...logged } = writes(kv, 'b' as never);
    await expectEach({ ...logged, ...otherWrites(kv, 'b' as never) }, 'POISONED', 'no');
    await expect(kv.ingest([['z', 1]])).rejects.toMatchObject({ applied: 'no' });
    for (const call of Object.values(upkeep(kv))) {
      try {
        await call();
      } catch (error) {
        expect((error as { applied?: string }).applied).toBeUndefined();
      }
    }
    await kv.close();
  });

  it('says of writes whose conditions meet damage that they were not applied', async () => {
    const fileSystem = new SimulatedFileSystem();
    const small = { ...options, values: 'json', blockCacheBytes: 0 } as const;
    const kv = await openKv('/kv', small, { fileSystem });
    await kv.put('a', 'x'.repeat(100));
    await kv.flush();
    const path = fileSystem.paths().find((name) => name.includes('/tables/'))!;
    const bytes = Buffer.from(fileSystem.readFile(path));
    fileSystem.writeFile(path, bytes.fill(0xff, 0, 100));
    await expectEach(
      {
        put: () => kv.put('a', 1, { ifVersion: 1 }),
        delete: () => kv.delete('a', { ifVersion: 1 }),
        rename: () => kv.rename('a', 'b'),
      },
      'CORRUPT',
      'no',
    );
    await expectEach({ get: () => kv.get('a') }, 'CORRUPT', undefined);
    await kv.close();
  });

  it('says nothing of the kind where nothing was to be written', async () => {
    const kv = await opened();
    await kv.put('a', 1);
    for (const key of [7, '\ud800'] as never[]) {
      await expectEach(reads(kv, key), 'INVALID_ARGUMENT', undefined);
    }
    await expectEach({ getMany: () => kv.getMany(nothing) }, 'INVALID_ARGUMENT', undefined);
    await expectEach({ get: () => kv.get('k'.repeat(70_000)) }, 'LIMIT_EXCEEDED', undefined);
    await kv.close();
    await expectEach(reads(kv, 'a' as never), 'CLOSED', undefined);
    await expectEach(upkeep(kv), 'CLOSED', undefined);
  });
});
