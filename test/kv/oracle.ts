/**
 * What must hold of a key-value store after every power cut. A crash point says how far the promises went (floor) and how
 * far the calls (ceiling), in sequences:
 *
 *     0 ───── recovered ─────┤                every batch below is whole, none above is there
 *     0 ── floor ──┤ … ceiling ┤              floor ≤ recovered ≤ ceiling, at the border of a batch
 *
 * Ingested tables alone come and go without the writes around them, until they are acknowledged.
 */
import { type KvOptions, type KvStore, openKv, VarveError } from 'varve/kv';
import {
  type Operation as DiskOperation,
  SeededRandom,
  SimulatedClock,
  type SimulatedFileSystem,
} from 'varve/testing';
import { expect } from 'vitest';
import { positionOfSegmentName } from '../../dist/journal/format.js';
import { changesDisk, cutPower } from '../store/oracle.ts';
import {
  applyWish,
  type Attempt,
  bytesOf,
  calmOptions,
  type Content,
  contentProblem,
  type Entry,
  expectContent,
  KV_STORE,
  textOfBytes,
  tinyOptions,
} from './wishes.ts';
import { type KvBackup, type KvWorkload, type Promised } from './workload.ts';

export interface KvCrashPoint {
  readonly disk: SimulatedFileSystem;
  readonly moment: number;
  readonly ceiling: number;
  /** For people: which operation came next, and what the power cut kept. */
  readonly what: string;
}

/** What was asked for, in order of sequence, and what came of it without any power cut. */
export class KvTruth {
  readonly attempts: readonly Attempt[];
  readonly #flushed: readonly Promised[];
  /** Parallel to the attempts: the last sequence of each. */
  readonly #ends: readonly number[];
  readonly #contents = new Map<string, Content>();

  constructor(attempts: readonly Attempt[], flushed: readonly Promised[]) {
    this.attempts = attempts;
    this.#flushed = flushed;
    const content = new Map<string, Entry>();
    let version = 0;
    this.#ends = attempts.map((attempt) => {
      version = applyWish(content, attempt.wish, version);
      if (attempt.result !== undefined && attempt.wish.kind !== 'rename') {
        expect(attempt.result, `version of attempt ${attempt.number}`).toBe(version);
      }
      return version;
    });
  }

  isEnd(version: number): boolean {
    return version === 0 || this.#ends.includes(version);
  }

  /** Everything up to it was promised to be there. */
  floorAt(moment: number): number {
    const acknowledged = this.attempts.map(({ ack, answeredAt }, index) => {
      // What changes nothing is answered at once, whatever is still on its way.
      const isChange = this.#ends[index]! > (this.#ends[index - 1] ?? 0);
      const isPromised = ack === 'durable' && answeredAt !== undefined && answeredAt < moment;
      return isChange && isPromised ? this.#ends[index]! : 0;
    });
    const flushed = this.#flushed.map((one) => (one.moment < moment ? one.version : 0));
    return Math.max(0, ...acknowledged, ...flushed);
  }

  /** Numbers of the ingests up to a version that may be there or not. */
  undecidedAt(version: number, moment: number): number[] {
    return this.attempts
      .filter(
        ({ wish, answeredAt }, index) =>
          wish.kind === 'ingest' &&
          this.#ends[index]! <= version &&
          !(answeredAt !== undefined && answeredAt < moment),
      )
      .map(({ number }) => number);
  }

  /** What the store holds at a version, without some of the ingests. */
  contentAt(version: number, without: readonly number[] = []): Content {
    const name = `${version} ${without.join()}`;
    let content = this.#contents.get(name);
    if (content === undefined) {
      const made = new Map<string, Entry>();
      let last = 0;
      for (const [index, { wish, number }] of this.attempts.entries()) {
        if (this.#ends[index]! > version) {
          break;
        }
        const isLeftOut = without.includes(number);
        last = isLeftOut ? last + 1 : applyWish(made, wish, last);
      }
      content = made;
      this.#contents.set(name, content);
    }
    return content;
  }

  /** Every key that was ever written, so that gets can be asked for what isn't there. */
  get keys(): ReadonlySet<string> {
    const keys = new Set<string>();
    for (const { wish } of this.attempts) {
      const puts = wish.kind === 'batch' ? wish.operations : [];
      for (const operation of wish.kind === 'ingest' ? wish.entries : puts) {
        if (operation.type === 'put') {
          keys.add(operation.key);
        }
      }
    }
    return keys;
  }
}

