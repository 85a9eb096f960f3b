/** Flushes and compactions that fail: nothing is lost, whoever waits hears of it, and all is made up for in the end. */
import type { VarveError } from 'varve/kv';
import { SeededRandom } from 'varve/testing';
import { describe, expect, it } from 'vitest';
import { setUp, isTable, pump, fill, expectFilled } from './failing-store.ts';
import { lossy } from './simulated-store.ts';
import { calmOptions, tinyOptions } from './wishes.ts';

describe('a flush that fails', () => {
  it('loses nothing, and neither does the next one that succeeds', async () => {
    const setup = setUp();
    const store = await setup.open();
    await fill(store, 20);
    setup.failing = isTable;
    await expect(store.flush()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expectFilled(store, 20);
    expect(store.stats().background.error).toMatchObject({ code: 'UNAVAILABLE' });
    setup.failing = () => false;
    setup.clock.advance(60_000);
    await pump(
      setup,
      store.settled().catch(() => store.settled()),
    );
    await pump(setup, store.flush());
    expect(store.stats().background.error).toBeUndefined();
    expectFilled(store, 20);
    const cut = setup.disk.crashClone(new SeededRandom(1), lossy);
    expectFilled(await setup.open(calmOptions, cut), 20);
  });

  it('is not blamed on a put', async () => {
    const setup = setUp();
    const store = await setup.open();
    setup.failing = isTable;
    const answers = await Promise.allSettled(
      Array.from({ length: 70 }, (_, index) => store.put(`k/${index}`, 'x'.repeat(80))),
    );
    for (const [index, answer] of answers.entries()) {
      if (answer.status === 'rejected') {
        expect(answer.reason).toMatchObject({ code: 'UNAVAILABLE', applied: 'no' });
      }
      expect(store.hasSync(`k/${index}`)).toBe(answer.status === 'fulfilled');
    }
    expect(answers[0]!.status).toBe('fulfilled');
  });

  it('is told to writers, who would otherwise wait for ever', async () => {
    const setup = setUp();
    const store = await setup.open();
    setup.failing = isTable;
    const failures: VarveError[] = [];
    for (let index = 0; index < 500 && failures.length === 0; index += 1) {
      const put = store.put(`k/${index}`, 'x'.repeat(80));
      await pump(setup, put).catch((error: VarveError) => failures.push(error));
    }
    const [refused] = failures;
    expect(refused).toMatchObject({ code: 'UNAVAILABLE', applied: 'no' });
    expect(refused!.cause).toMatchObject({ code: 'UNAVAILABLE' });
    expect(store.stats().memtables.size).toBeLessThan(5 * 4_096);
    setup.failing = () => false;
    setup.clock.advance(60_000);
    for (let turn = 0; turn < 200; turn += 1) {
      await setup.clock.pause();
    }
    await pump(setup, store.put('at last', ''));
    await pump(setup, store.close());
  });

  it('is an error of close if it was the last', async () => {
    const setup = setUp();
    const store = await setup.open({ ...tinyOptions, log: false });
    await fill(store, 10);
    setup.failing = isTable;
    await expect(pump(setup, store.close())).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});

describe('a compaction that fails', () => {
  it('again and again is reported, leaves no files behind, and is done in the end', async () => {
    const setup = setUp();
    const store = await setup.open({ ...tinyOptions, levelZeroTables: 100 });
    for (let round = 0; round < 4; round += 1) {
      await fill(store, 20, round);
      await store.flush();
    }
    const files = setup.disk.paths();
    setup.failing = ({ kind, path }) => kind === 'write' && path.endsWith('.tbl');
    for (let failures = 0; failures < 5; failures += 1) {
      await expect(pump(setup, store.compact())).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      expect(store.stats().background.error).toMatchObject({ code: 'UNAVAILABLE' });
      expect(setup.disk.paths()).toEqual(files);
      expectFilled(store, 20, 3);
    }
    setup.failing = () => false;
    await pump(setup, store.compact());
    expect(store.stats().background.error).toBeUndefined();
    expect(store.tables().some(({ level }) => level === 0)).toBe(false);
    expectFilled(store, 20, 3);
  });

  it('because a table is damaged is not tried again', async () => {
    const setup = setUp();
    const store = await setup.open(calmOptions);
    for (let round = 0; round < 4; round += 1) {
      await fill(store, 20, round);
      await store.flush();
    }
    await store.close();
    const [path] = setup.disk.paths().filter((one) => one.endsWith('.tbl'));
    setup.disk.flipBit(path!, 60, 1);
    const again = await setup.open();
    await expect(again.settled()).rejects.toMatchObject({ code: 'CORRUPT', file: path });
    const { operations } = setup.disk;
    for (let turn = 0; turn < 100; turn += 1) {
      setup.clock.advance(60_000);
      await setup.clock.pause();
    }
    expect(setup.disk.operations).toBe(operations);
    expect(again.stats().background.error).toMatchObject({ code: 'CORRUPT', file: path });
  });
});
