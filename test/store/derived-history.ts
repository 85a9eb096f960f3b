/**
 * Stores whose derived data is in files, tables and memory at once, with a record of everything that was answered: what a store must still say,
 * whatever becomes of `derived/`.
 */
import {
  type CommitOptions,
  type CommitPart,
  type CommitResult,
  type EventStore,
  type NewEvent,
  open,
  type StoredEvent,
  type StoreOptions,
} from 'varve';
import { SeededRandom, SimulatedClock, SimulatedFileSystem } from 'varve/testing';
import { expect } from 'vitest';
import { eventsOf, noise } from './damage.ts';
import { call } from './workload.ts';

export const HOME = '/store';
export const DERIVED = '/store/derived/';

/** Generations of 8 events. */
export const tiny: StoreOptions = {
  indexMemoryBytes: 16 * 1024,
  maxSegmentBytes: 1024 * 1024,
  background: 'inline',
};

const filler = noise(512 * 1024, 7);
/** Streams that are written all the time; the others once in a while. */
const HOT_COUNT = 4;
const COLD_COUNT = 60;

export interface Made {
  readonly parts: readonly CommitPart[];
  readonly options: CommitOptions;
  /** As the first answer, but for its outcome. */
  readonly result: CommitResult;
}

/** How a history differs from others that are alike in every size. */
export interface HistorySettings {
  /** Of random, for identity, salts and secrets. */
  readonly seed: number;
  /** In keys, ids and data; one letter. */
  readonly mark: string;
}

/** Steps after which the kinds of commits begin anew. */
const KIND_COUNT = 6;

export async function openTiny(
  fileSystem: SimulatedFileSystem,
  seed: number,
  options: StoreOptions = tiny,
  clock: SimulatedClock = new SimulatedClock({ tickMs: 1 }),
): Promise<EventStore> {
  return open(HOME, options, { fileSystem, clock, random: new SeededRandom(seed) });
}

/** One store's past. Two of them that take the same steps have logs and tables of equal sizes. */
export class History {
  disk: SimulatedFileSystem;
  readonly made: Made[] = [];
  runs = 0;
  merges = 0;
  #seed: number;
  #mark: string;
  #step = 0;
  #forkedAt = Infinity;

  constructor(settings: HistorySettings, disk: SimulatedFileSystem = new SimulatedFileSystem()) {
    this.disk = disk;
    this.#seed = settings.seed;
    this.#mark = settings.mark;
  }

  /**
   * The same past, and another future: commits of the same sizes to the same streams. With a mark of its own its keys and ids are others; with
   * the same mark each stands where another one stands in this history, so that even tables are of equal sizes.
   */
  fork({ seed, mark }: HistorySettings): History {
    const copy = new History({ seed, mark }, this.disk.clone());
    copy.made.push(...this.made);
    copy.#step = this.#step;
    copy.#forkedAt = mark === this.#mark ? this.#step : Infinity;
    return copy;
  }

