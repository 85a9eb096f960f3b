/** One store and many threads: what clients append, read and are told, among each other and with the owner. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { attach, type EventStore, open, RevisionConflictError, type StoreClient } from 'varve';
import { openInMemory, SeededRandom, storeClientConformance } from 'varve/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { noise } from '../store/damage.ts';
import { Relay } from './relay.ts';
import { Appender, OwnerThread, turnsUntil } from './threads.ts';

const root = mkdtempSync(join(tmpdir(), 'varve-share-'));
const opened: EventStore[] = [];

afterAll(async () => {
  await Promise.all(opened.map((store) => store.close()));
  rmSync(root, { recursive: true });
});

async function openNew(options: object = {}): Promise<EventStore> {
  const store = await open(mkdtempSync(join(root, 'store-')), options);
  opened.push(store);
  return store;
}

async function inMemory(options: object = {}): Promise<EventStore> {
  const store = await openInMemory(options);
  opened.push(store);
  return store;
}

/** Every stream holds whole commits, numbered from 0 without gaps, in the order they were made. */
async function checkNumbers(store: StoreClient): Promise<Map<string, number>> {
  const next = new Map<string, number>();
  let position = 0;
  for await (const event of store.read()) {
    expect(event.position).toBe(position);
    position += 1;
    const { number, half, text } = event.data as { number: number; half: number; text: string };
    const count = next.get(event.stream) ?? 0;
    expect([event.stream, number, half, event.commit.index]).toEqual([
      event.stream,
      count >>> 1,
      count & 1,
      count & 1,
    ]);
    expect(text).toBe(String(number % 10).repeat(text.length));
    next.set(event.stream, count + 1);
  }
  for (const [stream, count] of next) {
    expect([stream, count & 1]).toEqual([stream, 0]);
  }
  return next;
}

async function dataOf(events: AsyncIterable<{ data: unknown }>): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (const { data } of events) {
    found.push(data);
  }
  return found;
}

describe('a client in another thread than its store', () => {
  const threads: OwnerThread[] = [];
  afterAll(() => Promise.all(threads.map((thread) => thread.end())));

  storeClientConformance({ describe, it, expect }, async () => {
    const thread = await OwnerThread.start(mkdtempSync(join(root, 'store-')));
    threads.push(thread);
    const store = await attach(await thread.share());
    let client = store;
    return {
      store,
      reopen: async () => {
        await client.close();
        await thread.ask('reopen');
        client = await attach(await thread.share());
        return client;
      },
    };
  });
});

