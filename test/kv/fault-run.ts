/** A program that uses a key-value store and goes on after every failure: what the store says, and what the disk says about that. */
import { type KvStore, openKv, type VarveError } from 'varve/kv';
import {
  collectGoals,
  type Fault,
  FaultPlan,
  type Operation,
  SeededRandom,
  SimulatedClock,
  SimulatedFileSystem,
} from 'varve/testing';
import { expect } from 'vitest';
import {
  applyWish,
  type Attempt,
  bytesOf,
  calmOptions,
  contentProblem,
  type Entry,
  KV_STORE,
  KvRecorder,
  Settling,
  type Put,
  tinyOptions,
  type Wish,
} from './wishes.ts';
import { changesDisk } from '../store/oracle.ts';
import { isReading, stridedOperations } from '../stride.ts';

type Count = 'faults' | 'poisoned' | 'failedOpens' | 'retried' | 'unclear' | 'refused' | 'checked';

/** What happened in all the runs of a file. */
export const goals: Set<string> = new Set();
export const counts: Record<Count, number> = {
  faults: 0,
  poisoned: 0,
  failedOpens: 0,
  retried: 0,
  unclear: 0,
  refused: 0,
  checked: 0,
};

/** Strikes one operation, or the next one too. */
export type PlannedFault = Fault & { readonly isTwice?: boolean };

/** A program that uses a store, and goes on after every failure. */
class KvFaultRun {
  readonly clock: SimulatedClock = new SimulatedClock({ tickMs: 1 });
  readonly disk: SimulatedFileSystem;
  store: KvStore | undefined;
  /** What is surely in the store, and what was asked for since that was known. */
  known: ReadonlyMap<string, Entry> = new Map();
  knownVersion = 0;
  recorder: KvRecorder = new KvRecorder();
  /** An ingest that failed and couldn't be taken back: only the next one to open the store knows whether the manifest has it. */
  mayBeIngested: { readonly attempt: Attempt; readonly entries: readonly Put[] } | undefined;
  #valueCount = 0;

  constructor(faults: FaultPlan) {
    this.disk = new SimulatedFileSystem({ faults });
  }

  async openAtLast(): Promise<void> {
    for (let failures = 0; this.store === undefined; failures += 1) {
      try {
        this.store = await openOn(this.disk, this.clock, tinyOptions);
      } catch (error) {
        expect(error).toMatchObject({ code: 'UNAVAILABLE' });
        expect(failures).toBeLessThan(3);
        counts.failedOpens += 1;
      }
    }
    this.adopt(await secondTry(async () => explain(this.store!, this, 'reopened')));
  }

  /** From now on this is what the store held. */
  adopt({ content, version }: Explanation): void {
    this.known = content;
    this.knownVersion = version;
    this.recorder = new KvRecorder();
    this.mayBeIngested = undefined;
  }

  async put(key: string, size = 40): Promise<Attempt> {
    return this.send([{ type: 'put', key, value: this.value(size) }]);
  }

  value(size: number): string {
    this.#valueCount += 1;
    return `v${this.#valueCount}`.padEnd(size, '.');
  }

  async send(operations: Extract<Wish, { kind: 'batch' }>['operations']): Promise<Attempt> {
    return this.pump(this.recorder.send(this.store!, { kind: 'batch', operations }));
  }

  /** Work that reports failures of the background, and is asked for again until there are no more. */
  async work(what: (store: KvStore) => Promise<unknown>): Promise<void> {
    for (let failures = 0; ; failures += 1) {
      try {
        await this.pump(what(this.store!));
        return;
      } catch (error) {
        const { code } = error as VarveError;
        expect(['UNAVAILABLE', 'POISONED'], String(error)).toContain(code);
        if (code === 'POISONED') {
          return;
        }
        expect(failures, String(error)).toBeLessThan(3);
        counts.retried += 1;
        await this.letTimePass();
      }
    }
  }

