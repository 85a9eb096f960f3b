/**
 * A seeded mixture of everything that can be asked of a store that is written, and a record of what was asked, what was
 * answered, and when: the truth that a disk is compared with after a power cut.
 */
import type {
  AppendResult,
  CommitOptions,
  CommitPart,
  CommitResult,
  EventStore,
  ExpectedRevision,
  NewEvent,
  StoreOptions,
} from 'varve';
import { open, VarveError } from 'varve';
import { SeededRandom, SimulatedClock, type SimulatedFileSystem } from 'varve/testing';
import { expect } from 'vitest';
import { noise } from './damage.ts';

const pool = noise(512 * 1024, 1);

export const STORE = '/home/store';

/** A commit that was asked for. */
export interface Attempt {
  /** Order of the calls. Events carry it in their type. */
  readonly number: number;
  readonly parts: readonly CommitPart[];
  readonly options: CommitOptions;
  /** A repeat is the same call again; it must never take effect. */
  readonly isRepeat: boolean;
  /** Moment when the caller knew of the result. */
  answeredAt?: number;
  result?: CommitResult;
  error?: VarveError;
}

export function isAcknowledged({ result, options }: Attempt): boolean {
  return result?.outcome === 'appended' && options.ack !== 'written';
}

/** Makes calls and writes down what became of them. */
export class Recorder {
  readonly attempts: Attempt[] = [];
  /** Grows with everything that happens: what is answered at a moment was known at every later one. */
  moment = 0;

  /** Never rejects. */
  async send(
    store: EventStore,
    parts: readonly CommitPart[],
    options: CommitOptions = {},
    isRepeat = false,
  ): Promise<Attempt> {
    const attempt: Attempt = { number: this.attempts.length, parts, options, isRepeat };
    this.attempts.push(attempt);
    try {
      attempt.result = await call(store, parts, options);
    } catch (error) {
      if (!(error instanceof VarveError)) {
        throw error;
      }
      attempt.error = error;
    }
    attempt.answeredAt = this.moment;
    return attempt;
  }

  /** Highest position that is promised to be there, and one. */
  get acknowledgedEnd(): number {
    const ends = this.attempts.map((attempt) =>
      isAcknowledged(attempt) ? attempt.result!.lastPosition + 1 : 0,
    );
    return Math.max(0, ...ends);
  }
}

/** `commit`, or `append` if there is one part; with the answer in the same form. */
export async function call(
  store: EventStore,
  parts: readonly CommitPart[],
  options: CommitOptions,
): Promise<CommitResult> {
  const [first] = parts;
  if (parts.length > 1 || first === undefined) {
    return store.commit(parts, options);
  }
  const { stream, events, expectedRevision = 'any' } = first;
  const result: AppendResult = await store.append(stream, events, { ...options, expectedRevision });
  const { outcome, firstPosition, lastPosition, firstRevision, revision, time } = result;
  const streams = [{ stream, firstRevision, revision }];
  return { outcome, firstPosition, lastPosition, time, streams };
}

export interface WorkloadSettings {
  readonly options: StoreOptions;
  readonly stepCount: number;
  /** Payloads that fill segments; without them all stays in the first one. */
  readonly isLarge: boolean;
}

export interface Backup {
  readonly path: string;
  /** What was visible when it was asked for. */
  readonly end: number;
  /** Moments. */
  readonly begunAt: number;
  doneAt?: number;
}

/** One open store after another in the same folder, each used until it is closed. */
export class Workload {
  readonly recorder: Recorder = new Recorder();
  readonly clock: SimulatedClock = new SimulatedClock({ tickMs: 1 });
  /** Backups that were begun: at least so much is in each once it is whole. */
  readonly backups: Backup[] = [];
  store: EventStore | undefined;
  /** Everything below it was shown to readers. */
  visible = 0;
  /** Everything that was given a position lies below it. */
  appended = 0;
  readonly #disk: SimulatedFileSystem;
  readonly #random: SeededRandom;
  readonly #settings: WorkloadSettings;
  #callCount = 0;

  constructor(disk: SimulatedFileSystem, seed: number, settings: WorkloadSettings) {
    this.#disk = disk;
    this.#random = new SeededRandom(seed);
    this.#settings = settings;
  }

