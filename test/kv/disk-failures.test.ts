/** What a failure of the disk leaves undecided, and what callers hear of it. */
import type { VarveError } from 'varve/kv';
import { SeededRandom } from 'varve/testing';
import { describe, expect, it } from 'vitest';
import { setUp, isTable, pump, fill, expectFilled, segments } from './failing-store.ts';
import { lossy } from './simulated-store.ts';
import { calmOptions, KV_STORE, textOfBytes, tinyOptions } from './wishes.ts';

describe('a failure of the disk', () => {
  it('at a sync of the log ends writing; reads go on, and reopening recovers', async () => {
    const setup = setUp();
    const store = await setup.open();
    await fill(store, 5);
    setup.failing = ({ kind, path }) => kind === 'sync' && path.includes('/log/');
    await expect(store.put('lost', 'or not')).rejects.toMatchObject({
      code: 'POISONED',
      applied: 'unknown',
    });
    setup.failing = () => false;
    await expect(store.put('late', '')).rejects.toMatchObject({ code: 'POISONED', applied: 'no' });
    await expect(store.flush()).rejects.toMatchObject({ code: 'POISONED' });
    expectFilled(store, 5);
    await store.close().catch((error: VarveError) => expect(error.code).toBe('POISONED'));
    const again = await setup.open();
    expectFilled(again, 5);
    expect(again.hasSync('late')).toBe(false);
    expect(await again.put('late', 'now')).toBeGreaterThan(5);
  });

  it('has a code of ours wherever it strikes', async () => {
    const setup = setUp();
    const store = await setup.open({ ...calmOptions, blockCacheBytes: 0 });
    await fill(store, 20);
    await store.flush();
    const unavailable = { code: 'UNAVAILABLE' };
    setup.failing = ({ kind, path }) => kind === 'read' && path.endsWith('.tbl');
    expect(() => store.getSync('k/1')).toThrow(expect.objectContaining(unavailable));
    expect(() => [...store.iterateSync()]).toThrow(expect.objectContaining(unavailable));
    await expect(store.rename('k/1', 'k/renamed')).rejects.toMatchObject({
      ...unavailable,
      applied: 'no',
    });
    await expect(store.put('k/1', '', { ifVersion: 7 })).rejects.toMatchObject({
      ...unavailable,
      applied: 'no',
    });
    setup.failing = isTable;
    await expect(store.ingest([['a', 'b']])).rejects.toMatchObject(unavailable);
    setup.failing = ({ kind }) => kind === 'link';
    await expect(store.backup('/home/backup')).rejects.toMatchObject(unavailable);
    setup.failing = ({ kind, path }) => kind === 'sync' && path.includes('/log/');
    await expect(store.close()).rejects.toMatchObject(unavailable);
  });
});

describe('the next open', () => {
  it('makes the name of a manifest again that could not be synced', async () => {
    const setup = setUp();
    const store = await setup.open({ ...tinyOptions, levelZeroTables: 100 });
    for (let round = 0; round < 3; round += 1) {
      await fill(store, 20, round);
      await store.flush();
    }
    setup.failing = ({ kind, path }) => kind === 'syncDirectory' && path === KV_STORE;
    await expect(pump(setup, store.compact())).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await pump(setup, store.close());
    setup.failing = () => false;
    const again = await setup.open();
    await again.put('later', 'x');
    const cut = setup.disk.crashClone(new SeededRandom(1), lossy);
    const recovered = await setup.open(calmOptions, cut);
    expectFilled(recovered, 20, 2);
    expect(textOfBytes(recovered.getSync('later')!)).toBe('x');
    expect(await recovered.verify()).toMatchObject({ ok: true });
  });

  it('makes that name again even in a store that was just made', async () => {
    const setup = setUp();
    let syncCount = 0;
    setup.failing = ({ kind, path }) => {
      syncCount += kind === 'syncDirectory' && path === KV_STORE ? 1 : 0;
      return syncCount === 2 && kind === 'syncDirectory';
    };
    await expect(setup.open()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(setup.disk.paths()).toContain(`${KV_STORE}/manifest`);
    setup.failing = () => false;
    const store = await setup.open();
    await store.put('acknowledged', '!');
    const cut = setup.disk.crashClone(new SeededRandom(1), lossy);
    const recovered = await setup.open(calmOptions, cut);
    expect(textOfBytes(recovered.getSync('acknowledged')!)).toBe('!');
  });

  it('passes over removed segments of the log that a power cut has brought back, and removes them again', async () => {
    const setup = setUp();
    const options = {
      ...calmOptions,
      memtableBytes: 8 * 1024 * 1024,
      maxPendingBytes: 8 * 1024 * 1024,
    };
    const store = await setup.open(options);
    const largest = 'x'.repeat(400_000);
    for (let index = 0; index < 12; index += 1) {
      await store.put(`k/${index}`, `${index}${largest}`);
    }
    const before = segments(setup.disk);
    expect(before).toHaveLength(3);
    const [first] = before;
    const bytes = setup.disk.readFile(first!);
    await store.flush();
    await store.settled();
    expect(segments(setup.disk)).toEqual(before.slice(2));
    const cut = setup.disk.clone();
    cut.writeFile(first!, bytes);
    const recovered = await setup.open(calmOptions, cut);
    await recovered.settled();
    expect(segments(cut)).toEqual(before.slice(2));
    expect(recovered.lastVersion).toBe(12);
    expect(textOfBytes(recovered.getSync('k/11')!)).toBe(`11${largest}`);
  });
});
