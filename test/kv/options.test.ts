/** Options that a process can't keep to are refused when a store is opened, not when they are first needed. */
import * as zlib from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { codeOf, disk, openOn, text } from './simulated-store.ts';

describe('compression', () => {
  it.runIf('zstdCompressSync' in zlib)('zstd holds for tables where Node has it', async () => {
    const fileSystem = disk();
    const kv = await openOn(fileSystem, { compression: 'zstd' });
    await kv.put('a', 'a'.repeat(10_000));
    await kv.flush();
    expect(kv.stats().levels[0]!.size).toBeLessThan(5_000);
    await kv.close();
    const again = await openOn(fileSystem);
    expect(text(again.getSync('a'))).toBe('a'.repeat(10_000));
    await again.close();
  });

  it.runIf(!('zstdCompressSync' in zlib))(
    'zstd is refused where Node has none, before anything is made',
    async () => {
      const fileSystem = disk();
      expect(await codeOf(openOn(fileSystem, { compression: 'zstd' }))).toBe('INVALID_ARGUMENT');
      expect(fileSystem.paths()).toEqual([]);
    },
  );
});