  /** What failed in the background is done again. */
  async letTimePass(): Promise<void> {
    for (let turn = 0; turn < 60; turn += 1) {
      this.clock.advance(1_000);
      await this.clock.pause();
    }
  }

  /** Every promise is settled, if only time passes. */
  async pump<T>(promise: Promise<T>): Promise<T> {
    const settling = new Settling(promise);
    for (let turn = 0; !settling.isOver; turn += 1) {
      if (turn > 20_000) {
        throw new Error('a promise is never settled');
      }
      await this.clock.pause();
      this.clock.advance(turn > 1_000 ? 1_000 : 1);
    }
    return promise;
  }

  async close(): Promise<void> {
    const { store } = this;
    this.store = undefined;
    try {
      await this.pump(store!.close());
    } catch (error) {
      expect(['UNAVAILABLE', 'POISONED']).toContain((error as VarveError).code);
    }
  }

  /** What is promised of a store that is still open, whatever has happened to it. */
  async afterwards(): Promise<void> {
    const store = this.store!;
    for (const { result, error, number } of this.recorder.attempts) {
      expect(result === undefined, `attempt ${number} is settled`).toBe(error !== undefined);
      if (error !== undefined) {
        expect(['POISONED', 'UNAVAILABLE']).toContain(error.code);
        expect(['no', 'unknown']).toContain(error.applied);
      }
    }
    await secondTry(async () => explain(store, this, 'still open', 'visible'));
    const isPoisoned = this.recorder.attempts.some(({ error }) => error?.code === 'POISONED');
    const late = await this.put('late');
    if (!isPoisoned && late.error === undefined) {
      return;
    }
    if (late.error?.code === 'UNAVAILABLE') {
      counts.refused += 1;
      return;
    }
    expect(late.error).toMatchObject({ code: 'POISONED' });
    counts.poisoned += 1;
    await this.close();
    await this.openAtLast();
  }
}

async function openOn(
  fileSystem: SimulatedFileSystem,
  clock: SimulatedClock,
  options: object,
  path: string = KV_STORE,
): Promise<KvStore> {
  return openKv(path, options, { fileSystem, clock, random: new SeededRandom(7) });
}

interface Explanation {
  readonly content: ReadonlyMap<string, Entry>;
  readonly version: number;
}

/**
 * Finds out what became of what is not sure: everything that was acknowledged is there, nothing that was said not to be
 * applied, and of the rest a prefix. While a store is open after a failure, it still shows what it had accepted.
 */
function explain(
  store: KvStore,
  run: KvFaultRun,
  what: string,
  kind: 'visible' | 'durable' = 'durable',
): Explanation {
  counts.checked += 1;
  const { attempts } = run.recorder;
  const isMaybe = ({ error }: Attempt): boolean =>
    error?.code === 'POISONED' && (kind === 'visible' || error.applied === 'unknown');
  const maybeCount = attempts.filter(isMaybe).length;
  let problem = '';
  for (const isIngested of kind === 'durable' && run.mayBeIngested ? [false, true] : [false]) {
    for (let taken = maybeCount; taken >= 0; taken -= 1) {
      let left = taken;
      const happened = attempts.filter((attempt) => {
        left -= isMaybe(attempt) ? 1 : 0;
        return attempt.error === undefined || (isMaybe(attempt) && left >= 0);
      });
      const content = new Map(run.known);
      let version = run.knownVersion;
      for (const attempt of happened) {
        version = applyWish(content, wishOf(attempt, run, isIngested), version);
      }
      const found = contentProblem(store, content);
      if (found === undefined) {
        return { content, version: store.lastVersion };
      }
      problem ||= found;
    }
  }
  throw new Error(`${what}: ${problem}`);
}

function wishOf(attempt: Attempt, { mayBeIngested }: KvFaultRun, isIngested: boolean): Wish {
  return isIngested && mayBeIngested?.attempt === attempt
    ? { kind: 'ingest', entries: mayBeIngested.entries }
    : attempt.wish;
}