const lossy = { keep: 'none', sector: 512, directory: 'ordered' } as const;

/** The oracle. Counts what it does. */
export class KvOracle {
  recoveries = 0;
  backups = 0;
  refusedBackups = 0;
  replayed = 0;
  torn = 0;
  orphans = 0;
  ingestsLost = 0;
  readonly #truth: KvTruth;
  readonly #random: SeededRandom;
  readonly #keys: readonly string[];

  constructor(truth: KvTruth, seed: number) {
    this.#truth = truth;
    this.#random = new SeededRandom(seed);
    this.#keys = [...truth.keys];
  }

  /** Opens the disk and checks what is there. Nothing is written, and the store stays open. */
  async recover(
    point: KvCrashPoint,
    disk: SimulatedFileSystem,
    options: KvOptions,
    bounds: { readonly floor: number; readonly ceiling: number; readonly path?: string },
  ): Promise<{ readonly store: KvStore; readonly content: Content }> {
    const { path = KV_STORE } = bounds;
    const store = await this.#open(disk, options, path);
    const { lastVersion, recovery } = store;
    this.replayed += recovery.replayed;
    this.orphans += recovery.orphans.length;
    this.torn += recovery.quarantined === undefined ? 0 : 1;
    expect(lastVersion, 'recovered version').toBeGreaterThanOrEqual(bounds.floor);
    expect(lastVersion, 'recovered version').toBeLessThanOrEqual(bounds.ceiling);
    expect(this.#truth.isEnd(lastVersion), `a batch ends at ${lastVersion}`).toBe(true);
    const content = this.#contentOf(store, point);
    this.#checkReads(store, content);
    // What isn't needed is removed in the background.
    await store.settled();
    checkFolder(store, disk, path);
    return { store, content };
  }

  /** What is there. The store is left open, as it would be by a process that ends. */
  async checkBriefly(point: KvCrashPoint): Promise<KvStore> {
    const floor = this.#truth.floorAt(point.moment);
    const { disk, ceiling } = point;
    const { store } = await this.recover(point, disk, calmOptions, { floor, ceiling });
    return store;
  }

  /** That, and that it stays so. */
  async checkTwice(point: KvCrashPoint): Promise<void> {
    const store = await this.checkBriefly(point);
    await this.#checkSecondRecovery(point, store.lastVersion);
  }

  /** That, and that the store goes on; a power cut may strike while it recovers, too. */
  async checkGoingOn(point: KvCrashPoint, isThorough: boolean): Promise<void> {
    const { disk, ceiling } = point;
    const floor = this.#truth.floorAt(point.moment);
    const cuts: KvCrashPoint[] = [];
    if (isThorough) {
      disk.onBeforeOperation = (operation) => {
        if (changesDisk(operation)) {
          const { clone, text } = cutPower(disk, this.#random);
          const again = `again at ${operation.kind} ${operation.path}: ${text}`;
          cuts.push({ ...point, disk: clone, what: `${point.what}; ${again}` });
        }
      };
    }
    const { store, content } = await this.recover(point, disk, tinyOptions, { floor, ceiling });
    expectContent(store, content);
    disk.onBeforeOperation = undefined;
    const { lastVersion } = store;
    for (const cut of cuts) {
      await explainedKv(cut, async () => {
        const bounds = { floor: lastVersion, ceiling: lastVersion };
        await this.recover(cut, cut.disk, calmOptions, bounds);
      });
    }
    await this.#goOn(store, disk, content);
  }

  /** A backup is a store once its manifest is there; until then it is none and is not taken for one. */
  async checkBackup(point: KvCrashPoint, backup: KvBackup): Promise<void> {
    const { path, floor, ceiling, doneAt } = backup;
    const isDone = doneAt !== undefined && doneAt < point.moment;
    if (!isDone && point.disk.stat(path) === undefined) {
      return;
    }
    const isWhole = point.disk.stat(`${path}/manifest`) !== undefined;
    expect(isWhole || !isDone, 'an acknowledged backup is whole').toBe(true);
    const disk = point.disk.clone();
    if (isWhole) {
      // What was ingested before the backup is in it, or was not installed yet.
      const bounds = { floor, ceiling: Math.max(ceiling, point.ceiling), path };
      const { store } = await this.recover(point, disk, calmOptions, bounds);
      expect(store.recovery).toMatchObject({ quarantined: undefined, replayed: 0, orphans: [] });
      expect(await store.verify()).toMatchObject({ ok: true, problems: [] });
      this.backups += 1;
      return;
    }
    const digest = disk.snapshotDigest();
    const refused = await this.#open(disk, { ...calmOptions, create: false }, path).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(refused).toBeInstanceOf(VarveError);
    expect(['NOT_A_STORE', 'CORRUPT']).toContain((refused as VarveError).code);
    expect(disk.snapshotDigest(), 'what is refused is not changed').toBe(digest);
    this.refusedBackups += 1;
  }

  /** Opening again, after the process ended or after one more power cut, finds the same and changes nothing. */
  async #checkSecondRecovery(point: KvCrashPoint, version: number): Promise<void> {
    const digest = point.disk.snapshotDigest();
    const cut = point.disk.crashClone(this.#random, lossy);
    const bounds = { floor: version, ceiling: version };
    const { store } = await this.recover(point, cut, calmOptions, bounds);
    expect(store.recovery).toMatchObject({ quarantined: undefined, isNew: false });
    // The cut may have brought back what was removed without a sync; all else was durable.
    const again = point.disk.clone();
    const second = await this.recover(point, again, calmOptions, bounds);
    expect(second.store.recovery).toMatchObject({ orphans: [], quarantined: undefined });
    expect(again.snapshotDigest(), 'a second recovery changes nothing').toBe(digest);
    await second.store.close();
    expect(again.snapshotDigest(), 'closing after it changes nothing').toBe(digest);
  }

  /** Writes, flushes and merges in a recovered store, cuts the power, closes, and opens after each. Closes the store. */
  async #goOn(store: KvStore, disk: SimulatedFileSystem, before: Content): Promise<void> {
    const content = new Map(before);
    const version = store.lastVersion;
    const put = await store.put('k/05', bytesOf('after the crash'));
    expect(put).toBe(version + 1);
    content.set('k/05', { value: 'after the crash', version: put });
    const batch = [{ type: 'deleteRange', gte: 'd0/', lt: 'd1/' } as const];
    await store.batch([...batch, { type: 'put', key: 'zz', value: bytesOf('') }]);
    for (const key of [...content.keys()].filter((one) => one >= 'd0/' && one < 'd1/')) {
      content.delete(key);
    }
    content.set('zz', { value: '', version: version + 3 });
    const { clone: unflushed } = cutPower(disk, this.#random);
    await store.flush();
    await store.compact();
    await store.settled();
    expectContent(store, content);
    expect(await store.verify()).toMatchObject({ ok: true, problems: [] });
    expect(store.stats().background.error).toBeUndefined();
    checkFolder(store, disk, KV_STORE);
    const { clone: flushed } = cutPower(disk, this.#random);
    await store.close();
    for (const later of [unflushed, flushed, disk]) {
      const reopened = await this.#open(later, calmOptions);
      expectContent(reopened, content);
      expect(reopened.lastVersion).toBe(version + 3);
    }
  }

  /** Finds out which of the undecided ingests are there, if any was. */
  #contentOf(store: KvStore, { moment }: KvCrashPoint): Content {
    const { lastVersion } = store;
    const undecided = this.#truth.undecidedAt(lastVersion, moment);
    expect(undecided.length).toBeLessThan(4);
    let problem: string | undefined;
    for (let choice = 0; choice < 2 ** undecided.length; choice += 1) {
      const without = undecided.filter((_, index) => ((choice >> index) & 1) === 1);
      const content = this.#truth.contentAt(lastVersion, without);
      const found = contentProblem(store, content);
      if (found === undefined) {
        this.ingestsLost += without.length;
        return content;
      }
      problem ??= found;
    }
    expect(problem).toBeUndefined();
    throw new Error('unreachable');
  }

  #checkReads(store: KvStore, content: Content): void {
    for (const key of this.#keys) {
      if (!content.has(key) && store.hasSync(bytesOf(key))) {
        expect(key, 'a key that was deleted, or never written').toBe('not there');
      }
    }
    const backwards = [...store.iterateSync({ reverse: true, keysOnly: true })].map(textOfBytes);
    const sorted = [...content.keys()].toSorted((left, right) => (left < right ? 1 : -1));
    expect(backwards).toEqual(sorted);
  }

  async #open(
    fileSystem: SimulatedFileSystem,
    options: KvOptions,
    path: string = KV_STORE,
  ): Promise<KvStore> {
    this.recoveries += 1;
    const clock = new SimulatedClock({ tickMs: 1 });
    const random = new SeededRandom(this.#random.uint32());
    return openKv(path, options, { fileSystem, clock, random });
  }
}

/** Nothing lies in the folder that nobody needs. */
export function checkFolder(store: KvStore, disk: SimulatedFileSystem, path: string): void {
  const named = store.tables().map(({ number }) => `${String(number).padStart(20, '0')}.tbl`);
  const found = disk.list(`${path}/tables`).map(({ name }) => name);
  expect(found, 'tables').toEqual(named.toSorted());
  const segments = disk
    .list(`${path}/log`)
    .map(({ name }) => positionOfSegmentName(name))
    .filter((position) => position !== undefined);
  const { flushedVersion } = store.stats();
  expect(segments[0], 'the log begins at what is not flushed').toBeLessThanOrEqual(flushedVersion);
  // The newest segment is never removed, and the one before it may not have its footer yet.
  const unneeded = segments.filter(
    (_, index) => (segments[index + 1] ?? Infinity) <= flushedVersion,
  );
  expect(unneeded.length, 'segments that nobody needs').toBeLessThanOrEqual(1);
}

/** Says at which power cut it happened. */
export async function explainedKv<T>(point: KvCrashPoint, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { what, moment, ceiling } = point;
    throw new Error(`${what} (moment ${moment}, ceiling ${ceiling}): ${String(error)}`, {
      cause: error,
    });
  }
}

/** Takes a crash point before operations that change the disk: one of `every`. */
export function crashPointsOf(
  disk: SimulatedFileSystem,
  workload: KvWorkload,
  random: SeededRandom,
  every: number,
): KvCrashPoint[] {
  const points: KvCrashPoint[] = [];
  disk.onBeforeOperation = (operation: DiskOperation) => {
    workload.observe();
    const { kind, path, index } = operation;
    if (!changesDisk(operation) || !random.chance(1 / every)) {
      return;
    }
    const { clone, text } = cutPower(disk, random);
    const { ceiling, recorder } = workload;
    const what = `power cut before ${kind} ${path} (${index}): ${text}`;
    points.push({ disk: clone, moment: recorder.moment, ceiling, what });
  };
  return points;
}
