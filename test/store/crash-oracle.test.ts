/**
 * Acknowledged means on disk: after a power cut at any operation everything that was promised is there, nothing that was
 * never asked for, and the store goes on. VARVE_CRASH_RUNS multiplies the runs, VARVE_SEED repeats one.
 */
import { open } from 'varve';
import { collectGoals, SeededRandom, SimulatedFileSystem } from 'varve/testing';
import { describe, expect, it } from 'vitest';
import {
  acknowledgedEndAt,
  changesDisk,
  type CrashPoint,
  cutPower,
  explained,
  Oracle,
  truthOf,
} from './oracle.ts';
import { sweepsEverything } from '../seed.ts';
import { isInStride } from '../stride.ts';
import { STORE, Workload, type WorkloadSettings } from './workload.ts';

const runs = Number(process.env['VARVE_CRASH_RUNS'] ?? 1);
const given = process.env['VARVE_SEED'];
const small: WorkloadSettings = { options: {}, stepCount: 12, isLarge: false };
const profiles: Readonly<Record<string, WorkloadSettings>> = {
  small,
  narrow: { ...small, stepCount: 10, options: { maxBatchBytes: 4_096, maxPendingBytes: 16_384 } },
  // Generations of 8 events: indexer and owner at once.
  indexed: {
    ...small,
    stepCount: 5,
    options: { indexMemoryBytes: 16 * 1024, background: 'inline' },
  },
  rotating: {
    options: { maxSegmentBytes: 1024 * 1024 },
    stepCount: 7,
    isLarge: true,
  },
};

const wantedGoals = [
  'waited for room',
  'an answer waited for a commit in flight',
  'finished frames while the disk was busy',
  'renewed the names of an empty store',
  'reopened without a tear',
  'set a torn tail aside',
  'rotated',
  'sealed a full segment at open',
  'renewed an empty segment',
];
const goals = new Set<string>();
// With a tiny index most operations are the indexer's, and they are alike.
const strides: Readonly<Record<string, number>> = { indexed: 60 };
const counts = { points: 0, recoveries: 0, backups: 0, segments: 0 };

describe('a power cut', () => {
  for (const [name, settings] of Object.entries(profiles)) {
    const seeds =
      given === undefined ? Array.from({ length: runs }, (_, run) => run + 1) : [Number(given)];
    it.each(seeds)(
      `loses nothing acknowledged (${name} store, VARVE_SEED=%s)`,
      async (seed: number) => {
        collectGoals(goals);
        await crashEverywhere(seed, settings, strides[name] ?? 1);
        collectGoals(undefined);
      },
    );
  }

  it.skipIf(given !== undefined)('was cut everywhere that matters', () => {
    expect([...goals].toSorted()).toEqual(expect.arrayContaining(wantedGoals));
    expect(counts.segments).toBeGreaterThanOrEqual(4);
    expect(counts.points).toBeGreaterThan(250);
    expect(counts.backups).toBeGreaterThan(5);
    console.log(JSON.stringify(counts));
  });
});

async function crashEverywhere(
  seed: number,
  settings: WorkloadSettings,
  stride: number,
): Promise<void> {
  const random = new SeededRandom(seed);
  const disk = new SimulatedFileSystem();
  const workload = new Workload(disk, seed, settings);
  const points: CrashPoint[] = [];
  disk.onBeforeOperation = (operation) => {
    workload.observe();
    if (changesDisk(operation) && isInStride(operation.index, stride)) {
      const { clone, text } = cutPower(disk, random);
      const { visible: floor, appended: ceiling } = workload;
      const { moment } = workload.recorder;
      const what = `power cut before ${operation.kind} ${operation.path} (${operation.index}): ${text}`;
      points.push({ disk: clone, moment, floor, ceiling, what });
    }
  };
  for (let session = 0; session < 3; session += 1) {
    await workload.session();
  }
  disk.onBeforeOperation = undefined;
  const store = await open(STORE, settings.options, { fileSystem: disk });
  const { attempts } = workload.recorder;
  const truth = await truthOf(store, attempts);
  counts.segments = Math.max(counts.segments, store.stats().segments);
  await store.close();
  const oracle = new Oracle(truth, seed, settings.options);
  for (const [index, point] of points.entries()) {
    expect(acknowledgedEndAt(attempts, point.moment)).toBeLessThanOrEqual(point.floor);
    await explained(point, async () => {
      const backups = index % 4 === 3 ? workload.backups : [];
      for (const backup of backups) {
        await oracle.checkBackup(point, backup);
      }
      await check(oracle, point, index + seed);
    });
  }
  counts.points += points.length;
  counts.recoveries += oracle.recoveries;
  counts.backups += oracle.backups;
}

/** Half of them briefly, a quarter further; which ones changes with the seed. */
async function check(oracle: Oracle, point: CrashPoint, turn: number): Promise<void> {
  if (turn % 16 === 0) {
    await oracle.checkFully(point);
  } else if (turn % 4 === 0) {
    await oracle.checkGoingOn(point);
  } else if (sweepsEverything || turn % 4 !== 1) {
    await oracle.checkBriefly(point);
  }
}
