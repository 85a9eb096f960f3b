/**
 * Hundreds of thousands of random calls to a key-value store and to a sorted array, compared as they go, with power cuts in between.
 * VARVE_SEED repeats a run, VARVE_STEPS makes it longer.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KvOptions } from 'varve/kv';
import {
  collectGoals,
  type CrashChoice,
  SeededRandom,
  SimulatedClock,
  SimulatedFileSystem,
} from 'varve/testing';
import { afterAll, describe, expect, it } from 'vitest';
import type { KeyKind } from './awkward-keys.ts';
import { KvRun } from './model-run.ts';

/** Of a profile; those with tiny tables take a part of them, for theirs are dear. */
const stepCount = Number(process.env['VARVE_STEPS'] ?? 30_000);
const given = process.env['VARVE_SEED'];
const seeds = given === undefined ? [1] : [Number(given)];

const tiny: KvOptions = {
  memtableBytes: 4_096,
  blockBytes: 64,
  tableBytes: 1_024,
  levelBaseBytes: 4_096,
  levelMultiplier: 2,
  blockCacheBytes: 0,
};
const small: KvOptions = {
  memtableBytes: 16_384,
  blockBytes: 256,
  tableBytes: 8_192,
  levelBaseBytes: 32_768,
  levelMultiplier: 4,
  blockCacheBytes: 16_384,
};

interface Profile {
  readonly share: number;
  readonly keys: KeyKind;
  readonly options: KvOptions;
}

const profiles: Readonly<Record<string, Profile>> = {
  'tiny tables, keys of few letters': { share: 0.35, keys: 'alphabet', options: tiny },
  'tiny tables, deflated, paths': {
    share: 0.2,
    keys: 'paths',
    options: { ...tiny, compression: 'deflate', maxOpenFiles: 4, levelZeroTables: 2 },
  },
  'small tables, nested keys': {
    share: 0.4,
    keys: 'nested',
    options: { ...small, maxPendingBytes: 4_096, filterBitsPerKey: 0 },
  },
  'small tables, random keys': { share: 1, keys: 'random', options: small },
  'one block cache for all, random keys': {
    share: 1,
    keys: 'random',
    options: { ...small, memtableBytes: 65_536, blockBytes: 4_096, blockCacheBytes: 1 << 20 },
  },
};

const wanted = [
  'flushed a memtable',
  'compacted',
  'moved a table',
  'a batch waited',
  'writes stopped',
  'a write was not seen at once',
  'a condition failed',
  'read a snapshot after a compaction',
  'deleted ranges reached tables',
  'reopened',
  'recovered a key-value store',
  'recovered less than was written',
  'went on after a power cut',
  'removed a segment of a log',
  'ingested',
];
const goals = new Set<string>();
let callCount = 0;
const folders: string[] = [];

afterAll(() => {
  for (const folder of folders) {
    rmSync(folder, { recursive: true });
  }
});

describe('a key-value store', () => {
  for (const [name, profile] of Object.entries(profiles)) {
    it.each(seeds)(`does what a sorted array does (${name}, VARVE_SEED=%i)`, async (seed) => {
      collectGoals(goals);
      const simulation = new Simulation(seed, profile);
      await explained(simulation, () => simulation.go(stepCount * profile.share));
      collectGoals(undefined);
    });
  }

  it.each(seeds)('does the same on threads and a real disk (VARVE_SEED=%i)', async (seed) => {
    const random = new SeededRandom(seed);
    const directory = mkdtempSync(join(tmpdir(), 'varve-kv-'));
    folders.push(directory);
    const options: KvOptions = { ...small, background: 'thread' };
    const run = new KvRun(random, {
      directory,
      keys: 'paths',
      options,
      passTime: () => {},
      closed: () => {},
    });
    await run.open({});
    for (let step = 0; step < Math.ceil(stepCount / 4); step += 1) {
      await run.step();
      if (random.below(2_500) === 0) {
        await run.reopen({});
      }
    }
    await run.reopen({});
    await run.kv.settled();
    run.compareAll();
    await run.kv.close();
  });

  it.skipIf(given !== undefined)('was tried in every way that matters', () => {
    expect([...goals].toSorted()).toEqual(expect.arrayContaining(wanted));
    if (process.env['VARVE_STEPS'] === undefined) {
      expect(callCount).toBeGreaterThan(stepCount * 4);
    }
  });
});

const choices: readonly CrashChoice[] = [
  { keep: 'none', sector: 512, directory: 'ordered' },
  { keep: 'all', sector: 512, directory: 'ordered' },
  { keep: 'random', sector: 512, directory: 'ordered' },
  { keep: 'random', sector: 512, directory: 'any' },
  { keep: 'random', sector: 4096, directory: 'any' },
];

