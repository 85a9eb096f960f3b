/** Opening without derived data that can be used: with progress, until it is told to stop, going on at the next open; and for readers, who change nothing. */
import { CorruptionError, type EventStore, type LogEntry, open, type OpenProgress } from 'varve';
import {
  collectGoals,
  SeededRandom,
  SimulatedClock,
  type SimulatedFileSystem,
} from 'varve/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { eventsOf } from './damage.ts';
import { filesOf } from './derived-damage.ts';
import {
  checkFinds,
  checkFresh,
  checkRepeats,
  checkStreams,
  HOME,
  History,
  type Made,
  openTiny,
  tiny,
} from './derived-history.ts';

/** Two full segments, with runs of events in each, and a third one. */
let history: History;
beforeAll(async () => {
  history = new History({ seed: 300, mark: 'r' });
  for (let segment = 0; segment < 2; segment += 1) {
    await history.growLarge(2);
    await history.grow(40);
  }
  await history.growLarge(1);
  await history.growToTables(3, 5);
});

function withoutDerived(): SimulatedFileSystem {
  const disk = history.disk.clone();
  filesOf(disk).forEach((path) => disk.removeFile(path));
  return disk;
}

interface Watched {
  readonly progress: OpenProgress[];
  readonly entries: LogEntry[];
}

/** Opens, and notes what is told meanwhile; stops when that much has been told. */
async function openWatched(
  disk: SimulatedFileSystem,
  watched: Watched,
  stopAfter = Infinity,
): Promise<EventStore> {
  const controller = new AbortController();
  const onProgress = (progress: OpenProgress): void => {
    watched.progress.push(progress);
    if (watched.progress.length === stopAfter) {
      controller.abort();
    }
  };
  const options = { ...tiny, onProgress, signal: controller.signal };
  return open(HOME, options, {
    fileSystem: disk,
    clock: new SimulatedClock({ tickMs: 1 }),
    random: new SeededRandom(310),
    logger: (entry) => watched.entries.push(entry),
  });
}

function nothingWatched(): Watched {
  return { progress: [], entries: [] };
}

describe('an open that has to make derived data', () => {
  it('tells how far it is, and answers when it is done', async () => {
    const watched = nothingWatched();
    const store = await openWatched(withoutDerived(), watched);
    const { progress, entries } = watched;
    expect(progress.length).toBeGreaterThan(4);
    for (const [nth, { phase, positions, positionsTotal }] of progress.entries()) {
      expect({ phase, positionsTotal }).toEqual({ phase: 'index', positionsTotal: store.head });
      expect(positions).toBeGreaterThan(progress[nth - 1]?.positions ?? 0);
    }
    expect(entries.map(({ event }) => event)).toContain('index-rebuilt');
    expect(store.stats().index.work.runs).toBeGreaterThanOrEqual(progress.length);
    await checkRepeats(store, history.repeatable);
    await checkStreams(store);
    await store.close();
  });

  it('keeps finished runs when it is aborted, and the next one goes on there', async () => {
    const whole = nothingWatched();
    await (await openWatched(withoutDerived(), whole)).close();
    const disk = withoutDerived();
    let told = 0;
    for (const stopAfter of [1, 2, 1]) {
      const watched = nothingWatched();
      await expect(openWatched(disk, watched, stopAfter)).rejects.toMatchObject({
        code: 'ABORTED',
      });
      expect(disk.openCount).toBe(0);
      expect(watched.progress).toEqual(whole.progress.slice(told, told + stopAfter));
      told += stopAfter;
    }
    const last = nothingWatched();
    const store = await openWatched(disk, last);
    expect(last.progress).toEqual(whole.progress.slice(told));
    expect(last.progress.length).toBeGreaterThan(0);
    await checkRepeats(store, history.repeatable);
    await checkStreams(store);
    await checkFinds(store, history.repeatable);
    await store.close();
  });

  it('keeps few tables that are not merged, however much there is', async () => {
    const long = new History({ seed: 301, mark: 'l' });
    await long.grow(1_200);
    const { disk } = long;
    filesOf(disk).forEach((path) => disk.removeFile(path));
    const goals = new Set<string>();
    collectGoals(goals);
    let tables = 0;
    disk.onBeforeOperation = ({ kind, path }) => {
      if (kind === 'create' && path.endsWith('.tbl')) {
        tables = Math.max(tables, filesOf(disk).length);
      }
    };
    const store = await openTiny(disk, 302);
    disk.onBeforeOperation = undefined;
    collectGoals(undefined);
    expect([...goals]).toContain('merged while derived data was made at open');
    const { runs } = store.stats().index.work;
    expect(runs).toBeGreaterThan(80);
    // Merges are due before there are 64; what they made stays until the next manifest.
    expect(tables).toBeGreaterThan(50);
    expect(tables).toBeLessThan(80);
    await store.settled();
    await checkRepeats(store, long.repeatable);
    await checkStreams(store);
    await store.close();
  });

  it('goes on, too, after a power cut in between', async () => {
    const disk = withoutDerived();
    const cuts: SimulatedFileSystem[] = [];
    const random = new SeededRandom(320);
    disk.onBeforeOperation = ({ kind, path }) => {
      if (path.includes('/derived/') && ['rename', 'write', 'sync', 'remove'].includes(kind)) {
        const choice = random.pick([
          { keep: 'none', sector: 512, directory: 'ordered' },
          { keep: 'random', sector: 512, directory: 'any' },
        ] as const);
        cuts.push(disk.crashClone(random, choice));
      }
    };
    await (await openTiny(disk, 330)).close();
    disk.onBeforeOperation = undefined;
    expect(cuts.length).toBeGreaterThan(40);
    for (const cut of cuts.filter((_, nth) => nth % 9 === 0)) {
      const store = await openTiny(cut, 340);
      await checkRepeats(store, history.repeatable);
      await store.settled();
      await store.close();
    }
  });

  it('refuses damage of the log that it meets, as an open that reads everything does', async () => {
    const segment = '/store/log/00000000000000000000.seg';
    const harmed = history.disk.clone();
    harmed.flipBit(segment, 700_000, 3);
    // Below what derived data covers it is found by who reads there.
    await (await openTiny(harmed, 350)).close();
    filesOf(harmed).forEach((path) => harmed.removeFile(path));
    const opening = openTiny(harmed, 351);
    await expect(opening).rejects.toBeInstanceOf(CorruptionError);
    await expect(openTiny(harmed, 352)).rejects.toMatchObject({ code: 'CORRUPT', file: segment });
    expect(harmed.openCount).toBe(0);
    // Once the log is whole again, all is well.
    harmed.flipBit(segment, 700_000, 3);
    const store = await openTiny(harmed, 353);
    await checkRepeats(store, history.repeatable);
    await store.close();
  });
});

