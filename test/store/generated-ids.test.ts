/** Ids are unique for the life of the store, whoever made them: also where somebody supplies one that the store would generate next. */
import { type EventStore, open } from 'varve';
import { SeededRandom, SimulatedClock, SimulatedFileSystem } from 'varve/testing';
import { beforeEach, describe, expect, it } from 'vitest';

const TIME = 1_800_000_000_000;

/** UUIDv8 as docs/formats/event-log.md says: 48 bits time, 53 bits position, 21 bits draw. */
function generatedId(time: number, position: number, draw: number): string {
  const value = (BigInt(time) << 74n) | (BigInt(position) << 21n) | BigInt(draw);
  const bits =
    ((value >> 74n) << 80n) |
    (8n << 76n) |
    (((value >> 62n) & 0xfffn) << 64n) |
    (2n << 62n) |
    (value & ((1n << 62n) - 1n));
  return bits
    .toString(16)
    .padStart(32, '0')
    .replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, '$1-$2-$3-$4-$5');
}

describe('a generated id', () => {
  let store: EventStore;
  let draw: number;

  beforeEach(async () => {
    const fileSystem = new SimulatedFileSystem();
    const clock = new SimulatedClock({ startMs: TIME });
    store = await open('/store', {}, { fileSystem, clock, random: new SeededRandom(1) });
    await store.append('s', [{ type: 'First' }]);
    const { id } = (await store.get(0))!;
    draw = Number.parseInt(id.slice(-6), 16) & 0x1f_ffff;
    expect(id).toBe(generatedId(TIME, 0, draw));
  });

  async function idsOf(): Promise<string[]> {
    const ids: string[] = [];
    for await (const { id, type } of store.read()) {
      ids.push(id);
      expect((await store.getById(id))?.type).toBe(type);
    }
    expect(new Set(ids).size).toBe(ids.length);
    return ids;
  }

  it('is another one where that was supplied before', async () => {
    const mine = [{ type: 'Mine', id: generatedId(TIME, 2, draw) }];
    const first = await store.append('s', mine);
    await store.append('s', [{ type: 'Other' }]);
    expect((await idsOf())[2]).toBe(generatedId(TIME, 2, (draw + 1) % 2 ** 21));
    // The retry is one: it was answered as a conflict with the other event.
    expect(await store.append('s', mine)).toEqual({ ...first, outcome: 'duplicate' });
  });

  it('is another one where the same commit supplies that, before it or after it', async () => {
    await store.append('s', [
      { type: 'Generated' },
      { type: 'Mine', id: generatedId(TIME, 1, draw) },
    ]);
    await store.append('s', [
      { type: 'Mine', id: generatedId(TIME, 4, draw) },
      { type: 'Generated' },
    ]);
    const ids = await idsOf();
    expect(ids[1]).toBe(generatedId(TIME, 1, (draw + 1) % 2 ** 21));
    expect(ids[4]).toBe(generatedId(TIME, 4, (draw + 1) % 2 ** 21));
    expect(await store.verify()).toMatchObject({ ok: true });
  });

  it('is the usual one where others were supplied', async () => {
    await store.append('s', [{ type: 'Mine', id: 'mine' }, { type: 'Generated' }]);
    expect((await idsOf())[2]).toBe(generatedId(TIME, 2, draw));
  });
});
