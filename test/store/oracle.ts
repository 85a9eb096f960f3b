/**
 * What must hold after every power cut. The truth is what was appended in the end, in order of position; a crash point
 * says how much of it was promised (floor) and how much was tried (ceiling) at that moment.
 *
 *     0 ───── recovered ─────┤                every commit below is whole, none above is there
 *     0 ── floor ──┤ … ceiling ┤              floor ≤ recovered ≤ ceiling, at the border of a commit
 */
import { type CommitPart, type EventStore, open, type StoredEvent, type StoreOptions } from 'varve';
import {
  type CrashChoice,
  type Operation,
  SeededRandom,
  SimulatedClock,
  type SimulatedFileSystem,
} from 'varve/testing';
import { expect } from 'vitest';
import { eventsOf, lineOf } from './damage.ts';
import {
  type Attempt,
  type Backup,
  call,
  isAcknowledged,
  isRepeatable,
  STORE,
} from './workload.ts';

export interface Truth {
  /** In order of position. */
  readonly commits: readonly Attempt[];
  readonly attempts: readonly Attempt[];
  /** By position. */
  readonly events: readonly StoredEvent[];
  /** Positions where a commit may end, 0 among them. */
  readonly ends: ReadonlySet<number>;
}

export interface CrashPoint {
  readonly disk: SimulatedFileSystem;
  readonly moment: number;
  readonly floor: number;
  readonly ceiling: number;
  /** For people: which operation came next, and what the power cut kept. */
  readonly what: string;
}

/** Reads the whole store and checks it against what was asked for, without any power cut. */
export async function truthOf(store: EventStore, attempts: readonly Attempt[]): Promise<Truth> {
  const events = await eventsOf(store);
  const commits = attempts
    .filter(({ result }) => result?.outcome === 'appended')
    .toSorted((one, other) => one.result!.firstPosition - other.result!.firstPosition);
  const ends = new Set([0]);
  let position = 0;
  for (const { number, parts, result } of commits) {
    expect(result!.firstPosition, `first position of attempt ${number}`).toBe(position);
    position = checkCommit(parts, events, position);
    expect(result!.lastPosition).toBe(position - 1);
    ends.add(position);
  }
  expect(events).toHaveLength(position);
  return { commits, attempts, events, ends };
}

function checkCommit(
  parts: readonly CommitPart[],
  events: readonly StoredEvent[],
  from: number,
): number {
  let position = from;
  for (const part of parts) {
    for (const given of part.events) {
      const { data, ...rest } = given;
      const found = events[position];
      expect({ ...found, data: undefined }).toMatchObject({
        ...rest,
        stream: part.stream,
        position,
      });
      expect(isSameData(found?.data, data), `data at ${position}`).toBe(true);
      position += 1;
    }
  }
  return position;
}

const choices: readonly CrashChoice[] = [
  { keep: 'none', sector: 512, directory: 'ordered' },
  { keep: 'all', sector: 512, directory: 'ordered' },
  { keep: 'random', sector: 512, directory: 'ordered' },
  { keep: 'random', sector: 512, directory: 'any' },
  { keep: 'random', sector: 4096, directory: 'ordered' },
  { keep: 'random', sector: 4096, directory: 'any' },
];
/** Mixtures are where the surprises are. */
const weighted = [...choices, ...choices.slice(2), ...choices.slice(2)];

export function cutPower(
  disk: SimulatedFileSystem,
  random: SeededRandom,
): { readonly clone: SimulatedFileSystem; readonly text: string } {
  const choice = random.pick(weighted);
  const clone = disk.crashClone(random, choice);
  return { clone, text: `keep ${choice.keep}, ${choice.sector}, ${choice.directory}` };
}

/** Only what changes the disk: between two changes every power cut is the same. */
export function changesDisk({ kind }: Operation): boolean {
  return kind !== 'read' && kind !== 'stat' && kind !== 'list' && kind !== 'open';
}

/** The oracle. Counts what it does. */
export class Oracle {
  recoveries = 0;
  backups = 0;
  readonly #truth: Truth;
  readonly #random: SeededRandom;
  readonly #options: StoreOptions;

  constructor(truth: Truth, seed: number, options: StoreOptions) {
    this.#truth = truth;
    this.#random = new SeededRandom(seed);
    this.#options = options;
  }

