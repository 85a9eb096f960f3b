/** Ranges with bounds that are longer than keys, or without an end. */
import type { KvRange, KvStore } from 'varve/kv';
import type { SimulatedFileSystem } from 'varve/testing';
import { describe, expect, it } from 'vitest';
import {
  afterPowerCut,
  codeOf,
  disk,
  filled,
  keysOf,
  openOn,
  smallTables,
  text,
} from './simulated-store.ts';

const KEY_SIZE_MAX = 65_535;

describe('bounds longer than a key', () => {
  const longest = filled(KEY_SIZE_MAX, 0x7a);
  const highest = filled(KEY_SIZE_MAX, 0xff);

  async function store(): Promise<{ kv: KvStore; fileSystem: SimulatedFileSystem }> {
    const fileSystem = disk();
    const kv = await openOn(fileSystem);
    for (const key of ['', 'a', 'b', 'c', longest, '~', highest]) {
      await kv.put(key, '1');
    }
    return { kv, fileSystem };
  }

  const long = '122 x 65535';
  const high = '255 x 65535';
  const ranges: readonly (readonly [string, KvRange, readonly string[]])[] = [
    ['lt: 70,000 bytes', { gte: 'a', lt: filled(70_000, 0x62) }, ['a', 'b']],
    ['lt: one byte more than a key', { gte: 'c', lt: filled(65_536, 0x7a) }, ['c', long]],
    ['lte: the longest key', { gt: 'b', lte: longest }, ['c', long]],
    ['lte: the highest key', { gt: 'c', lte: highest }, [long, '~', high]],
    ['lt: behind all keys', { gte: 'c', lt: filled(70_000, 0xff) }, ['c', long, '~', high]],
    ['gt: the longest key', { gt: longest }, ['~', high]],
    ['gte: 70,000 bytes', { gte: filled(70_000, 0x7a) }, ['~', high]],
    ['gt: the highest key', { gt: highest }, []],
    ['gte: behind all keys', { gte: filled(70_000, 0xff) }, []],
    ['prefix: 70,000 bytes', { prefix: filled(70_000, 0x7a) }, []],
    ['both in one place', { gte: filled(70_000, 0x62), lt: filled(80_000, 0x62) }, []],
  ];

  it.each(ranges)('are those of the keys below or above them (%s)', async (_, range, inside) => {
    const { kv, fileSystem } = await store();
    const all = keysOf(kv);
    expect(keysOf(kv, range)).toEqual(inside);
    expect([...kv.iterateSync({ ...range, reverse: true })]).toHaveLength(inside.length);
    const outside = all.filter((key) => !inside.includes(key));
    await kv.deleteRange(range);
    expect(keysOf(kv)).toEqual(outside);
    const replayed = await afterPowerCut(fileSystem);
    expect(keysOf(replayed)).toEqual(outside);
    await replayed.close();
    await kv.flush();
    expect(keysOf(kv)).toEqual(outside);
    await kv.close();
    const again = await openOn(fileSystem);
    expect(keysOf(again)).toEqual(outside);
    expect(keysOf(again, range)).toEqual([]);
    expect(await again.verify()).toMatchObject({ ok: true });
    await again.compact(range);
    await again.compact();
    expect(keysOf(again)).toEqual(outside);
    expect(await again.verify()).toMatchObject({ ok: true });
    expect(again.sizeOf(range)).toBeGreaterThanOrEqual(0);
    await again.close();
  });

  it('are counted as what they are: none', async () => {
    const { kv } = await store();
    for (const byte of [0x7a, 0xff]) {
      expect(await kv.count(filled(70_000, byte))).toEqual({ count: 0, isExact: true });
    }
    expect(await kv.count(longest)).toEqual({ count: 1, isExact: true });
    await kv.close();
  });
});

describe('a deleted range without an end', () => {
  it('ends behind every key there can be, also in tables and after every merge', async () => {
    const fileSystem = disk();
    const kv = await openOn(fileSystem, smallTables);
    const highest = filled(KEY_SIZE_MAX, 0xff);
    await kv.ingest([
      ['a', '1'],
      ['m', '1'],
      [highest, '1'],
    ]);
    const snapshot = kv.snapshot();
    await kv.deleteRange({ gte: 'b' });
    expect(keysOf(kv)).toEqual(['a']);
    await kv.flush();
    expect(keysOf(kv)).toEqual(['a']);
    expect(keysOf(await afterPowerCut(fileSystem))).toEqual(['a']);
    await kv.compact();
    expect(keysOf(kv)).toEqual(['a']);
    expect([...kv.iterateSync({ snapshot })]).toHaveLength(3);
    await kv.put(highest, '2');
    await kv.flush();
    await kv.compact();
    expect(text(kv.getSync(highest))).toBe('2');
    expect(text(kv.getSync(highest, { snapshot }))).toBe('1');
    expect(await kv.verify()).toMatchObject({ ok: true });
    await kv.close();
    const again = await openOn(fileSystem, smallTables);
    expect([...again.iterateSync()]).toHaveLength(2);
    await again.close();
  });
});

describe('a range to delete', () => {
  it('that has no bound at all is refused: everything is deleted by saying so', async () => {
    const kv = await openOn(disk());
    await kv.put('a', '1');
    for (const range of [{}, { gte: undefined }, { prefix: undefined, lt: undefined }]) {
      expect(await codeOf(kv.deleteRange(range as KvRange))).toBe('INVALID_ARGUMENT');
      const operations = [{ type: 'deleteRange', ...(range as KvRange) }] as const;
      expect(await codeOf(kv.batch(operations))).toBe('INVALID_ARGUMENT');
    }
    expect(keysOf(kv)).toEqual(['a']);
    await kv.deleteRange({ gte: '' });
    expect(keysOf(kv)).toEqual([]);
    await kv.close();
  });
});
