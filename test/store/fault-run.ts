/** A program that uses a store and goes on after every failure: what the store says afterwards, and what the disk says about that. */
import { type CommitPart, type EventStore, open, type StoreOptions } from 'varve';
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
import { isReading, stridedOperations } from '../stride.ts';
import { eventsOf, noise } from './damage.ts';
import { changesDisk, expectSame } from './oracle.ts';
import { type Attempt, call, isAcknowledged, Recorder, STORE } from './workload.ts';
import { turns } from '../turns.ts';

const MiB = 1024 * 1024;
export const options: StoreOptions = { maxSegmentBytes: MiB, maxPendingBytes: 4 * MiB };
export const filler: Uint8Array = noise(MiB, 2);
/** What happened in all the runs of a file. */
export const goals: Set<string> = new Set();
export const counts: Record<
  'faults' | 'kills' | 'poisoned' | 'failedOpens' | 'reopened' | 'unsettled',
  number
> = { faults: 0, kills: 0, poisoned: 0, failedOpens: 0, reopened: 0, unsettled: 0 };

/** Strikes one operation, or the next one too. */
export type PlannedFault = Fault & { readonly isTwice?: boolean };

export type Program = (run: FaultRun) => Promise<void>;

/** A program that uses the store, and goes on after every failure. */
export class FaultRun {
  readonly recorder: Recorder = new Recorder();
  readonly clock: SimulatedClock = new SimulatedClock({ tickMs: 1 });
  readonly disk: SimulatedFileSystem;
  /** A program may choose others before it opens. */
  options: StoreOptions = options;
  store: EventStore | undefined;
  /** Everything below it was shown to a reader. */
  visible = 0;
  #eventCount = 0;

  constructor(faults: FaultPlan, disk?: SimulatedFileSystem) {
    this.disk = disk ?? new SimulatedFileSystem({ faults });
  }

  async open(): Promise<void> {
    this.store = await open(STORE, this.options, {
      fileSystem: this.disk,
      clock: this.clock,
      random: new SeededRandom(this.disk.operations),
    });
    expect(this.store.head).toBeGreaterThanOrEqual(this.visible);
    this.visible = this.store.head;
  }

  async openAtLast(): Promise<void> {
    for (let failures = 0; this.store === undefined; failures += 1) {
      try {
        await this.open();
      } catch (error) {
        expect(error).toMatchObject({ code: 'UNAVAILABLE' });
        expect(failures).toBeLessThan(2);
        counts.failedOpens += 1;
      }
    }
  }

  /** Sends, and gives the store time to settle it. */
  async send(stream: string, data: unknown, key?: string): Promise<Attempt> {
    this.#eventCount += 1;
    const events = [{ type: `E${this.#eventCount}`, data }];
    const settings = key === undefined ? {} : { idempotencyKey: key };
    return this.recorder.send(this.store!, [{ stream, events }], settings);
  }

  async commit(streams: readonly string[], key: string): Promise<Attempt> {
    const parts: CommitPart[] = streams.map((stream) => {
      this.#eventCount += 1;
      return { stream, events: [{ type: `E${this.#eventCount}`, data: filler.subarray(0, 700) }] };
    });
    return this.recorder.send(this.store!, parts, { idempotencyKey: key });
  }

  async close(): Promise<void> {
    const { store } = this;
    this.store = undefined;
    this.visible = store!.head;
    try {
      await store!.close();
    } catch (error) {
      expect(error).toMatchObject({ code: 'UNAVAILABLE' });
    }
  }
}

/** Small events, in two sessions. */
export const smallProgram: Program = async (run) => {
  await run.openAtLast();
  await run.send('orders/1', { total: 1 }, 'first');
  const burst = Array.from({ length: 12 }, (_, index) =>
    index % 4 === 0
      ? run.commit(['orders/1', 'stock', 'orders/2'], `burst-${index}`)
      : run.send('orders/3', filler.subarray(0, index * 40), `burst-${index}`),
  );
  await Promise.all(burst);
  await afterwards(run);
  run.clock.advance(1_000);
  await run.clock.pause();
  await run.send('orders/1', { total: 2 });
  await afterwards(run);
  await run.close();
  await run.openAtLast();
  await run.send('orders/1', { total: 3 }, 'second session');
  await afterwards(run);
  await run.close();
};

