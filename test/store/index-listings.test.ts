/** Listings of many streams, nearly all of them in files, whatever bytes memory had in it before. */
import type { EventStore, StreamsOptions } from 'varve';
import { SimulatedFileSystem } from 'varve/testing';
import { describe, expect, it, vi } from 'vitest';
import { openTiny } from './derived-history.ts';

const COUNT = 500;
const names = Array.from({ length: COUNT }, (_, nth) => [
  `orders/${nth}`,
  ...(nth % 5 === 0 ? [`orders/${nth}/lines/${nth % 3}`] : []),
])
  .flat()
  .toSorted();

async function storeWithNames(): Promise<EventStore> {
  const store = await openTiny(new SimulatedFileSystem(), 11);
  for (let nth = 0; nth < names.length; nth += 1) {
    // A step that shares no factor with their number: each of them once.
    const stream = names[(nth * 397) % names.length]!;
    await store.append(stream, [{ type: 'T' }]);
  }
  await store.settled();
  return store;
}

function expected({ prefix = '', delimiter, after, limit = Infinity }: StreamsOptions): string[] {
  const behind = names.filter((name) => {
    return name.startsWith(prefix) && (after === undefined || name > after);
  });
  const listed = behind.map((name) => {
    const end = delimiter === undefined ? -1 : name.indexOf(delimiter, prefix.length);
    return end < 0 ? name : name.slice(0, end + 1);
  });
  return [...new Set(listed)].slice(0, limit);
}

async function list(store: EventStore, options: StreamsOptions): Promise<string[]> {
  const listed: string[] = [];
  for await (const entry of store.streams(options)) {
    listed.push(entry.kind === 'stream' ? entry.stream : entry.prefix);
  }
  return listed;
}

describe('a listing of streams that are in files', () => {
  it('leaves none out, wherever it begins and however often it is asked', async () => {
    const store = await storeWithNames();
    expect(store.stats().index.tables.count).toBeGreaterThan(0);
    const asked: StreamsOptions[] = [
      {},
      { prefix: 'orders/', delimiter: '/' },
      { delimiter: '/' },
      { prefix: 'orders/4', limit: 7 },
      ...names.filter((_, nth) => nth % 13 === 0).map((after) => ({ after, limit: 20 })),
      ...names
        .filter((_, nth) => nth % 29 === 0)
        .map((after) => ({ after, limit: 20, prefix: 'orders/', delimiter: '/' })),
    ];
    // What memory holds that is handed out uncleared.
    for (const byte of [0xff, 0x00, 0x31]) {
      const dirty = vi
        .spyOn(Buffer, 'allocUnsafe')
        .mockImplementation((size) => Buffer.alloc(size, byte));
      for (const options of asked) {
        expect(await list(store, options), JSON.stringify(options)).toEqual(expected(options));
      }
      expect(dirty).toHaveBeenCalled();
      dirty.mockRestore();
    }
    await store.close();
  });
});
