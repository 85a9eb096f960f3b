/** `verify` of a key-value store: how far it is, and how it is ended. What it finds is in the tests of damage. */
import type { KvStore } from 'varve/kv';
import { describe, expect, it } from 'vitest';
import { codeOf, disk, openOn } from './simulated-store.ts';

const TABLE_COUNT = 12;

async function openFilled(fileSystem = disk()): Promise<KvStore> {
  const kv = await openOn(fileSystem, { tableBytes: 1_024, blockBytes: 256 });
  await kv.ingest(
    Array.from({ length: 8 * TABLE_COUNT }, (_, index) => [
      `key ${String(index).padStart(4, '0')}`,
      'x'.repeat(100),
    ]),
  );
  expect(kv.tables().length).toBeGreaterThanOrEqual(TABLE_COUNT - 2);
  return kv;
}

describe('verify', () => {
  it('tells after each table how many bytes of how many are checked', async () => {
    const kv = await openFilled();
    const told: number[] = [];
    const totals = new Set<number>();
    const report = await kv.verify({
      onProgress: ({ bytes, bytesTotal }) => {
        told.push(bytes);
        totals.add(bytesTotal);
      },
    });
    expect(report).toMatchObject({ ok: true, tables: kv.tables().length, problems: [] });
    expect(told).toHaveLength(report.tables);
    expect(told).toEqual(told.toSorted((left, right) => left - right));
    expect(new Set(told).size).toBe(told.length);
    expect([...totals]).toEqual([report.size]);
    expect(told.at(-1)).toBe(report.size);
    await kv.close();
  });

  it('ends when its signal says so, and lets go of the tables', async () => {
    const fileSystem = disk();
    const kv = await openFilled(fileSystem);
    const controller = new AbortController();
    let checked = 0;
    const verified = kv.verify({
      signal: controller.signal,
      onProgress: () => {
        checked += 1;
        if (checked === 3) {
          controller.abort(new Error('enough'));
        }
      },
    });
    await expect(verified).rejects.toMatchObject({
      code: 'ABORTED',
      cause: expect.objectContaining({ message: 'enough' }),
    });
    expect(checked).toBe(3);
    expect(await codeOf(kv.verify({ signal: AbortSignal.abort() }))).toBe('ABORTED');
    await kv.deleteRange({ gte: '' });
    await kv.compact();
    await kv.settled();
    expect(fileSystem.list('/kv/tables')).toEqual([]);
    await kv.close();
  });

  it('ends with the store', async () => {
    const kv = await openFilled();
    let closed: Promise<void> | undefined;
    const onProgress = (): void => {
      closed ??= kv.close();
    };
    const verified = kv.verify({ onProgress });
    expect(await codeOf(verified)).toBe('CLOSED');
    await closed;
  });

  it('is what throws if its listener does', async () => {
    const kv = await openFilled();
    const own = new Error('mine');
    const onProgress = (): never => {
      throw own;
    };
    await expect(kv.verify({ onProgress })).rejects.toBe(own);
    expect((await kv.verify()).ok).toBe(true);
    await kv.close();
  });

  it('refuses what is no option, and a controller in the place of its signal', async () => {
    const kv = await openFilled();
    const verify = (options: object): Promise<string | undefined> =>
      codeOf(async () => kv.verify(options));
    expect(await verify({ progress: () => {} })).toBe('INVALID_ARGUMENT');
    expect(await verify({ signal: new AbortController() })).toBe('INVALID_ARGUMENT');
    await kv.close();
  });
});
