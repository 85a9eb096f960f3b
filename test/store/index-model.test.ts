/**
 * Random commits, repeats, reads and listings against plain maps, over generations of 8 events: by the owner and by clients, through reopening, power cuts, and
 * derived data that is gone in between. VARVE_SEED repeats a run, VARVE_STEPS makes it longer.
 */
import {
  attach,
  type CommitOptions,
  type CommitPart,
  type CommitResult,
  type EventStore,
  type StoreClient,
  type StreamEntry,
  type VarveError,
} from 'varve';
import { collectGoals, SeededRandom, SimulatedFileSystem } from 'varve/testing';
import { expect, it } from 'vitest';
import { seed } from '../seed.ts';
import { filesOf } from './derived-damage.ts';
import { expectEqual, openTiny, tiny } from './derived-history.ts';

const stepCount = Number(process.env['VARVE_STEPS'] ?? 220);

interface Stored {
  readonly stream: string;
  readonly type: string;
  readonly id: string | undefined;
}

interface Known {
  readonly parts: readonly CommitPart[];
  readonly options: CommitOptions;
  readonly result: CommitResult;
}

it(`a store with tiny generations does as plain maps do (VARVE_SEED=${seed})`, async () => {
  const goals = new Set<string>();
  collectGoals(goals);
  const run = new Run(new SeededRandom(seed));
  await run.open();
  for (let step = 0; step < stepCount; step += 1) {
    await run.step();
  }
  await run.finish();
  collectGoals(undefined);
  expect([...goals]).toContain('a decision waited for a read');
});

class Run {
  /** By position. */
  readonly #events: Stored[] = [];
  readonly #positions = new Map<string, number[]>();
  readonly #byKey = new Map<string, Known>();
  readonly #random: SeededRandom;
  #disk = new SimulatedFileSystem();
  #owner!: EventStore;
  #stores: StoreClient[] = [];
  #number = 0;
  #runs = 0;
  #merges = 0;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  async open(): Promise<void> {
    const indexMemoryBytes = this.#random.pick([16, 16, 64]) * 1024;
    const options = { ...tiny, indexMemoryBytes };
    this.#owner = await openTiny(this.#disk, this.#random.uint32(), options);
    expect(this.#owner.head).toBe(this.#events.length);
    this.#stores = [this.#owner, await attach(this.#owner.share())];
  }

  async step(): Promise<void> {
    const roll = this.#random.below(100);
    if (roll < 40) {
      await this.#commits();
    } else if (roll < 55) {
      await this.#repeats();
    } else if (roll < 65) {
      await this.#wrongRevisions();
    } else if (roll < 80) {
      await this.#reads();
    } else if (roll < 88) {
      await this.#lists();
    } else if (roll < 92) {
      await this.#owner.settled();
    } else {
      await this.#again(roll);
    }
  }

