/** Limits are checked when something is written, and a store keeps to its own folder. */
import type { KvStore } from 'varve/kv';
import { describe, expect, it } from 'vitest';
import { setUp, fill } from './failing-store.ts';
import { calmOptions, KV_STORE, textOfBytes, tinyOptions } from './wishes.ts';

describe('a limit', () => {
  it('is checked when something is written, and what is taken can be read from every place', async () => {
    const setup = setUp();
    const store = await setup.open({ ...calmOptions, memtableBytes: 4 * 1024 * 1024 });
    const largest = new Uint8Array(16 * 1024 * 1024 - 4_096).fill(7);
    await expect(store.put('too large', new Uint8Array(16 * 1024 * 1024))).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED',
      applied: 'no',
    });
    await expect(store.put(new Uint8Array(65_536), '')).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED',
    });
    const longest = new Uint8Array(65_535).fill(107);
    await store.put('largest', largest);
    await store.put(longest, 'longest key');
    const check = (from: KvStore): void => {
      expect(Buffer.compare(from.getSync('largest')!, largest)).toBe(0);
      expect(textOfBytes(from.getSync(longest)!)).toBe('longest key');
    };
    check(store);
    check(await setup.open(calmOptions, setup.disk.clone()));
    await store.flush();
    check(store);
    await store.compact();
    check(store);
    expect(await store.verify()).toMatchObject({ ok: true });
  });
});

describe('a folder', () => {
  it('has one owner', async () => {
    const setup = setUp();
    await setup.open();
    await expect(setup.open()).rejects.toMatchObject({ code: 'LOCKED' });
  });

  it('with a log is not opened without one, nor the other way round', async () => {
    for (const log of [true, false]) {
      const setup = setUp();
      await (await setup.open({ ...tinyOptions, log })).close();
      const other = setup.open({ ...tinyOptions, log: !log });
      await expect(other).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
  });

  it('is not left by any path, and nothing outside of it is touched', async () => {
    const setup = setUp();
    setup.disk.writeFile('/home/mine.tbl', Buffer.from('mine'));
    setup.disk.writeFile('/home/MANIFEST.tmp', Buffer.from('mine'));
    const touched = new Set<string>();
    setup.disk.onOperation = ({ kind, path, target }) => {
      if (kind !== 'stat' && kind !== 'syncDirectory' && kind !== 'makeDirectory') {
        touched.add(path).add(target ?? path);
      }
    };
    const store = await setup.open();
    await fill(store, 100);
    await store.compact();
    await store.close();
    await (await setup.open()).close();
    expect([...touched].filter((path) => !path.startsWith(`${KV_STORE}/`))).toEqual([KV_STORE]);
    expect([...touched].filter((path) => path.includes('..'))).toEqual([]);
  });
});
