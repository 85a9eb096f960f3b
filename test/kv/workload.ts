/**
 * A seeded mixture of everything that can be asked of a key-value store, and a record of what was asked, what was answered,
 * and when.
 */
import { type KvOptions, type KvSnapshot, type KvStats, type KvStore, openKv } from 'varve/kv';
import { SeededRandom, SimulatedClock, type SimulatedFileSystem } from 'varve/testing';
import { expect } from 'vitest';
import {
  applyWish,
  type Attempt,
  bytesOf,
  type Content,
  type Entry,
  expectContent,
  KV_STORE,
  KvRecorder,
  type Operation,
  type Put,
  Settling,
  textOfBytes,
  valuesOf,
  type Wish,
} from './wishes.ts';

export interface KvWorkloadSettings {
  readonly options: KvOptions;
  readonly stepCount: number;
  readonly sessionCount: number;
  /** Values that fill segments of the log; without them all stays in the first one. */
  readonly isLarge: boolean;
}

export interface KvBackup {
  readonly path: string;
  /** Versions: at least and at most so much is in it. */
  readonly floor: number;
  ceiling: number;
  doneAt?: number;
}

/** What must be in the store at a moment. */
export interface Promised {
  readonly moment: number;
  readonly version: number;
}

const stepKinds = [
  'bursts',
  'bursts',
  'large burst',
  'flush',
  'compact',
  'read',
  'read',
  'backup',
  'ingest',
  'ingest',
  'pause',
] as const;
type StepKind = (typeof stepKinds)[number];

const oddKeys = ['', '\0', '\0\0', 'k', 'k/', 'k/1\0', 'k/\x7f'];

/** One open store after another in the same folder, each used until it is closed. */
export class KvWorkload {
  readonly recorder: KvRecorder = new KvRecorder();
  readonly clock: SimulatedClock = new SimulatedClock({ tickMs: 1 });
  readonly backups: KvBackup[] = [];
  /** Everything up to these versions was said to be in tables. */
  readonly flushed: Promised[] = [];
  store: KvStore | undefined;
  /** The last version that was given. */
  ceiling = 0;
  stats: KvStats | undefined;
  readonly #disk: SimulatedFileSystem;
  readonly #random: SeededRandom;
  readonly #settings: KvWorkloadSettings;
  readonly #content: Map<string, Entry> = new Map();
  #applied = 0;
  #version = 0;
  #valueCount = 0;
  #seen = 0;
  #isIngesting = false;
  readonly #kinds: StepKind[] = [];

  constructor(disk: SimulatedFileSystem, seed: number, settings: KvWorkloadSettings) {
    this.#disk = disk;
    this.#random = new SeededRandom(seed);
    this.#settings = settings;
  }