  async finish(): Promise<void> {
    await this.#owner.settled();
    for (const { parts, options, result } of this.#byKey.values()) {
      expectEqual(await this.#owner.commit(parts, options), result, 'a repeat');
    }
    for (const stream of this.#positions.keys()) {
      await this.#readOf(this.#owner, stream);
    }
    expect(await this.#owner.verify()).toMatchObject({ ok: true, events: this.#events.length });
    await this.#close();
    expect(this.#runs).toBeGreaterThan(20);
    expect(this.#merges).toBeGreaterThan(2);
  }

  /** Closes, or has the power cut, and in some cases takes derived data away. */
  async #again(roll: number): Promise<void> {
    const cut = { keep: 'none', sector: 512, directory: 'ordered' } as const;
    const left = roll < 95 ? this.#disk.crashClone(this.#random, cut) : undefined;
    await this.#close();
    this.#disk = left ?? this.#disk;
    if (this.#random.chance(0.4)) {
      const paths = filesOf(this.#disk).filter(() => this.#random.chance(0.7));
      paths.forEach((path) => this.#disk.removeFile(path));
    }
    await this.open();
  }

  async #close(): Promise<void> {
    const { runs, merges } = this.#owner.stats().index.work;
    this.#runs += runs;
    this.#merges += merges;
    for (const store of this.#stores.toReversed()) {
      await store.close();
    }
  }

  /** Several at once; some with the key of another one that is made at the same time. */
  async #commits(): Promise<void> {
    const drawn = Array.from({ length: 1 + this.#random.below(8) }, () => this.#draw());
    const twice = drawn.flatMap((commit) => (this.#random.chance(0.2) ? [commit, commit] : commit));
    const answers = await Promise.all(
      twice.map(async (commit) => ({
        commit,
        result: await this.#pick().commit(commit.parts, commit.options),
      })),
    );
    const firsts = answers.filter(({ result }) => result.outcome === 'appended');
    expect(new Set(firsts.map(({ commit }) => commit)).size).toBe(drawn.length);
    expect(firsts).toHaveLength(drawn.length);
    for (const { commit, result } of firsts.toSorted(
      (one, other) => one.result.firstPosition - other.result.firstPosition,
    )) {
      this.#note(commit, result);
    }
    for (const { commit, result } of answers) {
      if (result.outcome === 'duplicate') {
        expectEqual(result, this.#byKey.get(keyOf(commit.options))!.result, 'a concurrent repeat');
      }
    }
  }

  #draw(): Pick<Known, 'parts' | 'options'> {
    const random = this.#random;
    this.#number += 1;
    const parts = Array.from({ length: random.pick([1, 1, 1, 2, 4]) }, () => ({
      stream: this.#stream(),
      events: Array.from({ length: random.pick([1, 1, 2, 3]) }, (_, nth) => ({
        type: `T${this.#number}`,
        ...(random.chance(0.4) ? { id: `id-${this.#number}-${random.uint32()}-${nth}` } : {}),
      })),
    }));
    const idempotencyScope = random.pick([undefined, 'a', 'ab']);
    const idempotencyKey = `key-${random.pick(['', 'b'])}${this.#number}`;
    const options =
      idempotencyScope === undefined ? { idempotencyKey } : { idempotencyKey, idempotencyScope };
    return { parts, options };
  }

  #stream(): string {
    const random = this.#random;
    return random.chance(0.5)
      ? `hot/${random.below(3)}`
      : `${random.pick(['cold', 'cold/é', 'café'])}/${random.below(9)}/${random.below(6)}`;
  }

  #note({ parts, options }: Pick<Known, 'parts' | 'options'>, result: CommitResult): void {
    expect(result.firstPosition).toBe(this.#events.length);
    for (const { stream, events } of parts) {
      for (const { type, id } of events) {
        const positions = this.#positions.get(stream) ?? [];
        positions.push(this.#events.length);
        this.#positions.set(stream, positions);
        this.#events.push({ stream, type, id });
      }
    }
    expect(result.lastPosition).toBe(this.#events.length - 1);
    const known = { parts, options, result: { ...result, outcome: 'duplicate' as const } };
    this.#byKey.set(keyOf(options), known);
  }

  /** As they were, with another key, with changed content, and some of their ids with others. */
  async #repeats(): Promise<void> {
    const known = this.#pickKnown();
    if (known === undefined) {
      return;
    }
    const { parts, options, result } = known;
    const { head } = this.#owner;
    const store = this.#pick();
    expectEqual(await store.commit(parts, options), result, 'a repeat');
    expectEqual(await store.findCommit(options as { idempotencyKey: string }), result, 'found');
    const [first, ...rest] = parts;
    const changed = [{ ...first!, events: [{ type: 'Changed' }] }, ...rest];
    await expectConflict(store.commit(changed, options), result.firstPosition);
    const position = this.#events.findIndex(
      ({ id }, index) =>
        id !== undefined && index >= result.firstPosition && index <= result.lastPosition,
    );
    if (position >= 0) {
      const { stream, id, type } = this.#events[position]!;
      const mixed = [{ type, id: id! }, { type: 'Other' }];
      await expectConflict(store.append(stream, mixed), result.firstPosition);
      expect(await store.getById(id!)).toMatchObject({ position, stream });
    }
    const other = { ...options, idempotencyScope: 'never' };
    expect(await store.findCommit(other as { idempotencyKey: string })).toBeUndefined();
    expect(this.#owner.head).toBe(head);
  }

  async #wrongRevisions(): Promise<void> {
    const stream = this.#stream();
    const count = this.#positions.get(stream)?.length ?? 0;
    const store = this.#pick();
    const wrong = count === 0 ? (['exists', 0] as const) : (['none', count, count - 2] as const);
    for (const expectedRevision of wrong.filter((one) => one !== -1)) {
      const options = { expectedRevision };
      await expect(store.append(stream, [{ type: 'No' }], options)).rejects.toMatchObject({
        code: 'REVISION_CONFLICT',
        actual: count === 0 ? 'none' : count - 1,
      });
    }
    const part: CommitPart = {
      stream,
      events: [{ type: 'Right' }],
      expectedRevision: count === 0 ? 'none' : count - 1,
    };
    this.#number += 1;
    const options = { idempotencyKey: `right-${this.#number}` };
    this.#note({ parts: [part], options }, await store.commit([part], options));
  }

  async #reads(): Promise<void> {
    const stream = this.#stream();
    await this.#readOf(this.#pick(), stream);
    const found = await this.#owner.streamHead(stream);
    const positions = this.#positions.get(stream) ?? [];
    expect(found?.position).toBe(positions.at(-1));
    expect(found?.revision).toBe(positions.length === 0 ? undefined : positions.length - 1);
  }

  async #readOf(store: StoreClient, stream: string): Promise<void> {
    const random = this.#random;
    const positions = this.#positions.get(stream) ?? [];
    for (const direction of ['forwards', 'backwards'] as const) {
      const from = random.below(positions.length + 1);
      const to = from + random.below(12);
      const after = random.below(this.#events.length + 1) - 1;
      const before = Math.max(0, after + random.below(this.#events.length + 2));
      const limit = 1 + random.below(20);
      const options = { direction, after, before, limit };
      const found: number[] = [];
      for await (const event of store.read({ stream, revisions: { from, to } }, options)) {
        expect(event.type).toBe(this.#events[event.position]!.type);
        found.push(event.position);
      }
      const wanted = positions
        .slice(from, to + 1)
        .filter((position) => position > after && position < before);
      const ordered = direction === 'forwards' ? wanted : wanted.toReversed();
      expectEqual(found, ordered.slice(0, limit), `${stream} ${JSON.stringify(options)}`);
    }
  }

  async #lists(): Promise<void> {
    const random = this.#random;
    const prefix = random.pick(['', 'cold/', 'cold/é/', 'c', 'hot/1', 'zzz']);
    const delimiter = random.pick([undefined, '/', 'é']);
    const names = [...this.#positions.keys()].toSorted((one, other) =>
      Buffer.compare(Buffer.from(one), Buffer.from(other)),
    );
    const after = random.pick([undefined, 'cold', random.pick([...names, ''])]);
    const limit = 1 + random.below(30);
    const options = { prefix, limit, ...(delimiter && { delimiter }), ...(after && { after }) };
    const found: string[] = [];
    for await (const entry of this.#pick().streams(options)) {
      found.push(this.#described(entry));
    }
    const rolled = names
      .filter((name) => name.startsWith(prefix))
      .map((name) => {
        const cut = delimiter === undefined ? -1 : name.indexOf(delimiter, prefix.length);
        return cut < 0 ? name : `${name.slice(0, cut + delimiter!.length)}…`;
      })
      .filter((name) => !after || Buffer.compare(Buffer.from(name), Buffer.from(after)) > 0);
    const wanted = [...new Set(rolled)].filter((name) => name !== `${after}…`).slice(0, limit);
    expectEqual(found, wanted, JSON.stringify(options));
  }

  #described(entry: StreamEntry): string {
    if (entry.kind === 'prefix') {
      return `${entry.prefix}…`;
    }
    const positions = this.#positions.get(entry.stream)!;
    expect([entry.revision, entry.position]).toEqual([positions.length - 1, positions.at(-1)]);
    return entry.stream;
  }

  #pickKnown(): Known | undefined {
    const all = [...this.#byKey.values()];
    return all.length === 0 ? undefined : this.#random.pick(all);
  }

  #pick(): StoreClient {
    return this.#random.pick(this.#stores);
  }
}

function keyOf({ idempotencyKey, idempotencyScope }: CommitOptions): string {
  return JSON.stringify([idempotencyScope, idempotencyKey]);
}

async function expectConflict(answer: Promise<unknown>, firstPosition: number): Promise<void> {
  const error = await answer.then(
    () => undefined,
    (failure: unknown) => failure as VarveError,
  );
  expect(error).toMatchObject({ code: 'IDEMPOTENCY_CONFLICT', details: { firstPosition } });
}
