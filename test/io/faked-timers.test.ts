/** A test runner's fake timers stand still until somebody moves them. A store under them goes on. */
import { attach, open, type StoreClient } from 'varve';
import { openKv } from 'varve/kv';
import { openInMemory, SimulatedClock, SimulatedFileSystem } from 'varve/testing';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

beforeEach(() => {
  vi.useFakeTimers({
    toFake: [
      'setTimeout',
      'clearTimeout',
      'setInterval',
      'clearInterval',
      'setImmediate',
      'clearImmediate',
      'queueMicrotask',
      'performance',
      'Date',
    ],
  });
});

afterEach(() => {
  vi.useRealTimers();
});

async function appendAll(store: StoreClient): Promise<void> {
  await Promise.all(
    Array.from({ length: 600 }, (_, n) => store.append('a', [{ type: 'T', data: n }])),
  );
  let count = 0;
  for await (const _ of store.read()) {
    count += 1;
  }
  expect(count).toBe(600);
  await store.flush();
}

describe('under fake timers', () => {
  it.each([
    ['the system’s clock', undefined],
    ['a simulated one', new SimulatedClock()],
  ])('an event store appends, reads, backs up and closes, with %s', async (_name, clock) => {
    const store = await openInMemory(
      { background: 'inline' },
      clock === undefined ? {} : { clock },
    );
    await appendAll(store);
    await store.backup('/copy');
    expect((await store.verify()).ok).toBe(true);
    await store.close();
  });

  it('commits wait for others no longer than they may', async () => {
    const store = await openInMemory({ maxDelayMs: 1 });
    await store.append('a', [{ type: 'T' }]);
    await store.close();
  });

  it('a store on a disk, written by a thread, and its client do the same', async () => {
    const parent = mkdtempSync(join(tmpdir(), 'varve-faked-'));
    const store = await open(join(parent, 'store'));
    const client = await attach(store.share());
    await appendAll(client);
    await store.backup(join(parent, 'copy'));
    await client.close();
    await store.close();
    rmSync(parent, { recursive: true });
  });

  it('a second one to open a folder is told that it is locked', async () => {
    const parent = mkdtempSync(join(tmpdir(), 'varve-faked-'));
    const store = await open(join(parent, 'store'));
    await expect(open(join(parent, 'store'))).rejects.toMatchObject({ code: 'LOCKED' });
    await store.close();
    rmSync(parent, { recursive: true });
  });

  it('a key-value store writes, flushes, iterates, backs up and closes', async () => {
    const fileSystem = new SimulatedFileSystem();
    const kv = await openKv('/kv', { memtableBytes: 16_384 }, { fileSystem });
    for (let n = 0; n < 2_500; n += 500) {
      const keys = Array.from({ length: 500 }, (_, index) => `k${n + index}`);
      await kv.batch(keys.map((key) => ({ type: 'put', key, value: 'x'.repeat(20) })));
    }
    let count = 0;
    for await (const _ of kv.iterate()) {
      count += 1;
    }
    expect(count).toBe(2_500);
    expect((await kv.count('k')).count).toBe(2_500);
    await kv.compact();
    expect((await kv.verify()).ok).toBe(true);
    await kv.backup('/copy');
    await kv.close();
  });
});
