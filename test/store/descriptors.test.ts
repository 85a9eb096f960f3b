/** What becomes of a store when the process may open no more files, and of files when reads are left half-way. */
import { type EventStore, open, VarveError } from 'varve';
import { openKv } from 'varve/kv';
import {
  FaultPlan,
  type Operation,
  SeededRandom,
  SimulatedClock,
  SimulatedFileSystem,
} from 'varve/testing';
import { describe, expect, it } from 'vitest';
import { eventsOf } from './damage.ts';

/** A simulated disk whose files are counted while they are open. */
class CountedFileSystem extends SimulatedFileSystem {
  openCount = 0;

  override open(
    ...args: Parameters<SimulatedFileSystem['open']>
  ): ReturnType<SimulatedFileSystem['open']> {
    const file = super.open(...args);
    this.openCount += 1;
    const close = file.close.bind(file);
    file.close = () => {
      this.openCount -= 1;
      close();
    };
    return file;
  }
}

async function openOn(fileSystem: SimulatedFileSystem, maxOpenFiles = 4): Promise<EventStore> {
  const components = { fileSystem, clock: new SimulatedClock(), random: new SeededRandom(1) };
  return open('/store', { maxOpenFiles, maxSegmentBytes: 1024 * 1024 }, components);
}

describe('reads that are begun and left', () => {
  it('keep no files open', async () => {
    const disk = new CountedFileSystem();
    const store = await openOn(disk);
    const data = new Uint8Array(300 * 1024);
    for (let number = 0; number < 12; number += 1) {
      await store.append('s', [{ type: 'Scanned', data }]);
    }
    const before = disk.openCount;
    const left = [];
    for (let number = 0; number < 300; number += 1) {
      const events = store.read({}, { direction: number % 2 === 0 ? 'forwards' : 'backwards' });
      await events.next();
      left.push(events);
    }
    expect(store.segments().length).toBeGreaterThan(2);
    expect(disk.openCount - before).toBeLessThanOrEqual(4);
    const last = left.at(-2)!;
    let count = 1;
    for await (const _ of last) {
      count += 1;
    }
    expect(count).toBe(12);
    await store.close();
    expect(disk.openCount).toBe(0);
  });

  it('end with CLOSED when the store is closed', async () => {
    const store = await openOn(new CountedFileSystem());
    await store.append('s', [{ type: 'One' }, { type: 'Two' }]);
    const events = store.read();
    await events.next();
    await store.close();
    await expect(events.next()).rejects.toMatchObject({ code: 'CLOSED' });
  });
});
