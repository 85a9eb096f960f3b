/** An event is linked to the one before it in its stream, however long ago that was, and wherever the log is written. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EventStore, open } from 'varve';
import { SimulatedClock, SimulatedFileSystem } from 'varve/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { LEAF_RING_COUNT } from '../../src/log/leaf-ring.ts';

const root = mkdtempSync(join(tmpdir(), 'varve-old-leaves-'));
const event = { type: 'T' };

afterAll(() => rmSync(root, { recursive: true }));

/** Appends so many events to streams of no interest. */
async function fill(store: EventStore, count: number): Promise<void> {
  const sizeMax = 8_192;
  const appends: Promise<unknown>[] = [];
  for (let rest = count; rest > 0; rest -= sizeMax) {
    const events = Array.from({ length: Math.min(rest, sizeMax) }, () => event);
    appends.push(store.append(`fill/${rest % 3}`, events));
  }
  await Promise.all(appends);
}

async function expectWhole(store: EventStore): Promise<void> {
  const { ok, findings } = await store.verify();
  expect({ ok, findings }).toEqual({ ok: true, findings: [] });
}

describe('an event whose stream rested', () => {
  it.each(['inline', 'thread'] as const)(
    'is linked, written by %s',
    async (background) => {
      const directory = join(root, background);
      let store = await open(directory, { background });
      await store.commit(['a', 'b', 'c', 'd'].map((stream) => ({ stream, events: [event] })));
      await fill(store, LEAF_RING_COUNT - 4);
      // `a` is the oldest that the writer has.
      await store.append('a', [event, event]);
      await store.append('b', [event, event]);
      await store.commit([
        { stream: 'new', events: [event] },
        { stream: 'c', events: [event] },
        { stream: 'a', events: [event] },
        { stream: 'c', events: [event] },
      ]);
      await expectWhole(store);
      await store.close();
      store = await open(directory, { background });
      await store.append('d', [event]);
      await store.append('a', [event]);
      expect((await store.streamHead('c'))!.revision).toBe(2);
      await expectWhole(store);
      await store.close();
    },
    60_000,
  );

  it('is refused where the event before it can not be read, and nothing is changed', async () => {
    const fileSystem = new SimulatedFileSystem();
    const components = { fileSystem, clock: new SimulatedClock() };
    const store = await open('/store', { background: 'inline' }, components);
    await store.append('a', [event]);
    await fill(store, LEAF_RING_COUNT);
    const [path] = fileSystem.paths().filter((one) => one.endsWith('.seg'));
    fileSystem.flipBit(path!, 190, 3);
    await expect(store.append('a', [event])).rejects.toMatchObject({
      code: 'CORRUPT',
      applied: 'no',
      position: 0,
    });
    fileSystem.flipBit(path!, 190, 3);
    expect((await store.append('a', [event])).revision).toBe(1);
    await expectWhole(store);
    await store.close();
  }, 60_000);
});
