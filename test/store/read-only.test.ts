/** Stores that are opened for reading: on evidence, on media that can't be written, and what is refused. */
import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { audit, type EventStore, open } from 'varve';
import { openKv, repairKv } from 'varve/kv';
import { type Operation, SeededRandom, SimulatedClock, SimulatedFileSystem } from 'varve/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { appendDozen, eventsOf, openDisk, SEGMENT_0, textOf } from './damage.ts';

const changing: ReadonlySet<string> = new Set([
  'create',
  'write',
  'sync',
  'truncate',
  'rename',
  'link',
  'remove',
  'makeDirectory',
  'syncDirectory',
]);

/** A copy of a disk that notes what would change it, and fails it as a read-only mount does. */
function readOnlyCopy(disk: SimulatedFileSystem): {
  readonly fileSystem: SimulatedFileSystem;
  readonly changes: Operation[];
} {
  const changes: Operation[] = [];
  const fileSystem = disk.clone({
    onBeforeOperation: (operation) => {
      if (changing.has(operation.kind)) {
        changes.push(operation);
        throw Object.assign(new Error('EROFS: read-only file system'), { code: 'EROFS' });
      }
    },
  });
  return { fileSystem, changes };
}

function crashed(disk: SimulatedFileSystem, seed: number): SimulatedFileSystem {
  return disk.crashClone(new SeededRandom(seed), {
    keep: 'random',
    sector: 512,
    directory: 'ordered',
  });
}

async function read(fileSystem: SimulatedFileSystem): Promise<EventStore> {
  return open('/store', { readOnly: true }, { fileSystem, clock: new SimulatedClock() });
}

const opened: EventStore[] = [];

afterEach(async () => {
  await Promise.all(opened.splice(0).map((store) => store.close()));
});

describe('an event store that is opened for reading', () => {
  it('is read, searched, listed and verified without a change to its folder', async () => {
    const disk = new SimulatedFileSystem();
    const owner = await openDisk(disk);
    await appendDozen(owner);
    const text = textOf(await eventsOf(owner));
    await owner.close();
    const { fileSystem, changes } = readOnlyCopy(disk);
    const store = await read(fileSystem);
    expect(textOf(await eventsOf(store))).toBe(text);
    expect((await store.getById('last'))?.type).toBe('Returned');
    const request = { idempotencyKey: 'request-1', idempotencyScope: 'tenant-1' };
    expect((await store.findCommit(request))?.streams).toMatchObject([{ stream: 'stock/é' }]);
    expect(await store.findCommit({ ...request, idempotencyScope: 'tenant-2' })).toBeUndefined();
    expect((await store.streamHead('orders/1'))?.revision).toBe(3);
    expect((await store.verify({ payloads: true })).ok).toBe(true);
    expect(store.recovery).toMatchObject({ wasClosed: true, quarantined: undefined });
    await store.close();
    expect((await audit('/store', {}, { fileSystem })).ok).toBe(true);
    expect(changes).toEqual([]);
  });

  it('shows after every crash what the next open recovers, and changes nothing', async () => {
    let hasSeenMore = false;
    for (let seed = 1; seed <= 40; seed += 1) {
      const disk = new SimulatedFileSystem();
      const owner = await openDisk(disk, seed);
      await appendDozen(owner);
      void owner.append('late', [{ type: 'Late', data: 'x'.repeat(3_000) }]).catch(() => {});
      await Promise.resolve();
      const left = crashed(disk, seed);
      const { fileSystem, changes } = readOnlyCopy(left);
      const store = await read(fileSystem);
      const text = textOf(await eventsOf(store));
      hasSeenMore ||= !store.recovery.wasClosed;
      await store.close();
      expect(changes).toEqual([]);
      const recovered = await openDisk(left, seed);
      expect(textOf(await eventsOf(recovered))).toBe(text);
      await recovered.close();
    }
    expect(hasSeenMore).toBe(true);
  });

  it('refuses what would write, and says that nothing was applied', async () => {
    const disk = new SimulatedFileSystem();
    const owner = await openDisk(disk);
    await appendDozen(owner);
    await owner.close();
    const { fileSystem, changes } = readOnlyCopy(disk);
    const store = await read(fileSystem);
    opened.push(store);
    await expect(store.waitFor(store.head)).rejects.toMatchObject({ code: 'READ_ONLY' });
    const refused = { code: 'READ_ONLY', kind: 'invalid', applied: 'no' };
    await expect(store.append('a', [{ type: 'A' }])).rejects.toMatchObject(refused);
    await expect(store.commit([{ stream: 'a', events: [{ type: 'A' }] }])).rejects.toMatchObject(
      refused,
    );
    await store.flush();
    expect(store.head).toBeGreaterThan(0);
    expect(changes).toEqual([]);
  });

  it('is refused while somebody has it open, and leaves the lock alone', async () => {
    const disk = new SimulatedFileSystem();
    const owner = await openDisk(disk);
    await appendDozen(owner);
    await expect(read(disk)).rejects.toMatchObject({ code: 'LOCKED' });
    await expect(audit('/store', {}, { fileSystem: disk })).rejects.toMatchObject({
      code: 'LOCKED',
    });
    await owner.close();
    const reader = await read(disk);
    opened.push(reader);
    // A reader keeps nobody away, and goes on reading what it saw.
    const text = textOf(await eventsOf(reader));
    const next = await openDisk(disk, 2);
    await next.append('later', [{ type: 'Later' }]);
    expect(textOf(await eventsOf(reader))).toBe(text);
    await next.close();
  });

  it('is not made where there is none, and damage is refused as ever', async () => {
    const empty = new SimulatedFileSystem();
    empty.makeDirectory('/store');
    await expect(read(empty)).rejects.toMatchObject({ code: 'NOT_A_STORE' });
    const disk = new SimulatedFileSystem();
    const owner = await openDisk(disk);
    await appendDozen(owner);
    await owner.close();
    disk.flipBit('/store/log/00000000000000000000.seg', 300, 1);
    await expect(read(disk)).rejects.toMatchObject({ code: 'CORRUPT' });
  });
});

