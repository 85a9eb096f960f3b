/** Logs and derived data that are not of one time: what was lost is noticed, and what went another way is never believed. */
import { CorruptionError } from 'varve';
import { collectGoals, type SimulatedFileSystem } from 'varve/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { filesOf } from './derived-damage.ts';
import {
  checkFinds,
  checkFresh,
  checkRepeats,
  checkStreams,
  History,
  type Made,
  openTiny,
  tiny,
} from './derived-history.ts';
import { call } from './workload.ts';

/** Before the copies were made. */
let past: History;
/** Its future: what may get lost. */
let future: History;
/** Another future, with commits of equal sizes. */
let otherFuture: History;
beforeAll(async () => {
  past = new History({ seed: 10, mark: 'p' });
  await past.grow(36);
  future = past.fork({ seed: 20, mark: 'f' });
  otherFuture = past.fork({ seed: 30, mark: 'o' });
  await future.grow(36);
  await otherFuture.grow(36);
});

/** The log of one, and the derived data of the other. */
function mixed(log: SimulatedFileSystem, derived: SimulatedFileSystem): SimulatedFileSystem {
  const disk = log.clone();
  for (const path of filesOf(disk)) {
    disk.removeFile(path);
  }
  for (const path of filesOf(derived)) {
    disk.writeFile(path, derived.readFile(path));
  }
  return disk;
}

async function expectLost(disk: SimulatedFileSystem, readOnly = false): Promise<void> {
  const digest = disk.snapshotDigest();
  const head = await eventCountOf(past);
  const opening = openTiny(disk, 40, { ...tiny, readOnly });
  const error = await opening.then(
    () => undefined,
    (failure: unknown) => failure,
  );
  expect(error).toBeInstanceOf(CorruptionError);
  const { code, position, message } = error as CorruptionError;
  expect({ code, position }).toEqual({ code: 'CORRUPT', position: head });
  expect(message).toMatch(/move \/store\/derived away/);
  const covered = coveredBy(future);
  expect(covered).toBeGreaterThan(head);
  expect(message).toContain(`up to position ${covered - 1}`);
  expect(disk.snapshotDigest(), 'nothing is changed').toBe(digest);
  expect(disk.openCount).toBe(0);
}

async function eventCountOf({ disk }: History): Promise<number> {
  const store = await openTiny(disk.clone(), 50);
  const { head } = store;
  await store.close();
  return head;
}

/** As the manifest says. */
function coveredBy({ disk }: History): number {
  return Number(Buffer.from(disk.readFile('/store/derived/manifest')).readBigUInt64LE(56));
}

/** Commits of the future that were made after the copy. */
function lostOf(history: History): readonly Made[] {
  return history.repeatable.filter((made) => !past.made.includes(made));
}

/** Everything of `known` is known, everything of `lost` is as if it had never been. */
async function checkSides(
  disk: SimulatedFileSystem,
  known: History,
  lost: readonly Made[],
): Promise<void> {
  const history = new History({ seed: 60, mark: 'x' }, disk);
  history.made.push(...known.made);
  const store = await openTiny(disk, 60);
  await checkRepeats(store, history.repeatable);
  await checkStreams(store);
  await checkFinds(store, history.repeatable);
  for (const { parts, options } of lost) {
    const { idempotencyKey, idempotencyScope } = options;
    if (idempotencyKey !== undefined) {
      const scope = idempotencyScope === undefined ? {} : { idempotencyScope };
      expect(await store.findCommit({ idempotencyKey, ...scope })).toBeUndefined();
    }
    const answer = await call(store, parts, options);
    expect(answer.outcome).toBe('appended');
    history.made.push({ parts, options, result: { ...answer, outcome: 'duplicate' } });
  }
  await checkFresh(store, history, 'first');
  await store.settled();
  await store.close();
  const again = await openTiny(disk, 61);
  await checkRepeats(again, history.repeatable);
  await checkStreams(again);
  await again.close();
}

