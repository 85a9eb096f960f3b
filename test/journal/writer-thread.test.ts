/** The log's writer on a thread of its own: when there is one, what it is asked, and what its caller sees of it. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { type EventStore, open, type StoreOptions } from 'varve';
import { SimulatedClock, SimulatedFileSystem } from 'varve/testing';
import { describe, expect, it } from 'vitest';
import { eventsOf, noise } from '../store/damage.ts';
import { newFolder, PlannedDisk } from './planned-disk.ts';

const block = noise(1024 * 1024, 11);
const writers = ['thread', 'inline'] as const;

async function openOn(
  disk: PlannedDisk,
  options: StoreOptions = {},
  clock: SimulatedClock = new SimulatedClock(),
): Promise<EventStore> {
  const settings = { background: 'thread', ...options } as const;
  return open(newFolder(), settings, { fileSystem: disk.component, clock });
}

/** A store on a disk that holds its syncs, with one event that is durable and one in flight, held. */
async function openHeld(
  options: StoreOptions = {},
): Promise<{ disk: PlannedDisk; store: EventStore; held: Promise<unknown> }> {
  const disk = new PlannedDisk();
  const store = await openOn(disk, options);
  await store.append('a', [{ type: 'First' }]);
  disk.holdSyncs();
  const held = store.append('a', [{ type: 'Held' }]);
  await disk.held();
  return { disk, store, held };
}

