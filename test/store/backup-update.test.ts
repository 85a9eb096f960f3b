/** A backup into an older backup of the same store: only what is new is copied, and at every moment the copy opens. */
import { audit, type BackupResult, type EventStore, open, type StoredEvent } from 'varve';
import { FaultPlan, SeededRandom, SimulatedClock, SimulatedFileSystem } from 'varve/testing';
import { describe, expect, it } from 'vitest';
import { seed } from '../seed.ts';
import { isInStride } from '../stride.ts';
import { eventsOf, noise, textOf } from './damage.ts';
import { changesDisk, cutPower } from './oracle.ts';

const MiB = 1024 * 1024;
const BACKUP = '/backup';

function openAt(
  disk: SimulatedFileSystem,
  path: string,
  options: { readOnly?: boolean; create?: boolean } = {},
): Promise<EventStore> {
  const components = { fileSystem: disk, clock: new SimulatedClock(), random: new SeededRandom(1) };
  const sizes = { maxSegmentBytes: MiB, indexMemoryBytes: 16 * 1024 };
  return open(path, { ...sizes, ...options }, components);
}

let nextKey = 0;

async function append(store: EventStore, count: number, size = 100): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    nextKey += 1;
    const data = noise(size, nextKey);
    await store.append(`s/${nextKey % 7}`, [{ type: 'T', data }], {
      idempotencyKey: `key-${nextKey}`,
    });
  }
}

/** Opens a copy, which must hold exactly these events, all of them in order, with whole derived data. */
async function checkCopy(
  disk: SimulatedFileSystem,
  events: readonly StoredEvent[],
  path = BACKUP,
): Promise<void> {
  const report = await audit(path, {}, { fileSystem: disk });
  expect(report).toMatchObject({ ok: true, events: events.length });
  // A full segment may have been copied before it got its footer.
  expect(report.findings.filter(({ reason }) => !reason.includes('no usable footer'))).toEqual([]);
  expect(report.derived?.ok ?? true).toBe(true);
  const copy = await openAt(disk.clone(), path, { create: false });
  expect(textOf(await eventsOf(copy))).toBe(textOf(events));
  expect(copy.recovery).toMatchObject({ quarantined: undefined, torn: undefined });
  const repeat = await copy.append(`s/${nextKey % 7}`, [{ type: 'Other' }]);
  expect(repeat.firstPosition).toBe(events.length);
  await copy.close();
}

function filesOf(disk: SimulatedFileSystem, folder = BACKUP): string[] {
  return disk.paths().filter((path) => path.startsWith(`${folder}/`));
}