describe('an older log under newer derived data', () => {
  it('is refused, with the positions that are lost and the way out, and nothing is changed', async () => {
    await expectLost(mixed(past.disk, future.disk));
    await expectLost(mixed(past.disk, future.disk), true);
  });

  it('is refused, too, where some of its tables are missing or cut', async () => {
    const tables = filesOf(future.disk).filter((path) => path.endsWith('.tbl'));
    expect(tables.length).toBeGreaterThan(0);
    for (const path of tables) {
      const missing = mixed(past.disk, future.disk);
      missing.removeFile(path);
      await expectLost(missing);
      const cut = mixed(past.disk, future.disk);
      cut.writeFile(path, cut.readFile(path).subarray(0, 100));
      await expectLost(cut);
    }
  });

  it('is accepted without its future once derived data has been moved away', async () => {
    const disk = mixed(past.disk, future.disk);
    disk.rename('/store/derived', '/derived');
    await checkSides(disk, past, lostOf(future));
  });

  it('that has grown again by commits of equal sizes is believed, and derived data made again', async () => {
    const goals = new Set<string>();
    collectGoals(goals);
    const sizes = [future, otherFuture].map(
      ({ disk }) => disk.readFile('/store/log/00000000000000000000.seg').length,
    );
    expect(sizes[0]).toBe(sizes[1]);
    await checkSides(mixed(otherFuture.disk, future.disk), otherFuture, lostOf(future));
    expect([...goals]).toContain('derived data of another log was set aside');
    collectGoals(undefined);
  });

  it('that has grown further than what was lost is believed, too', async () => {
    const longer = otherFuture.fork({ seed: 70, mark: 'l' });
    await longer.grow(12);
    await checkSides(mixed(longer.disk, future.disk), longer, lostOf(future));
  });
});

describe('two histories of one identity', () => {
  it('never use derived data of each other, whichever manifest and tables are there', async () => {
    const both = [future, otherFuture] as const;
    for (const [log, derived] of [both, both.toReversed() as [History, History]]) {
      for (const chosen of ['manifest', 'tables'] as const) {
        const disk = log.disk.clone();
        const paths = filesOf(derived.disk).filter(
          (path) => path.endsWith('.tbl') === (chosen === 'tables'),
        );
        paths.forEach((path) => disk.writeFile(path, derived.disk.readFile(path)));
        await checkSides(disk, log, lostOf(derived));
      }
    }
  });

  it('may change places while the store is closed, again and again', async () => {
    let { disk } = future;
    const history = new History({ seed: 80, mark: 'y' }, disk);
    history.made.push(...future.made);
    let aside = otherFuture.disk;
    for (let turn = 0; turn < 4; turn += 1) {
      const before = disk;
      disk = mixed(disk, aside);
      aside = before;
      const store = await openTiny(disk, 90 + turn);
      await checkRepeats(store, history.repeatable);
      await checkFresh(store, history, `turn-${turn}`);
      await store.settled();
      await store.close();
    }
    const store = await openTiny(disk, 99);
    await checkRepeats(store, history.repeatable);
    await checkStreams(store);
    await store.close();
  });
});

describe('an older manifest of the same history', () => {
  it('is used as far as it goes, and tables of later ones never pass for its own', async () => {
    const history = past.fork({ seed: 110, mark: 'm' });
    const manifests: Uint8Array[] = [];
    const path = '/store/derived/manifest';
    for (let turn = 0; turn < 4; turn += 1) {
      manifests.push(history.disk.readFile(path));
      await history.growToTables(2 + (turn % 3), turn);
    }
    for (const [turn, manifest] of manifests.entries()) {
      const disk = history.disk.clone();
      disk.writeFile(path, manifest);
      const store = await openTiny(disk, 120 + turn);
      await checkRepeats(store, history.repeatable);
      await store.settled();
      await checkStreams(store);
      await store.close();
      // Now tables with the numbers of others have been made anew: the newest manifest doesn't take them for its own.
      disk.writeFile(path, history.disk.readFile(path));
      const again = await openTiny(disk, 130 + turn);
      await checkRepeats(again, history.repeatable);
      await checkStreams(again);
      await again.close();
    }
  });
});
