/** A sync of the tables’ folder covers the tables of every job under way: where it fails, none of them may be named. */
import type { KvStore } from 'varve/kv';
import { type Operation, SimulatedClock } from 'varve/testing';
import { describe, expect, it } from 'vitest';
import { turns } from '../turns.ts';
import {
  afterPowerCut,
  codeOf,
  faulty,
  filled,
  keysOf,
  openOn,
  smallTables,
  tablesOn,
} from './simulated-store.ts';

function syncsTables({ kind, path }: Operation): boolean {
  return kind === 'syncDirectory' && path === '/kv/tables';
}

/** A flush whose names are not made durable, and what the store does afterwards. */
async function failFlush(
  kv: KvStore,
  clock: SimulatedClock,
  arm: (isArmed: boolean) => void,
): Promise<void> {
  await kv.put('meanwhile', '1');
  arm(true);
  expect(await codeOf(kv.flush())).toBe('UNAVAILABLE');
  arm(false);
  clock.advance(60_000);
  await turns(30);
  expect(kv.stats().flushedVersion).toBe(kv.lastVersion);
}

describe('a sync of the tables that fails', () => {
  it('by a flush costs an ingest that had made names none of its tables', async () => {
    const { fileSystem, arm } = faulty(syncsTables);
    const clock = new SimulatedClock();
    const kv = await openOn(fileSystem, { tableBytes: 65_536 }, { clock });
    let goOn: (() => void) | undefined;
    const gate = new Promise<void>((resolve) => (goOn = resolve));
    async function* entries(): AsyncGenerator<[string, Uint8Array]> {
      for (let index = 0; index < 300; index += 1) {
        yield [`m${index + 100}`, filled(10_000, index)];
      }
      await gate;
    }
    const ingested = codeOf(kv.ingest(entries()));
    while (tablesOn(fileSystem).length < 5) {
      await turns(1);
    }
    await failFlush(kv, clock, arm);
    goOn?.();
    expect(await ingested).toBe('UNAVAILABLE');
    await kv.ingest(entries());
    const again = await afterPowerCut(fileSystem);
    expect(keysOf(again)).toHaveLength(301);
    expect(await again.verify()).toMatchObject({ ok: true });
    await again.close();
    await kv.close();
  });

  it('by a flush costs a compaction that had made names none of its tables', async () => {
    const { fileSystem, arm } = faulty(syncsTables);
    const clock = new SimulatedClock();
    const kv = await openOn(fileSystem, { ...smallTables, levelZeroTables: 100 }, { clock });
    for (let round = 0; round < 2; round += 1) {
      await Promise.all(
        Array.from({ length: 400 }, (_, index) =>
          kv.put(`k${index + 100}`, filled(500, round), { ack: 'written' }),
        ),
      );
      await kv.flush();
    }
    const before = tablesOn(fileSystem).length;
    const merged = codeOf(kv.compact());
    while (tablesOn(fileSystem).length < before + 5) {
      await turns(1);
    }
    await failFlush(kv, clock, arm);
    expect(await merged).toBe('UNAVAILABLE');
    await kv.compact();
    const again = await afterPowerCut(fileSystem, smallTables);
    expect(keysOf(again)).toHaveLength(401);
    expect([...again.iterateSync({ prefix: 'k' })].every(([, value]) => value[0] === 1)).toBe(true);
    expect(await again.verify()).toMatchObject({ ok: true });
    await again.close();
    await kv.close();
  });
});