describe('a backup into an older one', () => {
  it('adds frames, segments and tables, and copies nothing twice', async () => {
    const disk = new SimulatedFileSystem();
    const store = await openAt(disk, '/store');
    const results: BackupResult[] = [];
    const steps: readonly (() => Promise<void>)[] = [
      () => append(store, 3),
      async () => {
        await append(store, 40);
        await store.settled();
      },
      () => Promise.resolve(),
      () => append(store, 3, 400_000),
      () => append(store, 2),
      () => append(store, 12, 400_000),
      () => store.settled(),
      () => append(store, 90),
    ];
    for (const step of steps) {
      await step();
      results.push(await store.backup(BACKUP));
      await checkCopy(disk, await eventsOf(store));
    }
    expect(results.map(({ isNew }) => isNew)).toEqual([true, ...steps.slice(1).map(() => false)]);
    expect(results.map(({ events }) => events)).toEqual([3, 43, 43, 46, 48, 60, 60, 150]);
    expect(results[2]!.bytes).toBe(0);
    expect(results[4]!.bytes).toBeLessThan(MiB);
    expect(results[5]!.bytes).toBeGreaterThan(4 * MiB);
    expect(results[5]!.bytes).toBeLessThan(6 * MiB);
    expect(results.at(-1)!.derived).toBeGreaterThan(100);
    expect(disk.paths().filter((path) => path === `${BACKUP}/log/spare`)).toEqual([]);
    // No table is left behind that the newest manifest doesn't name.
    await store.settled();
    const { events } = await store.backup(BACKUP);
    expect(events).toBe(store.head);
    const namesIn = (folder: string): string[] =>
      filesOf(disk, `${folder}/derived`).map((path) => path.slice(folder.length));
    expect(namesIn(BACKUP)).toEqual(namesIn('/store'));
    await store.close();
  });

  it('leaves derived data alone where it is not asked for, and makes none', async () => {
    const disk = new SimulatedFileSystem();
    const store = await openAt(disk, '/store');
    await append(store, 60);
    await store.settled();
    const { derived } = await store.backup(BACKUP, { derived: false });
    expect(derived).toBeUndefined();
    expect(filesOf(disk).filter((path) => path.includes('/derived/'))).toEqual([]);
    await checkCopy(disk, await eventsOf(store));
    expect((await store.backup(BACKUP)).derived).toBeGreaterThan(0);
    const tables = filesOf(disk).filter((path) => path.includes('/derived/'));
    expect(tables.length).toBeGreaterThan(2);
    await append(store, 60);
    await store.settled();
    expect((await store.backup(BACKUP, { derived: false })).derived).toBeUndefined();
    expect(filesOf(disk).filter((path) => path.includes('/derived/'))).toEqual(tables);
    await checkCopy(disk, await eventsOf(store));
    await store.close();
  });

  it('works while the store is written and merged', async () => {
    const disk = new SimulatedFileSystem();
    const store = await openAt(disk, '/store');
    await append(store, 20);
    for (let round = 0; round < 8; round += 1) {
      const before = await eventsOf(store);
      const backup = store.backup(BACKUP);
      await append(store, 40, round === 3 ? 60_000 : 100);
      expect((await backup).events).toBe(before.length);
      await checkCopy(disk, before);
    }
    expect(store.stats().index.work.merges).toBeGreaterThan(3);
    await store.close();
  });

  it('works from a store that is only read', async () => {
    const disk = new SimulatedFileSystem();
    const store = await openAt(disk, '/store');
    await append(store, 60);
    await store.settled();
    await store.backup(BACKUP);
    await append(store, 6, 400_000);
    await append(store, 50);
    await store.settled();
    await store.close();
    const reader = await openAt(disk, '/store', { readOnly: true });
    const { isNew, derived } = await reader.backup(BACKUP);
    expect(isNew).toBe(false);
    expect(derived).toBeGreaterThan(100);
    const events = await eventsOf(reader);
    await checkCopy(disk, events);
    await reader.backup('/second');
    await checkCopy(disk, events, '/second');
    await reader.close();
  });

  it('goes on with a copy that was only opened', async () => {
    const disk = new SimulatedFileSystem();
    const store = await openAt(disk, '/store');
    await append(store, 5, 400_000);
    await append(store, 70);
    await store.backup(BACKUP);
    const copy = await openAt(disk, BACKUP);
    await copy.settled();
    await expect(store.backup(BACKUP)).rejects.toMatchObject({ code: 'LOCKED' });
    await copy.close();
    await append(store, 5, 400_000);
    await append(store, 70);
    await store.backup(BACKUP);
    await checkCopy(disk, await eventsOf(store));
    await store.close();
  });

  it('replaces derived data of another incarnation', async () => {
    const disk = new SimulatedFileSystem();
    let store = await openAt(disk, '/store');
    await append(store, 60);
    await store.settled();
    await store.backup(BACKUP);
    await store.close();
    for (const path of filesOf(disk, '/store/derived')) {
      disk.remove(path);
    }
    store = await openAt(disk, '/store');
    await append(store, 60);
    await store.settled();
    await store.backup(BACKUP);
    await checkCopy(disk, await eventsOf(store));
    await store.close();
  });
});

