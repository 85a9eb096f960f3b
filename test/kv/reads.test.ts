/** Reads that are disturbed: by errors, by callers who read while they read, and by blocks that come and go under them. */
import type { KvIterator, KvOptions, KvStore } from 'varve/kv';
import { FaultPlan, type Operation, SeededRandom, SimulatedFileSystem } from 'varve/testing';
import { describe, expect, it } from 'vitest';
import { codeOf, disk, openOn, text } from './simulated-store.ts';

const seed = Number(process.env['VARVE_SEED'] ?? 1);
const stepCount = Number(process.env['VARVE_STEPS'] ?? 1_500);

function keyOf(index: number): string {
  return `k${String(index).padStart(4, '0')}`;
}

/** Even keys in one table of level 0, odd ones in another. */
async function twoTables(fileSystem: SimulatedFileSystem, options: KvOptions): Promise<KvStore> {
  const kv = await openOn(fileSystem, { levelZeroTables: 100, ...options });
  for (const parity of [0, 1]) {
    for (let index = parity; index < 1_000; index += 2) {
      void kv.put(keyOf(index), `${index} `.repeat(20));
    }
    await kv.flush();
  }
  return kv;
}

describe('an iterator that failed', () => {
  it('gives nothing more and does not call that the end, however it is moved', async () => {
    let failing: string | undefined;
    const when = ({ kind, path }: Operation): 'EIO' | undefined =>
      kind === 'read' && path === failing ? 'EIO' : undefined;
    const fileSystem = new SimulatedFileSystem({ faults: new FaultPlan({ when }) });
    const kv = await twoTables(fileSystem, { blockCacheBytes: 0 });
    const tables = fileSystem.paths().filter((path) => path.endsWith('.tbl'));
    expect(tables).toHaveLength(2);
    const moves: ((iterator: KvIterator<Uint8Array>) => void)[] = [
      (iterator) => iterator.seek(keyOf(500)),
      (iterator) => void [...iterator],
    ];
    for (const table of tables) {
      for (const reverse of [false, true]) {
        for (const [index, move] of moves.entries()) {
          const iterator = kv.iterateSync({ reverse, keysOnly: true, keepOpen: true });
          expect(text(iterator.next().value)).toBe(keyOf(reverse ? 999 : 0));
          failing = table;
          expect(await codeOf(() => move(iterator)), `${index}`).toBe('UNAVAILABLE');
          failing = undefined;
          expect(await codeOf(() => iterator.next()), `${index}`).toBe('UNAVAILABLE');
          expect(await codeOf(() => iterator.seek(keyOf(1)))).toBe('UNAVAILABLE');
          expect(await codeOf(() => iterator.next())).toBe('UNAVAILABLE');
          iterator.close();
        }
      }
    }
    expect([...kv.iterateSync()]).toHaveLength(1_000);
    await kv.close();
    expect(fileSystem.openCount).toBe(0);
  });
});

describe('a caller whose options read while they are read', () => {
  it('gets the key that was asked for', async () => {
    const kv = await openOn(disk());
    await kv.batch([
      { type: 'put', key: 'aaa', value: '1' },
      { type: 'put', key: 'bbb', value: '2' },
    ]);
    const readOther = (): undefined => void kv.getSync('bbb');
    for (let round = 0; round < 2; round += 1) {
      for (const name of ['snapshot', 'borrow']) {
        const options = Object.defineProperty({}, name, { enumerable: true, get: readOther });
        expect(text(kv.getSync('aaa', options)), name).toBe('1');
        expect(text(kv.getEntrySync('aaa', options)?.value), name).toBe('1');
        expect(kv.hasSync('ccc', options), name).toBe(false);
        expect((await kv.getMany(['aaa', 'bbb'], options)).map(text)).toEqual(['1', '2']);
      }
      await kv.flush();
    }
    await kv.close();
  });
});

describe('a table that scans have left', () => {
  it('can be closed again for others', async () => {
    const kv = await openOn(disk(), { tableBytes: 4_096, maxOpenFiles: 2 });
    const numbers = Array.from({ length: 1_000 }, (_, index) => index);
    await kv.ingest(numbers.map((index) => [keyOf(index), 'x'.repeat(100)] as const));
    expect(kv.tables().length).toBeGreaterThan(10);
    expect([...kv.iterateSync()]).toHaveLength(1_000);
    expect([...kv.iterateSync({ reverse: true, limit: 500 })]).toHaveLength(500);
    const iterator = kv.iterateSync();
    iterator.next();
    iterator.close();
    expect(kv.hasSync(keyOf(500))).toBe(true);
    expect(kv.hasSync(keyOf(900))).toBe(true);
    expect(kv.stats().openTables).toBeLessThanOrEqual(2);
    await kv.close();
  });
});

describe('a damaged block', () => {
  it.each([0, 64 * 1024, 1024 * 1024])(
    'is refused each time, and nothing else is, with a cache of %i bytes',
    async (blockCacheBytes) => {
      const fileSystem = disk();
      const kv = await twoTables(fileSystem, { blockCacheBytes, blockBytes: 1_024 });
      const table = fileSystem.paths().find((path) => path.endsWith('.tbl'))!;
      fileSystem.flipBit(table, 2_500, 3);
      const damaged: string[] = [];
      for (let round = 0; round < 3; round += 1) {
        for (let index = 0; index < 1_000; index += 1) {
          const code = await codeOf(() => {
            expect(text(kv.getSync(keyOf(index)))).toBe(`${index} `.repeat(20));
          });
          if (code !== undefined) {
            expect(code).toBe('CORRUPT');
            damaged.push(keyOf(index));
          }
        }
        expect(await codeOf(() => [...kv.iterateSync()])).toBe('CORRUPT');
        expect(await codeOf(() => [...kv.iterateSync({ reverse: true })])).toBe('CORRUPT');
        const behind = [...kv.iterateSync({ gt: damaged.at(-1)! })];
        expect(behind.length).toBeGreaterThan(900);
      }
      const once = new Set(damaged);
      expect(once.size).toBeGreaterThan(2);
      expect(damaged).toEqual([...once, ...once, ...once]);
      await kv.close();
    },
  );
});

