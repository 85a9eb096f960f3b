/** What is told, and shown, of a commit that has a position and isn't durable yet: nothing. The disk is held to look. */
import { type EventStore, open, type StoreOptions } from 'varve';
import {
  FaultPlan,
  type Operation,
  SeededRandom,
  SimulatedClock,
  SimulatedFileSystem,
} from 'varve/testing';
import { describe, expect, it } from 'vitest';
import { eventsOf, noise } from './damage.ts';

const large = noise(100_000, 3);

/** A store with one durable event in stream `a`, so that space is prepared and a batch is one write and one sync. */
class Bench {
  readonly faults: FaultPlan;
  readonly disk: SimulatedFileSystem;
  readonly clock: SimulatedClock = new SimulatedClock();
  store!: EventStore;
  /** Fails operations on the segment from when it is set. */
  failing: Operation['kind'] | undefined;

  constructor() {
    this.faults = new FaultPlan({
      when: ({ kind, path }) =>
        kind === this.failing && path.endsWith('.seg') ? 'EIO' : undefined,
    });
    this.disk = new SimulatedFileSystem({ faults: this.faults });
  }

  async open(options: StoreOptions = {}): Promise<EventStore> {
    this.store = await this.reopen(this.disk, options);
    await this.store.append('a', [{ type: 'First' }]);
    await this.turns();
    return this.store;
  }

  async reopen(fileSystem: SimulatedFileSystem, options: StoreOptions = {}): Promise<EventStore> {
    return open('/store', options, { fileSystem, clock: this.clock, random: new SeededRandom(1) });
  }

  /** Lets everything run that can. */
  async turns(): Promise<void> {
    for (let turn = 0; turn < 5; turn += 1) {
      await this.clock.pause();
    }
  }
}

/** Says in which order promises settle. */
class Settling {
  readonly order: string[] = [];

  watch<T>(name: string, promise: Promise<T>): Promise<T> {
    const note = (): void => {
      this.order.push(name);
    };
    promise.then(note, note);
    return promise;
  }
}

/** All of them rest on `first`. */
function ask(store: EventStore, settling: Settling, data: unknown): Promise<unknown>[] {
  const events = [{ type: 'Second', data, id: 'own-id' }];
  const key = { idempotencyKey: 'key' };
  const calls = {
    first: store.append('a', events, key),
    duplicate: store.append('a', events, key),
    duplicateWritten: store.append('a', events, { ...key, ack: 'written' }),
    otherContent: store.append('a', [{ type: 'Other' }], key),
    otherKey: store.append('a', events),
    revision: store.append('a', [{ type: 'Late' }], { expectedRevision: 0 }),
    none: store.commit([{ stream: 'a', events: [{ type: 'Late' }], expectedRevision: 'none' }]),
  };
  return Object.entries(calls).map(([name, promise]) =>
    settling.watch<unknown>(name, promise as Promise<unknown>),
  );
}