describe('a backup is refused, and changes nothing,', () => {
  const refusals: readonly [
    string,
    (disk: SimulatedFileSystem, store: EventStore) => Promise<void>,
    object,
  ][] = [
    [
      'where another store is',
      async (disk) => {
        const other = await open(BACKUP, {}, { fileSystem: disk, random: new SeededRandom(9) });
        await other.close();
      },
      { code: 'INVALID_ARGUMENT' },
    ],
    [
      'where other files are',
      async (disk) => disk.writeFile(`${BACKUP}/letter`, new Uint8Array(1)),
      { code: 'INVALID_ARGUMENT' },
    ],
    [
      'where a copy was appended to',
      async (disk, store) => {
        await store.backup(BACKUP);
        const copy = await openAt(disk, BACKUP);
        await copy.append('s/1', [{ type: 'Other' }]);
        await copy.close();
      },
      { code: 'INVALID_ARGUMENT' },
    ],
    [
      'where a copy was appended to, and the store as well',
      async (disk, store) => {
        await store.backup(BACKUP);
        const copy = await openAt(disk, BACKUP);
        await append(copy, 1);
        await copy.close();
        await append(store, 2);
      },
      { code: 'INVALID_ARGUMENT' },
    ],
    [
      'where a copy went on with other segments',
      async (disk, store) => {
        await store.backup(BACKUP);
        const copy = await openAt(disk, BACKUP);
        await append(copy, 6, 400_000);
        await copy.close();
        await append(store, 12, 400_000);
      },
      { code: 'INVALID_ARGUMENT' },
    ],
    [
      'where a copy is damaged',
      async (disk, store) => {
        await append(store, 4);
        await store.backup(BACKUP);
        const path = `${BACKUP}/log/00000000000000000000.seg`;
        const bytes = disk.readFile(path);
        bytes[300]! ^= 1;
        disk.writeFile(path, bytes);
      },
      { code: 'CORRUPT' },
    ],
    [
      'where a foreign file is in the copy',
      async (disk, store) => {
        await store.backup(BACKUP);
        disk.writeFile(`${BACKUP}/letter`, new Uint8Array(1));
      },
      { code: 'FOREIGN_FILE' },
    ],
  ];

  it.each(refusals)('%s', async (_, prepare, error) => {
    const disk = new SimulatedFileSystem();
    const store = await openAt(disk, '/store');
    await append(store, 8);
    await prepare(disk, store);
    const before = filesOf(disk).map((path) => [path, Buffer.from(disk.readFile(path))]);
    await expect(store.backup(BACKUP)).rejects.toMatchObject(error);
    expect(filesOf(disk).map((path) => [path, Buffer.from(disk.readFile(path))])).toEqual(before);
    await store.close();
  });
});

describe('a disk that fails during a backup into an older one', () => {
  it.each(['EIO', 'ENOSPC'] as const)(
    'by %s: the copy opens, and the next backup mends it',
    async (kind) => {
      const made = new SimulatedFileSystem();
      const store = await openAt(made, '/store');
      await append(store, 3, 400_000);
      await append(store, 40);
      await store.settled();
      await store.backup(BACKUP);
      const old = store.head;
      await append(store, 5, 400_000);
      await append(store, 60);
      await store.settled();
      const events = await eventsOf(store);
      await store.close();
      let failures = 0;
      for (let at = 1 + (seed % 4); ; at += 4) {
        let count = 0;
        let isStruck = false;
        const faults = new FaultPlan({
          when: (operation) => {
            count += operation.path.startsWith(BACKUP) && changesDisk(operation) ? 1 : 0;
            const strikes = !isStruck && count === at;
            isStruck ||= strikes;
            return strikes ? { kind, partial: true } : undefined;
          },
        });
        const disk = made.clone({ faults });
        const source = await openAt(disk, '/store', { readOnly: true });
        const failure = await source.backup(BACKUP).then(
          () => undefined,
          (error: unknown) => error,
        );
        if (!isStruck) {
          expect(failure).toBeUndefined();
          await source.close();
          break;
        }
        failures += failure === undefined ? 0 : 1;
        const copy = await openAt(disk.clone({ faults: new FaultPlan() }), BACKUP, {
          create: false,
        });
        expect(copy.head).toBeGreaterThanOrEqual(old);
        expect(textOf(await eventsOf(copy))).toBe(textOf(events.slice(0, copy.head)));
        await copy.close();
        expect((await source.backup(BACKUP)).events).toBe(events.length);
        await source.close();
        await checkCopy(disk, events);
      }
      expect(failures).toBeGreaterThan(2);
    },
  );
});

