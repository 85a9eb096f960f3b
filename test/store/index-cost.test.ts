/** What derived data costs is counted, not timed. */
import { type EventStore, open } from 'varve';
import { type Operation, SimulatedFileSystem } from 'varve/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const EVENTS = 12_000;
const STREAMS = 700;
/** 512 events a generation. */
const options = { indexMemoryBytes: 1024 * 1024 };
const fileSystem = new SimulatedFileSystem();
let store: EventStore;

const streamOf = (number: number): string => `orders/${(number * 11) % STREAMS}`;
const keyOf = (number: number): string => `request-${number}`;

beforeAll(async () => {
  store = await open('/store', options, { fileSystem });
  for (let first = 0; first < EVENTS; first += 500) {
    await Promise.all(
      Array.from({ length: 500 }, (_, nth) =>
        store.append(streamOf(first + nth), [{ type: 'N', data: first + nth }], {
          idempotencyKey: keyOf(first + nth),
        }),
      ),
    );
    await store.settled();
  }
  await store.close();
  store = await open('/store', options, { fileSystem });
});

afterAll(() => store.close());

async function readsOf(work: () => Promise<unknown>): Promise<readonly Operation[]> {
  const operations: Operation[] = [];
  fileSystem.onOperation = (operation) => {
    if (operation.kind === 'read') {
      operations.push(operation);
    }
  };
  await work();
  fileSystem.onOperation = undefined;
  return operations;
}

const isOfIndex = ({ path }: Operation): boolean => path.includes('/derived/');

describe('derived data', () => {
  it('has several tables, and covers all but a generation after a clean close', () => {
    const { index } = store.stats();
    expect(index.tables.count).toBeGreaterThan(1);
    expect(index.tail.events).toBeLessThanOrEqual(512);
    expect(index.covered).toBeGreaterThanOrEqual(EVENTS - 512);
  });

  it('reads no block for fresh keys but where a filter is wrong', async () => {
    const before = store.stats().index.reads;
    const count = 2_000;
    const reads = await readsOf(async () => {
      for (let nth = 0; nth < count; nth += 1) {
        await store.append('fresh', [{ type: 'F' }], { idempotencyKey: `fresh-${nth}` });
      }
    });
    const { filterChecks } = store.stats().index.reads;
    expect(filterChecks - before.filterChecks).toBeGreaterThan(count);
    // The background makes runs meanwhile: it reads the log, and tables that it merges.
    const blocks = reads.filter((read) => isOfIndex(read) && (read.size ?? 0) < 16 * 1024);
    expect(store.stats().index.reads.blockReads - before.blockReads).toBeLessThanOrEqual(
      count / 100,
    );
    expect(blocks.length).toBeLessThan(count);
  });

  it('reads at most two blocks for a key that is there, on average', async () => {
    await store.settled();
    const before = store.stats().index.reads.blockReads;
    for (let nth = 0; nth < 300; nth += 1) {
      const number = (nth * 37) % (EVENTS - 1_000);
      const found = await store.findCommit({ idempotencyKey: keyOf(number) });
      expect(found).toMatchObject({ firstPosition: number });
    }
    expect(store.stats().index.reads.blockReads - before).toBeLessThanOrEqual(600);
  });

  it('reads nothing for streams that were never seen, asked for their head or read', async () => {
    const reads = await readsOf(async () => {
      for (let nth = 0; nth < 200; nth += 1) {
        expect(await store.streamHead(`never/${nth}`)).toBeUndefined();
        const read = store.read({ stream: `never/${nth}` }, { direction: 'backwards', limit: 5 });
        expect(await read.next()).toMatchObject({ done: true });
      }
    });
    expect(reads.length).toBeLessThanOrEqual(4);
  });

  it('reads k records, and a block of each table that has some, for the last k events of a stream that rested', async () => {
    await store.close();
    store = await open('/store', options, { fileSystem });
    for (const { firstPosition } of store.segments()) {
      await store.get(firstPosition);
    }
    const counts: number[] = [];
    for (let nth = 0; nth < 24; nth += 1) {
      const stream = `orders/${(nth * 29 + 1) % 700}`;
      const reads = await readsOf(async () => {
        let count = 0;
        const read = store.read({ stream }, { direction: 'backwards', limit: 5 });
        for await (const { data } of read) {
          expect(streamOf(data as number)).toBe(stream);
          count += 1;
        }
        expect(count).toBe(5);
      });
      expect(reads.filter((read) => !isOfIndex(read)).length).toBeLessThanOrEqual(5);
      counts.push(reads.filter(isOfIndex).length);
    }
    // They may lie in two tables, a filter may be wrong, and a chunk may begin in the block before.
    const sum = counts.reduce((total, count) => total + count, 0);
    expect(sum / counts.length).toBeLessThanOrEqual(1.5);
  });

  it('finds head and link of a stream that rested by one block and one record', async () => {
    const reads = await readsOf(() =>
      store.append('orders/123', [{ type: 'Late' }], { expectedRevision: 'exists' }),
    );
    expect(reads.filter(isOfIndex).length).toBeLessThanOrEqual(2);
    expect(reads.filter((read) => !isOfIndex(read)).length).toBeLessThanOrEqual(1);
  });
});