describe('answers that rest on a commit in flight', () => {
  const names = [
    'first',
    'duplicate',
    'duplicateWritten',
    'otherContent',
    'otherKey',
    'revision',
    'none',
  ];

  it('are given when it is durable, behind its own', async () => {
    const bench = new Bench();
    const store = await bench.open();
    const settling = new Settling();
    bench.disk.holdSyncs();
    const calls = ask(store, settling, { total: 1 });
    await bench.turns();
    expect(settling.order).toEqual([]);
    bench.disk.releaseSyncs();
    const results = await Promise.allSettled(calls);
    expect(settling.order).toEqual(names);
    const first = { firstPosition: 1, lastPosition: 1, revision: 1, time: expect.any(Number) };
    expect(results).toMatchObject([
      { value: { ...first, outcome: 'appended' } },
      { value: { ...first, outcome: 'duplicate' } },
      { value: { ...first, outcome: 'duplicate' } },
      { reason: { code: 'IDEMPOTENCY_CONFLICT' } },
      { reason: { code: 'IDEMPOTENCY_CONFLICT' } },
      { reason: { code: 'REVISION_CONFLICT', actual: 1 } },
      { reason: { code: 'REVISION_CONFLICT', actual: 1 } },
    ]);
    await store.close();
  });

  it('become its failure if its sync fails, and nobody knows what was applied', async () => {
    const bench = new Bench();
    const store = await bench.open();
    const settling = new Settling();
    bench.disk.holdSyncs();
    bench.failing = 'sync';
    const calls = ask(store, settling, { total: 1 });
    await bench.turns();
    expect(settling.order).toEqual([]);
    bench.disk.releaseSyncs();
    for (const result of await Promise.allSettled(calls)) {
      expect(result).toMatchObject({ reason: { code: 'POISONED', applied: 'unknown' } });
    }
    expect(settling.order).toEqual(names);
    await store.close();
  });

  it('become its failure if its write fails, and it is not applied once the write is taken back', async () => {
    const bench = new Bench();
    const store = await bench.open();
    const settling = new Settling();
    bench.disk.holdWrites();
    bench.failing = 'write';
    const calls = ask(store, settling, large);
    await bench.turns();
    expect(settling.order).toEqual([]);
    bench.failing = undefined;
    bench.disk.releaseWrites(1);
    await bench.turns();
    expect(settling.order).toEqual([]);
    bench.disk.releaseWrites();
    for (const result of await Promise.allSettled(calls)) {
      expect(result).toMatchObject({ reason: { code: 'POISONED', applied: 'no' } });
    }
    await store.close();
    const reopened = await bench.reopen(bench.disk);
    expect(reopened.head).toBe(1);
    expect((await reopened.append('a', [{ type: 'Second', id: 'own-id' }])).firstPosition).toBe(1);
    await reopened.close();
  });

  it('are "unknown" if a failed write can not be taken back', async () => {
    const bench = new Bench();
    const store = await bench.open();
    bench.failing = 'write';
    const lost = store.append('a', [{ type: 'Second' }]);
    await expect(lost).rejects.toMatchObject({ code: 'POISONED', applied: 'unknown' });
    await store.close();
  });

  it('are poisoned afterwards, but for what is durable', async () => {
    const bench = new Bench();
    const store = await bench.open();
    const kept = await store.append('b', [{ type: 'Kept' }], { idempotencyKey: 'kept' });
    bench.failing = 'sync';
    const lost = store.append('a', [{ type: 'Lost' }], { idempotencyKey: 'lost' });
    await expect(lost).rejects.toMatchObject({ code: 'POISONED' });
    const keptAgain = store.append('b', [{ type: 'Kept' }], { idempotencyKey: 'kept' });
    expect(await keptAgain).toEqual({ ...kept, outcome: 'duplicate' });
    const lostAgain = store.append('a', [{ type: 'Lost' }], { idempotencyKey: 'lost' });
    await expect(lostAgain).rejects.toMatchObject({ code: 'POISONED', applied: 'unknown' });
    const late = store.append('a', [{ type: 'Late' }]);
    await expect(late).rejects.toMatchObject({ code: 'POISONED', applied: 'no' });
    const conflicting = store.append('b', [{ type: 'Late' }], { expectedRevision: 'none' });
    await expect(conflicting).rejects.toMatchObject({ applied: 'no' });
    await expect(store.flush()).rejects.toMatchObject({ code: 'POISONED' });
    expect(await eventsOf(store)).toHaveLength(2);
    expect(await store.get(2)).toBeUndefined();
    expect((await store.streamHead('a'))?.revision).toBe(0);
    await store.close();
  });
});