describe('a power cut during a first backup', () => {
  it('leaves no store, or all of it, with derived data that is never ahead of its log', async () => {
    const disk = new SimulatedFileSystem();
    const random = new SeededRandom(4);
    const store = await openAt(disk, '/store');
    await append(store, 4, 400_000);
    await append(store, 60);
    await store.settled();
    const events = await eventsOf(store);
    const cuts: SimulatedFileSystem[] = [];
    let count = 0;
    disk.onBeforeOperation = (operation) => {
      if (changesDisk(operation)) {
        count += 1;
        if (isInStride(count, 2)) {
          cuts.push(cutPower(disk, random).clone);
        }
      }
    };
    const backup = store.backup(BACKUP);
    await append(store, 40);
    await backup;
    disk.onBeforeOperation = undefined;
    await store.close();
    const none = { keep: 'none', sector: 512, directory: 'ordered' } as const;
    await checkCopy(disk.crashClone(random, none), events);
    for (const clone of cuts) {
      if (clone.stat(`${BACKUP}/store.json`) !== undefined) {
        await checkCopy(clone, events);
      }
    }
    expect(cuts.length).toBeGreaterThan(10);
  });
});

describe('a power cut during a backup into an older one', () => {
  it('leaves a copy with the old events or more of the new ones, and the next backup mends it', async () => {
    const disk = new SimulatedFileSystem();
    const random = new SeededRandom(3);
    const store = await openAt(disk, '/store');
    await append(store, 3, 400_000);
    await append(store, 40);
    await store.settled();
    await store.backup(BACKUP);
    const old = store.head;
    await append(store, 6, 400_000);
    await append(store, 60);
    await store.settled();
    const events = await eventsOf(store);
    const cuts: { readonly clone: SimulatedFileSystem; readonly what: string }[] = [];
    let count = 0;
    disk.onBeforeOperation = (operation) => {
      const isNext = changesDisk(operation) && isInStride(count, 5);
      count += changesDisk(operation) ? 1 : 0;
      if (isNext) {
        const { clone, text } = cutPower(disk, random);
        cuts.push({ clone, what: `${operation.kind} ${operation.path}: ${text}` });
      }
    };
    await store.backup(BACKUP);
    disk.onBeforeOperation = undefined;
    await store.close();
    const seen = new Set<number>();
    for (const { clone, what } of cuts) {
      try {
        const copy = await openAt(clone.clone(), BACKUP, { create: false });
        seen.add(copy.head);
        expect(copy.head).toBeGreaterThanOrEqual(old);
        expect(textOf(await eventsOf(copy))).toBe(textOf(events.slice(0, copy.head)));
        expect(await copy.verify()).toMatchObject({ ok: true });
        expect(copy.recovery.quarantined).toBeUndefined();
        await copy.settled();
        await copy.close();
        const reader = await openAt(clone, BACKUP, { readOnly: true });
        await reader.close();
        const again = await openAt(clone, '/store');
        await again.backup(BACKUP);
        await again.close();
        await checkCopy(clone, events);
      } catch (error) {
        throw new Error(`power cut before ${what}`, { cause: error });
      }
    }
    expect(cuts.length).toBeGreaterThan(5);
    expect(seen.has(old)).toBe(true);
  });
});