/** The fault may strike a read: that is an error and no damage, and the next try is answered. */
async function secondTry<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if ((error as VarveError).code !== 'UNAVAILABLE') {
      throw error;
    }
    return read();
  }
}

export type Program = (run: KvFaultRun) => Promise<void>;

async function fill(run: KvFaultRun, count: number): Promise<void> {
  const sent = Array.from({ length: count }, async (_, index) =>
    index % 5 === 4
      ? run.send([
          { type: 'delete', key: `k/${index % 7}` },
          { type: 'put', key: `k/${index}`, value: run.value(30) },
          { type: 'deleteRange', gte: 'q/', lt: 'q/5' },
        ])
      : run.put(`${index % 3 === 0 ? 'q' : 'k'}/${index % 23}`, 90),
  );
  await Promise.all(sent);
  await run.afterwards();
}

export const writingProgram: Program = async (run) => {
  await run.openAtLast();
  await run.put('first');
  await run.afterwards();
  await fill(run, 12);
  run.clock.advance(1_000);
  await run.clock.pause();
  await run.close();
  await run.openAtLast();
  await run.put('second');
  await run.afterwards();
  await run.close();
};

export const mergingProgram: Program = async (run) => {
  await run.openAtLast();
  for (let round = 0; round < 2; round += 1) {
    await fill(run, 26);
    await run.work(async (store) => store.flush());
    await run.afterwards();
  }
  await run.work(async (store) => store.compact());
  await run.afterwards();
  await run.work(async (store) => store.settled());
  expect(run.store!.stats().background.error).toBeUndefined();
  await run.close();
};

/** Ingests, renames, backs up. */
export const bulkProgram: Program = async (run) => {
  await run.openAtLast();
  await fill(run, 26);
  await ingest(run, 30);
  await run.afterwards();
  await run.pump(
    run.recorder.send(run.store!, { kind: 'rename', from: 'k/', to: 'r/', isPrefix: true }),
  );
  await run.afterwards();
  await backup(run);
  await run.afterwards();
  await run.work(async (store) => store.compact({ prefix: 'k/' }));
  await run.close();
};

/** Whether an ingest that failed is there it says itself, or else only the store can say. */
async function ingest(run: KvFaultRun, count: number): Promise<void> {
  const entries = Array.from({ length: count }, (_, index): Put => {
    return { type: 'put', key: `k/${String(index).padStart(2, '0')}`, value: run.value(50) };
  });
  const given = entries.map(({ key, value }) => [key, bytesOf(value)] as const);
  const store = run.store!;
  const { lastVersion } = store;
  try {
    const version = await run.pump(store.ingest(given));
    run.recorder.begin({ kind: 'ingest', entries }).result = version;
    expect(version).toBe(store.lastVersion);
  } catch (caught) {
    const error = caught as VarveError;
    expect(['UNAVAILABLE', 'POISONED'], String(error)).toContain(error.code);
    counts.retried += 1;
    expect(['no', 'unknown']).toContain(error.applied);
    if (store.lastVersion > lastVersion) {
      // Its sequence is taken, and nothing else came of it.
      const attempt = run.recorder.begin({ kind: 'ingest', entries: [] });
      if (error.applied === 'unknown') {
        run.mayBeIngested = { attempt, entries };
        counts.unclear += 1;
      }
      if (error.code === 'POISONED') {
        attempt.error = error;
      } else {
        attempt.result = store.lastVersion;
      }
    }
  }
  await run.letTimePass();
}

async function backup(run: KvFaultRun): Promise<void> {
  const path = `/home/backup-${run.disk.operations}`;
  const store = run.store!;
  try {
    await run.pump(store.backup(path));
  } catch (error) {
    expect(['UNAVAILABLE', 'POISONED'], String(error)).toContain((error as VarveError).code);
    const disk = run.disk.clone();
    if (disk.stat(`${path}/manifest`) === undefined) {
      const refused = openOn(disk, run.clock, { ...calmOptions, create: false }, path);
      await expect(refused).rejects.toMatchObject({
        code: expect.stringMatching(/NOT_A_STORE|CORRUPT/),
      });
    }
    await run.letTimePass();
    return;
  }
  const copy = await openOn(run.disk.clone(), run.clock, calmOptions, path);
  explain(copy, run, 'the backup', 'visible');
}

