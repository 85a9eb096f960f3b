/** What reading costs, in counts: blocks, filters and seeks. */
import type { KvStore } from 'varve/kv';
import { describe, expect, it } from 'vitest';
import { FaultPlan, SimulatedFileSystem } from 'varve/testing';
import { disk, openOn } from './simulated-store.ts';

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

describe('a table that was just made', () => {
  it.each(['flush', 'merge', 'ingest'])(
    'by a %s is read without its filter and index',
    async (how) => {
      const reads: number[] = [];
      let isCounted = false;
      const faults = new FaultPlan({
        when: ({ kind, path, size = 0 }) => {
          if (isCounted && kind === 'read' && path.endsWith('.tbl')) {
            reads.push(size);
          }
          return undefined;
        },
      });
      const kv = await openOn(new SimulatedFileSystem({ faults }));
      const keys = Array.from({ length: 5_000 }, (_, index) => index.toString().padStart(8, '0'));
      const value = new Uint8Array(100);
      if (how === 'ingest') {
        await kv.ingest(keys.map((key) => [key, value] as const));
      } else {
        await kv.batch(keys.map((key) => ({ type: 'put', key, value })));
        await kv.flush();
      }
      if (how === 'merge') {
        await kv.put(keys[0]!, value);
        await kv.compact();
      }
      await kv.settled();
      isCounted = true;
      expect(kv.stats().openTables).toBe(0);
      expect(kv.hasSync('0000x')).toBe(false);
      expect(kv.getSync(keys[77]!)).toEqual(value);
      expect(reads).toHaveLength(1);
      expect(reads[0]).toBeLessThan(4_500);
      expect(kv.stats().openTables).toBe(1);
      await kv.close();
    },
  );
});

/** Tables in level 0, and in level 1. */
function countsOf(kv: KvStore): number[] {
  const { levels } = kv.stats();
  return levels.slice(0, 2).map(({ tableCount }) => tableCount);
}

/** Three tables in level 0 over one in level 1, which no rule of writing has merged. */
async function layered(): Promise<KvStore> {
  const kv = await openOn(disk(), { levelZeroTables: 100 });
  for (let layer = 0; layer < 4; layer += 1) {
    const keys = Array.from({ length: 1_000 }, (_, at) => keyOf(at * 4 + layer));
    await kv.batch(keys.map((key) => ({ type: 'put', key, value: new Uint8Array(100) })));
    await (layer === 0 ? kv.compact() : kv.flush());
  }
  await kv.settled();
  return kv;
}

describe('scanning', () => {
  it('has level 0 merged when that would have cost less, and reads the same then', async () => {
    const kv = await layered();
    expect(countsOf(kv)).toEqual([3, 1]);
    let scans = 0;
    while (countsOf(kv)[0] !== 0) {
      expect([...kv.iterateSync({ gte: keyOf(scans * 7), limit: 10 })]).toHaveLength(10);
      scans += 1;
      await kv.settled();
      // A scan of ten goes to three blocks of level 0 at least, and the four tables have 500 KB.
      expect(scans).toBeLessThan(15);
    }
    expect(scans).toBeGreaterThan(2);
    const keys = Array.from(kv.iterateSync({ keysOnly: true }), (key) =>
      Buffer.from(key).toString(),
    );
    expect(keys).toEqual(Array.from({ length: 4_000 }, (_, index) => keyOf(index)).toSorted());
    await kv.close();
  });

  it('of the other levels, and gets, have nothing merged', async () => {
    const kv = await layered();
    for (let index = 0; index < 4_000; index += 1) {
      expect(kv.hasSync(keyOf(index))).toBe(true);
    }
    await kv.settled();
    expect(countsOf(kv)).toEqual([3, 1]);
    await kv.close();
  });
});