  /** Opens, works, closes. */
  async session(): Promise<void> {
    const fileSystem = this.#disk;
    const random = new SeededRandom(this.#random.uint32());
    this.store = await open(STORE, this.#settings.options, {
      fileSystem,
      clock: this.clock,
      random,
    });
    if (this.#settings.isLarge) {
      await Promise.all([this.#large(this.store), this.#large(this.store)]);
    }
    for (let step = 0; step < this.#settings.stepCount; step += 1) {
      await this.#step(this.store);
    }
    const last = this.#random.chance(0.5) ? this.#burst(this.store, 8) : Promise.resolve();
    await this.store.close();
    await last;
    this.observe();
    this.store = undefined;
  }

  /** Call it at every moment that matters: once the store is closed its watermarks can't be asked. */
  observe(): void {
    this.recorder.moment += 1;
    if (this.store !== undefined) {
      const { visible, appended } = this.store.stats().watermarks;
      expect(visible).toBeGreaterThanOrEqual(this.visible);
      this.visible = visible;
      this.appended = appended;
    }
  }

  async #step(store: EventStore): Promise<void> {
    const kind = this.#random.below(20);
    if (kind < 5) {
      await this.#fresh(store);
    } else if (kind < 9) {
      const first = this.#burst(store, 1 + this.#random.below(24));
      await this.clock.pause();
      await this.#burst(store, 1 + this.#random.below(24));
      await first;
    } else if (kind < 10) {
      await this.#burst(store, 256);
    } else if (kind < 12) {
      await this.#repeatInFlight(store);
    } else if (kind < 14) {
      await this.#repeatOld(store);
    } else if (kind < 16) {
      await this.#conflict(store);
    } else if (kind < 17) {
      await this.#aborted(store);
    } else if (kind < 18) {
      await store.flush();
      this.clock.advance(1_000);
      await this.clock.pause();
    } else if (kind < 19 && this.backups.length < 2) {
      await this.#backup(store);
    } else {
      await this.#large(store);
    }
  }

  async #fresh(store: EventStore): Promise<Attempt> {
    const attempt = await this.recorder.send(store, this.#parts(), this.#options());
    expect(attempt.error).toBeUndefined();
    expect(attempt.result?.outcome).toBe('appended');
    return attempt;
  }

  async #burst(store: EventStore, count: number): Promise<void> {
    const sent: Promise<Attempt>[] = [];
    for (let index = 0; index < count; index += 1) {
      sent.push(this.#fresh(store));
    }
    await Promise.all(sent);
  }

  async #large(store: EventStore): Promise<void> {
    const size = this.#settings.isLarge ? 400_000 + this.#random.below(100_000) : 80_000;
    const events = [{ type: this.#nextType(), data: this.#bytes(size) }];
    await this.recorder.send(store, [{ stream: 'large', events }], this.#options());
  }

  async #repeatInFlight(store: EventStore): Promise<void> {
    const parts = this.#parts();
    const options = { ...this.#options(), idempotencyKey: `twice-${this.#callCount}` };
    const [first, ...repeats] = await Promise.all([
      this.recorder.send(store, parts, options),
      this.recorder.send(store, parts, options, true),
      this.recorder.send(store, parts, { ...options, ack: 'durable' }, true),
    ]);
    for (const repeat of repeats) {
      expect(repeat.result).toEqual({ ...first.result, outcome: 'duplicate' });
    }
  }

  async #repeatOld(store: EventStore): Promise<void> {
    const known = this.recorder.attempts.filter(
      (one) => isRepeatable(one) && one.options.signal === undefined,
    );
    if (known.length > 0) {
      const { parts, options, result } = this.#random.pick(known);
      const repeat = await this.recorder.send(store, parts, { ...options, ack: 'durable' }, true);
      expect(repeat.result).toEqual({ ...result, outcome: 'duplicate' });
    }
  }

  async #conflict(store: EventStore): Promise<void> {
    const first = this.#fresh(store);
    const { stream } = this.recorder.attempts.at(-1)!.parts[0]!;
    const wrong: ExpectedRevision = this.#random.pick(['none', 1_000_000]);
    const events = [{ type: this.#nextType() }];
    const parts = [{ stream, events, expectedRevision: wrong }];
    const refused = await this.recorder.send(store, parts, this.#options());
    expect(refused.error?.code).toBe('REVISION_CONFLICT');
    await first;
  }

  /** Aborted at once: without effect if it waits for room, otherwise too late. */
  async #aborted(store: EventStore): Promise<void> {
    const before = this.#burst(store, 4);
    const controller = new AbortController();
    const sent = this.recorder.send(store, this.#parts(), { signal: controller.signal });
    controller.abort();
    const { error } = await sent;
    expect(error?.code ?? 'ABORTED').toBe('ABORTED');
    await before;
  }

  async #backup(store: EventStore): Promise<void> {
    const path = `/home/backup-${this.backups.length}`;
    const backup: Backup = { path, end: store.head, begunAt: this.recorder.moment };
    this.backups.push(backup);
    const meanwhile = this.#burst(store, 4);
    await store.backup(path);
    backup.doneAt = this.recorder.moment;
    await meanwhile;
  }

  #options(): CommitOptions {
    const random = this.#random;
    return {
      ...(random.chance(0.5) ? { idempotencyKey: `key-${this.#callCount}` } : {}),
      ...(random.chance(0.2) ? { ack: 'written' as const } : {}),
    };
  }

  #parts(): CommitPart[] {
    const random = this.#random;
    const partCount = random.chance(0.2) ? 2 + random.below(3) : 1;
    return Array.from({ length: partCount }, () => {
      const eventCount = random.chance(0.2) ? 1 + random.below(4) : 1;
      const events = Array.from({ length: eventCount }, () => this.#event());
      return { stream: `orders/${random.below(12)}`, events, expectedRevision: 'any' };
    });
  }

  #event(): NewEvent {
    const random = this.#random;
    const type = this.#nextType();
    return {
      type,
      ...(random.chance(0.2) ? { id: `id-${type}` } : {}),
      ...(random.chance(0.1) ? { metadata: { by: type } } : {}),
      ...(random.chance(0.8) ? { data: this.#data() } : {}),
    };
  }

  #data(): unknown {
    const random = this.#random;
    const kind = random.below(this.#settings.isLarge ? 24 : 20);
    if (kind < 12) {
      return { number: random.uint32() };
    }
    if (kind < 20) {
      return this.#bytes(random.pick([0, 1, random.below(600), random.below(600)]));
    }
    return this.#bytes(random.below(22_000));
  }

  #bytes(size: number): Uint8Array {
    const start = this.#random.below(pool.length - size);
    return pool.subarray(start, start + size);
  }

  #nextType(): string {
    this.#callCount += 1;
    return `E${this.#callCount}`;
  }
}

/** A key or ids of its own are what a repeat is known by. */
export function isRepeatable({ result, options, parts }: Attempt): boolean {
  return (
    result?.outcome === 'appended' &&
    (options.idempotencyKey !== undefined ||
      parts.some(({ events }) => events.some(({ id }) => id !== undefined)))
  );
}