type Pair = readonly [string, string];

interface Reading {
  readonly iterator: KvIterator<[Uint8Array, Uint8Array]>;
  readonly expected: readonly Pair[];
  at: number;
}

/** Random reads of a store whose blocks hardly stay, next to a sorted copy of what each of them has to see. */
class ReadRun {
  readonly #kv: KvStore;
  readonly #random: SeededRandom;
  readonly #model = new Map<string, string>();
  readonly #readings: Reading[] = [];
  /** Copies that were given out, and what they held. */
  readonly #given: [Uint8Array, string][] = [];

  constructor(kv: KvStore, random: SeededRandom) {
    this.#kv = kv;
    this.#random = random;
  }

  async step(): Promise<void> {
    const draw = this.#random.below(100);
    if (draw < 15) {
      await this.#write();
    } else if (draw < 40) {
      this.#get();
    } else if (draw < 50) {
      this.#begin();
    } else if (draw < 98) {
      this.#goOn();
    } else if (draw === 98) {
      await this.#kv.flush();
    } else {
      await this.#ingest();
    }
    const { size, capacity } = this.#kv.stats().cache;
    expect(size).toBeLessThanOrEqual(capacity);
  }

  end(): void {
    for (const { iterator } of this.#readings) {
      iterator.close();
    }
    for (const [copy, expected] of this.#given) {
      expect(text(copy)).toBe(expected);
    }
  }

  #key(): string {
    return keyOf(this.#random.below(600)).padEnd(5 + (this.#random.below(600) % 2) * 70, 'x');
  }

  #value(): string {
    const size = this.#random.below(30) === 0 ? 5_000 : this.#random.below(200);
    return `${this.#random.below(1_000_000)} ${'v'.repeat(size)}`;
  }

  async #write(): Promise<void> {
    const key = this.#key();
    if (this.#random.below(8) === 0) {
      this.#model.delete(key);
      await this.#kv.delete(key);
    } else {
      const value = this.#value();
      this.#model.set(key, value);
      await this.#kv.put(key, value);
    }
  }

  async #ingest(): Promise<void> {
    const keys = new Set(Array.from({ length: 20 }, () => this.#key()));
    const pairs = [...keys].toSorted().map((key): Pair => [key, this.#value()]);
    await this.#kv.ingest(pairs);
    for (const [key, value] of pairs) {
      this.#model.set(key, value);
    }
  }

  #get(): void {
    const key = this.#key();
    const expected = this.#model.get(key);
    expect(text(this.#kv.getSync(key, { borrow: true }))).toBe(expected);
    const copy = this.#kv.getSync(Buffer.from(key));
    expect(text(copy)).toBe(expected);
    if (copy !== undefined && this.#random.below(4) === 0) {
      this.#given.push([copy, expected!]);
    }
  }

  #begin(): void {
    if (this.#readings.length > 8) {
      const [gone] = this.#readings.splice(this.#random.below(8), 1);
      gone!.iterator.close();
    }
    const expected = [...this.#model].toSorted(([left], [right]) => (left < right ? -1 : 1));
    const reverse = this.#random.below(2) === 0;
    const borrow = this.#random.below(2) === 0;
    const iterator = this.#kv.iterateSync({ reverse, borrow, keepOpen: true });
    this.#readings.push({ iterator, expected: reverse ? expected.toReversed() : expected, at: 0 });
  }

  #goOn(): void {
    const reading = this.#readings[this.#random.below(8)];
    if (reading === undefined) {
      return;
    }
    const { iterator, expected } = reading;
    if (this.#random.below(4) === 0 && expected.length > 0) {
      reading.at = this.#random.below(expected.length);
      iterator.seek(expected[reading.at]![0]);
    }
    for (let count = this.#random.below(40); count > 0; count -= 1) {
      const { done, value } = iterator.next();
      const pair = expected[reading.at];
      expect(done === true ? undefined : value.map(text)).toEqual(pair);
      reading.at += pair === undefined ? 0 : 1;
    }
  }
}

describe('reads of blocks that hardly stay', () => {
  const tiny = { memtableBytes: 8_192, tableBytes: 4_096, levelBaseBytes: 8_192 };
  const profiles: readonly KvOptions[] = [
    { ...tiny, blockCacheBytes: 16 * 1024, blockBytes: 128, maxOpenFiles: 2 },
    { ...tiny, blockCacheBytes: 100_001, blockBytes: 512, compression: 'deflate' },
    { ...tiny, blockCacheBytes: 40_000, blockBytes: 1_024, levelZeroTables: 20 },
  ];
  it.each(profiles)('give what was written, with %o', async (options) => {
    const random = new SeededRandom(seed);
    const kv = await openOn(disk(), options);
    const run = new ReadRun(kv, random);
    for (let step = 0; step < stepCount; step += 1) {
      await run.step();
    }
    run.end();
    expect(kv.stats().reads.blockHits, `seed ${seed}`).toBeGreaterThan(100);
    expect(await kv.verify()).toMatchObject({ ok: true });
    await kv.close();
  });
});