describe('an open for reading only', () => {
  const readOnly = { ...tiny, readOnly: true };

  /** Twice at the same time, as two processes do. */
  async function readTwice(disk: SimulatedFileSystem, known: readonly Made[]): Promise<void> {
    const digest = disk.snapshotDigest();
    const stores = await Promise.all([
      openTiny(disk, 360, readOnly),
      openTiny(disk, 361, readOnly),
    ]);
    for (const store of stores) {
      await store.settled();
      await checkStreams(store);
      await checkFinds(store, known);
      expect(store.stats().index).toMatchObject({ isAnswering: true, failure: undefined });
      const refused = store.append('hot/0', [{ type: 'No' }]);
      await expect(refused).rejects.toMatchObject({ code: 'READ_ONLY' });
    }
    for (const store of stores) {
      await store.close();
    }
    expect(disk.snapshotDigest()).toBe(digest);
    expect(disk.openCount).toBe(0);
  }

  it('answers from derived data, or where it is missing, cut or older, from memory', async () => {
    const known = history.repeatable;
    await readTwice(history.disk.clone(), known);
    await readTwice(withoutDerived(), known);
    for (const path of filesOf(history.disk)) {
      const missing = history.disk.clone();
      missing.removeFile(path);
      await readTwice(missing, known.slice(-10));
      const cut = history.disk.clone();
      cut.writeFile(path, cut.readFile(path).subarray(0, 50));
      await readTwice(cut, known.slice(-10));
    }
  });

  it('answers from an older tree, and beside one that an owner then goes on with', async () => {
    const later = history.fork({ seed: 370, mark: 'q' });
    const old = filesOf(later.disk).map((path) => [path, later.disk.readFile(path)] as const);
    await later.grow(30);
    const disk = later.disk.clone();
    filesOf(disk).forEach((path) => disk.removeFile(path));
    old.forEach(([path, bytes]) => disk.writeFile(path, bytes));
    await readTwice(disk, later.repeatable);
    const reader = await openTiny(disk, 371, readOnly);
    await checkFinds(reader, later.repeatable.slice(-5));
    // The owner's merges remove what the reader has open.
    const owner = await openTiny(disk, 372);
    await checkFresh(owner, later, 'beside');
    await owner.settled();
    await checkFinds(reader, history.repeatable);
    await checkStreams(reader);
    await reader.close();
    await owner.close();
  });

  it('never answers wrongly from damaged blocks: it fails, and changes nothing', async () => {
    const disk = history.disk.clone();
    const tables = filesOf(disk).filter((path) => path.endsWith('.tbl'));
    tables.slice(0, -1).forEach((path) => disk.flipBit(path, 80, 3));
    const digest = disk.snapshotDigest();
    const store = await openTiny(disk, 380, readOnly);
    let failed = 0;
    for (const made of history.repeatable) {
      try {
        await checkFinds(store, [made]);
      } catch (error) {
        expect(error).toMatchObject({ code: 'UNAVAILABLE' });
        failed += 1;
      }
    }
    expect(failed).toBeGreaterThan(0);
    expect(await eventsOf(store)).toHaveLength(store.head);
    await store.close();
    expect(disk.snapshotDigest()).toBe(digest);
  });
});