describe('several threads', () => {
  it('append with the owner at once: everything acknowledged is there, in each one’s order', async () => {
    const store = await openNew();
    const appenders = Array.from({ length: 4 }, (_, index) =>
      Appender.start(store, {
        name: `client/${index}`,
        count: 1_000,
        burst: [1, 10, 100, 1_000][index]!,
        sizes: [10, 100, 1_000],
        options: { laneBytes: [256, 4_096, 65_536, 1_048_576][index]! },
      }),
    );
    const own = (async () => {
      for (let number = 0; number < 300; number += 1) {
        const text = String(number % 10);
        const events = [0, 1].map((half) => ({ type: 'Own', data: { number, half, text } }));
        await store.append('owner', events);
      }
    })();
    await Promise.all([...appenders.map((appender) => appender.exited()), own]);
    const counts = await checkNumbers(store);
    expect(counts.get('owner')).toBe(600);
    for (const appender of appenders) {
      expect(counts.get(appender.name)).toBe(2_000);
      expect(appender.acknowledged).toHaveLength(1_000);
      await appender.check(store);
    }
    expect(store.head).toBe(8_600);
    expect(await store.verify()).toMatchObject({ ok: true, events: 8_600 });
    await turnsUntil(() => store.stats().clients === 0);
  });

  it('are told of each other’s conflicts and repeats', async () => {
    const store = await inMemory();
    const clients = await Promise.all([attach(store.share()), attach(store.share())]);
    const everybody: readonly StoreClient[] = [...clients, store];
    const event = { type: 'Happened', data: { n: 1 } };
    const races = await Promise.allSettled(
      everybody.map((one) => one.append('race', [event], { expectedRevision: 'none' })),
    );
    const lost = races.filter((race) => race.status === 'rejected');
    expect(lost).toHaveLength(2);
    for (const { reason } of lost) {
      expect(reason).toBeInstanceOf(RevisionConflictError);
      expect(reason).toMatchObject({ stream: 'race', expected: 'none', actual: 0, applied: 'no' });
    }
    const key = { idempotencyKey: 'key' };
    const repeats = await Promise.all(everybody.map((one) => one.append('once', [event], key)));
    const outcomes = repeats.map(({ outcome }) => outcome).sort();
    expect(outcomes).toEqual(['appended', 'duplicate', 'duplicate']);
    expect(new Set(repeats.map(({ firstPosition }) => firstPosition)).size).toBe(1);
    const other = clients[1].append('once', [{ type: 'Other' }], key);
    await expect(other).rejects.toMatchObject({
      code: 'IDEMPOTENCY_CONFLICT',
      details: { firstPosition: repeats[0]!.firstPosition },
    });
    const parts = ['x', 'y'].map((stream) => ({ stream, events: [event] }));
    const first = await clients[0].commit(parts, { idempotencyKey: 'two' });
    expect(await clients[1].commit(parts, { idempotencyKey: 'two' })).toEqual({
      ...first,
      outcome: 'duplicate',
    });
    const one = await clients[0].commit([parts[0]!, parts[0]!]);
    expect(one.streams).toEqual([{ stream: 'x', firstRevision: 1, revision: 2 }]);
  });

  it('read what the others append, while they do', async () => {
    const store = await openNew();
    const appender = Appender.start(store, { name: 'busy', count: 2_000, burst: 50 });
    const reader = await attach(store.share());
    for (let last = -1; last < 3_999;) {
      await reader.waitFor(last + 1);
      const before = reader.head;
      let events = 0;
      for await (const { position } of reader.read({}, last < 0 ? {} : { after: last })) {
        expect(position).toBe(last + 1);
        last = position;
        events += 1;
      }
      expect(events).toBeGreaterThan(0);
      expect(last).toBeGreaterThanOrEqual(before - 1);
    }
    await appender.exited();
    expect(await checkNumbers(reader)).toEqual(new Map([['busy', 4_000]]));
    await reader.close();
  });
});

describe('a large commit', () => {
  it.each([
    { laneBytes: undefined, size: 10 * 1024 * 1024 },
    { laneBytes: 65_536, size: 15 * 1024 * 1024 },
    { laneBytes: 300, size: 200_000 },
    { laneBytes: 256, size: 1_000 },
  ])('of $size bytes goes through a lane of $laneBytes', async ({ laneBytes, size }) => {
    const store = await inMemory();
    const client = await attach(store.share(), laneBytes === undefined ? {} : { laneBytes });
    const data = noise(size, 5);
    const order = await Promise.all([
      client.append('a', [{ type: 'Before', data: 0 }]),
      client.append('a', [{ type: 'Large', data }]),
      client.append('a', [{ type: 'After', data: 1 }]),
    ]);
    expect(order.map(({ revision }) => revision)).toEqual([0, 1, 2]);
    const found = await client.get(1);
    expect(Buffer.compare(Buffer.from(found!.data as Uint8Array), data)).toBe(0);
    const tooLarge = client.append('a', [{ type: 'Large', data: noise(17 * 1024 * 1024, 1) }]);
    await expect(tooLarge).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    await client.close();
  });

  it('lets those of other clients pass between its pieces', async () => {
    const store = await inMemory();
    const [slow, quick] = await Promise.all([
      attach(store.share(), { laneBytes: 256 }),
      attach(store.share()),
    ]);
    const order: string[] = [];
    const large = slow.append('a', [{ type: 'Large', data: noise(20_000, 1) }]);
    const small = quick.append('b', [{ type: 'Small' }]);
    await Promise.all([
      large.then(() => order.push('large')),
      small.then(() => order.push('small')),
    ]);
    expect(order).toEqual(['small', 'large']);
  });
});

