/** What becomes of a client’s calls when the owner, its thread, its disk or the client ends, or is slow. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { attach, open } from 'varve';
import { collectGoals, FaultPlan, SimulatedFileSystem } from 'varve/testing';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { noise } from '../store/damage.ts';
import {
  all,
  closeOpened,
  event,
  fateOf,
  fatesOf,
  inMemory,
  laterCalls,
  laterFates,
  opened,
  turns,
} from './settled-calls.ts';
import { Relay } from './relay.ts';
import { OwnerThread, turnsUntil } from './threads.ts';

const root = mkdtempSync(join(tmpdir(), 'varve-share-end-'));
afterEach(closeOpened);
afterAll(() => rmSync(root, { recursive: true }));

describe('the owner’s close', () => {
  it('answers what was in the lane and refuses what was not', async () => {
    const store = await inMemory();
    const [roomy, tiny] = await Promise.all([
      attach(store.share()),
      attach(store.share(), { laneBytes: 256 }),
    ]);
    const inLane = fatesOf(Array.from({ length: 500 }, () => roomy.append('roomy', [event])));
    const most = fatesOf(Array.from({ length: 50 }, () => tiny.append('tiny', [event])));
    const large = fateOf(roomy.append('large', [{ type: 'Large', data: noise(3_000_000, 1) }]));
    const waiting = fateOf(roomy.waitFor(1_000_000));
    await store.close();
    expect(new Set(await inLane)).toEqual(new Set(['done']));
    const fates = await most;
    expect(fates[0]).toBe('done');
    expect(fates.slice(5)).toEqual(fates.slice(5).map(() => 'CLOSED no'));
    expect([await large, await waiting]).toEqual(['CLOSED no', 'CLOSED']);
    for (const client of [roomy, tiny]) {
      expect(await fatesOf(laterCalls(client))).toEqual(laterFates);
      expect(() => client.read()).toThrow(expect.objectContaining({ code: 'CLOSED' }));
      await client.close();
    }
  });

  it('takes nothing more once it has begun', async () => {
    const disk = new SimulatedFileSystem();
    const store = await inMemory({}, { fileSystem: disk });
    await store.append('a', [event]);
    const relay = new Relay(store.share());
    const client = await attach(relay.port);
    disk.holdSyncs();
    const inFlight = store.append('a', [event]);
    const closing = store.close();
    await turnsUntil(turns(3));
    expect(await fateOf(client.append('a', [event]))).toBe('CLOSED no');
    // A client that has looked just before, and is late with its record.
    Atomics.store(relay.welcome!.storeWords, 1, 0);
    const late = fateOf(client.append('a', [event]));
    await turnsUntil(turns(3));
    disk.releaseSyncs();
    await Promise.all([inFlight, closing]);
    expect(await late).toBe('CLOSED unknown');
    const reopened = await inMemory({}, { fileSystem: disk });
    expect([reopened.head, reopened.recovery.wasClosed]).toEqual([2, true]);
  });

  it('while clients append as fast as they can ends, and nothing acknowledged is missing', async () => {
    const directory = mkdtempSync(join(root, 'store-'));
    const thread = await OwnerThread.start(directory);
    const clients = [await attach(await thread.share()), await attach(await thread.share())];
    const acknowledged: number[] = [];
    const busy = clients.map(async (client, index) => {
      for (let n = 0; ; n += 20) {
        const calls = Array.from({ length: 20 }, () => client.append(`s/${index}`, [event]));
        for (const call of calls) {
          call.then(
            ({ firstPosition }) => acknowledged.push(firstPosition),
            () => {},
          );
        }
        const fates = await fatesOf(calls);
        if (fates.some((fate) => fate !== 'done')) {
          return fates;
        }
      }
    });
    await clients[0]!.waitFor(500);
    await thread.ask('close');
    for (const fates of await Promise.all(busy)) {
      expect(['CLOSED', 'CLOSED no', 'CLOSED unknown']).toEqual(
        expect.arrayContaining([...new Set(fates)].filter((fate) => fate !== 'done')),
      );
    }
    await thread.end();
    const store = await open(directory);
    opened.push(store);
    expect(store.recovery.wasClosed).toBe(true);
    expect(store.head).toBe(acknowledged.length);
    expect(new Set(acknowledged).size).toBe(acknowledged.length);
  });
});

describe('the end of the owner’s thread', () => {
  it('ends every call of its clients, and what they were told is so', async () => {
    const directory = mkdtempSync(join(root, 'store-'));
    const thread = await OwnerThread.start(directory);
    const client = await attach(await thread.share(), { laneBytes: 4_096 });
    const events = client.read();
    await client.append('s', [{ type: 'N', data: -1 }]);
    const calls = Array.from({ length: 3_000 }, (_, n) =>
      client.append('s', [{ type: 'N', data: n }]),
    );
    const waiting = fateOf(client.waitFor(1_000_000));
    const settled = fatesOf(calls);
    await Promise.race(calls);
    await thread.end();
    const fates = await settled;
    expect(new Set(fates)).toEqual(new Set(['done', 'CLOSED unknown', 'CLOSED no']));
    expect(fates.lastIndexOf('done')).toBeLessThan(fates.indexOf('CLOSED no'));
    expect(await waiting).toBe('CLOSED');
    expect(await fateOf(events.next())).toBe('CLOSED');
    expect(await fatesOf(laterCalls(client))).toEqual(laterFates);
    await client.close();
    const store = await open(directory);
    opened.push(store);
    const found = (await all(store.read())).map(({ data }) => data as number);
    expect(found).toEqual(found.map((_, index) => index - 1));
    expect(found.length - 1).toBeGreaterThanOrEqual(fates.lastIndexOf('done') + 1);
    expect(found.length - 1).toBeLessThanOrEqual(fates.indexOf('CLOSED no'));
  });

  it('before its port was attached to is noticed', async () => {
    const thread = await OwnerThread.start(mkdtempSync(join(root, 'store-')));
    const port = await thread.share();
    await thread.end();
    expect(await fateOf(attach(port))).toBe('CLOSED');
  });
});

describe('a client’s close', () => {
  it('waits for its own calls and leaves the store to the others', async () => {
    const store = await inMemory();
    const [client, other] = await Promise.all([
      attach(store.share(), { laneBytes: 256 }),
      attach(store.share()),
    ]);
    const calls = Array.from({ length: 30 }, () => client.append('a', [event]));
    const waiting = fateOf(client.waitFor(1_000));
    const closing = client.close();
    expect(await fateOf(client.append('a', [event]))).toBe('CLOSED no');
    await closing;
    await client.close();
    expect(new Set(await fatesOf(calls))).toEqual(new Set(['done']));
    expect(await waiting).toBe('CLOSED');
    await turnsUntil(() => store.stats().clients === 1);
    expect(await fateOf(other.append('a', [event]))).toBe('done');
    expect(client.head).toBe(31);
    await other[Symbol.asyncDispose]();
    expect(store.stats().watermarks.visible).toBe(31);
  });
});

describe('flush', () => {
  it('covers what waits in the client', async () => {
    const store = await inMemory();
    const client = await attach(store.share(), { laneBytes: 256 });
    const calls = Array.from({ length: 50 }, () => client.append('a', [event], { ack: 'written' }));
    await client.flush();
    expect(client.head).toBe(50);
    await Promise.all(calls);
  });
});

describe('a disk that fails', () => {
  it('is told to clients as to the owner', async () => {
    let isFailing = false;
    const faults = new FaultPlan({
      when: ({ kind, path }) =>
        isFailing && kind === 'sync' && path.endsWith('.seg') ? 'EIO' : undefined,
    });
    const disk = new SimulatedFileSystem({ faults });
    const store = await inMemory({}, { fileSystem: disk });
    await store.append('a', [event]);
    const client = await attach(store.share());
    // The next sync is the append's own, and not one that prepares space.
    let seen = -1;
    await turnsUntil(() => {
      const isQuiet = disk.operations === seen;
      seen = disk.operations;
      return isQuiet;
    });
    isFailing = true;
    const waiting = fateOf(client.waitFor(1));
    const first = client.append('a', [event]);
    await expect(first).rejects.toMatchObject({
      code: 'POISONED',
      kind: 'unavailable',
      applied: 'unknown',
      cause: expect.objectContaining({ code: 'EIO' }),
    });
    expect(await waiting).toBe('POISONED');
    expect(await fateOf(client.append('a', [event]))).toBe('POISONED no');
    expect(await all(client.read())).toHaveLength(1);
  });
});

describe('an owner that is busy', () => {
  it('leaves records in the lanes while much waits for the disk, and loses no order', async () => {
    const goals = new Set<string>();
    collectGoals(goals);
    const disk = new SimulatedFileSystem();
    const store = await inMemory({ maxPendingBytes: 4_096 }, { fileSystem: disk });
    await store.append('a', [event]);
    const client = await attach(store.share());
    disk.holdSyncs();
    const calls = Array.from({ length: 3_000 }, (_, n) =>
      client.append('a', [{ type: 'N', data: n }]),
    );
    await turnsUntil(() => goals.has('records stayed in their lanes'));
    expect(store.stats().waiting).toBe(256);
    disk.releaseSyncs();
    const revisions = (await Promise.all(calls)).map(({ revision }) => revision);
    expect(revisions).toEqual(revisions.map((_, index) => index + 1));
    const found = await all(client.read({ stream: 'a' }, { after: 0 }));
    expect(found.map(({ data }) => data)).toEqual([...calls.keys()]);
    await Promise.all(Array.from({ length: 3_000 }, () => client.append('b', [event])));
    collectGoals(undefined);
    expect([...goals]).toContain('a client waited for its turn');
    expect(store.stats().waiting).toBe(0);
  });
});
