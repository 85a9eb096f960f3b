/**
 * Acknowledged means on disk, for the key-value store: after a power cut at any operation everything that was promised is
 * there, nothing that was never asked for, and the store goes on. VARVE_CRASH_RUNS multiplies the runs, VARVE_SEED repeats
 * one.
 */
import { collectGoals, SeededRandom, SimulatedFileSystem } from 'varve/testing';
import { describe, expect, it } from 'vitest';
import { crashPointsOf, explainedKv, type KvCrashPoint, KvOracle, KvTruth } from './oracle.ts';
import { sweepsEverything } from '../seed.ts';
import { tinyOptions } from './wishes.ts';
import { KvWorkload, type KvWorkloadSettings } from './workload.ts';

const runs = Number(process.env['VARVE_CRASH_RUNS'] ?? 1);
const given = process.env['VARVE_SEED'];
const profiles: Readonly<Record<string, KvWorkloadSettings & { readonly every: number }>> = {
  small: { options: tinyOptions, stepCount: 4, sessionCount: 3, isLarge: false, every: 1 },
  crowded: {
    options: { ...tinyOptions, maxBatchBytes: 4_096, maxPendingBytes: 8_192, blockBytes: 64 },
    stepCount: 4,
    sessionCount: 2,
    isLarge: false,
    every: 1,
  },
  rotating: {
    options: { ...tinyOptions, memtableBytes: 64 * 1024, tableBytes: 32 * 1024 },
    stepCount: 6,
    sessionCount: 2,
    isLarge: true,
    every: 8,
  },
};

const wantedGoals = [
  'a batch waited',
  'flushed a memtable',
  'recovered a key-value store',
  'removed a segment of a log',
  'rotated',
  'set a torn tail aside',
];
const goals = new Set<string>();
const counts: Record<string, number> = {};

describe('a power cut', () => {
  for (const [name, settings] of Object.entries(profiles)) {
    const seeds =
      given === undefined ? Array.from({ length: runs }, (_, run) => run + 1) : [Number(given)];
    it.each(seeds)(
      `loses nothing acknowledged (${name} key-value store, VARVE_SEED=%s)`,
      async (seed: number) => {
        collectGoals(goals);
        await crashEverywhere(seed, settings);
        collectGoals(undefined);
      },
    );
  }

  it.skipIf(given !== undefined)('was cut everywhere that matters', () => {
    console.log(JSON.stringify(counts));
    expect([...goals].toSorted()).toEqual(expect.arrayContaining(wantedGoals));
    expect(counts['points']).toBeGreaterThan(600);
    for (const name of [
      'compactions',
      'moves',
      'flushes',
      'ingests',
      'backups',
      'refusedBackups',
    ]) {
      expect(counts[name], name).toBeGreaterThan(3);
    }
    for (const name of ['replayed', 'torn', 'orphans', 'ingestsLost']) {
      expect(counts[name], name).toBeGreaterThan(3);
    }
  });
});

async function crashEverywhere(
  seed: number,
  settings: KvWorkloadSettings & { readonly every: number },
): Promise<void> {
  const random = new SeededRandom(seed);
  const disk = new SimulatedFileSystem();
  const workload = new KvWorkload(disk, seed, settings);
  const points = crashPointsOf(disk, workload, random, settings.every);
  for (let session = 0; session < settings.sessionCount; session += 1) {
    await workload.session();
    const { flushes, compactions, moves, ingests } = workload.stats!.background;
    count({ flushes, compactions, moves, ingests });
  }
  disk.onBeforeOperation = undefined;
  const truth = new KvTruth(workload.recorder.attempts, workload.flushed);
  const oracle = new KvOracle(truth, seed);
  for (const [index, point] of points.entries()) {
    await explainedKv(point, async () => {
      for (const backup of index % 8 === 0 ? workload.backups : []) {
        await oracle.checkBackup(point, backup);
      }
      await check(oracle, point, index + seed);
    });
  }
  const { recoveries, backups, refusedBackups, replayed, torn, orphans, ingestsLost } = oracle;
  count({ points: points.length, recoveries, backups, refusedBackups });
  count({ replayed, torn, orphans, ingestsLost });
}

function count(more: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(more)) {
    counts[name] = (counts[name] ?? 0) + value;
  }
}

/** Half of them; which ones, and which of these thoroughly, changes with the seed. */
async function check(oracle: KvOracle, point: KvCrashPoint, turn: number): Promise<void> {
  if (turn % 16 === 0) {
    await oracle.checkGoingOn(point, turn % 128 === 0);
  } else if (turn % 8 === 1) {
    await oracle.checkTwice(point);
  } else if (sweepsEverything || turn % 2 === 0) {
    await oracle.checkBriefly(point);
  }
}
