/** Overwritten values that a snapshot kept are given back when it has been closed. */
import type { KvOptions, KvStore } from 'varve/kv';
import type { SimulatedFileSystem } from 'varve/testing';
import { describe, expect, it } from 'vitest';
import { disk, openOn, text } from './simulated-store.ts';

const COUNT = 200;
const VALUE_SIZE = 1_000;
const SIZE_ONCE = COUNT * VALUE_SIZE;
const options: KvOptions = { memtableBytes: 1024 * 1024, tableBytes: 64 * 1024 };

async function write(kv: KvStore, letter: string): Promise<void> {
  const value = letter.repeat(VALUE_SIZE);
  await Promise.all(
    Array.from({ length: COUNT }, (_, index) => kv.put(String(index).padStart(4, '0'), value)),
  );
}

function sizeOf(kv: KvStore): number {
  return kv.stats().levels.reduce((sum, { size }) => sum + size, 0);
}

function entriesOf(kv: KvStore): number {
  return kv.tables().reduce((sum, { count }) => sum + count, 0);
}

function expectAll(kv: KvStore, letter: string): void {
  const values = [...kv.iterateSync()].map(([, value]) => text(value)![0]);
  expect(values.join('')).toBe(letter.repeat(COUNT));
}

/** Every value is there twice, in tables: once for a snapshot. */
async function kept(fileSystem: SimulatedFileSystem): Promise<{
  readonly kv: KvStore;
  readonly snapshot: ReturnType<KvStore['snapshot']>;
}> {
  const kv = await openOn(fileSystem, options);
  await write(kv, 'a');
  const snapshot = kv.snapshot();
  await write(kv, 'b');
  await kv.compact();
  expect(sizeOf(kv)).toBeGreaterThan(2 * SIZE_ONCE);
  expect(text(kv.getSync('0000', { snapshot }))![0]).toBe('a');
  return { kv, snapshot };
}

describe('what a snapshot kept', () => {
  it('goes by itself when the snapshot is closed', async () => {
    const { kv, snapshot } = await kept(disk());
    snapshot.close();
    await kv.settled();
    expect(sizeOf(kv)).toBeLessThan(1.2 * SIZE_ONCE);
    expectAll(kv, 'b');
    await kv.close();
  });

  it('goes with compact() after the store was opened anew, and is written anew only once', async () => {
    const fileSystem = disk();
    const { kv } = await kept(fileSystem);
    await kv.close();
    const again = await openOn(fileSystem, options);
    expect(sizeOf(again)).toBeGreaterThan(2 * SIZE_ONCE);
    await again.compact();
    expect(sizeOf(again)).toBeLessThan(1.2 * SIZE_ONCE);
    expectAll(again, 'b');
    const { compactions } = again.stats().background;
    await again.compact();
    expect(again.stats().background.compactions).toBe(compactions);
    await again.close();
  });

  it('stays as long as another snapshot needs it, and costs no merge meanwhile', async () => {
    const { kv, snapshot } = await kept(disk());
    await write(kv, 'c');
    const newer = kv.snapshot();
    await write(kv, 'd');
    await kv.compact();
    expect(sizeOf(kv)).toBeGreaterThan(3 * SIZE_ONCE);
    newer.close();
    await kv.settled();
    expect(sizeOf(kv)).toBeLessThan(2.2 * SIZE_ONCE);
    const { compactions } = kv.stats().background;
    await kv.compact();
    expect(kv.stats().background.compactions).toBe(compactions);
    expect([...kv.iterateSync({ snapshot })].map(([, value]) => text(value)![0]).join('')).toBe(
      'a'.repeat(COUNT),
    );
    expectAll(kv, 'd');
    snapshot.close();
    await kv.settled();
    expect(sizeOf(kv)).toBeLessThan(1.2 * SIZE_ONCE);
    await kv.close();
  });

  it('of a few values goes with compact()', async () => {
    const kv = await openOn(disk(), options);
    await write(kv, 'a');
    const snapshot = kv.snapshot();
    await kv.put('0000', 'b'.repeat(50 * VALUE_SIZE));
    await kv.put('0000', 'c');
    await kv.put('0001', 'c');
    await kv.compact();
    expect(entriesOf(kv)).toBe(COUNT + 2);
    snapshot.close();
    await kv.compact();
    expect(entriesOf(kv)).toBe(COUNT);
    await kv.close();
  });
});
