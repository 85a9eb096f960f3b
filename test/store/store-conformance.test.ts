import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EventStore, open } from 'varve';
import {
  openInMemory,
  SeededRandom,
  SimulatedClock,
  SimulatedFileSystem,
  storeConformance,
} from 'varve/testing';
import { afterAll, describe, expect, it } from 'vitest';

const root = mkdtempSync(join(tmpdir(), 'varve-conformance-'));
const opened: EventStore[] = [];

afterAll(async () => {
  await Promise.all(opened.map((store) => store.close()));
  rmSync(root, { recursive: true });
});

/** A store and its successors, all of the same folder. */
async function underTest(
  openIt: () => Promise<EventStore>,
): Promise<{ store: EventStore; reopen: () => Promise<EventStore> }> {
  let current = await openIt();
  const store = current;
  opened.push(store);
  return {
    store,
    reopen: async () => {
      await current.close();
      current = await openIt();
      opened.push(current);
      return current;
    },
  };
}

describe('a store in a folder', () => {
  storeConformance({ describe, it, expect }, async () => {
    const directory = mkdtempSync(join(root, 'store-'));
    return underTest(() => open(directory));
  });
});

describe('a store with compressed payloads', () => {
  const options = { compression: 'deflate', compressionMinBytes: 0 };
  storeConformance({ describe, it, expect }, async () => {
    const fileSystem = new SimulatedFileSystem();
    return underTest(() => openInMemory(options, { fileSystem }));
  });
});

describe('a store in memory', () => {
  storeConformance({ describe, it, expect }, async () => {
    const fileSystem = new SimulatedFileSystem();
    return underTest(() => openInMemory({}, { fileSystem }));
  });

  it('has the leaves of a store on disk that was given the same calls, times and random bytes', async () => {
    const directory = mkdtempSync(join(root, 'leaves-'));
    const leaves: string[][] = [];
    for (const openIt of [
      (components: object) => open(directory, {}, components),
      (components: object) => openInMemory({}, components),
    ]) {
      const clock = new SimulatedClock({ startMs: 1_000, tickMs: 1 });
      const store = await openIt({ clock, random: new SeededRandom(1) });
      opened.push(store);
      for (let n = 0; n < 50; n += 1) {
        await store.append(`s/${n % 3}`, [{ type: 'N', data: n }]);
      }
      const heads = await Promise.all(['s/0', 's/1', 's/2'].map((name) => store.streamHead(name)));
      leaves.push(heads.map((head) => Buffer.from(head!.leaf).toString('hex')));
    }
    expect(leaves[0]).toEqual(leaves[1]);
  });
});
