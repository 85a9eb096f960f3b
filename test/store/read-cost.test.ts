/** What reading costs is counted, not timed: one event is found without reading others. */
import { type EventStore, open } from 'varve';
import { type Operation, SimulatedFileSystem } from 'varve/testing';
import { beforeAll, describe, expect, it } from 'vitest';

const count = 10_500;
const fileSystem = new SimulatedFileSystem();
let store: EventStore;

beforeAll(async () => {
  store = await open('/store', {}, { fileSystem });
  const appends = Array.from({ length: count }, (_, n) =>
    store.append(`s/${n % 10}`, [{ type: 'N', data: { n, text: 'x'.repeat(100) } }]),
  );
  await Promise.all(appends);
  await store.close();
  store = await open('/store', {}, { fileSystem });
  // The first read of a segment opens it.
  for (const { firstPosition } of store.segments()) {
    await store.get(firstPosition);
  }
});

async function readsOf(work: () => Promise<unknown>): Promise<readonly Operation[]> {
  const operations: Operation[] = [];
  fileSystem.onOperation = (operation) => operations.push(operation);
  await work();
  fileSystem.onOperation = undefined;
  return operations;
}

function bytesOf(operations: readonly Operation[]): number {
  return operations.reduce((sum, { size = 0 }) => sum + size, 0);
}

describe('reading one event', () => {
  it('reads that event, in the newest segment and in a sealed one', async () => {
    const segments = store.segments();
    expect(segments.map(({ isSealed }) => isSealed)).toEqual([true, true, false]);
    const [, second, third] = segments.map(({ firstPosition }) => firstPosition);
    for (const position of [0, 1, 17, second! - 1, second!, second! + 15, third!, count - 1]) {
      const reads = await readsOf(async () => {
        expect((await store.get(position))!.data).toMatchObject({ n: position });
      });
      expect(reads.every(({ kind }) => kind === 'read')).toBe(true);
      // The span of 16 records that holds it, or a piece that begins with it. At the end of the file the rest is asked for, too.
      expect(reads.length).toBe(position === count - 1 ? 2 : 1);
      expect(bytesOf(reads)).toBeLessThan(9_000);
    }
  });

  it('by its generated id costs no more than twice that', async () => {
    const { id } = (await store.get(3_000))!;
    const reads = await readsOf(() => store.getById(id));
    expect(bytesOf(reads)).toBeLessThan(18_000);
  });
});

describe('reading a part', () => {
  it('of a stream reads as many records as it gives', async () => {
    const reads = await readsOf(async () => {
      for await (const event of store.read(
        { stream: 's/3' },
        { direction: 'backwards', limit: 5 },
      )) {
        expect(event.stream).toBe('s/3');
      }
    });
    expect(bytesOf(reads)).toBeLessThan(5 * 9_000);
  });

  it('of the store begins where it is asked to', async () => {
    const reads = await readsOf(async () => {
      const events = store.read({}, { after: count - 3 });
      expect((await events.next()).value).toMatchObject({ position: count - 2 });
      await events.return?.();
    });
    // A buffer of 256 KiB, asked for once more at the end of the file; the log has 3 MB.
    expect(bytesOf(reads)).toBeLessThan(3 * 256 * 1024);
  });

  it('of nothing reads nothing', async () => {
    const reads = await readsOf(async () => {
      expect(await store.get(count)).toBe(undefined);
      expect(await store.getById('no such id')).toBe(undefined);
      expect((await store.read({ stream: 'none' }).next()).done).toBe(true);
    });
    expect(reads).toEqual([]);
  });
});