const cuts = [
  { keep: 'none', sector: 512, directory: 'ordered' },
  { keep: 'random', sector: 512, directory: 'any' },
] as const;

/** Nothing acknowledged is missing, nothing that was said not to be applied is there, and the store goes on. */
async function checkDisk(run: KvFaultRun, disk: SimulatedFileSystem, what: string): Promise<void> {
  const clock = new SimulatedClock();
  // The second of two faults may strike only now.
  const store = await secondTry(async () => openOn(disk, clock, calmOptions));
  const { content } = await secondTry(async () => explain(store, run, what));
  const last = await store.put('last', bytesOf('last'));
  expect(await secondTry(async () => store.verify())).toMatchObject({ ok: true });
  const cut = disk.crashClone(new SeededRandom(1), cuts[0]);
  const later = await openOn(cut, clock, calmOptions);
  const wanted = new Map(content).set('last', { value: 'last', version: last });
  expect(contentProblem(later, wanted), `${what}, opened, then a power cut`).toBeUndefined();
}

/** Runs the program once. Returns the operations it took, by index from 1. */
async function sweepOne(
  index: number,
  { isTwice = false, ...fault }: PlannedFault,
  program: Program,
): Promise<Operation[]> {
  const faults = new FaultPlan({ seed: index });
  if (index > 0) {
    faults.failAt(index, fault);
    if (isTwice) {
      faults.failAt(index + 1, fault);
    }
  }
  const run = new KvFaultRun(faults);
  const operations: Operation[] = [];
  run.disk.onOperation = (operation) => operations.push(operation);
  let what = `${fault.kind} at operation ${index}`;
  try {
    await program(run);
    what += ` (${operations[index - 1]?.kind} ${operations[index - 1]?.path})`;
    run.disk.onOperation = undefined;
    const random = new SeededRandom(index);
    const isHarmless = operations.every(({ error, ...one }) => !error || !changesDisk(one));
    // A read that failed has left nothing behind.
    for (const cut of isHarmless ? [] : cuts) {
      const name = `${what}, then a power cut that keeps ${cut.keep}`;
      await checkDisk(run, run.disk.crashClone(random, cut), name);
    }
    await checkDisk(run, run.disk, what);
  } catch (error) {
    const at = operations[index - 1];
    throw new Error(`${what} ${at?.kind} ${at?.path} ${at?.error}: ${String(error)}`, {
      cause: error,
    });
  }
  counts.faults += 1;
  return operations;
}

/** Index of the sync that makes the names of the folders of a new store durable. */
function foldersMadeAt(operations: readonly Operation[]): number {
  const first = operations.findIndex(
    ({ kind, path }) => kind === 'create' && path.includes('manifest'),
  );
  return first;
}

function canFail(kind: Operation['kind'], fault: Fault): boolean {
  if (fault.kind === 'short' || fault.partial === true) {
    return kind === 'write';
  }
  return fault.kind === 'EIO' || !isReading(kind);
}

/** Strikes operations of a program, one in each run, and returns what was wrong. */
export async function strikeEach(
  program: Program,
  fault: PlannedFault,
  stride: number,
): Promise<string[]> {
  collectGoals(goals);
  const failures: string[] = [];
  const operations = await sweepOne(0, fault, program);
  const strikable = operations.filter(({ index, kind }) => {
    // Not covered: folders whose sync failed, and that nobody may remove and make again.
    const isNewFolder = kind === 'syncDirectory' && index <= foldersMadeAt(operations);
    return canFail(kind, fault) && !isNewFolder;
  });
  for (const { index } of stridedOperations(strikable, stride)) {
    await sweepOne(index, fault, program).catch((error: unknown) => failures.push(String(error)));
  }
  collectGoals(undefined);
  return failures;
}
