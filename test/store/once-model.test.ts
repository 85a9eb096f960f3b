/**
 * Random commits under random scopes, keys and ids against plain maps: made at once by the owner and by clients, repeated, changed, asked for, through
 * reopening and power cuts. VARVE_SEED repeats a run, VARVE_STEPS makes it longer.
 */
import {
  attach,
  type CommitKey,
  type CommitPart,
  type CommitResult,
  type EventStore,
  open,
  type StoreClient,
  type VarveError,
} from 'varve';
import { SeededRandom, SimulatedClock, SimulatedFileSystem } from 'varve/testing';
import { expect, it } from 'vitest';
import { seed } from '../seed.ts';

const stepCount = Number(process.env['VARVE_STEPS'] ?? 250);
const scopes = [undefined, 'a', 'ab', '0f8fad5b-d9cb-469f-a165-70867728950e'];
const idCount = 30;

interface Attempt {
  readonly name: CommitKey | undefined;
  readonly parts: readonly CommitPart[];
}

interface Made extends Attempt {
  /** As the first answer, but for its outcome. */
  readonly result: CommitResult;
}

type Answer = { readonly result: CommitResult } | { readonly error: VarveError };

it('takes every name once, as plain maps do', async () => {
  const run = new Run(new SeededRandom(seed));
  await run.open();
  for (let step = 0; step < stepCount; step += 1) {
    await run.step();
  }
  await run.finish();
});