  /** Opens, works, closes. */
  async session(): Promise<void> {
    const fileSystem = this.#disk;
    const random = new SeededRandom(this.#random.uint32());
    const parts = { fileSystem, clock: this.clock, random };
    const { options, stepCount } = this.#settings;
    const store = await openKv(KV_STORE, options, parts);
    this.store = store;
    this.checkContent(store);
    for (let step = 0; step < stepCount; step += 1) {
      await this.#step(store);
    }
    if (this.#random.chance(0.5)) {
      await this.#pump(store.settled());
      this.checkContent(store);
    }
    this.stats = store.stats();
    const last = this.#random.chance(0.5) ? this.#burst(store, 6) : Promise.resolve();
    this.observe();
    await this.#pump(store.close());
    await last;
    this.store = undefined;
  }

  /** Call it at every moment that matters. */
  observe(): void {
    this.recorder.moment += 1;
    if (this.store !== undefined) {
      const { lastVersion } = this.store;
      expect(lastVersion).toBeGreaterThanOrEqual(this.#seen);
      this.#seen = lastVersion;
      // What is ingested takes its version before it shows.
      this.ceiling = Math.max(this.ceiling, lastVersion + (this.#isIngesting ? 1 : 0));
    }
  }

  /** Compares the store with what was asked for; nothing may be waiting. */
  checkContent(store: KvStore): void {
    const { attempts } = this.recorder;
    for (; this.#applied < attempts.length; this.#applied += 1) {
      this.#version = applyWish(this.#content, attempts[this.#applied]!.wish, this.#version);
    }
    expect(store.lastVersion).toBe(this.#version);
    expectContent(store, this.#content);
  }

  async #step(store: KvStore): Promise<void> {
    const random = this.#random;
    const kind = this.#nextKind();
    switch (kind) {
      case 'bursts': {
        const first = this.#burst(store, 1 + random.below(20));
        await this.clock.pause();
        await this.#burst(store, 1 + random.below(20));
        await first;
        break;
      }
      case 'large burst':
        await this.#burst(store, 60);
        break;
      case 'flush':
        await this.#flush(store);
        break;
      case 'compact':
        await this.#compact(store);
        break;
      case 'read':
        await this.#readWhileWriting(store);
        break;
      case 'backup':
        await this.#backup(store);
        break;
      case 'ingest':
        await this.#ingest(store);
        break;
      case 'pause':
        this.clock.advance(1_000);
        await this.clock.pause();
        this.checkContent(store);
        break;
    }
    if (this.#settings.isLarge) {
      await this.#fill(store);
    }
  }

  /** Kinds in random order, each as often as it is in the list. */
  #nextKind(): StepKind {
    if (this.#kinds.length === 0) {
      this.#kinds.push(...stepKinds);
    }
    const [kind] = this.#kinds.splice(this.#random.below(this.#kinds.length), 1);
    return kind!;
  }

  async #burst(store: KvStore, count: number): Promise<void> {
    const sent: Promise<Attempt>[] = [];
    for (let index = 0; index < count; index += 1) {
      const ack = this.#random.chance(0.2) ? 'written' : 'durable';
      sent.push(this.recorder.send(store, this.#wish(), ack));
    }
    for (const { error } of await this.#pump(Promise.all(sent))) {
      expect(error).toBeUndefined();
    }
  }

  /** Lets time pass until a promise is settled: writes may be slowed down. */
  async #pump<T>(promise: Promise<T>): Promise<T> {
    const settling = new Settling(promise);
    while (!settling.isOver) {
      await this.clock.pause();
      this.clock.advance(1);
    }
    return promise;
  }

  async #fill(store: KvStore): Promise<void> {
    const sent = [60_000, 90_000].map((size) => {
      const key = `big/${this.#random.below(3)}`;
      const value = this.#value().padEnd(size, '.');
      return this.recorder.send(store, {
        kind: 'batch',
        operations: [{ type: 'put', key, value }],
      });
    });
    await this.#pump(Promise.all(sent));
  }

  async #flush(store: KvStore): Promise<void> {
    const version = store.lastVersion;
    await this.#pump(store.flush());
    this.flushed.push({ moment: this.recorder.moment, version });
  }

  async #compact(store: KvStore): Promise<void> {
    const version = store.lastVersion;
    const meanwhile = this.#burst(store, this.#random.below(8));
    const range = this.#random.chance(0.5) ? {} : { prefix: `k/${this.#random.below(4)}` };
    await this.#pump(store.compact(range));
    this.flushed.push({ moment: this.recorder.moment, version });
    await meanwhile;
    this.checkContent(store);
  }

  /** A snapshot and an iterator see what was there when they were made, whatever is written, flushed and merged meanwhile. */
  async #readWhileWriting(store: KvStore): Promise<void> {
    this.checkContent(store);
    const content: Content = new Map(this.#content);
    const snapshot: KvSnapshot = store.snapshot();
    const iterator = store.iterateSync();
    const seen = new Map<string, string>();
    const read = (count: number): void => {
      for (let index = 0; index < count; index += 1) {
        const { done, value } = iterator.next();
        if (done === true) {
          return;
        }
        seen.set(textOfBytes(value[0]), textOfBytes(value[1]));
      }
    };
    read(this.#random.below(20));
    await this.#burst(store, 20);
    if (this.#random.chance(0.7)) {
      await this.#flush(store);
      read(this.#random.below(20));
      await this.#burst(store, 20);
      await this.#compact(store);
    }
    read(Infinity);
    expect([...seen]).toEqual(valuesOf(content));
    expectContent(store, content, snapshot);
    snapshot.close();
  }

  async #backup(store: KvStore): Promise<void> {
    const path = `/home/backup-${this.backups.length}`;
    const backup: KvBackup = { path, floor: store.lastVersion, ceiling: store.lastVersion };
    this.backups.push(backup);
    const sent = store.backup(path);
    const meanwhile = this.#burst(store, 4);
    backup.ceiling = store.lastVersion;
    await this.#pump(sent);
    backup.doneAt = this.recorder.moment;
    await meanwhile;
  }

  /** Only puts meanwhile: what else is asked for may depend on when the ingested entries show. */
  async #ingest(store: KvStore): Promise<void> {
    this.checkContent(store);
    const random = this.#random;
    const first = random.below(40);
    const count = 1 + random.below(24);
    const entries = Array.from({ length: count }, (_, index): Put => {
      const key = `k/${String(first + index).padStart(2, '0')}`;
      return { type: 'put', key, value: this.#value() };
    });
    const given = entries.map(({ key, value }) => [key, bytesOf(value)] as const);
    this.#isIngesting = true;
    const ingest = async (): Promise<void> => {
      const version = await store.ingest(given);
      this.#isIngesting = false;
      this.recorder.ingested(entries, version);
    };
    const ingested = ingest();
    for (let turn = random.below(30); turn > 0; turn -= 1) {
      await this.clock.pause();
    }
    const puts = Array.from({ length: 3 }, (): Put => {
      return { type: 'put', key: this.#key(), value: this.#value() };
    });
    const sent = puts.map((put) => this.recorder.send(store, { kind: 'batch', operations: [put] }));
    await this.#pump(Promise.all([ingested, ...sent]));
    this.checkContent(store);
  }

  #wish(): Exclude<Wish, { kind: 'ingest' }> {
    const random = this.#random;
    const kind = random.below(40);
    if (kind === 0) {
      const numbers = [random.below(40), random.below(44)].toSorted((one, two) => one - two);
      const [gte, lt] = numbers.map((number) => `k/${String(number).padStart(2, '0')}`);
      const range = { type: 'deleteRange', gte: gte!, lt: lt! } as const;
      return { kind: 'batch', operations: [range] };
    }
    if (kind === 1) {
      return {
        kind: 'rename',
        from: `d${random.below(3)}/`,
        to: `d${random.below(3)}/`,
        isPrefix: true,
      };
    }
    if (kind === 2) {
      return { kind: 'rename', from: this.#key(), to: this.#key(), isPrefix: false };
    }
    if (kind < 7) {
      const count = 2 + random.below(5);
      const operations = Array.from({ length: count }, () => this.#operation());
      if (random.chance(0.2)) {
        operations.push({ type: 'deleteRange', gte: 'z/' });
      }
      return { kind: 'batch', operations };
    }
    return { kind: 'batch', operations: [this.#operation()] };
  }

  #operation(): Operation {
    const key = this.#key();
    return this.#random.chance(0.2)
      ? { type: 'delete', key }
      : { type: 'put', key, value: this.#value() };
  }

  #key(): string {
    const random = this.#random;
    const kind = random.below(20);
    if (kind === 0) {
      return random.pick(oddKeys);
    }
    if (kind < 4) {
      return `d${random.below(3)}/${random.below(6)}`;
    }
    if (kind < 5) {
      return `z/${random.below(9)}`;
    }
    return `k/${String(random.below(44)).padStart(2, '0')}`;
  }

  #value(): string {
    const random = this.#random;
    this.#valueCount += 1;
    const kind = random.below(30);
    const size = kind === 0 ? 1_500 : kind < 4 ? 0 : random.below(90);
    return kind === 1 ? '' : `v${this.#valueCount}`.padEnd(size, '-');
  }
}
