/** What a store promises, it promises to clients in other threads, too. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { attach, type EventStore, open, type StoreClient } from 'varve';
import { openInMemory, SimulatedFileSystem, storeClientConformance } from 'varve/testing';
import { afterAll, describe, expect, it } from 'vitest';

const root = mkdtempSync(join(tmpdir(), 'varve-share-conformance-'));
const opened: EventStore[] = [];

afterAll(async () => {
  await Promise.all(opened.map((store) => store.close()));
  rmSync(root, { recursive: true });
});

async function underTest(
  openIt: () => Promise<EventStore>,
  options: object = {},
): Promise<{ store: StoreClient; reopen: () => Promise<StoreClient> }> {
  let owner = await openIt();
  opened.push(owner);
  let client = await attach(owner.share(), options);
  return {
    store: client,
    reopen: async () => {
      await client.close();
      await owner.close();
      owner = await openIt();
      opened.push(owner);
      client = await attach(owner.share(), options);
      return client;
    },
  };
}

describe('a client of a store in memory', () => {
  storeClientConformance({ describe, it, expect }, async () => {
    const fileSystem = new SimulatedFileSystem();
    return underTest(() => openInMemory({}, { fileSystem }));
  });
});

describe('a client with a tiny lane', () => {
  storeClientConformance({ describe, it, expect }, async () => {
    const fileSystem = new SimulatedFileSystem();
    return underTest(() => openInMemory({}, { fileSystem }), { laneBytes: 256 });
  });
});

describe('a client of a store with compressed payloads', () => {
  const options = { compression: 'deflate', compressionMinBytes: 0 };
  storeClientConformance({ describe, it, expect }, async () => {
    const fileSystem = new SimulatedFileSystem();
    return underTest(() => openInMemory(options, { fileSystem }));
  });
});

describe('a client of a store in a folder', () => {
  storeClientConformance({ describe, it, expect }, async () => {
    const directory = mkdtempSync(join(root, 'store-'));
    return underTest(() => open(directory));
  });
});
