/** Tables under zstd, where Node has it, made on the thread that makes tables and read by the owner. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as zlib from 'node:zlib';
import { type KvOptions, openKv } from 'varve/kv';
import { afterAll, describe, expect, it } from 'vitest';

const hasZstd = 'zstdCompressSync' in zlib;
const folder = mkdtempSync(join(tmpdir(), 'varve-kv-zstd-'));

afterAll(() => {
  rmSync(folder, { recursive: true });
});

const count = 4_000;
const keyOf = (index: number): string => `key/${String(index).padStart(6, '0')}`;
const valueOf = (index: number): string => `value ${index} `.repeat(20);

async function sizeWith(options: KvOptions): Promise<number> {
  const directory = join(folder, `${options.compression}-${options.background}`);
  const kv = await openKv(directory, { ...options, memtableBytes: 256 * 1024 });
  for (let index = 0; index < count; index += 1) {
    void kv.put(keyOf(index), valueOf(index), { ack: 'written' });
  }
  await kv.flush();
  await kv.compact();
  await kv.close();
  // What a block is stored with stands in the block: the option is for new ones.
  const reopened = await openKv(directory);
  const values = Array.from(reopened.iterateSync(), ([, value]) => Buffer.from(value).toString());
  expect(values).toEqual(Array.from({ length: count }, (_, index) => valueOf(index)));
  const one = reopened.getSync(keyOf(77));
  expect(Buffer.from(one!).toString()).toBe(valueOf(77));
  expect((await reopened.verify()).problems).toEqual([]);
  const size = reopened.tables().reduce((sum, table) => sum + table.size, 0);
  await reopened.close();
  return size;
}

describe('a key-value store with zstd', () => {
  it.runIf(hasZstd).each(['thread', 'inline'] as const)(
    'stores fewer bytes and gives back what it was given (%s)',
    async (background) => {
      const plain = await sizeWith({ compression: 'none', background });
      const packed = await sizeWith({ compression: 'zstd', background });
      expect(packed).toBeLessThan(plain / 4);
    },
  );
});