/** Events that fill segments. */
export const rotatingProgram: Program = async (run) => {
  await run.openAtLast();
  await Promise.all([
    run.send('large', filler.subarray(0, 600_000), 'large-1'),
    run.send('large', filler.subarray(0, 500_000), 'large-2'),
    run.send('large', filler.subarray(0, 500_000), 'large-3'),
    run.send('small', { total: 1 }, 'small-1'),
  ]);
  await afterwards(run);
  await run.send('small', { total: 2 }, 'small-2');
  await run.clock.pause();
  await afterwards(run);
  await run.close();
};

/** Derived data in files: made, merged, made again at open and while the store is open. */
export const indexProgram: Program = async (run) => {
  run.options = { ...options, indexMemoryBytes: 16 * 1024, background: 'inline' };
  await run.openAtLast();
  // These fill a segment: what full ones hold is indexed at open, if there is more than memory takes.
  for (let index = 0; index < 2; index += 1) {
    await run.send('large', filler.subarray(0, 600_000), `large-${index}`);
  }
  await keyedBurst(run, 'one', 32);
  await settledOrNot(run);
  await afterwards(run);
  await run.close();
  run.disk
    .paths()
    .filter(isDerived)
    .forEach((path) => run.disk.removeFile(path));
  await run.openAtLast();
  await keyedBurst(run, 'two', 10);
  await afterwards(run);
  await severalTables(run);
  await run.close();
  damageBlocks(run.disk);
  await run.openAtLast();
  await keyedBurst(run, 'three', 6);
  // A fault may strike twice.
  await settledOrNot(run);
  await settledOrNot(run);
  await afterwards(run);
  await settledOrNot(run);
  await run.close();
};

async function keyedBurst(run: FaultRun, name: string, count: number): Promise<void> {
  const sent = Array.from({ length: count }, (_, index) =>
    index % 5 === 4
      ? run.commit([`cold/${index}`, 'hot'], `${name}-${index}`)
      : run.send(`cold/${index % 7}`, { index }, `${name}-${index}`),
  );
  const all = Promise.all(sent).then(() => 'over' as const);
  while ((await Promise.race([all, turns(200)])) !== 'over') {
    // What has failed is tried again after a while.
    run.clock.advance(1_000);
  }
}

/** A fault may have struck; then it is tried again, and the next time it is asked for at the latest. */
async function settledOrNot(run: FaultRun): Promise<void> {
  if (run.store!.stats().failure !== undefined) {
    return;
  }
  try {
    await run.store!.settled();
  } catch (error) {
    expect(error).toMatchObject({ code: 'UNAVAILABLE' });
    counts.unsettled += 1;
  }
}

/** So many that a lookup reads others than the newest. */
async function severalTables(run: FaultRun): Promise<void> {
  for (let nth = 0; nth < 40 && run.store!.stats().index.tables.count < 3; nth += 1) {
    await run.send('hot', { nth }, `several-${nth}`);
  }
}

export function isDerived(path: string): boolean {
  return path.includes('/derived/');
}

/** In the first block of each table but the newest, which is read at open: opening reads the ends of the others, a lookup their blocks. */
function damageBlocks(disk: SimulatedFileSystem): void {
  const tables = disk
    .paths()
    .filter((path) => path.endsWith('.tbl'))
    .slice(0, -1);
  // A fault may have left an empty file that no manifest names.
  for (const path of tables.filter((name) => disk.readFile(name).length > 80)) {
    disk.flipBit(path, 80, 3);
  }
}

