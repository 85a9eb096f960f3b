/**
 * Thousands of random calls to a store and to a model of plain arrays, compared after every one. VARVE_SEED repeats a
 * run, VARVE_STEPS makes it longer.
 */
import {
  type CommitOptions,
  type CommitPart,
  type CommitResult,
  type EventStore,
  type ExpectedRevision,
  type NewEvent,
  open,
  type ReadOptions,
  type ReadQuery,
  type StoredEvent,
  type StreamEntry,
  type StreamsOptions,
  VarveError,
} from 'varve';
import { SeededRandom, SimulatedClock, SimulatedFileSystem } from 'varve/testing';
import { describe, expect, it } from 'vitest';
import { eventsOf, lineOf, noise, textOf } from './damage.ts';
import { ModelStore, type Verdict } from './model-store.ts';

const stepCount = Number(process.env['VARVE_STEPS'] ?? 1_200);
const given = process.env['VARVE_SEED'];
const seeds = given === undefined ? [1, 2] : [Number(given)];

// Names that stand next to each other, share prefixes, and sort differently by UTF-16 units and by bytes.
const streamNames = [
  'a',
  'a/b',
  'a/b/c',
  'a/bc',
  'a-b',
  'b/1',
  'b/2',
  'b/10',
  'b/2/x',
  'é/ü',
  '\uffee/1',
  '😀/1',
  '😀/2',
];

describe('a store', () => {
  it.each(seeds)('does what the model does (seed %i)', async (seed) => {
    const run = new ModelRun(seed);
    await run.start();
    for (let step = 0; step < stepCount; step += 1) {
      await run.step();
    }
    await run.finish();
  });
});

/** A commit that was asked for, and what the model said to it. */
interface Asked {
  readonly parts: readonly CommitPart[];
  readonly options: CommitOptions;
  readonly verdict: Verdict;
  readonly answer: Promise<CommitResult>;
}