describe('a question for a commit by its key', () => {
  const name = { idempotencyKey: 'key', idempotencyScope: 'scope' };

  it('is answered when the commit is durable, also if that still waits for room', async () => {
    const bench = new Bench();
    const store = await bench.open({ maxPendingBytes: 200_000 });
    const settling = new Settling();
    bench.disk.holdSyncs();
    const fill = [1, 2].map(() => store.append('b', [{ type: 'Fill', data: large }]));
    const sent = settling.watch('append', store.append('a', [{ type: 'Second' }], name));
    expect(store.stats().waiting).toBeGreaterThan(0);
    const asked = settling.watch('findCommit', store.findCommit(name));
    await bench.turns();
    expect(settling.order).toEqual([]);
    bench.disk.releaseSyncs();
    const { firstRevision, revision, ...others } = await sent;
    const streams = [{ stream: 'a', firstRevision, revision }];
    expect(await asked).toEqual({ ...others, outcome: 'duplicate', streams });
    expect(settling.order).toEqual(['append', 'findCommit']);
    await Promise.all(fill);
    await store.close();
  });

  it('fails if the commit is lost, and is answered by the store that is opened next', async () => {
    const bench = new Bench();
    const store = await bench.open();
    const kept = await store.append('b', [{ type: 'Kept' }], { idempotencyKey: 'kept' });
    bench.disk.holdWrites();
    bench.failing = 'write';
    const lost = store.append('a', [{ type: 'Second', data: large }], name);
    const asked = store.findCommit(name);
    const settled = Promise.allSettled([lost, asked]);
    await bench.turns();
    bench.failing = undefined;
    bench.disk.releaseWrites();
    const [, answer] = await settled;
    expect(answer).toMatchObject({ reason: { code: 'POISONED' } });
    expect((answer as PromiseRejectedResult).reason).not.toHaveProperty('applied');
    const later = await store.findCommit(name).catch((error: unknown) => error);
    expect(later).toMatchObject({ code: 'POISONED' });
    expect(later).not.toHaveProperty('applied');
    const { firstPosition } = kept;
    expect(await store.findCommit({ idempotencyKey: 'kept' })).toMatchObject({ firstPosition });
    await store.close();
    const reopened = await bench.reopen(bench.disk);
    expect(await reopened.findCommit(name)).toBeUndefined();
    await reopened.close();
  });
});