/** Turns of the event loop, in which everything that is ready can run. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

describe('the writer thread', () => {
  it('is started by the first append that needs it, once', async () => {
    const disk = new PlannedDisk();
    const directory = newFolder();
    const components = { fileSystem: disk.component };
    const first = await open(directory, { background: 'thread' }, components);
    const refused = first.append('a', [{ type: 'A' }], { expectedRevision: 3 });
    await expect(refused).rejects.toMatchObject({ code: 'REVISION_CONFLICT' });
    expect(await eventsOf(first)).toEqual([]);
    await first.flush();
    await first.close();
    expect(disk.count('threadCount')).toBe(0);
    const second = await open(directory, { background: 'thread' }, components);
    await Promise.all([1, 2, 3].map((n) => second.append('a', [{ type: `E${n}` }])));
    await second.append('b', [{ type: 'E4' }]);
    await second.close();
    expect(disk.count('threadCount')).toBe(1);
    const third = await open(directory, { background: 'auto' }, components);
    const known = await eventsOf(third);
    expect(known.map(({ type }) => type)).toEqual(['E1', 'E2', 'E3', 'E4']);
    expect(await third.verify()).toMatchObject({ ok: true });
    await third.close();
    expect(disk.count('threadCount')).toBe(1);
    const inline = await open(directory, { background: 'inline' }, components);
    await inline.append('a', [{ type: 'E5' }]);
    await inline.close();
    expect(disk.count('threadCount')).toBe(1);
  });

  it('is not promised where it can not be', async () => {
    const directory = newFolder();
    const object = { fileSystem: new SimulatedFileSystem() };
    const withObject = open(directory, { background: 'thread' }, object);
    await expect(withObject).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    const unknown = open(directory, { background: 'process' as 'thread' });
    await expect(unknown).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    const earlierName = open(directory, { writer: 'thread' }, object);
    await expect(earlierName).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    const both = open(directory, { writer: 'inline', background: 'inline' });
    await expect(both).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    const module = new URL('data:text/javascript,export const made = 1;');
    const noCreate = open(directory, {}, { fileSystem: { module } });
    await expect(noCreate).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    const module2 = new URL('../fixtures/planned-file-system.js', import.meta.url);
    const uncloneable = { fileSystem: { module: module2, options: { create: () => 1 } } };
    const withFunction = open(directory, { background: 'thread' }, uncloneable);
    await expect(withFunction).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    const byText = { fileSystem: { module: './disk.js' as unknown as URL } };
    await expect(open(directory, {}, byText)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(existsSync(directory)).toBe(false);
    const store = await open('/store', { background: undefined as unknown as 'auto' }, object);
    await store.append('a', [{ type: 'A' }]);
    await store.close();
  });

  it.each(writers)('%s: works in a program that is given as text', (writer) => {
    const program = `
      import { open } from 'varve';
      const store = await open(${JSON.stringify(newFolder())}, { background: '${writer}' });
      const { firstPosition } = await store.append('a', [{ type: 'A' }]);
      await store.close();
      console.log('appended at', firstPosition);`;
    const args = ['--input-type=module', '--eval', program];
    const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    expect(stderr).toBe('');
    expect(stdout).toBe('appended at 0\n');
  });

  it.each(writers)('%s: is drained by close, and the folder left at rest', async (writer) => {
    const directory = newFolder();
    const store = await open(directory, { background: writer, maxPendingBytes: 65_536 });
    const sent = Array.from({ length: 300 }, (_, index) =>
      store.append(`s/${index % 7}`, [{ type: `E${index}`, data: block.subarray(0, 700) }]),
    );
    expect(store.stats().waiting).toBeGreaterThan(100);
    const closed = store.close();
    const results = await Promise.all(sent);
    expect(results.map(({ firstPosition }) => firstPosition)).toEqual(
      sent.map((_, index) => index),
    );
    await closed;
    const later = await open(directory);
    expect(later).toMatchObject({ head: 300, recovery: { wasClosed: true, tail: 'exact' } });
    await later.close();
  });

  it('answers "written" before the sync, "durable" after it', async () => {
    const { disk, store, held } = await openHeld();
    disk.releaseSyncs();
    await held;
    for (let round = 0; round < 5; round += 1) {
      // Whatever the thread had to say of what came before has been heard.
      await store.flush();
      await turns();
      const known = disk.count('heldCount');
      disk.holdSyncs();
      const written = store.append('a', [{ type: 'Written' }], { ack: 'written' });
      const durable = store.append('a', [{ type: 'Durable' }]);
      let isDurable = false;
      void durable.then(() => (isDurable = true));
      await disk.held(known);
      await written;
      await turns();
      expect(isDurable).toBe(false);
      const visible = 2 + 2 * round;
      const appended = visible + 2;
      const watermarks = { appended, written: appended, durable: visible, visible };
      expect(store.stats().watermarks).toEqual(watermarks);
      expect(await eventsOf(store)).toHaveLength(visible);
      disk.releaseSyncs();
      await durable;
      expect(store.head).toBe(appended);
    }
    await store.close();
  });

  it('holds back what rests on a commit in flight, and all ways to see it', async () => {
    const { disk, store, held } = await openHeld();
    const key = { idempotencyKey: 'key' };
    const order: string[] = [];
    const events = [{ type: 'Keyed', data: { text: 'a'.repeat(500) }, id: 'own' }];
    const first = store.append('b', events, key).finally(() => order.push('first'));
    const again = store.append('b', events, key).finally(() => order.push('again'));
    const other = store
      .append('b', [{ type: 'Other' }], key)
      .catch((error: unknown) => error)
      .finally(() => order.push('other'));
    await turns();
    expect(order).toEqual([]);
    expect(await store.getById('own')).toBeUndefined();
    expect(await store.streamHead('b')).toBeUndefined();
    expect(await store.verify()).toMatchObject({ ok: true, events: 1 });
    disk.releaseSyncs();
    await held;
    const answer = await first;
    expect(await again).toEqual({ ...answer, outcome: 'duplicate' });
    expect(await other).toMatchObject({ code: 'IDEMPOTENCY_CONFLICT' });
    expect(await store.getById('own')).toMatchObject({ position: 2 });
    await store.close();
  });

  it('leaves appends waiting for room while the disk is busy, and serves them in order', async () => {
    const maxPendingBytes = 65_536;
    const { disk, store, held } = await openHeld({ maxPendingBytes });
    const controller = new AbortController();
    const sent = Array.from({ length: 400 }, (_, index) => {
      const options = index % 3 === 2 ? { signal: controller.signal } : {};
      return store.append('s', [{ type: `E${index}`, data: block.subarray(0, 4_000) }], options);
    });
    const settled = Promise.allSettled(sent);
    const { pending, waiting } = store.stats();
    expect(pending.bytes).toBeLessThanOrEqual(maxPendingBytes);
    expect(waiting).toBeGreaterThan(380);
    controller.abort();
    expect(store.stats().waiting).toBeLessThan(270);
    disk.releaseSyncs();
    await held;
    let position = 2;
    let abortedCount = 0;
    for (const result of await settled) {
      if (result.status === 'fulfilled') {
        expect(result.value.firstPosition).toBe(position);
        position += 1;
      } else {
        expect(result.reason).toMatchObject({ code: 'ABORTED', applied: 'no' });
        abortedCount += 1;
      }
    }
    expect(abortedCount).toBeGreaterThan(120);
    expect(store.head).toBe(position);
    await store.close();
  });

  it('finds room for a large commit where everything is at rest', async () => {
    const fileSystem = new SimulatedFileSystem();
    // The lane is as large as the largest commit: behind another one it is too small on either side, although it is empty.
    const options = { maxPendingBytes: 4_096 };
    const store = await open('/store', options, { fileSystem, clock: new SimulatedClock() });
    await store.append('a', [{ type: 'First', data: block.subarray(0, 100_000) }]);
    const operations = fileSystem.operations;
    await turns();
    await turns();
    const atRest = fileSystem.operations;
    await turns();
    expect(fileSystem.operations).toBe(atRest);
    expect(atRest).toBeGreaterThanOrEqual(operations);
    const settled = { isSettled: false };
    const large = new Uint8Array(16 * 1024 * 1024 - 4_096);
    const sent = store.append('a', [{ type: 'Large', data: large }]);
    void sent.finally(() => (settled.isSettled = true));
    // Every turn of the simulated disk's work is a turn of the event loop: as many as could ever be needed.
    for (let turn = 0; turn < 1_000 && !settled.isSettled; turn += 1) {
      await turns();
    }
    expect(settled).toEqual({ isSettled: true });
    await store.close();
  });
});

describe.each(writers)('the delay that commits wait for company, %s', (writer) => {
  const delayed = { background: writer, maxDelayMs: 50 } as const;

  async function openDelayed(
    options: StoreOptions = {},
  ): Promise<{ disk: PlannedDisk; store: EventStore; clock: SimulatedClock }> {
    const disk = new PlannedDisk();
    const clock = new SimulatedClock();
    const store = await openOn(disk, { ...delayed, ...options }, clock);
    void store.append('a', [{ type: 'First' }]);
    await store.flush();
    return { disk, store, clock };
  }

  it('has them share one write and one sync', async () => {
    const { disk, store, clock } = await openDelayed();
    const syncs = disk.count('syncCount');
    const writes = disk.count('frameWriteCount');
    const sent: Promise<unknown>[] = [];
    for (let index = 0; index < 40; index += 1) {
      sent.push(store.append('a', [{ type: `E${index}` }]));
      clock.advance(1);
      await turns();
    }
    expect(store.stats()).toMatchObject({ pending: { commits: 40 }, watermarks: { durable: 1 } });
    clock.advance(10);
    await Promise.all(sent);
    expect(disk.count('syncCount') - syncs).toBe(1);
    expect(disk.count('frameWriteCount') - writes).toBe(1);
    await store.close();
  });

  it('is not waited for by flush or close', async () => {
    const { store } = await openDelayed();
    const flushed = store.append('a', [{ type: 'Flushed' }]);
    await store.flush();
    await flushed;
    const closed = store.append('a', [{ type: 'Closed' }]);
    await store.close();
    await closed;
  });

  it('ends when a batch is full, or nothing more may be pending', async () => {
    const data = block.subarray(0, 3_000);
    const full = await openDelayed({ maxBatchBytes: 8_192 });
    await Promise.all([1, 2, 3].map(() => full.store.append('a', [{ type: 'Full', data }])));
    await full.store.close();
    const tight = await openDelayed({ maxPendingBytes: 8_192 });
    const sent = [1, 2, 3, 4, 5, 6].map(() => tight.store.append('a', [{ type: 'Tight', data }]));
    await Promise.all(sent.slice(0, 4));
    await tight.store.close();
    await Promise.all(sent);
  });

  it('is none by default: one writer waits for nobody', async () => {
    const disk = new PlannedDisk();
    const clock = new SimulatedClock();
    const store = await openOn(disk, { background: writer }, clock);
    for (let index = 0; index < 20; index += 1) {
      await store.append('a', [{ type: `E${index}` }]);
    }
    expect(disk.count('syncCount')).toBe(20);
    await store.close();
  });
});