describe('messages', () => {
  it('are few, however many appends are made in one go', async () => {
    const store = await inMemory();
    await store.append('a', [{ type: 'First' }]);
    const relay = new Relay(store.share());
    const client = await attach(relay.port);
    relay.reset();
    const appends = Array.from({ length: 1_000 }, (_, n) =>
      client.append('a', [{ type: 'N', data: n }]),
    );
    const results = await Promise.all(appends);
    expect(results.map(({ revision }) => revision)).toEqual(
      Array.from({ length: 1_000 }, (_, n) => n + 1),
    );
    // One wake-up, and an answer for each batch that was synced.
    expect(relay.toOwner).toBe(1);
    expect(relay.toClient).toBeLessThan(10);
    relay.reset();
    for (let n = 0; n < 10; n += 1) {
      await client.append('a', [{ type: 'N', data: n }]);
    }
    expect([relay.toOwner, relay.toClient]).toEqual([10, 10]);
    relay.reset();
    expect(await dataOf(client.read({}, { limit: 1_000 }))).toHaveLength(1_000);
    expect(relay.toOwner).toBeLessThan(10);
    await client.close();
  });

  it('are few in a small lane, too', async () => {
    const store = await inMemory();
    const relay = new Relay(store.share());
    const client = await attach(relay.port, { laneBytes: 4_096 });
    relay.reset();
    const appends = Array.from({ length: 1_000 }, (_, n) =>
      client.append('a', [{ type: 'N', data: n }]),
    );
    await Promise.all(appends);
    // About 80 bytes each: a wake-up, and word of room, for each time the lane was full.
    expect(relay.toOwner).toBeLessThan(60);
    expect(relay.toClient).toBeLessThan(120);
    await client.close();
  });
});

describe('a client’s thread that is ended at any instant', () => {
  const seed = 20_261_121;

  it(`leaves nothing behind and holds nobody up (seed ${seed})`, async () => {
    const random = new SeededRandom(seed);
    const store = await openNew();
    const steady = [0, 1].map((index) =>
      Appender.start(store, { name: `steady/${index}`, count: 4_000, burst: 20 }),
    );
    const victims: Appender[] = [];
    for (let round = 0; round < 40; round += 1) {
      const victim = Appender.start(store, {
        name: `victim/${round}`,
        burst: 1 + random.below(30),
        sizes: [10, 2_000, 40_000].slice(0, 1 + random.below(3)),
        options: { laneBytes: [256, 1_000, 65_536, 1_048_576][random.below(4)]! },
      });
      victims.push(victim);
      await victim.heardOf(1 + random.below(4));
      await turnsUntil(() => random.below(20) === 0);
      await victim.terminate();
    }
    await Promise.all(steady.map((appender) => appender.exited()));
    await turnsUntil(() => store.stats().clients === 0);
    await store.flush();
    const counts = await checkNumbers(store);
    for (const appender of [...steady, ...victims]) {
      await appender.check(store);
    }
    expect(steady.map(({ name }) => counts.get(name))).toEqual([8_000, 8_000]);
    expect(store.stats()).toMatchObject({ waiting: 0, pending: { commits: 0 } });
    expect(await store.verify()).toMatchObject({ ok: true, events: store.head });
  });

  it('takes its unfinished reads and waits with it', async () => {
    const store = await openNew();
    for (let n = 0; n < 20; n += 1) {
      await store.append(
        'a',
        Array.from({ length: 100 }, () => ({ type: 'N', data: n })),
      );
    }
    const port = store.share();
    const worker = new Worker(
      `import('varve').then(async ({ attach }) => {
         const { parentPort, workerData } = await import('node:worker_threads');
         const client = await attach(workerData);
         await client.read().next();
         void client.waitFor(1_000_000);
         parentPort.postMessage('reading');
       });`,
      { eval: true, workerData: port, transferList: [port] },
    );
    await new Promise((resolve) => worker.once('message', resolve));
    expect(store.stats().clients).toBe(1);
    await worker.terminate();
    await turnsUntil(() => store.stats().clients === 0);
    await store.close();
  });
});