class Run {
  readonly #random: SeededRandom;
  readonly #byName = new Map<string, Made>();
  readonly #byId = new Map<string, { readonly made: Made; readonly position: number }>();
  #head = 0;
  #disk = new SimulatedFileSystem();
  #owner!: EventStore;
  #stores: StoreClient[] = [];

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  async open(): Promise<void> {
    const components = { fileSystem: this.#disk, clock: new SimulatedClock({ tickMs: 1 }) };
    const random = new SeededRandom(this.#random.uint32());
    this.#owner = await open('/store', {}, { ...components, random });
    expect(this.#owner.head).toBe(this.#head);
    const lanes = await Promise.all([
      attach(this.#owner.share()),
      attach(this.#owner.share(), { laneBytes: 4_096 }),
    ]);
    this.#stores = [this.#owner, ...lanes];
  }

  async step(): Promise<void> {
    const roll = this.#random.below(100);
    if (roll < 45) {
      await this.#alone();
    } else if (roll < 90) {
      await this.#atOnce();
    } else if (roll < 96) {
      await this.#close();
      await this.open();
    } else {
      // Everything was answered, so all of it is on the disk.
      const cut = { keep: 'none', sector: 512, directory: 'ordered' } as const;
      const left = this.#disk.crashClone(this.#random, cut);
      await this.#close();
      this.#disk = left;
      await this.open();
    }
  }

  async finish(): Promise<void> {
    await this.#close();
    await this.open();
    for (const { name, result } of this.#byName.values()) {
      expect(await this.#owner.findCommit(name!)).toEqual(result);
    }
    expect(await this.#owner.verify()).toMatchObject({ ok: true, events: this.#head });
    await this.#close();
    expect(this.#byName.size).toBeGreaterThan(20);
    expect(this.#byId.size).toBeGreaterThan(4);
  }

  async #close(): Promise<void> {
    for (const store of this.#stores.toReversed()) {
      await store.close();
    }
  }

  /** One commit, with ids: what becomes of it follows from all before. */
  async #alone(): Promise<void> {
    const attempt = this.#draw(this.#random.chance(0.7));
    const answer = await this.#make(attempt);
    const earlier = this.#earlier(attempt);
    if (earlier === undefined) {
      this.#note(attempt, answer);
    } else if (isRepeat(attempt, earlier)) {
      expect(answer).toEqual({ result: earlier.result });
    } else {
      const ids = attempt.parts.flatMap(({ events }) => events.flatMap(({ id }) => id ?? []));
      const repeatedIds = ids.flatMap((id) => {
        const known = this.#byId.get(id);
        return known === undefined ? [] : [{ id, position: known.position }];
      });
      expect(conflictOf(answer)).toEqual({
        code: 'IDEMPOTENCY_CONFLICT',
        firstPosition: earlier.result.firstPosition,
        lastPosition: earlier.result.lastPosition,
        repeatedIds,
        newIds: ids.filter((id) => !this.#byId.has(id)),
      });
    }
    expect(this.#owner.head).toBe(this.#head);
  }

  /** Commits of few names and no ids at once, from everywhere, and questions between them. */
  async #atOnce(): Promise<void> {
    const attempts = Array.from({ length: 2 + this.#random.below(20) }, () => this.#draw(false));
    const calls = attempts.map(async (attempt) => {
      const answer = this.#make(attempt);
      const before = this.#byName.get(nameOf(attempt.name));
      const asked = attempt.name === undefined ? undefined : this.#pick().findCommit(attempt.name);
      return { attempt, answer: await answer, before, found: await asked };
    });
    const answered = await Promise.all(calls);
    for (const { attempt, answer } of answered.toSorted(
      (one, other) => orderOf(one) - orderOf(other),
    )) {
      if (isAppended(answer)) {
        this.#note(attempt, answer);
      }
    }
    for (const { attempt, answer, before, found } of answered) {
      const made = this.#byName.get(nameOf(attempt.name));
      if (attempt.name === undefined) {
        expect(isAppended(answer)).toBe(true);
        continue;
      }
      expect(made).toBeDefined();
      expect([undefined, made!.result]).toContainEqual(before === undefined ? found : undefined);
      if (before !== undefined) {
        expect(found).toEqual(before.result);
      }
      if (made!.parts !== attempt.parts || !isAppended(answer)) {
        expect(isAppended(answer)).toBe(false);
        const { firstPosition } = made!.result;
        expect(isRepeat(attempt, made!) ? answer : conflictOf(answer)).toMatchObject(
          isRepeat(attempt, made!)
            ? { result: made!.result }
            : { code: 'IDEMPOTENCY_CONFLICT', firstPosition },
        );
      }
    }
    expect(this.#owner.head).toBe(this.#head);
  }

  #draw(withIds: boolean): Attempt {
    const random = this.#random;
    const known = [...this.#byName.values()];
    if (known.length > 0 && random.chance(0.3)) {
      const { name, parts } = known[random.below(known.length)]!;
      return { name, parts: structuredClone(parts) };
    }
    const ids = new Set<number>();
    const events = Array.from({ length: 1 + random.below(3) }, () => {
      const event = { type: 'T', data: random.below(2) };
      const id = random.below(idCount);
      if (!withIds || ids.has(id) || random.chance(0.3)) {
        return event;
      }
      ids.add(id);
      return { ...event, id: `id ${id}` };
    });
    const [first, ...rest] = events;
    const parts = [{ stream: 'a', events: [first!] }];
    return {
      name: this.#drawName(),
      parts: rest.length === 0 ? parts : [...parts, { stream: 'b', events: rest }],
    };
  }

  #drawName(): CommitKey | undefined {
    const random = this.#random;
    if (random.chance(0.15)) {
      return undefined;
    }
    const idempotencyScope = scopes[random.below(scopes.length)];
    const idempotencyKey = ['bc', 'c', `${random.below(40)}`][random.below(3)]!;
    return idempotencyScope === undefined
      ? { idempotencyKey }
      : { idempotencyKey, idempotencyScope };
  }

  #pick(): StoreClient {
    return this.#stores[this.#random.below(this.#stores.length)]!;
  }

  async #make({ name, parts }: Attempt): Promise<Answer> {
    try {
      return { result: await this.#pick().commit(parts, name) };
    } catch (error) {
      return { error: error as VarveError };
    }
  }

  /** The commit that a repeat would be one of: by its key, or by the first of its ids that was used. */
  #earlier({ name, parts }: Attempt): Made | undefined {
    const byName = name === undefined ? undefined : this.#byName.get(nameOf(name));
    const ids = parts.flatMap(({ events }) => events.flatMap(({ id }) => id ?? []));
    return byName ?? this.#byId.get(ids.find((id) => this.#byId.has(id)) ?? '')?.made;
  }

  #note({ name, parts }: Attempt, answer: Answer): void {
    expect(answer).toMatchObject({ result: { outcome: 'appended', firstPosition: this.#head } });
    const { result } = answer as { result: CommitResult };
    const made: Made = { name, parts, result: { ...result, outcome: 'duplicate' } };
    if (name !== undefined) {
      expect(this.#byName.has(nameOf(name))).toBe(false);
      this.#byName.set(nameOf(name), made);
    }
    for (const { id } of parts.flatMap(({ events }) => events)) {
      if (id !== undefined) {
        this.#byId.set(id, { made, position: this.#head });
      }
      this.#head += 1;
    }
  }
}

function nameOf(name: CommitKey | undefined): string {
  return name === undefined ? '' : JSON.stringify([name.idempotencyScope, name.idempotencyKey]);
}

/** An event without an id repeats one that has one. */
function isRepeat(attempt: Attempt, made: Made): boolean {
  const [given, stored] = [attempt, made].map(({ parts }) =>
    parts.flatMap(({ stream, events }) => events.map((event) => ({ stream, ...event }))),
  );
  return (
    nameOf(attempt.name) === nameOf(made.name) &&
    given!.length === stored!.length &&
    given!.every(({ id, ...event }, index) => {
      const { id: storedId, ...other } = stored![index]!;
      const isSameId = id === undefined || id === storedId;
      return isSameId && JSON.stringify(event) === JSON.stringify(other);
    })
  );
}

function isAppended(answer: Answer): boolean {
  return 'result' in answer && answer.result.outcome === 'appended';
}

function orderOf({ answer }: { readonly answer: Answer }): number {
  return 'result' in answer ? answer.result.firstPosition : -1;
}

function conflictOf(answer: Answer): object {
  const { code, details } = (answer as { error: VarveError }).error;
  return { code, ...details };
}