describe('a reader beside others', () => {
  it('goes on in the folder that it opened when another one comes to its path', async () => {
    const parent = mkdtempSync(join(tmpdir(), 'varve-read-only-'));
    const path = join(parent, 'a');
    await makeStore(path, 'Ours');
    await makeStore(join(parent, 'b'), 'Theirs');
    const store = await open(path, { readOnly: true });
    opened.push(store);
    renameSync(path, join(parent, 'moved'));
    renameSync(join(parent, 'b'), path);
    expect((await store.get(0))?.type).toBe('Ours');
    expect((await eventsOf(store)).map(({ type }) => type)).toEqual(['Ours']);
    await store.close();
    rmSync(parent, { recursive: true });
  });

  it('is told LOCKED, not of damage, when an owner comes while it opens', async () => {
    const disk = new SimulatedFileSystem();
    const owner = await openDisk(disk);
    await appendDozen(owner);
    await owner.close();
    let coming: Promise<unknown> | undefined;
    const shared = disk.clone({
      onOperation: ({ kind, path }) => {
        if (coming === undefined && kind === 'read' && path.endsWith('store.json')) {
          // The owner has the lock, and changes files under the reader's eyes.
          coming = shared.lockDirectory('/store');
          shared.removeFile(SEGMENT_0);
        }
      },
    });
    await expect(read(shared)).rejects.toMatchObject({ code: 'LOCKED' });
    await coming;
  });

  it('of a key-value store hears that a table was replaced, not that it is damaged', async () => {
    const disk = new SimulatedFileSystem();
    const components = { fileSystem: disk, random: new SeededRandom(3) };
    const owner = await openKv('/kv', { background: 'inline' }, components);
    await owner.put('a', 'b');
    await owner.flush();
    await owner.close();
    const reader = await openKv('/kv', { readOnly: true }, { fileSystem: disk });
    const next = await openKv('/kv', { background: 'inline' }, components);
    await next.put('a', 'c');
    await next.compact();
    await next.settled();
    expect(() => reader.getSync('a')).toThrow(/open the store again/);
    await reader.close();
    await next.close();
  });
});

describe('a key-value store that is opened for reading', () => {
  const options = {
    memtableBytes: 4_096,
    tableBytes: 2_048,
    blockBytes: 256,
    levelBaseBytes: 8_192,
    background: 'inline',
  } as const;

  async function fill(fileSystem: SimulatedFileSystem, isClosed: boolean): Promise<string> {
    const components = { fileSystem, clock: new SimulatedClock(), random: new SeededRandom(3) };
    const kv = await openKv('/kv', options, components);
    for (let number = 0; number < 300; number += 1) {
      await kv.put(`key-${number % 120}`, `value-${number}`);
    }
    const text = pairs(kv);
    if (isClosed) {
      await kv.close();
    }
    return text;
  }

  it.each([true, false])(
    'is read without a change to its folder (closed: %s)',
    async (isClosed) => {
      const disk = new SimulatedFileSystem();
      const text = await fill(disk, isClosed);
      const left = isClosed
        ? disk
        : disk.crashClone(new SeededRandom(5), { keep: 'all', sector: 512, directory: 'ordered' });
      const { fileSystem, changes } = readOnlyCopy(left);
      const kv = await openKv('/kv', { ...options, readOnly: true }, { fileSystem });
      expect(pairs(kv)).toBe(text);
      expect(kv.getSync('key-7')).toBeDefined();
      expect((await kv.verify()).ok).toBe(true);
      await kv.settled();
      const snapshot = kv.snapshot();
      snapshot.close();
      const refused = { code: 'READ_ONLY', applied: 'no' };
      await expect(kv.put('a', 'b')).rejects.toMatchObject(refused);
      await expect(kv.delete('key-7')).rejects.toMatchObject(refused);
      await expect(kv.rename('key-7', 'key-x')).rejects.toMatchObject(refused);
      await expect(kv.ingest([['a', 'b']])).rejects.toMatchObject(refused);
      await expect(kv.compact()).rejects.toMatchObject({ code: 'READ_ONLY' });
      await expect(kv.backup('/copy')).rejects.toMatchObject({ code: 'READ_ONLY' });
      await kv.close();
      expect((await repairKv('/kv', {}, { fileSystem })).outcome).toBe('intact');
      expect(changes).toEqual([]);
    },
  );

  it('is not emptied where it has no log and is damaged', async () => {
    const disk = new SimulatedFileSystem();
    const components = { fileSystem: disk, random: new SeededRandom(3) };
    const kv = await openKv('/kv', { ...options, log: false }, components);
    void kv.put('a', 'b');
    await kv.close();
    disk.flipBit('/kv/manifest', 40, 0);
    const { fileSystem, changes } = readOnlyCopy(disk);
    const reading = openKv('/kv', { ...options, log: false, readOnly: true }, { fileSystem });
    await expect(reading).rejects.toMatchObject({ code: 'CORRUPT' });
    expect(changes).toEqual([]);
  });
});

function pairs(kv: Awaited<ReturnType<typeof openKv>>): string {
  return Array.from(
    kv.iterateSync(),
    ([key, value]) => `${Buffer.from(key).toString()}=${Buffer.from(value).toString()}`,
  ).join();
}

async function makeStore(directory: string, type: string): Promise<void> {
  const owner = await open(directory);
  await owner.append('s', [{ type }]);
  await owner.close();
}