describe('a commit in flight', () => {
  it('is not visible by any way of reading, then whole by all', async () => {
    const bench = new Bench();
    const store = await bench.open();
    bench.disk.holdSyncs();
    const sent = store.commit([
      { stream: 'a', events: [{ type: 'One', id: 'one' }] },
      { stream: 'b', events: [{ type: 'Two' }, { type: 'Three' }] },
    ]);
    const written = store.append('c', [{ type: 'Four' }], { ack: 'written' });
    await written;
    for (let look = 0; look < 2; look += 1) {
      expect(store.head).toBe(1);
      expect(await eventsOf(store)).toHaveLength(1);
      expect(await store.get(1)).toBeUndefined();
      expect(await store.getById('one')).toBeUndefined();
      expect(await store.streamHead('b')).toBeUndefined();
      expect(await store.streamHead('a')).toMatchObject({ revision: 0, position: 0 });
      expect(await streamsOf(store)).toEqual(['a 0']);
      expect(await store.verify()).toMatchObject({ ok: true, events: 1 });
      expect(store.stats()).toMatchObject({
        streams: 1,
        watermarks: { appended: 5, written: 5, durable: 1, visible: 1 },
      });
      await bench.turns();
    }
    const early = store.read();
    bench.disk.releaseSyncs();
    await sent;
    expect(store.head).toBe(5);
    expect((await eventsOf(store)).map(({ type }) => type)).toEqual([
      'First',
      'One',
      'Two',
      'Three',
      'Four',
    ]);
    expect(await store.getById('one')).toMatchObject({ position: 1, revision: 1 });
    expect(await streamsOf(store)).toEqual(['a 1', 'b 1', 'c 0']);
    // What was visible when it was asked is what a read sees.
    expect((await early.next()).done).toBe(false);
    expect((await early.next()).done).toBe(true);
    await store.close();
  });

  it('is never visible in part', async () => {
    const bench = new Bench();
    const store = await bench.open({ maxBatchBytes: 4_096 });
    const heads = new Set<number>();
    bench.disk.onOperation = () => heads.add(store.head);
    const events = Array.from({ length: 7 }, () => ({
      type: 'Part',
      data: large.subarray(0, 300),
    }));
    await Promise.all(Array.from({ length: 20 }, () => store.append('a', events)));
    bench.disk.onOperation = undefined;
    expect(heads.size).toBeGreaterThan(5);
    for (const head of heads) {
      expect((head - 1) % 7).toBe(0);
    }
    await store.close();
  });

  it('shares one write and one sync with all that came while the disk was busy', async () => {
    const bench = new Bench();
    const store = await bench.open();
    bench.disk.holdSyncs();
    const first = store.append('a', [{ type: 'Second' }]);
    await bench.turns();
    const before = bench.disk.counts;
    const rest = Array.from({ length: 256 }, (_, index) =>
      store.append(`s/${index % 10}`, [{ type: 'Rest', data: index }]),
    );
    await bench.turns();
    expect(bench.disk.counts).toEqual(before);
    expect(store.stats().pending.commits).toBe(257);
    bench.disk.releaseSyncs();
    await Promise.all([first, ...rest]);
    const after = bench.disk.counts;
    expect(after.write - before.write).toBe(1);
    expect(after.sync - before.sync).toBe(1);
    await store.close();
  });

  it('is acknowledged before its sync if "written" is enough, and its position may go to another', async () => {
    const bench = new Bench();
    const store = await bench.open();
    bench.disk.holdSyncs();
    const result = await store.append('a', [{ type: 'Written' }], { ack: 'written' });
    expect(result).toMatchObject({ outcome: 'appended', firstPosition: 1 });
    const cut = { keep: 'none', sector: 512, directory: 'ordered' } as const;
    const later = await bench.reopen(bench.disk.crashClone(new SeededRandom(1), cut));
    expect(later.head).toBe(1);
    expect(await later.append('a', [{ type: 'Another' }])).toMatchObject({ firstPosition: 1 });
    await later.close();
    bench.disk.releaseSyncs();
    await store.flush();
    expect(store.head).toBe(2);
    await store.close();
  });

  it('is what flush, waitFor and close wait for', async () => {
    const bench = new Bench();
    const store = await bench.open();
    const settling = new Settling();
    const controller = new AbortController();
    bench.disk.holdSyncs();
    const sent = [
      settling.watch('append', store.append('a', [{ type: 'Second' }])),
      settling.watch('waitFor', store.waitFor(1)),
      settling.watch('flush', store.flush()),
      settling.watch('close', store.close()),
    ];
    expect(() => store.read()).toThrow(expect.objectContaining({ code: 'CLOSED' }));
    await expect(store.append('a', [{ type: 'Late' }])).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(store.waitFor(1, { signal: controller.signal })).rejects.toMatchObject({
      code: 'CLOSED',
    });
    await bench.turns();
    expect(settling.order).toEqual([]);
    bench.disk.releaseSyncs();
    await Promise.all(sent);
    expect(settling.order).toEqual(['append', 'waitFor', 'flush', 'close']);
    const reopened = await bench.reopen(bench.disk);
    expect(reopened).toMatchObject({ head: 2, recovery: { wasClosed: true } });
    await reopened.close();
  });

  it('ends waiting for what never comes when the store is closed, or the signal says so', async () => {
    const bench = new Bench();
    const store = await bench.open();
    const controller = new AbortController();
    const aborted = store.waitFor(7, { signal: controller.signal });
    const never = store.waitFor(8);
    controller.abort();
    await expect(aborted).rejects.toMatchObject({ code: 'ABORTED' });
    const settled = Promise.allSettled([never]);
    await store.close();
    expect(await settled).toMatchObject([{ reason: { code: 'CLOSED' } }]);
  });
});

