/** Signals of a client’s calls, at every stage of an append’s way. */
import { attach } from 'varve';
import { SimulatedFileSystem } from 'varve/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { noise } from '../store/damage.ts';
import { all, closeOpened, event, fateOf, fatesOf, inMemory, turns } from './settled-calls.ts';
import { turnsUntil } from './threads.ts';

afterEach(closeOpened);

const reason = (): string => 'not cloneable';

describe('signals', () => {
  it('that abort before the call end it', async () => {
    const store = await inMemory();
    const client = await attach(store.share());
    const own = { mine: true };
    const signal = AbortSignal.abort(own);
    const call = client.append('a', [event], { signal });
    await expect(call).rejects.toMatchObject({ code: 'ABORTED', applied: 'no', cause: own });
    // It writes nothing, so there is nothing to be applied.
    expect(await fateOf(client.waitFor(0, { signal }))).toBe('ABORTED');
  });

  it('end appends that wait in the client, and those behind them go on', async () => {
    const store = await inMemory();
    const client = await attach(store.share(), { laneBytes: 256 });
    const controller = new AbortController();
    const { signal } = controller;
    const calls = Array.from({ length: 20 }, (_, n) =>
      client.append('a', [{ type: 'N', data: n }], n >= 5 && n < 15 ? { signal } : {}),
    );
    controller.abort(reason);
    const fates = await fatesOf(calls);
    expect(fates).toEqual(fates.map((_, n) => (n >= 5 && n < 15 ? 'ABORTED no' : 'done')));
    await expect(calls[5]).rejects.toMatchObject({ cause: reason });
    const found = await all(client.read());
    expect(found.map(({ data }) => data)).toEqual([0, 1, 2, 3, 4, 15, 16, 17, 18, 19]);
  });

  it('end appends that the owner has not taken', async () => {
    const store = await inMemory();
    const client = await attach(store.share());
    const controller = new AbortController();
    const first = client.append('a', [{ type: 'First' }]);
    const second = client.append('a', [{ type: 'Second' }], { signal: controller.signal });
    // The word of it overtakes the append, which is in the lane and not yet shown.
    controller.abort();
    expect(await fatesOf([first, second])).toEqual(['done', 'ABORTED no']);
    expect((await all(client.read())).map(({ type }) => type)).toEqual(['First']);
  });

  it('end a commit that is partly sent', async () => {
    const store = await inMemory();
    const client = await attach(store.share(), { laneBytes: 256 });
    const controller = new AbortController();
    const { signal } = controller;
    const large = client.append('a', [{ type: 'Large', data: noise(10_000, 1) }], { signal });
    const next = client.append('a', [{ type: 'Next' }]);
    await turnsUntil(turns(2));
    controller.abort();
    expect(await fatesOf([large, next])).toEqual(['ABORTED no', 'done']);
    expect((await all(client.read())).map(({ type }) => type)).toEqual(['Next']);
  });

  it('end appends that wait for the disk, and leave alone what has a position', async () => {
    const disk = new SimulatedFileSystem();
    const store = await inMemory({ maxPendingBytes: 4_096 }, { fileSystem: disk });
    await store.append('a', [event]);
    const client = await attach(store.share());
    const controller = new AbortController();
    disk.holdSyncs();
    const { signal } = controller;
    const calls = fatesOf(
      Array.from({ length: 40 }, (_, n) =>
        client.append('a', [{ type: 'N', data: n }], { signal }),
      ),
    );
    await turnsUntil(() => store.stats().waiting > 0);
    const given = store.stats().watermarks.appended - 1;
    expect(given).toBeGreaterThan(0);
    controller.abort();
    await turnsUntil(() => store.stats().waiting === 0);
    disk.releaseSyncs();
    const fates = await calls;
    expect(fates).toEqual(fates.map((_, n) => (n < given ? 'done' : 'ABORTED no')));
    expect(client.head).toBe(1 + given);
  });

  it('shared by many appends are listened to once', async () => {
    const store = await inMemory();
    const client = await attach(store.share());
    const warnings: unknown[] = [];
    const note = (warning: unknown): unknown => warnings.push(warning);
    process.on('warning', note);
    const { signal } = new AbortController();
    await Promise.all(Array.from({ length: 50 }, () => client.append('a', [event], { signal })));
    await turnsUntil(turns(2));
    process.off('warning', note);
    expect(warnings).toEqual([]);
  });

  it('end a wait', async () => {
    const store = await inMemory();
    const client = await attach(store.share());
    const controller = new AbortController();
    const { signal } = controller;
    const waits = [client.waitFor(0), client.waitFor(0, { signal }), client.waitFor(9, { signal })];
    await turnsUntil(turns(2));
    controller.abort();
    expect(await fatesOf(waits.slice(1))).toEqual(['ABORTED', 'ABORTED']);
    await store.append('a', [event]);
    expect(await fateOf(waits[0]!)).toBe('done');
    await client.waitFor(0);
  });
});