/** What is promised of a store that is still open, whatever has happened to it. */
export async function afterwards(run: FaultRun): Promise<void> {
  const store = run.store!;
  const { attempts } = run.recorder;
  for (const { result, error, number } of attempts) {
    expect(result === undefined, `attempt ${number} is settled`).toBe(error !== undefined);
    if (error !== undefined) {
      expect(['POISONED', 'UNAVAILABLE']).toContain(error.code);
      expect(['no', 'unknown']).toContain(error.applied);
    }
  }
  const { failure, watermarks } = store.stats();
  run.visible = store.head;
  expect(watermarks.visible).toBe(store.head);
  expect(await secondTry(() => eventsOf(store))).toHaveLength(store.head);
  const acknowledged = attempts.filter(isAcknowledged);
  for (const { parts, options: settings, result } of acknowledged) {
    expect(result!.lastPosition).toBeLessThan(store.head);
    if (settings.idempotencyKey !== undefined) {
      const repeat = await secondTry(() => call(store, parts, settings));
      expect(repeat).toEqual({ ...result, outcome: 'duplicate' });
    }
  }
  if (failure === undefined) {
    return;
  }
  const late = await run.send('late', {}, `late-${attempts.length}`);
  expect(late.error).toMatchObject({ code: 'POISONED', applied: 'no' });
  expect(String(late.error?.cause)).toBe(failure);
  await expect(store.waitFor(store.head)).rejects.toMatchObject({ code: 'POISONED' });
  counts.poisoned += 1;
  await run.close();
  await run.openAtLast();
}

/** The fault may strike a read: that is an error and no damage, and the next try is answered. */
async function secondTry<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    expect(error).toMatchObject({ code: 'UNAVAILABLE' });
    return read();
  }
}

const cuts = [
  { keep: 'none', sector: 512, directory: 'ordered' },
  { keep: 'all', sector: 512, directory: 'ordered' },
  { keep: 'random', sector: 512, directory: 'any' },
] as const;

/** Nothing acknowledged or shown is missing, nothing that was said not to be applied is there. */
export async function checkDisk(
  run: FaultRun,
  disk: SimulatedFileSystem,
  what: string,
): Promise<void> {
  const { attempts } = run.recorder;
  const fileSystem = disk;
  const clock = new SimulatedClock();
  // The second of two faults may strike only now, when the first has struck the program's last operation.
  const store = await secondTry(() =>
    open(STORE, run.options, { fileSystem, clock, random: new SeededRandom(9) }),
  );
  counts.reopened += 1;
  const events = await eventsOf(store);
  expect(events.length, `${what}: what was visible`).toBeGreaterThanOrEqual(run.visible);
  const types = new Map(events.map(({ type, position }) => [type, position]));
  expect(types.size).toBe(events.length);
  for (const attempt of attempts) {
    const positions = attempt.parts.map((part) => types.get(part.events[0]!.type));
    const isThere = positions[0] !== undefined;
    expect(
      positions.every((position) => (position !== undefined) === isThere),
      `${what}: whole`,
    ).toBe(true);
    if (isAcknowledged(attempt)) {
      expect(positions[0], `${what}: acknowledged`).toBe(attempt.result!.firstPosition);
    }
    if (attempt.error?.applied === 'no') {
      expect(isThere, `${what}: attempt ${attempt.number}, applied: no`).toBe(false);
    }
  }
  expect(await store.verify()).toMatchObject({ ok: true });
  await expectRepeats(store, run, what);
  await expectDurable(disk, store, run, what);
  await call(store, [{ stream: 'last', events: [{ type: 'Last' }] }], {});
  await expectDurable(disk, store, run, what);
  await store.close();
}

/** What was acknowledged with a key is answered as it was then, in every order. */
async function expectRepeats(store: EventStore, run: FaultRun, what: string): Promise<void> {
  const { head } = store;
  for (const { parts, options: settings, result } of run.recorder.attempts.filter(isAcknowledged)) {
    if (settings.idempotencyKey !== undefined) {
      const repeat = await secondTry(() => call(store, parts, settings));
      expect(repeat, `${what}: once`).toEqual({ ...result, outcome: 'duplicate' });
    }
  }
  expect(store.head, what).toBe(head);
}