  /** Opens the disk and checks what is there. Nothing is appended, and the store stays open. */
  async recover(
    disk: SimulatedFileSystem,
    point: CrashPoint,
    path: string = STORE,
  ): Promise<EventStore> {
    const store = await this.#open(disk, path);
    const { events, ends } = this.#truth;
    const found = await eventsOf(store);
    expect(store.head).toBe(found.length);
    expect(store.recovery.events).toBe(found.length);
    expect(found.length, 'events recovered').toBeGreaterThanOrEqual(point.floor);
    expect(found.length, 'events recovered').toBeLessThanOrEqual(point.ceiling);
    expect(ends.has(found.length), `a commit ends at ${found.length}`).toBe(true);
    expectSame(found, events.slice(0, found.length));
    return store;
  }

  /** What is there, and that it stays so. */
  async checkBriefly(point: CrashPoint): Promise<void> {
    const store = await this.recover(point.disk, point);
    await this.#checkSecondRecovery(point, store.head);
    await store.close();
  }

  /** That, and that the store goes on. */
  async checkGoingOn(point: CrashPoint): Promise<void> {
    const store = await this.recover(point.disk, point);
    const { head } = store;
    await this.#checkSecondRecovery(point, head);
    await this.#goOn(store, point.disk, head);
  }

  /** A backup is a store once its identity is there; until then there is none. */
  async checkBackup(point: CrashPoint, backup: Backup): Promise<void> {
    const isWhole = point.disk.stat(`${backup.path}/store.json`) !== undefined;
    if (isWhole) {
      const { begunAt, end } = backup;
      expect(begunAt).toBeLessThan(point.moment);
      const wanted = { ...point, floor: end, ceiling: end };
      const store = await this.recover(point.disk.clone(), wanted, backup.path);
      expect(store.recovery.quarantined).toBeUndefined();
      expect(await store.verify()).toMatchObject({ ok: true, events: end });
      await store.close();
      this.backups += 1;
    }
  }

  /** Everything. */
  async checkFully(point: CrashPoint): Promise<void> {
    const store = await this.#recoverWithPowerCuts(point);
    const head = store.head;
    await this.#checkSecondRecovery(point, head);
    expect(await store.verify()).toMatchObject({ ok: true, findings: [], events: head });
    await this.#checkStreams(store);
    const appended = await this.#sendAgain(store, point);
    await this.#goOn(store, point.disk, head + appended);
  }

  /** Opening again, after the process ended or after one more power cut, finds the same and changes nothing. */
  async #checkSecondRecovery(point: CrashPoint, head: number): Promise<void> {
    const digest = this.#digestOf(point.disk);
    const none = { keep: 'none', sector: 512, directory: 'ordered' } as const;
    const cut = point.disk.crashClone(this.#random, none);
    expect(this.#digestOf(cut), 'recovery is durable when it ends').toBe(digest);
    const again = await this.recover(cut, { ...point, floor: head, ceiling: head });
    expect(again.recovery).toMatchObject({ quarantined: undefined, tail: 'exact', sealed: [] });
    expect(this.#digestOf(cut), 'a second recovery changes nothing').toBe(digest);
    await again.close();
    expect(this.#digestOf(cut), 'closing after it changes nothing').toBe(digest);
  }

  /** With a tiny index of everything but derived data, which changes whenever there is time for it. */
  #digestOf(disk: SimulatedFileSystem): string {
    if (this.#options.indexMemoryBytes === undefined) {
      return disk.snapshotDigest();
    }
    const rest = disk.clone();
    const tables = disk.paths().filter((path) => path.includes('/derived/tables/'));
    for (const path of [...tables, ...manifestNames.map((name) => `${STORE}/derived/${name}`)]) {
      if (rest.stat(path) !== undefined) {
        rest.removeFile(path);
      }
    }
    return rest.snapshotDigest();
  }

  /** Every power cut during the recovery must recover the same as the recovery that ran to its end. */
  async #recoverWithPowerCuts(point: CrashPoint): Promise<EventStore> {
    const { disk } = point;
    const cuts: CrashPoint[] = [];
    disk.onBeforeOperation = (operation) => {
      if (changesDisk(operation)) {
        const { clone, text } = cutPower(disk, this.#random);
        const what = `${point.what}; again at ${operation.kind} ${operation.path}: ${text}`;
        cuts.push({ ...point, disk: clone, what });
      }
    };
    const store = await this.recover(disk, point);
    disk.onBeforeOperation = undefined;
    const { head } = store;
    for (const cut of cuts) {
      await explained(cut, async () => {
        const recovered = await this.recover(cut.disk, { ...cut, floor: head, ceiling: head });
        await (this.#random.chance(0.2)
          ? this.#goOn(recovered, cut.disk, head)
          : recovered.close());
      });
    }
    return store;
  }

  async #checkStreams(store: EventStore): Promise<void> {
    const heads = new Map<string, number>();
    for (const event of await eventsOf(store)) {
      expect(event.revision).toBe((heads.get(event.stream) ?? -1) + 1);
      heads.set(event.stream, event.revision);
    }
    for (const [stream, revision] of heads) {
      expect(await store.streamHead(stream)).toMatchObject({ revision });
    }
    expect(store.stats().streams).toBe(heads.size);
  }

  /** What was acknowledged is a duplicate, what was not is one or takes effect once. Returns how many events came new. */
  async #sendAgain(store: EventStore, point: CrashPoint): Promise<number> {
    const { head } = store;
    const known = this.#truth.commits.filter(isRepeatable);
    let appended = 0;
    for (const { parts, options, result, answeredAt } of known) {
      const isRecovered = result!.lastPosition < head;
      const { signal: _signal, ...settings } = { ...options, ack: 'durable' as const };
      const answer = await call(store, parts, settings);
      if (isRecovered) {
        expect(answer).toEqual({ ...result, outcome: 'duplicate' });
        continue;
      }
      expect(answeredAt! >= point.moment || options.ack === 'written').toBe(true);
      expect(answer.outcome).toBe('appended');
      appended += answer.lastPosition - answer.firstPosition + 1;
      const again = await call(store, parts, settings);
      expect(again).toEqual({ ...answer, outcome: 'duplicate' });
    }
    expect(store.head).toBe(head + appended);
    return appended;
  }

