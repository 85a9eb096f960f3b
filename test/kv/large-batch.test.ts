/** Batches far larger than a write to the log, a memtable or a segment: programs put whole data sets into one. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { type KvOperation, openKv } from 'varve/kv';
import { SeededRandom } from 'varve/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { codeOf, disk, openOn, text } from './simulated-store.ts';

const MiB = 1024 * 1024;
const root = mkdtempSync(`${tmpdir()}/varve-large-`);

afterAll(() => rmSync(root, { recursive: true }));

function puts(count: number, valueSize: number): KvOperation<Uint8Array>[] {
  return Array.from({ length: count }, (_, index) => ({
    type: 'put',
    key: `key ${String(index).padStart(6, '0')}`,
    value: new Uint8Array(valueSize).fill(index),
  }));
}

describe('a large batch', () => {
  it('is there whole or not at all, wherever the power fails', async () => {
    const fileSystem = disk();
    const options = { memtableBytes: 4 * MiB };
    const kv = await openOn(fileSystem, options);
    await kv.put('before', '1');
    fileSystem.holdSyncs();
    const batch = kv.batch(puts(24, MiB));
    for (let turn = 0; turn < 200; turn += 1) {
      await new Promise(setImmediate);
    }
    const counts: number[] = [];
    for (let seed = 1; seed <= 6; seed += 1) {
      const keep = (['none', 'random', 'all'] as const)[seed % 3]!;
      const cut = fileSystem.crashClone(new SeededRandom(seed), {
        keep,
        sector: 512,
        directory: 'ordered',
      });
      const again = await openOn(cut, options);
      expect(text(again.getSync('before'))).toBe('1');
      counts.push([...again.iterateSync({ prefix: 'key ', keysOnly: true })].length);
      await again.close();
    }
    expect(counts.every((count) => count === 0 || count === 24)).toBe(true);
    fileSystem.releaseSyncs();
    await batch;
    await kv.close();
    const closed = await openOn(fileSystem, options);
    expect([...closed.iterateSync({ prefix: 'key ', keysOnly: true })]).toHaveLength(24);
    await closed.close();
  });

  it('of many operations is applied, and read back from the log', async () => {
    const kv = await openKv(root);
    await kv.batch(puts(180_000, 120));
    expect(await kv.count('key ')).toEqual({ count: 180_000, isExact: true });
    await kv.close();
    const again = await openKv(root);
    expect(again.getSync('key 179999')).toEqual(new Uint8Array(120).fill(179_999));
    await again.close();
  });

  it('beyond its limit is refused, and so is a value that no table has room for', async () => {
    const kv = await openOn(disk());
    const value = new Uint8Array(15 * MiB);
    const operations = Array.from({ length: 5 }, (_, index): KvOperation<Uint8Array> => ({
      type: 'put',
      key: String(index),
      value,
    }));
    expect(await codeOf(kv.batch(operations))).toBe('LIMIT_EXCEEDED');
    const large = new Uint8Array(17 * MiB);
    expect(await codeOf(kv.batch([{ type: 'put', key: 'a', value: large }]))).toBe(
      'LIMIT_EXCEEDED',
    );
    expect(kv.lastVersion).toBe(0);
    await kv.batch(operations.slice(0, 4));
    await kv.flush();
    expect(kv.sizeOf({})).toBeGreaterThan(60 * MiB);
    await kv.close();
  });
});