class ModelRun {
  readonly #random: SeededRandom;
  readonly #clock = new SimulatedClock({ tickMs: 1 });
  readonly #model = new ModelStore();
  #disk = new SimulatedFileSystem();
  #opened: EventStore | undefined;
  #openCount = 0;
  #backupCount = 0;
  #made = 0;
  /** Commits of before, to be repeated. */
  readonly #history: Pick<Asked, 'parts' | 'options'>[] = [];

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
  }

  async start(): Promise<void> {
    await this.#open();
  }

  async step(): Promise<void> {
    const random = this.#random;
    const roll = random.below(100);
    if (roll < 45) {
      await this.#commitSome(random.chance(0.6) ? 1 : 2 + random.below(12));
    } else if (roll < 65) {
      await this.#read();
    } else if (roll < 75) {
      await this.#listStreams();
    } else if (roll < 85) {
      await this.#get();
    } else if (roll < 94) {
      await this.#checkHeads();
    } else if (roll < 96) {
      this.#clock.jump((random.below(2_000) - 1_000) * random.below(1_000));
    } else if (roll < 98) {
      await this.#reopen();
    } else if (roll === 98) {
      await this.#backup();
    } else {
      this.#clock.advance(random.below(3_000));
    }
  }

  async finish(): Promise<void> {
    await this.#reopen();
    const store = this.#store;
    expect(await store.verify()).toMatchObject({ ok: true, findingCount: 0 });
    expect(store.stats().segments).toBeGreaterThan(stepCount >= 1_200 ? 1 : 0);
    await store.close();
    expect(this.#disk.openCount).toBe(0);
  }

  get #store(): EventStore {
    return this.#opened!;
  }

  async #open(): Promise<void> {
    this.#openCount += 1;
    const random = new SeededRandom(this.#openCount);
    this.#opened = await open('/store', {}, { fileSystem: this.#disk, clock: this.#clock, random });
  }

  /** Closes and opens, or leaves the store as the end of its process would. */
  async #reopen(): Promise<void> {
    const isClosed = this.#random.chance(0.6);
    if (isClosed) {
      await this.#store.close();
      expect(this.#disk.openCount).toBe(0);
    } else {
      this.#disk = this.#disk.clone();
    }
    await this.#open();
    const { recovery } = this.#store;
    expect(recovery.quarantined).toBeUndefined();
    // A store that nothing was done to is at rest without being closed.
    expect(recovery.wasClosed || !isClosed).toBe(true);
    await this.#compareAll(this.#store);
  }

  async #compareAll(store: EventStore): Promise<void> {
    const events = await eventsOf(store);
    expect(textOf(events)).toBe(this.#expectedText(0, this.#model.events.length));
    const times = events.map(({ time }) => time);
    expect(times).toEqual(times.toSorted((left, right) => left - right));
  }

  /** Backs up to a new folder, and opens the copy. */
  async #backup(): Promise<void> {
    const directory = `/backup-${(this.#backupCount += 1)}`;
    await this.#store.backup(directory);
    const components = { fileSystem: this.#disk.clone(), random: new SeededRandom(1) };
    const copy = await open(directory, { create: false }, components);
    expect(copy.id).toBe(this.#store.id);
    expect(copy.recovery).toMatchObject({ wasClosed: true, tail: 'exact' });
    await this.#compareAll(copy);
    expect(await copy.verify()).toMatchObject({ ok: true, findingCount: 0 });
    await copy.append('a', [{ type: 'OnlyInCopy' }]);
    await copy.close();
    for (const path of this.#disk.paths().filter((name) => name.startsWith(directory))) {
      this.#disk.removeFile(path);
    }
  }

  async #commitSome(count: number): Promise<void> {
    const asked: Asked[] = [];
    for (let index = 0; index < count; index += 1) {
      const { parts, options } = this.#drawCommit();
      const answer = this.#store.commit(parts, options);
      answer.catch(() => {});
      asked.push({ parts, options, verdict: this.#model.commit(parts, options), answer });
    }
    for (const one of asked) {
      await this.#judge(one);
    }
    expect(this.#store.head).toBe(this.#model.events.length);
  }

  async #judge({ parts, options, verdict, answer }: Asked): Promise<void> {
    let result: CommitResult;
    try {
      result = await answer;
    } catch (error) {
      const code = error instanceof VarveError ? error.code : error;
      expect({ code, parts, options }).toEqual({ ...verdict, parts, options });
      return;
    }
    const { time, ...others } = result;
    expect({ result: others }).toEqual(verdict);
    for (let position = result.firstPosition; position <= result.lastPosition; position += 1) {
      const known = this.#model.events[position]!;
      known.time ??= time;
      known.id ??= (await this.#store.get(position))!.id;
      expect(known.time).toBe(time);
    }
    this.#history.push({ parts, options });
  }

  #drawCommit(): Pick<Asked, 'parts' | 'options'> {
    const random = this.#random;
    const old = this.#history.length > 0 ? random.pick(this.#history) : undefined;
    if (old !== undefined && random.chance(0.15)) {
      return random.chance(0.5) ? old : { parts: this.#drawParts(), options: old.options };
    }
    this.#made += 1;
    const options = random.chance(0.4) ? { idempotencyKey: `key ${this.#made}` } : {};
    if (old !== undefined && random.chance(0.05)) {
      return { parts: old.parts, options };
    }
    return { parts: this.#drawParts(), options };
  }

  #drawParts(): CommitPart[] {
    const random = this.#random;
    return Array.from({ length: random.pick([1, 1, 1, 2, 3]) }, () => {
      const stream = random.pick(streamNames);
      const events = Array.from({ length: random.pick([1, 1, 2, 3]) }, () => this.#drawEvent());
      return { stream, events, expectedRevision: this.#drawExpectation(stream) };
    });
  }

  #drawExpectation(stream: string): ExpectedRevision {
    const random = this.#random;
    const revision = this.#model.positionsOf(stream).length - 1;
    if (random.chance(0.6)) {
      return 'any';
    }
    if (random.chance(0.6)) {
      return revision < 0 ? 'none' : random.pick<ExpectedRevision>(['exists', revision]);
    }
    return random.pick<ExpectedRevision>([
      'none',
      'exists',
      Math.max(0, revision - 1),
      revision + 1,
    ]);
  }

  #drawEvent(): NewEvent {
    const random = this.#random;
    const text = (): string => random.pick(['x', 'ünï', '😀 "quoted"', 'y'.repeat(60)]);
    this.#made += 1;
    const id = random.chance(0.1)
      ? { id: `id ${random.chance(0.8) ? this.#made : random.below(this.#made)}` }
      : {};
    return {
      type: random.pick(['Made', 'Changed', 'Ünïcode']),
      ...id,
      ...(random.chance(0.8) ? { data: this.#drawData() } : {}),
      ...(random.chance(0.3) ? { metadata: { by: text(), at: [this.#made] } } : {}),
      ...(random.chance(0.3) ? { tags: [`tag ${this.#made}`, text()] } : {}),
      ...(random.chance(0.2) ? { correlationId: text() } : {}),
      ...(random.chance(0.2) ? { causationId: text() } : {}),
      ...(random.chance(0.2) ? { occurredAt: random.below(2 ** 31) * 4_000 - 2 ** 40 } : {}),
    };
  }

  #drawData(): unknown {
    const random = this.#random;
    const roll = random.below(300);
    if (roll === 0) {
      return noise(400_000, this.#made);
    }
    if (roll < 40) {
      return noise(random.below(5_000), this.#made);
    }
    return random.pick<unknown>([null, 0, -0.5, '', 'text', [], {}, { a: { b: [1, null] } }, true]);
  }

  async #read(): Promise<void> {
    const { query, options } = this.#drawRead();
    const read = this.#store.read(query, options);
    const events: StoredEvent[] = [];
    for await (const event of read) {
      events.push(event);
    }
    const expected = this.#model.read(query, options);
    const positions = events.map(({ position }) => position);
    expect({ positions, stopped: read.stopped, query, options }).toEqual({
      ...expected,
      query,
      options,
    });
    expect(read.asOf).toBe(this.#model.events.length - 1);
    expect(read.lastPosition).toBe(positions.at(-1));
    for (const event of events) {
      this.#compareEvent(event);
    }
  }

  #drawRead(): { query: ReadQuery; options: ReadOptions } {
    const random = this.#random;
    const head = this.#model.events.length;
    const position = (): number => random.below(head + 5);
    const lowerBound = (): number => position() - 1;
    const stream = random.pick([...streamNames, 'unknown/stream']);
    const last = this.#model.positionsOf(stream).length;
    const revisions = {
      ...(random.chance(0.7) ? { from: random.below(last + 2) } : {}),
      ...(random.chance(0.7) ? { to: random.below(last + 2) } : {}),
    };
    const byStream = random.chance(0.3) ? { stream, revisions } : { stream };
    return {
      query: random.chance(0.5) ? {} : byStream,
      options: {
        ...(random.chance(0.5) ? { after: lowerBound() } : {}),
        ...(random.chance(0.5) ? { before: position() } : {}),
        ...(random.chance(0.5)
          ? { direction: random.pick(['forwards', 'backwards'] as const) }
          : {}),
        ...(random.chance(0.6) ? { limit: random.pick([0, 1, 2, 10, 100]) } : {}),
        ...(random.chance(0.3) ? { maxBytes: 1 + random.below(5_000) } : {}),
      },
    };
  }

  async #listStreams(): Promise<void> {
    const random = this.#random;
    const part = (): string => {
      const name = random.pick([...streamNames, 'zzz', '\u0001']);
      return name.slice(0, random.below(name.length + 1));
    };
    const options: StreamsOptions = {
      ...(random.chance(0.6) ? { prefix: part() } : {}),
      ...(random.chance(0.6) ? { delimiter: random.pick(['/', '-', '/b', 'b/']) } : {}),
      ...(random.chance(0.5) ? { after: random.pick([part(), `${part()}/`]) } : {}),
      ...(random.chance(0.4) ? { limit: random.below(5) } : {}),
    };
    const entries: StreamEntry[] = [];
    for await (const entry of this.#store.streams(options)) {
      entries.push(entry);
    }
    expect({ entries, options }).toEqual({ entries: this.#model.streams(options), options });
  }

  async #get(): Promise<void> {
    const random = this.#random;
    const { events } = this.#model;
    const position = random.below(events.length + 3);
    const event = await this.#store.get(position);
    expect(event === undefined).toBe(position >= events.length);
    if (event !== undefined) {
      this.#compareEvent(event);
      expect(lineOf(await this.#store.getById(event.id))).toBe(lineOf(event));
    }
    const unknown = random.pick([`id ${this.#made + 1}`, event?.id.toUpperCase() ?? 'nothing']);
    const isKnown = this.#model.positionOfId(unknown) !== undefined;
    expect((await this.#store.getById(unknown)) !== undefined).toBe(isKnown);
  }

  async #checkHeads(): Promise<void> {
    const stream = this.#random.pick([...streamNames, 'unknown']);
    const positions = this.#model.positionsOf(stream);
    const head = await this.#store.streamHead(stream);
    expect(head?.revision).toBe(positions.length === 0 ? undefined : positions.length - 1);
    expect(head?.position).toBe(positions.at(-1));
    const count = this.#model.events.length;
    const stats = this.#store.stats();
    expect(stats).toMatchObject({
      watermarks: { appended: count, written: count, durable: count, visible: count },
      streams: this.#model.streamNames.length,
      pending: { commits: 0, bytes: 0 },
      waiting: 0,
      failure: undefined,
    });
    const segments = this.#store.segments();
    expect(segments.reduce((sum, segment) => sum + segment.count, 0)).toBe(count);
    expect(segments).toHaveLength(stats.segments);
  }

  #compareEvent(event: StoredEvent): void {
    expect(textOf([event])).toBe(this.#expectedText(event.position, event.position + 1));
  }

  #expectedText(from: number, to: number): string {
    const expected = this.#model.events.slice(from, to).map(({ event, id, time }) => {
      return { ...event, id: id!, time: time! };
    });
    return textOf(expected);
  }
}
