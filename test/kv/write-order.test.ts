/** What comes before what: the log before tables, answers before flushes, merges before more writes. */
import { SeededRandom } from 'varve/testing';
import { describe, expect, it } from 'vitest';
import { setUp, LogGate, pump, fill, expectFilled } from './failing-store.ts';
import { lossy } from './simulated-store.ts';
import { calmOptions, textOfBytes, tinyOptions } from './wishes.ts';

describe('a write', () => {
  it('gets into no table before the log holds it durably', async () => {
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

  it('shares a sync with others, and readers wait for none', async () => {
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

  it('is answered, like reads, while a flush waits for the disk', async () => {
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

  it('waits while merging is behind: level 0 stays small', async () => {
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
});

describe('a store', () => {
  it('with many tables of level 0 merges them when it is opened', async () => {
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

  it('loses nothing when it is closed, with a log or without one', async () => {
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
});

describe('a write with a signal', () => {
  it('is taken out while it waits for room, with all that share the signal, and lets in who waited behind', async () => {
    const setup = setUp();
    const store = await setup.open(calmOptions);
    const controller = new AbortController();
    const { signal } = controller;
    const reason = new Error('the caller has gone');
    // The first write after opening waits for space in the log, and so do all behind it.
    const aborted = [
      store.put('a', '1', { signal }),
      store.batch([{ type: 'put', key: 'b', value: '2' }], { signal }),
      store.delete('c', { signal }),
      store.rename('d', 'e', { signal }),
    ];
    const kept = store.put('f', '3');
    controller.abort(reason);
    for (const call of aborted) {
      await expect(call).rejects.toMatchObject({ code: 'ABORTED', applied: 'no', cause: reason });
    }
    await kept;
    expect(Array.from(store.iterateSync({ keysOnly: true }), textOfBytes)).toEqual(['f']);
  });

  it('has its place for good once it has one, and is never begun with a signal that has aborted', async () => {
    const setup = setUp();
    const store = await setup.open(calmOptions);
    await store.put('first', '');
    const controller = new AbortController();
    const placed = store.put('a', '1', { signal: controller.signal });
    controller.abort();
    await placed;
    await expect(store.put('b', '2', { signal: controller.signal })).rejects.toMatchObject({
      code: 'ABORTED',
      applied: 'no',
    });
    await expect(
      store.put('b', '2', { signal: controller as unknown as AbortSignal }),
    ).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', applied: 'no' });
    expect(Array.from(store.iterateSync({ keysOnly: true }), textOfBytes)).toEqual(['a', 'first']);
  });
});