/** What a store shows now is there after a power cut that loses all it can. */
async function expectDurable(
  disk: SimulatedFileSystem,
  store: EventStore,
  run: FaultRun,
  what: string,
): Promise<void> {
  const fileSystem = disk.crashClone(new SeededRandom(1), cuts[0]);
  const later = await open(STORE, run.options, { fileSystem, clock: new SimulatedClock() });
  expect(later.head, `${what}, opened, then a power cut`).toBe(store.head);
  expectSame(await eventsOf(later), await eventsOf(store));
  await later.close();
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
  const run = new FaultRun(faults);
  const operations: Operation[] = [];
  run.disk.onOperation = (operation) => operations.push(operation);
  let what = `${fault.kind} at operation ${index}`;
  try {
    await program(run);
    run.disk.onOperation = undefined;
    what += ` (${operations[index - 1]?.kind} ${operations[index - 1]?.path})`;
    const random = new SeededRandom(index);
    const isHarmless = operations.every(({ error, ...one }) => !error || !changesDisk(one));
    // A read that failed has left nothing behind.
    for (const cut of isHarmless ? [] : cuts) {
      const name = `${what}, then a power cut that keeps ${cut.keep}`;
      await checkDisk(run, run.disk.crashClone(random, cut), name);
    }
    await checkDisk(run, run.disk, what);
  } catch (error) {
    throw new Error(`${what}: ${String(error)}`, { cause: error });
  }
  counts.faults += 1;
  return operations;
}

/** Ends the process before an operation: what is not durable yet is still there for the next process. */
async function killAt(index: number, program: Program): Promise<void> {
  const run = new FaultRun(new FaultPlan());
  const { disk } = run;
  let what = '';
  disk.onBeforeOperation = (operation) => {
    if (operation.index >= index) {
      run.visible = Math.max(run.visible, run.store?.head ?? 0);
      what ||= `the process ends before ${operation.kind} ${operation.path} (${index})`;
      throw new Error('The process has ended.');
    }
  };
  await program(run).catch(() => {});
  await run.store?.close().catch(() => {});
  disk.onBeforeOperation = undefined;
  // Nobody is there any more to be told that an append was not applied.
  const promised = run.recorder.attempts.filter(({ error }) => error === undefined);
  run.recorder.attempts.splice(0, Infinity, ...promised);
  await checkDisk(run, disk, what);
  counts.kills += 1;
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
  isWanted: (operation: Operation) => boolean,
): Promise<string[]> {
  collectGoals(goals);
  const failures: string[] = [];
  const wanted = (await strikableBy(program, fault)).filter(isWanted);
  for (const { index } of stridedOperations(wanted, stride)) {
    await sweepOne(index, fault, program).catch((error: unknown) => failures.push(String(error)));
  }
  collectGoals(undefined);
  return failures;
}

/** Strikes writes that the stride has left out, until every goal was reached: what is wanted of a sweep is not left to chance. */
export async function strikeUntil(
  program: Program,
  faults: readonly PlannedFault[],
  wanted: readonly string[],
): Promise<void> {
  collectGoals(goals);
  for (const fault of faults.toReversed()) {
    for (const { index, kind } of await strikableBy(program, fault)) {
      if (wanted.every((goal) => goals.has(goal))) {
        break;
      }
      if (kind === 'write' || kind === 'sync') {
        await sweepOne(index, fault, program);
      }
    }
  }
  collectGoals(undefined);
}

async function strikableBy(program: Program, fault: PlannedFault): Promise<Operation[]> {
  const operations = await sweepOne(0, fault, program);
  return operations.filter(({ index, kind }) => {
    // Not covered: a folder whose sync failed, and that nobody may remove and make again.
    const isNewFolder = kind === 'syncDirectory' && operations[index - 2]?.kind === 'makeDirectory';
    return canFail(kind, fault) && !isNewFolder;
  });
}

/** Ends the process before operations of a program. */
export async function endBeforeEach(
  program: Program,
  stride: number,
  isWanted: (operation: Operation) => boolean,
): Promise<void> {
  const operations = (await sweepOne(0, { kind: 'EIO' }, program)).filter(isWanted);
  for (const { index } of stridedOperations(operations.filter(changesDisk), stride)) {
    await killAt(index, program);
  }
}