describe('a commit that waits for room', () => {
  const data = noise(3_000, 4);

  /** One commit in flight that leaves no room for another of its size. */
  async function full(bench: Bench): Promise<() => Promise<unknown>> {
    const store = await bench.open({ maxPendingBytes: 4_096 });
    bench.disk.holdSyncs();
    const sent = store.append('a', [{ type: 'Full', data }]);
    return () => sent;
  }

  it('can be aborted, has no effect then, and lets those behind it through', async () => {
    const bench = new Bench();
    const inFlight = await full(bench);
    const { store } = bench;
    const controller = new AbortController();
    const { signal } = controller;
    const waiting = store.append('a', [{ type: 'Aborted', data }], { signal, idempotencyKey: 'x' });
    const behind = store.append('a', [{ type: 'Behind' }]);
    expect(store.stats()).toMatchObject({ waiting: 2, watermarks: { appended: 2 } });
    controller.abort(new Error('enough'));
    await expect(waiting).rejects.toMatchObject({
      code: 'ABORTED',
      applied: 'no',
      cause: { message: 'enough' },
    });
    expect(store.stats()).toMatchObject({ waiting: 0, watermarks: { appended: 3 } });
    bench.disk.releaseSyncs();
    await inFlight();
    expect(await behind).toMatchObject({ firstPosition: 2 });
    // The key was never used.
    const other = await store.append('a', [{ type: 'Other' }], { idempotencyKey: 'x' });
    expect(other.outcome).toBe('appended');
    await store.close();
  });

  it('takes no notice of its signal once it has a position', async () => {
    const bench = new Bench();
    const store = await bench.open();
    const controller = new AbortController();
    bench.disk.holdSyncs();
    const sent = store.append('a', [{ type: 'Given' }], { signal: controller.signal });
    controller.abort();
    await bench.turns();
    bench.disk.releaseSyncs();
    expect(await sent).toMatchObject({ outcome: 'appended', firstPosition: 1 });
    const late = store.append('a', [{ type: 'Never' }], { signal: controller.signal });
    await expect(late).rejects.toMatchObject({ code: 'ABORTED', applied: 'no' });
    await store.close();
  });

  it('keeps its place: smaller ones that came later do not overtake it', async () => {
    const bench = new Bench();
    const inFlight = await full(bench);
    const { store } = bench;
    const types = ['W0', 'W1', 'W2', 'W3', 'W4', 'W5'];
    const waiting = types.map((type, index) =>
      store.append('w', [index % 2 === 0 ? { type, data } : { type }]),
    );
    const flushed = store.flush();
    expect(store.stats().waiting).toBe(types.length);
    bench.disk.releaseSyncs();
    await inFlight();
    const results = await Promise.all(waiting);
    expect(results.map(({ firstPosition }) => firstPosition)).toEqual([2, 3, 4, 5, 6, 7]);
    await flushed;
    await store.close();
  });

  it('keeps what it was called with, whatever the caller does to it meanwhile', async () => {
    const bench = new Bench();
    const inFlight = await full(bench);
    const { store } = bench;
    const bytes = new Uint8Array(2_000).fill(1);
    const tags = ['before'];
    const waiting = store.append('w', [{ type: 'Kept', data: bytes, tags }]);
    bytes.fill(2);
    tags[0] = 'after';
    bench.disk.releaseSyncs();
    await inFlight();
    const { firstPosition } = await waiting;
    const event = await store.get(firstPosition);
    expect(event).toMatchObject({ tags: ['before'], data: new Uint8Array(2_000).fill(1) });
    await store.close();
  });

  it('is served when the store is closed, and refused when writing fails', async () => {
    const bench = new Bench();
    const inFlight = await full(bench);
    const { store } = bench;
    const waiting = store.append('w', [{ type: 'Waiting', data }]);
    const closed = store.close();
    bench.disk.releaseSyncs();
    await inFlight();
    expect(await waiting).toMatchObject({ firstPosition: 2 });
    await closed;

    const failing = new Bench();
    const lost = await full(failing);
    const refused = failing.store.append('w', [{ type: 'Waiting', data }]);
    const settled = Promise.allSettled([refused]);
    failing.failing = 'sync';
    failing.disk.releaseSyncs();
    await expect(lost()).rejects.toMatchObject({ code: 'POISONED', applied: 'unknown' });
    expect(await settled).toMatchObject([{ reason: { code: 'POISONED', applied: 'no' } }]);
    await failing.store.close();
  });
});

async function streamsOf(store: EventStore): Promise<string[]> {
  const names: string[] = [];
  for await (const entry of store.streams()) {
    names.push(entry.kind === 'stream' ? `${entry.stream} ${entry.revision}` : entry.prefix);
  }
  return names;
}
