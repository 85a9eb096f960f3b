/** The same of every key-value store, wherever its bytes are and whoever writes them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type KvStore, openKv } from 'varve/kv';
import { kvConformance, type KvUnderTest } from 'varve/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { disk, openOn } from './simulated-store.ts';

const root = mkdtempSync(join(tmpdir(), 'varve-kv-conformance-'));
const test = { describe, it, expect };

afterAll(() => rmSync(root, { recursive: true }));

async function underTest(openIt: () => Promise<KvStore>): Promise<KvUnderTest> {
  const kv = await openIt();
  let current = kv;
  return {
    kv,
    reopen: async () => {
      await current.close();
      current = await openIt();
      return current;
    },
    close: () => current.close(),
  };
}

describe.each(['thread', 'inline'] as const)('a store in a folder (%s)', (background) => {
  kvConformance({
    test,
    open: async () => {
      const directory = mkdtempSync(join(root, 'kv-'));
      return underTest(() => openKv(directory, { background }));
    },
  });
});

describe('a store with small memtables and tables', () => {
  const options = { memtableBytes: 4_096, tableBytes: 4_096, blockBytes: 64 };
  kvConformance({
    test,
    open: async () => {
      const fileSystem = disk();
      return underTest(() => openOn(fileSystem, options));
    },
  });
});

describe('a store without a log', () => {
  kvConformance({
    test,
    supports: { log: false },
    open: async () => {
      const fileSystem = disk();
      return underTest(() => openOn(fileSystem, { log: false }));
    },
  });
});
