/** Payloads under zstd, where Node has it: what it wrote it reads, also by way of the writer's thread and after a restart. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as zlib from 'node:zlib';
import { attach, open } from 'varve';
import { SimulatedFileSystem } from 'varve/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { eventsOf } from './damage.ts';

const hasZstd = 'zstdCompressSync' in zlib;
const folder = mkdtempSync(join(tmpdir(), 'varve-zstd-'));

afterAll(() => {
  rmSync(folder, { recursive: true });
});

const text = 'All work and no play makes Jack a dull boy. '.repeat(200);
const events = [
  { type: 'Text', data: { text }, metadata: { by: text } },
  { type: 'Bytes', data: new Uint8Array(20_000).fill(7) },
  { type: 'Small', data: 1 },
  { type: 'Empty' },
];

describe('a store with zstd', () => {
  it.runIf(hasZstd)('stores fewer bytes and gives back what it was given', async () => {
    const sizes: number[] = [];
    for (const compression of ['none', 'zstd']) {
      const directory = join(folder, compression);
      const store = await open(directory, { compression });
      const client = await attach(store.share());
      await store.append('a', events, { idempotencyKey: 'owner' });
      await client.append('a', events, { idempotencyKey: 'client' });
      await client.close();
      await store.close();
      // Which codec an event has stands with the event: the option is for new ones.
      const reopened = await open(directory);
      const found = await eventsOf(reopened);
      expect(found.map(({ data }) => data)).toEqual([...events, ...events].map(({ data }) => data));
      expect(found[0]!.metadata).toEqual({ by: text });
      const again = await reopened.append('a', events, { idempotencyKey: 'client' });
      expect(again.outcome).toBe('duplicate');
      expect((await reopened.verify()).ok).toBe(true);
      sizes.push(reopened.segments().reduce((sum, { size }) => sum + size, 0));
      await reopened.close();
    }
    expect(sizes[1]!).toBeLessThan(sizes[0]! / 10);
  });

  it.skipIf(hasZstd)('is refused before anything is made where Node has none', async () => {
    const fileSystem = new SimulatedFileSystem();
    const opening = open('/store', { compression: 'zstd' }, { fileSystem });
    await expect(opening).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(fileSystem.paths()).toEqual([]);
  });
});
