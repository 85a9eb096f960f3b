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
  readonly opened = new Set<object>();

  override open(
    ...args: Parameters<SimulatedFileSystem['open']>
  ): ReturnType<SimulatedFileSystem['open']> {
    const file = super.open(...args);
    this.opened.add(file);
    const close = file.close.bind(file);
    file.close = () => {
      this.opened.delete(file);
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
    const before = disk.opened.size;
    const left = [];
    for (let number = 0; number < 300; number += 1) {
      const events = store.read({}, { direction: number % 2 === 0 ? 'forwards' : 'backwards' });
      await events.next();
      left.push(events);
    }
    expect(store.segments().length).toBeGreaterThan(2);
    expect(disk.opened.size - before).toBeLessThanOrEqual(4);
    const last = left.at(-2)!;
    let count = 1;
    for await (const _ of last) {
      count += 1;
    }
    expect(count).toBe(12);
    await store.close();
    expect(disk.opened.size).toBe(0);
  });

  it('end with CLOSED when they are first asked after the store was closed', async () => {
    const store = await openOn(new CountedFileSystem());
    await store.append('s', [{ type: 'One' }, { type: 'Two' }]);
    const reads = [store.read(), store.read({ stream: 's' }), store.streams()];
    await store.close();
    for (const events of reads) {
      await expect(events.next()).rejects.toMatchObject({ code: 'CLOSED' });
    }
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

/** The disk of a process that may open no more files while `isExhausted`. */
function exhaustible(): {
  readonly disk: SimulatedFileSystem;
  isExhausted: boolean;
  readonly struck: Operation[];
} {
  const struck: Operation[] = [];
  const faults = new FaultPlan({
    when: (operation) => {
      if (!state.isExhausted) {
        return undefined;
      }
      if (['open', 'create', 'list', 'syncDirectory'].includes(operation.kind)) {
        struck.push(operation);
      }
      return 'EMFILE';
    },
  });
  const state = { disk: new SimulatedFileSystem({ faults }), isExhausted: false, struck };
  return state;
}

describe('a process without file descriptors', () => {
  it('has appends refused, and accepted as soon as it has some again', async () => {
    const state = exhaustible();
    const store = await openOn(state.disk);
    const data = new Uint8Array(200 * 1024);
    const outcomes: string[] = [];
    for (let number = 0; number < 40; number += 1) {
      // A spell of it every few appends, so that it strikes preparing, rotating and sealing.
      state.isExhausted = number % 4 === 3;
      const outcome = await store.append('s', [{ type: 'Scanned', data }]).then(
        () => 'appended',
        (error: unknown) =>
          error instanceof VarveError ? `${error.code} ${error.applied}` : String(error),
      );
      outcomes.push(outcome);
    }
    state.isExhausted = false;
    expect(new Set(outcomes)).toEqual(new Set(['appended', 'UNAVAILABLE no']));
    expect(state.struck.length).toBeGreaterThan(0);
    expect(store.segments().length).toBeGreaterThan(3);
    const accepted = outcomes.filter((outcome) => outcome === 'appended').length;
    expect(await eventsOf(store)).toHaveLength(accepted);
    expect(store.stats().failure).toBeUndefined();
    await store.close();
    const again = await openOn(state.disk);
    expect(again.head).toBe(accepted);
    expect((await again.verify()).ok).toBe(true);
    await again.close();
  });

  it('is told what is missing', async () => {
    const state = exhaustible();
    const store = await openOn(state.disk);
    await store.append('s', [{ type: 'One' }]);
    state.isExhausted = true;
    const data = new Uint8Array(900 * 1024);
    const errors: unknown[] = [];
    for (let number = 0; number < 8; number += 1) {
      await store
        .append('s', [{ type: 'Scanned', data }])
        .catch((error: unknown) => errors.push(error));
    }
    expect(errors.length).toBeGreaterThan(0);
    expect(errors[0]).toMatchObject({
      code: 'UNAVAILABLE',
      applied: 'no',
      message: expect.stringContaining('file descriptors') as string,
    });
    state.isExhausted = false;
    await store.close();
  });

  it('has its key-value store refuse writes, flush later, and lose nothing', async () => {
    const state = exhaustible();
    const options = { memtableBytes: 64 * 1024, background: 'inline' } as const;
    const components = {
      fileSystem: state.disk,
      clock: new SimulatedClock(),
      random: new SeededRandom(1),
    };
    const kv = await openKv('/kv', options, components);
    const kept = new Set<string>();
    for (let number = 0; number < 400; number += 1) {
      state.isExhausted = number % 8 === 7;
      const key = `key-${number}`;
      const pending = new Set([key]);
      const put = kv
        .put(key, new Uint8Array(8 * 1024))
        .then(
          () => kept.add(key),
          (error: unknown) => expect(error).toMatchObject({ code: 'UNAVAILABLE', applied: 'no' }),
        )
        .finally(() => pending.clear());
      for (let turn = 0; pending.size > 0; turn += 1) {
        // A flush that has failed is tried again after a while; there are descriptors by then.
        state.isExhausted &&= turn < 20;
        components.clock.advance(100);
        await components.clock.pause();
      }
      await put;
    }
    state.isExhausted = false;
    expect(state.struck.length).toBeGreaterThan(0);
    await kv.close();
    const again = await openKv('/kv', options, components);
    const found = new Set(
      Array.from(again.iterateSync({ keysOnly: true }), (key) => Buffer.from(key).toString()),
    );
    expect(found).toEqual(kept);
    await again.close();
  });
});