  /** Makes commits in one session, with everything that can be in files there in the end, and closes. */
  async grow(count: number): Promise<void> {
    await this.#session(async (store) => {
      for (let nth = 0; nth < count; nth += 1) {
        await this.commit(store);
      }
      await store.settled();
    });
  }

  /** Makes commits until that many tables are in use at once, and some more that stay in memory. */
  async growToTables(tableCount: number, more: number): Promise<void> {
    await this.#session(async (store) => {
      while (store.stats().index.tables.count < tableCount) {
        await this.commit(store);
      }
    });
    await this.#session(async (store) => {
      for (let nth = 0; nth < more; nth += 1) {
        await this.commit(store);
      }
    });
  }

  /** Makes the next commit. */
  async commit(store: EventStore): Promise<Made> {
    const { parts, options } = this.#draw();
    return this.#make(store, parts, options);
  }

  async #make(
    store: EventStore,
    parts: readonly CommitPart[],
    options: CommitOptions,
  ): Promise<Made> {
    const answer = await call(store, parts, options);
    expect(answer.outcome).toBe('appended');
    const made: Made = { parts, options, result: { ...answer, outcome: 'duplicate' } };
    this.made.push(made);
    return made;
  }

  /** Everything with a name of its own, after which a repeat is known. */
  get repeatable(): readonly Made[] {
    return this.made.filter(isNamed);
  }

  /** A few large events fill a segment: full ones are read at open, the others go into memory. */
  async growLarge(count: number): Promise<void> {
    await this.#session(async (store) => {
      for (let nth = 0; nth < count; nth += 1) {
        this.#step += 1;
        const data = filler.subarray(0, 480_000 + this.#step);
        const events = [{ type: 'Large', data }];
        await this.#make(store, [{ stream: 'large', events }], {});
      }
      await store.settled();
    });
  }

  async #session(work: (store: EventStore) => Promise<void>): Promise<void> {
    const store = await openTiny(this.disk, this.#seed);
    this.#seed += 1;
    await work(store);
    const { runs, merges } = store.stats().index.work;
    this.runs += runs;
    this.merges += merges;
    await store.close();
  }

  #draw(): Pick<Made, 'parts' | 'options'> {
    this.#step += 1;
    const step = this.#step;
    const hot = `hot/${step % HOT_COUNT}`;
    const cold = `cold/${this.#pad(step % 3)}/${this.#pad((step * 7) % COLD_COUNT)}`;
    const one = (stream: string, extra: Partial<NewEvent> = {}): CommitPart => ({
      stream,
      events: [{ type: 'T', data: this.#name('data'), ...extra }],
    });
    const idempotencyKey = this.#name('key');
    switch (step % KIND_COUNT) {
      case 0:
        return { parts: [one(hot)], options: { idempotencyKey } };
      case 1:
        return { parts: [one(cold, { id: this.#name('id') })], options: {} };
      case 2:
        return { parts: [one(cold)], options: { idempotencyKey, idempotencyScope: 'tenant' } };
      case 3:
        return {
          parts: [one(hot, { id: this.#name('id') }), one(cold), one(hot)],
          options: { idempotencyKey },
        };
      case 4:
        return { parts: [one(hot)], options: {} };
      default:
        return {
          parts: [{ stream: cold, events: [{ type: 'A' }, { type: 'B', id: this.#name('id') }] }],
          options: { idempotencyKey, idempotencyScope: 'tenants' },
        };
    }
  }

  #name(what: string): string {
    const since = this.#step - this.#forkedAt - 1;
    const isEven = Math.floor(since / KIND_COUNT) % 2 === 0;
    const swapped = since < 0 ? 0 : isEven ? KIND_COUNT : -KIND_COUNT;
    return `${what}-${this.#mark}-${this.#pad(this.#step + swapped)}`;
  }

  #pad(number: number): string {
    return String(number).padStart(4, '0');
  }
}

function isNamed({ parts, options }: Made): boolean {
  return (
    options.idempotencyKey !== undefined ||
    parts.some(({ events }) => events.some(({ id }) => id !== undefined))
  );
}

/** What a full scan of the log says of streams. */
export function byStream(events: readonly StoredEvent[]): Map<string, StoredEvent[]> {
  const streams = new Map<string, StoredEvent[]>();
  for (const event of events) {
    const known = streams.get(event.stream);
    if (known === undefined) {
      streams.set(event.stream, [event]);
    } else {
      known.push(event);
    }
  }
  return streams;
}

/** Whatever was committed is answered with its first result, by key and by ids, and nothing is appended for it. */
export async function checkRepeats(store: EventStore, repeatable: readonly Made[]): Promise<void> {
  const { head } = store;
  const answers = await Promise.all(
    repeatable.map(({ parts, options }) => call(store, parts, options)),
  );
  for (const [index, answer] of answers.entries()) {
    const { result } = repeatable[index]!;
    if (!isSameResult(answer, result)) {
      expect(answer).toEqual(result);
    }
  }
  expect(store.head).toBe(head);
}

/** As `toEqual`, fast enough to be asked a million times. */
function isSameResult(one: CommitResult, other: CommitResult): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** `findCommit` and `getById` say the same. */
export async function checkFinds(store: EventStore, repeatable: readonly Made[]): Promise<void> {
  for (const { parts, options, result } of repeatable) {
    const { idempotencyKey, idempotencyScope } = options;
    if (idempotencyKey !== undefined) {
      const scope = idempotencyScope === undefined ? {} : { idempotencyScope };
      expect(await store.findCommit({ idempotencyKey, ...scope })).toEqual(result);
      const other = { idempotencyKey, idempotencyScope: `${idempotencyScope ?? ''}!` };
      expect(await store.findCommit(other)).toBeUndefined();
    }
    for (const { id } of parts.flatMap(({ events }) => events)) {
      if (id !== undefined) {
        const found = await store.getById(id);
        expect(found).toMatchObject({ id });
        expect(found!.position).toBeGreaterThanOrEqual(result.firstPosition);
        expect(found!.position).toBeLessThanOrEqual(result.lastPosition);
      }
    }
  }
}

/** Heads, reads of streams in both directions, and listings are what a scan of the log says. */
export async function checkStreams(store: EventStore): Promise<void> {
  const events = await eventsOf(store);
  const streams = byStream(events);
  for (const [stream, wanted] of streams) {
    const { revision, position } = wanted.at(-1)!;
    const head = await store.streamHead(stream);
    expectEqual([head?.revision, head?.position], [revision, position], `head of ${stream}`);
    expectEqual(await positionsOf(store.read({ stream })), positions(wanted), stream);
    const last = await positionsOf(store.read({ stream }, { direction: 'backwards', limit: 3 }));
    expectEqual(last, positions(wanted).toReversed().slice(0, 3), `last of ${stream}`);
  }
  expect(await store.streamHead('never/seen')).toBeUndefined();
  expect(await positionsOf(store.read({ stream: 'never/seen' }))).toEqual([]);
  await checkListings(store, streams);
  expect(store.stats().streams).toBe(streams.size);
}

async function checkListings(
  store: EventStore,
  streams: ReadonlyMap<string, readonly StoredEvent[]>,
): Promise<void> {
  const names = [...streams.keys()].toSorted();
  const listed: unknown[] = [];
  for await (const entry of store.streams()) {
    listed.push(entry.kind === 'stream' ? [entry.stream, entry.revision, entry.position] : entry);
  }
  const wanted = names.map((name) => {
    const { revision, position } = streams.get(name)!.at(-1)!;
    return [name, revision, position];
  });
  expectEqual(listed, wanted, 'listing');
  const prefixes: string[] = [];
  for await (const entry of store.streams({ prefix: 'cold/', delimiter: '/' })) {
    prefixes.push(entry.kind === 'prefix' ? entry.prefix : entry.stream);
  }
  const parents = names.filter((name) => name.startsWith('cold/')).map((name) => name.slice(0, 10));
  expectEqual(prefixes, [...new Set(parents)], 'prefixes');
}

/** Fresh keys are taken, in hot, cold and new streams, and expected revisions hold. The history has them, then. */
export async function checkFresh(store: EventStore, history: History, turn: string): Promise<void> {
  const streams = byStream(await eventsOf(store));
  const names = [...streams.keys()];
  const chosen = ['hot/0', names[0]!, names[names.length >> 1]!, names.at(-1)!];
  const made: Made[] = [];
  for (const [nth, stream] of [...new Set(chosen), `new/${turn}`].entries()) {
    const revision = streams.get(stream)?.at(-1)?.revision;
    const event = { type: 'Fresh', data: turn };
    for (const wrong of ['none', (revision ?? 0) + 1] as const) {
      if (revision !== undefined) {
        const refused = store.append(stream, [event], { expectedRevision: wrong });
        await expect(refused).rejects.toMatchObject({ expected: wrong, actual: revision });
      }
    }
    const part: CommitPart = {
      stream,
      events: [{ ...event, id: `fresh-id-${turn}-${nth}` }],
      expectedRevision: revision ?? 'none',
    };
    const options = { idempotencyKey: `fresh-${turn}-${nth}` };
    const answer = await call(store, [part], options);
    expect(answer.outcome).toBe('appended');
    expect(answer.streams[0]!.revision).toBe((revision ?? -1) + 1);
    made.push({ parts: [part], options, result: { ...answer, outcome: 'duplicate' } });
  }
  await checkRepeats(store, made);
  history.made.push(...made);
}

function positions(events: readonly StoredEvent[]): number[] {
  return events.map(({ position }) => position);
}

async function positionsOf(events: AsyncIterable<StoredEvent>): Promise<number[]> {
  const found: number[] = [];
  for await (const { position } of events) {
    found.push(position);
  }
  return found;
}

/** `toEqual` is slow; it is asked only when there is something to say. */
export function expectEqual(found: unknown, wanted: unknown, what: string): void {
  if (JSON.stringify(found) !== JSON.stringify(wanted)) {
    expect(found, what).toEqual(wanted);
  }
}
