/** A store without a log, as its owner uses it: with a log of its own, replayed from the position that the store says it has flushed. */
import { type KvOptions, type KvStore, openKv } from 'varve/kv';
import { SeededRandom, type SimulatedFileSystem } from 'varve/testing';
import { describe, expect, it } from 'vitest';
import { afterPowerCut, codeOf, disk, keysOf, openOn, tablesOn, text } from './simulated-store.ts';

const options: KvOptions = {
  log: false,
  memtableBytes: 4_096,
  tableBytes: 1_024,
  blockBytes: 64,
  levelBaseBytes: 4_096,
  levelMultiplier: 2,
};

const stretches = (kv: KvStore): unknown[] => kv.tables().map(({ stretch }) => stretch);

/** Counts words: an event of the log is a word, the store holds how often each was there, and under `#` the next position. */
class Counter {
  readonly #log: readonly string[];
  readonly #fileSystem: SimulatedFileSystem;
  kv!: KvStore;
  position = 0;

  constructor(log: readonly string[], fileSystem: SimulatedFileSystem) {
    this.#log = log;
    this.#fileSystem = fileSystem;
  }

  async open(): Promise<void> {
    this.kv = await openOn(this.#fileSystem, options);
    this.position = this.kv.flushedPosition;
  }

  async advance(to: number): Promise<void> {
    while (this.position < to) {
      const word = this.#log[this.position]!;
      const count = Number(text(this.kv.getSync(word)) ?? 0) + 1;
      this.position += 1;
      const { position } = this;
      // Doubled if it were applied to its own result: what was flushed must end exactly at the position.
      await this.kv.put(word, String(count), { position });
    }
  }
}

describe('a store without a log', () => {
  it.each([1, 2, 3, 4])(
    'is filled again from its flushed position after every kill, nothing lost or doubled (seed %i)',
    async (seed) => {
      const random = new SeededRandom(seed);
      const log = Array.from({ length: 3_000 }, () => `word ${random.below(300)}`);
      let fileSystem = disk();
      let counter = new Counter(log, fileSystem);
      await counter.open();
      let flushed = 0;
      for (let done = 0; done < log.length;) {
        done = Math.min(log.length, counter.position + random.below(700));
        await counter.advance(done);
        const keep = random.pick(['none', 'all', 'random'] as const);
        const clone = fileSystem.crashClone(random, { keep, sector: 512, directory: 'any' });
        const abandoned = counter;
        counter = new Counter(log, clone);
        await counter.open();
        expect(counter.kv.recovery).toMatchObject({ isNew: false, discarded: undefined });
        expect(counter.position).toBeLessThanOrEqual(done);
        flushed = Math.max(flushed, counter.position);
        await counter.advance(done);
        await abandoned.kv.close();
        fileSystem = clone;
      }
      expect(flushed).toBeGreaterThan(0);
      const counts = new Map<string, number>();
      for (const word of log) {
        counts.set(word, (counts.get(word) ?? 0) + 1);
      }
      const found = [...counter.kv.iterateSync()].map(([key, value]) => [
        text(key),
        Number(text(value)),
      ]);
      expect(found).toEqual([...counts].toSorted(([one], [other]) => (one < other ? -1 : 1)));
      await counter.kv.close();
      const again = await openOn(fileSystem, options);
      expect(again.flushedPosition).toBe(log.length);
      await again.close();
    },
  );

  it('answers writes at once, and keeps on close what it was given', async () => {
    const fileSystem = disk();
    const kv = await openOn(fileSystem, { log: false });
    const writes = fileSystem.counts.write;
    await kv.put('a', '1', { position: 10 });
    await kv.put('b', '1');
    expect(fileSystem.counts.write).toBe(writes);
    expect(kv.flushedPosition).toBe(0);
    await kv.flush();
    expect(kv.flushedPosition).toBe(10);
    await kv.put('c', '1', { position: 12, ack: 'written' });
    await kv.close();
    const again = await openOn(fileSystem, { log: false });
    expect(again.flushedPosition).toBe(12);
    expect(text(again.getSync('c'))).toBe('1');
    expect(again.lastVersion).toBe(3);
    await again.close();
  });

  it('holds a batch as one, however large, once it is flushed', async () => {
    const fileSystem = disk();
    const kv = await openOn(fileSystem, options);
    await kv.put('before', '', { position: 1 });
    await kv.flush();
    const points: SimulatedFileSystem[] = [];
    fileSystem.onOperation = ({ kind }) => {
      if (kind === 'rename') {
        points.push(fileSystem.clone());
      }
    };
    const operations = Array.from({ length: 400 }, (_, index) => {
      return { type: 'put', key: `key ${index}`, value: 'x'.repeat(50) } as const;
    });
    await kv.batch(operations, { position: 2 });
    await kv.flush();
    fileSystem.onOperation = undefined;
    expect(await kv.count('key ')).toEqual({ count: 400, isExact: true });
    await kv.close();
    expect(points.length).toBeGreaterThan(0);
    for (const point of points) {
      const again = await openOn(point, options);
      const { count } = await again.count('key ');
      expect([0, 400]).toContain(count);
      expect(again.flushedPosition).toBe(count === 0 ? 1 : 2);
      await again.close();
    }
  });

  it.each(Array.from({ length: 16 }, (_, turns) => turns))(
    'keeps a large batch that comes while another is flushed (%i turns later)',
    async (turns) => {
      const fileSystem = disk();
      const kv = await openOn(fileSystem, options);
      const fill = async (name: string, position: number): Promise<number> => {
        const keys = Array.from({ length: 12 }, (_, index) => `${name}/${index}`);
        const value = 'x'.repeat(500);
        return kv.batch(
          keys.map((key) => ({ type: 'put', key, value })),
          { position },
        );
      };
      await fill('first', 1);
      for (let turn = 0; turn < turns; turn += 1) {
        await new Promise(setImmediate);
      }
      await fill('second', 2);
      await kv.flush();
      await kv.settled();
      expect((await kv.count('')).count).toBe(24);
      expect(await kv.verify()).toMatchObject({ ok: true });
      await kv.close();
      const again = await openOn(fileSystem, options);
      expect(again.recovery.discarded).toBeUndefined();
      expect([(await again.count('')).count, again.flushedPosition]).toEqual([24, 2]);
      await again.close();
    },
  );

  it('that could apply only part of a batch shows none of it, then or later', async () => {
    const fileSystem = disk();
    const kv = await openOn(fileSystem, options);
    await kv.put('before', 'x', { position: 1 });
    await kv.flush();
    await kv.put('lost', 'x', { position: 2 });
    const keys = Array.from({ length: 40 }, (_, index) => `k/${index}`);
    const operations = keys.map((key) => ({ type: 'put', key, value: 'x'.repeat(500) }) as const);
    const poisoned = { code: 'POISONED', applied: 'no' };
    await withoutMemory(async () => {
      await expect(kv.batch(operations, { position: 3 })).rejects.toMatchObject(poisoned);
    });
    await expect(kv.put('later', 'x')).rejects.toMatchObject(poisoned);
    expect((await kv.count('k/')).count).toBe(0);
    expect(await codeOf(kv.flush())).toBe('POISONED');
    expect(await codeOf(kv.settled())).toBe('POISONED');
    expect(kv.stats().background.error).toBeDefined();
    // What was accepted and isn't flushed is lost: whoever closes is told.
    expect(await codeOf(kv.close())).toBe('POISONED');
    expect(fileSystem.openCount).toBe(0);
    const again = await openOn(fileSystem, options);
    expect(Array.from(again.iterateSync({ keysOnly: true }), text)).toEqual(['before']);
    expect(again.flushedPosition).toBe(1);
    await again.close();
  });

  it('knows its position after calls that change nothing', async () => {
    const kv = await openOn(disk(), options);
    const calls = [
      async () => kv.batch([], { position: 1 }),
      async () => kv.deleteRange({ gte: 'b', lt: 'a' }, { position: 2 }),
      async () => kv.rename('nothing/', 'to/', { prefix: true, position: 3 }),
    ];
    for (const [index, call] of calls.entries()) {
      await call();
      await kv.flush();
      expect(kv.flushedPosition).toBe(index + 1);
    }
    expect(await kv.rename('nothing/', 'to/', { prefix: true, position: 4 })).toBe(0);
    await kv.close();
  });

  it('records the position of an empty batch with the next flush', async () => {
    const fileSystem = disk();
    const kv = await openOn(fileSystem, { log: false });
    await kv.put('a', '1', { position: 3 });
    expect(await kv.batch([], { position: 9 })).toBe(2);
    expect(await kv.batch([])).toBe(2);
    await kv.flush();
    expect(kv.flushedPosition).toBe(9);
    await kv.batch([], { position: 12 });
    await kv.flush();
    const again = await afterPowerCut(fileSystem, { log: false });
    expect(again.flushedPosition).toBe(12);
    expect(again.lastVersion).toBe(3);
    expect(keysOf(again)).toEqual(['a']);
    await again.close();
    await kv.close();
  });

  it('is emptied, and says so, when its manifest can not be trusted', async () => {
    for (const damage of ['flip', 'truncate', 'missing'] as const) {
      const fileSystem = disk();
      const kv = await openOn(fileSystem, options);
      await kv.put('a', '1', { position: 7 });
      await kv.close();
      const manifest = fileSystem.readFile('/kv/manifest');
      if (damage === 'flip') {
        fileSystem.flipBit('/kv/manifest', manifest.length >>> 1, 3);
      } else if (damage === 'truncate') {
        fileSystem.writeFile('/kv/manifest', manifest.subarray(0, 20));
      } else {
        fileSystem.removeFile('/kv/manifest');
      }
      const again = await openOn(fileSystem, options);
      expect(again.recovery.discarded, damage).toEqual(expect.any(String));
      expect(again.flushedPosition).toBe(0);
      expect(again.hasSync('a')).toBe(false);
      await again.put('a', '2', { position: 7 });
      await again.close();
      const third = await openOn(fileSystem, options);
      expect(third.recovery.discarded).toBeUndefined();
      expect(text(third.getSync('a'))).toBe('2');
      await third.close();
    }
  });

  it('is another store once it was made again: tables of the one before are none of its own', async () => {
    const fileSystem = disk();
    const opened = (seed: number): Promise<KvStore> =>
      openOn(fileSystem, options, { random: new SeededRandom(seed) });
    const identityOf = (path: string): string =>
      Buffer.from(fileSystem.readFile(path).subarray(8, 24)).toString('hex');
    const first = await opened(1);
    await first.put('a', '1');
    await first.flush();
    const table = fileSystem.readFile(tablesOn(fileSystem)[0]!);
    const identity = identityOf('/kv/manifest');
    await first.delete('a');
    await first.compact();
    await first.close();
    // Removed, and not synced.
    expect(tablesOn(fileSystem)).toEqual([]);
    fileSystem.flipBit('/kv/manifest', 100, 3);
    const second = await opened(2);
    expect(second.recovery.discarded).toBeDefined();
    expect(identityOf('/kv/manifest')).not.toBe(identity);
    // Nothing of the first one comes back.
    const cut = await afterPowerCut(fileSystem, options);
    expect(cut.recovery).toMatchObject({ discarded: undefined, orphans: [] });
    await cut.close();
    await second.put('b', '1');
    await second.close();
    expect(identityOf(tablesOn(fileSystem)[0]!)).toBe(identityOf('/kv/manifest'));
    fileSystem.writeFile(tablesOn(fileSystem)[0]!, table);
    const third = await opened(3);
    expect(third.recovery.discarded ?? (await codeOf(() => third.getSync('b')))).toBeDefined();
    await third.close();
  });

  it('knows of each table from which positions its entries come, through merges and the next open', async () => {
    const fileSystem = disk();
    const kv = await openOn(fileSystem, options);
    await kv.put('a', '1', { position: 7 });
    await kv.flush();
    await kv.ingest([['b', '1']], { position: 20 });
    await kv.ingest([['c', '1']], { position: 30 });
    expect(new Set(stretches(kv))).toEqual(
      new Set([
        { from: 0, to: 7 },
        { from: 7, to: 20 },
        { from: 20, to: 30 },
      ]),
    );
    await kv.put('a', '2', { position: 31 });
    await kv.put('c', '2', { position: 31 });
    await kv.compact();
    await kv.close();
    const again = await openOn(fileSystem, options);
    expect(stretches(again)).toContainEqual({ from: 0, to: 31 });
    // An entry without a position may have come from anywhere.
    await again.put('a', '3');
    await again.compact();
    expect(stretches(again)).toContain(undefined);
    await again.close();
  });

  it('is not mistaken for one with a log, nor the other way round', async () => {
    for (const log of [true, false]) {
      const fileSystem = disk();
      await (await openOn(fileSystem, { log })).close();
      const digest = fileSystem.snapshotDigest();
      const other = await codeOf(openOn(fileSystem, { log: !log }));
      expect(other).toMatch(/INVALID_ARGUMENT|UNSUPPORTED_FORMAT|NOT_A_STORE/);
      expect(fileSystem.snapshotDigest()).toBe(digest);
    }
  });

  it('alone is told positions', async () => {
    const kv = await openOn(disk());
    expect(await codeOf(kv.put('a', '', { position: 1 }))).toBe('INVALID_ARGUMENT');
    await kv.close();
    const logless = await openOn(disk(), { log: false });
    for (const position of [-1, 0.5, Number.NaN, Infinity, '1' as never]) {
      expect(await codeOf(logless.put('a', '', { position }))).toBe('INVALID_ARGUMENT');
    }
    await logless.close();
  });

  it('of JSON works the same', async () => {
    const kv = await openKv<number[]>(
      '/kv',
      { log: false, values: 'json' },
      { fileSystem: disk() },
    );
    await kv.put('a', [1]);
    expect(kv.getSync('a')).toEqual([1]);
    await kv.close();
  });
});

/** For the time of a call there is memory for one more memtable, and no more. */
async function withoutMemory(work: () => Promise<void>): Promise<void> {
  const Memory = globalThis.ArrayBuffer;
  let count = 0;
  globalThis.ArrayBuffer = new Proxy(Memory, {
    construct: (target, given) => {
      count += 1;
      if (count > 1) {
        throw new RangeError('Array buffer allocation failed');
      }
      return new target(given[0] as number);
    },
  });
  try {
    await work();
  } finally {
    globalThis.ArrayBuffer = Memory;
  }
}