interface CrashPoint {
  readonly disk: SimulatedFileSystem;
  readonly floor: number;
  readonly ceiling: number;
}

/** A run on a simulated disk, and what happens to it. */
class Simulation {
  stepIndex = 0;
  readonly #random: SeededRandom;
  readonly #clock = new SimulatedClock({ tickMs: 1 });
  readonly #run: KvRun;
  #disk = new SimulatedFileSystem();
  #openCount = 0;

  constructor(seed: number, { keys, options }: Profile) {
    this.#random = new SeededRandom(seed);
    this.#run = new KvRun(this.#random, {
      directory: '/store',
      keys,
      options,
      passTime: () => this.#clock.advance(5),
      closed: () => expect(this.#disk.openCount).toBe(0),
    });
  }

  async go(count: number): Promise<void> {
    const run = this.#run;
    await run.open(this.#components());
    for (; this.stepIndex < count; this.stepIndex += 1) {
      await run.step();
      const roll = this.#random.below(4_000);
      if (roll === 0) {
        this.#noteStats();
        await run.reopen(this.#components());
      } else if (roll <= 2) {
        await this.#crash();
      }
      if (roll % 16 === 0) {
        this.#clock.advance(3);
      }
    }
    await run.rest();
    await run.kv.settled();
    this.#noteStats();
    run.compareAll();
    await run.reopen(this.#components());
    await run.kv.close();
    expect(this.#disk.openCount).toBe(0);
    this.#noteSeen();
  }

  #components(): object {
    this.#openCount += 1;
    const random = new SeededRandom(this.#openCount);
    return { fileSystem: this.#disk, clock: this.#clock, random };
  }

  #noteStats(): void {
    const { compactions, moves } = this.#run.kv.stats().background;
    const hasRanges = this.#run.kv.tables().some(({ rangeDeleteCount }) => rangeDeleteCount > 0);
    if (compactions > 0) {
      goals.add('compacted');
    }
    if (moves > 0) {
      goals.add('moved a table');
    }
    if (hasRanges) {
      goals.add('deleted ranges reached tables');
    }
  }

  #noteSeen(): void {
    callCount += this.#run.callCount;
    for (const goal of this.#run.seen) {
      goals.add(goal);
    }
  }

  /** The power is cut some operations from now: the store that is found must hold what was promised, whole batches only. */
  async #crash(): Promise<void> {
    const run = this.#run;
    const point = await this.#cutPower();
    await run.rest();
    const abandoned = this.#disk;
    const old = run.kv;
    this.#disk = point.disk;
    await run.open(this.#components());
    const { lastVersion } = run.kv;
    expect(lastVersion, 'acknowledged').toBeGreaterThanOrEqual(point.floor);
    expect(lastVersion, 'attempted').toBeLessThanOrEqual(point.ceiling);
    if (lastVersion < point.ceiling) {
      goals.add('recovered less than was written');
    }
    const model = run.modelAt(lastVersion);
    const now = run.model;
    run.isCrashing = false;
    run.model = model;
    run.compareAll();
    await this.#checkSecondRecovery(lastVersion);
    if (this.#random.chance(0.5)) {
      run.goOnFrom(model);
      goals.add('went on after a power cut');
      await old.close();
      return;
    }
    await run.kv.close();
    run.model = now;
    run.kv = old;
    this.#disk = abandoned;
  }

  async #cutPower(): Promise<CrashPoint> {
    const run = this.#run;
    const disk = this.#disk;
    run.isCrashing = true;
    let left = 1 + this.#random.below(60);
    const cut: { point?: CrashPoint } = {};
    disk.onBeforeOperation = ({ kind }) => {
      if (kind === 'read' || kind === 'stat' || kind === 'list') {
        return;
      }
      left -= 1;
      if (left === 0) {
        const clone = disk.crashClone(this.#random, this.#random.pick(choices));
        cut.point = { disk: clone, floor: run.acknowledged, ceiling: run.kv.lastVersion };
      }
    };
    for (let step = 0; cut.point === undefined && step < 5_000; step += 1) {
      await run.step();
    }
    disk.onBeforeOperation = undefined;
    expect(cut.point).toBeDefined();
    return cut.point!;
  }

  /** Whoever opens it once more, after one more power cut, finds the same. */
  async #checkSecondRecovery(version: number): Promise<void> {
    const run = this.#run;
    const again = this.#disk.crashClone(this.#random, choices[0]!);
    const first = run.kv;
    const disk = this.#disk;
    this.#disk = again;
    await run.open(this.#components());
    expect(run.kv.lastVersion).toBe(version);
    run.compareAll();
    await run.kv.close();
    this.#disk = disk;
    run.kv = first;
  }
}

async function explained(simulation: Simulation, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    throw new Error(`at step ${simulation.stepIndex}: ${String(error)}`, { cause: error });
  }
}
