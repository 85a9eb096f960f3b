/** What reading costs, in counts: blocks, filters and seeks. */
import type { KvStore } from 'varve/kv';
import { describe, expect, it } from 'vitest';
import { disk, openOn } from './kv-open.ts';

const KEY_COUNT = 20_000;
const DIRECTORY_COUNT = 10;

function keyOf(index: number): string {
  return `dir${index % DIRECTORY_COUNT}/${String(index).padStart(9, '0')}`;
}

/** 2,000 keys of 14 bytes with values of 100 in each of ten directories, in many small tables, none of them in the cache. */
async function filled(): Promise<KvStore> {
  const kv = await openOn(disk(), {
    memtableBytes: 512 * 1024,
    tableBytes: 64 * 1024,
    levelBaseBytes: 512 * 1024,
    blockCacheBytes: 0,
  });
  for (let first = 0; first < KEY_COUNT; first += 1_000) {
    const indexes = Array.from({ length: 1_000 }, (_, at) => ((first + at) * 7_919) % KEY_COUNT);
    await kv.batch(
      indexes.map((index) => ({ type: 'put', key: keyOf(index), value: new Uint8Array(100) })),
    );
  }
  await kv.compact();
  await kv.settled();
  return kv;
}

function costOf(kv: KvStore, read: () => void): Record<string, number> {
  const before: Record<string, number> = { ...kv.stats().reads };
  read();
  return Object.fromEntries(
    Object.entries(kv.stats().reads).map(([name, count]) => [name, count - before[name]!]),
  );
}

describe('reading', () => {
  it('a listing seeks once or twice for each line, however many keys there are', async () => {
    const kv = await filled();
    expect(kv.tables().length).toBeGreaterThan(20);
    let lineCount = 0;
    const cost = costOf(kv, () => {
      lineCount = [...kv.list('', { delimiter: '/' })].length;
    });
    expect(lineCount).toBe(DIRECTORY_COUNT);
    expect(cost['seeks']).toBeLessThanOrEqual(2 * (DIRECTORY_COUNT + 1));
    expect(cost['blockReads']).toBeLessThanOrEqual(2 * (DIRECTORY_COUNT + 1));
    await kv.close();
  });

  it('a range of 100 reads its own blocks and one more for each table', async () => {
    const kv = await filled();
    const tablesBefore = kv.stats().openTables;
    const cost = costOf(kv, () => {
      expect([...kv.iterateSync({ gte: keyOf(5_005), limit: 100 })]).toHaveLength(100);
    });
    const ownBlocks = Math.ceil((100 * 120) / 4_096) + 1;
    const tables = kv.stats().openTables - tablesBefore;
    expect(tables).toBeLessThanOrEqual(2);
    expect(cost['blockReads']).toBeLessThanOrEqual(ownBlocks + Math.max(1, tables));
    await kv.close();
  });

  it('a key that is surely not there reads no block, one that is there reads one', async () => {
    const kv = await filled();
    const cost = costOf(kv, () => {
      for (let index = 0; index < 1_000; index += 1) {
        expect(kv.getSync(`${keyOf(index)}x`)).toBeUndefined();
      }
    });
    expect(cost['filterChecks']).toBeGreaterThan(900);
    expect(cost['blockReads']).toBe(cost['filterChecks']! - cost['filterMisses']!);
    expect(cost['blockReads']).toBeLessThan(50);
    const found = costOf(kv, () => {
      for (let index = 0; index < 100; index += 1) {
        expect(kv.getSync(keyOf(index * 7))).toHaveLength(100);
      }
    });
    expect(found).toMatchObject({ tableGets: 100, blockReads: 100 });
    await kv.close();
  });
});