  /** Appends to a recovered store, cuts the power, closes, and opens after each. Closes the store. */
  async #goOn(store: EventStore, disk: SimulatedFileSystem, head: number): Promise<void> {
    const options = { idempotencyKey: 'after the crash' };
    const parts = [{ stream: 'orders/1', events: [{ type: 'After', data: { head } }] }];
    const result = await call(store, parts, options);
    expect(result).toMatchObject({ outcome: 'appended', firstPosition: head, lastPosition: head });
    const { clone } = cutPower(disk, this.#random);
    const events = await eventsOf(store);
    await store.close();
    for (const later of [clone, disk]) {
      const reopened = await this.#open(later);
      expectSame(await eventsOf(reopened), events);
      const repeat = await call(reopened, parts, options);
      expect(repeat).toEqual({ ...result, outcome: 'duplicate' });
      await reopened.close();
    }
  }

  async #open(fileSystem: SimulatedFileSystem, path: string = STORE): Promise<EventStore> {
    this.recoveries += 1;
    const clock = new SimulatedClock({ tickMs: 1 });
    const random = new SeededRandom(this.#random.uint32());
    return open(path, this.#options, { fileSystem, clock, random });
  }
}

const manifestNames = ['manifest', 'manifest.copy', 'manifest.tmp', 'manifest.copy.tmp'];

/** As `toEqual`, fast enough to be asked thousands of times. */
export function expectSame(found: readonly StoredEvent[], wanted: readonly StoredEvent[]): void {
  expect(found).toHaveLength(wanted.length);
  const index = found.findIndex((event, position) => !isSame(event, wanted[position]!));
  expect(lineOf(found[index])).toBe(lineOf(wanted[index]));
}

/** The rest is covered by the leaf hashes that `verify` checks. */
function isSame(one: StoredEvent, other: StoredEvent): boolean {
  const isSamePlace = one.position === other.position && one.revision === other.revision;
  const isSameName = one.id === other.id && one.type === other.type;
  return isSamePlace && isSameName && one.time === other.time && isSameData(one.data, other.data);
}

function isSameData(one: unknown, other: unknown): boolean {
  return one instanceof Uint8Array && other instanceof Uint8Array
    ? Buffer.compare(one, other) === 0
    : JSON.stringify(one) === JSON.stringify(other);
}

/** Says at which power cut it happened. */
export async function explained<T>(point: CrashPoint, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { what, moment, floor, ceiling } = point;
    throw new Error(
      `${what} (moment ${moment}, floor ${floor}, ceiling ${ceiling}): ${String(error)}`,
      { cause: error },
    );
  }
}

export function acknowledgedEndAt(attempts: readonly Attempt[], moment: number): number {
  let end = 0;
  for (const attempt of attempts) {
    if (isAcknowledged(attempt) && attempt.answeredAt! < moment) {
      end = Math.max(end, attempt.result!.lastPosition + 1);
    }
  }
  return end;
}
