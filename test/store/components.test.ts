/** Parts that callers give: refused if they are not what they must be, checked where what they give enters. */
import { attach, audit, type Codec, type EventStore, type LogEntry, open, VarveError } from 'varve';
import { type KvComponents, openKv, repairKv } from 'varve/kv';
import { VarveLevel } from 'varve/level';
import {
  FaultPlan,
  openInMemory,
  SeededRandom,
  SimulatedClock,
  SimulatedFileSystem,
} from 'varve/testing';
import { describe, expect, it } from 'vitest';

async function failureOf(work: () => unknown): Promise<VarveError> {
  try {
    await work();
  } catch (error) {
    if (error instanceof VarveError) {
      return error;
    }
    throw error;
  }
  throw new Error('it was taken');
}

/** An object with methods and no call of its own, as loggers of other packages are. */
const loggerObject = { info: () => {}, warn: () => {}, error: () => {} };

describe('a component', () => {
  /** Each takes components and must refuse these before anything is touched. */
  const doors: Readonly<Record<string, (components: never) => unknown>> = {
    open: (components) => open('/store', {}, components),
    openKv: (components) => openKv('/store', {}, components),
    openInMemory: (components) => openInMemory({}, components),
    VarveLevel: (components) => new VarveLevel('/store', { components }),
    repairKv: (components) => repairKv('/store', {}, components),
    audit: (components) => audit('/store', {}, components),
    attach: async (components) => {
      const store = await openInMemory();
      try {
        await attach(store.share(), {}, components);
      } finally {
        await store.close();
      }
    },
  };
  const wrong: Readonly<Record<string, readonly unknown[]>> = {
    logger: [loggerObject, 'yes', true, null, console],
    clock: [7, null, { now: () => 1 }, { now: 1, pause: 1, schedule: 1 }, () => 1],
    random: [Math.random, null, {}, { fill: 1 }],
    fileSystem: ['node:fs', null, {}, { open: () => {} }, { module: './file-system.js' }],
    codecs: [{}, 'zstd', [null], [{}], [{ id: 64, name: 'x' }], [{ id: 64, name: '' }]],
  };
  const namesOf: Readonly<Record<string, readonly string[]>> = {
    open: ['logger', 'clock', 'random', 'fileSystem', 'codecs'],
    openInMemory: ['logger', 'clock', 'random', 'fileSystem', 'codecs'],
    openKv: ['logger', 'clock', 'random', 'fileSystem'],
    VarveLevel: ['logger', 'clock', 'random', 'fileSystem'],
    repairKv: ['fileSystem'],
    audit: ['clock', 'fileSystem'],
    attach: ['clock', 'codecs'],
  };

  it.each(Object.keys(doors))('that is not what it must be is refused by %s', async (door) => {
    for (const name of namesOf[door]!) {
      for (const part of wrong[name]!.filter((one) => door !== 'openInMemory' || one !== null)) {
        const { code, message } = await failureOf(() => doors[door]!({ [name]: part } as never));
        expect(code, `${name}: ${String(part)}`).toBe('INVALID_ARGUMENT');
        expect(message).toMatch(/component|codec/i);
      }
    }
  });

  it.each(Object.keys(doors))('with a name that there is not is refused by %s', async (door) => {
    for (const components of [{ loger: () => {} }, { filesystem: {} }, { time: 1 }, null, 7]) {
      const { code } = await failureOf(() => doors[door]!(components as never));
      expect(code, JSON.stringify(components)).toBe('INVALID_ARGUMENT');
    }
  });

  it('of the simulation is refused if it has a name that there is not', async () => {
    for (const make of [
      () => new SimulatedFileSystem({ fault: 1 } as never),
      () => new FaultPlan({ capacty: 1 } as never),
      () => new SimulatedClock({ start: 1 } as never),
    ]) {
      expect((await failureOf(make)).code).toBe('INVALID_ARGUMENT');
    }
  });

  it('that is given as undefined is not given', async () => {
    const nothing = { clock: undefined, random: undefined, logger: undefined };
    const fileSystem = new SimulatedFileSystem();
    const store = await open('/store', {}, { fileSystem, ...(nothing as object) });
    await store.close();
  });
});

/** A clock that gives what it is told to. */
class WrongClock extends SimulatedClock {
  time: unknown;
  override now(): number {
    return typeof this.time === 'function' ? (this.time() as number) : (this.time as number);
  }
}

const wrongTimes: readonly unknown[] = [
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  0.5,
  1_700_000_000_000.25,
  -1,
  2 ** 48,
  2 ** 53,
  9e15,
  '1700000000000',
  1_700_000_000_000n,
  new Date(),
  undefined,
  null,
  () => {
    throw new TypeError('no time');
  },
];

async function typesIn(store: EventStore): Promise<string[]> {
  const types: string[] = [];
  for await (const { type } of store.read()) {
    types.push(type);
  }
  return types;
}

describe('a clock that gives no time', () => {
  it.each(wrongTimes.map((time) => [typeof time === 'function' ? 'an error' : String(time), time]))(
    'has appends rejected, and nothing else is hurt: %s',
    async (_name, time) => {
      const fileSystem = new SimulatedFileSystem();
      const clock = new WrongClock();
      clock.time = 1_700_000_000_000;
      const store = await open('/store', {}, { fileSystem, clock });
      const client = await attach(store.share());
      await store.append('a', [{ type: 'Before' }]);
      clock.time = time;
      for (const one of [store, client]) {
        const { code, applied, message } = await failureOf(() =>
          one.append('a', [{ type: 'Lost' }]),
        );
        expect([code, applied]).toEqual(['INVALID_ARGUMENT', 'no']);
        expect(message).toContain('The clock');
      }
      clock.time = 1_700_000_000_001;
      const { time: recorded } = await client.append('a', [{ type: 'After' }]);
      expect(recorded).toBe(1_700_000_000_001);
      await client.close();
      await store.close();
      const again = await open('/store', {}, { fileSystem });
      expect(await typesIn(again)).toEqual(['Before', 'After']);
      expect((await again.verify()).ok).toBe(true);
      await again.close();
    },
  );

  it('has the last time that an id has room for', async () => {
    const fileSystem = new SimulatedFileSystem();
    const clock = new WrongClock();
    clock.time = 2 ** 48 - 1;
    const store = await open('/store', {}, { fileSystem, clock });
    await store.append('a', [{ type: 'Last' }]);
    await store.close();
    const again = await open('/store', {}, { fileSystem });
    const { id } = (await again.get(0))!;
    expect(id).toMatch(/^ffffffff-ffff-8/);
    expect(await again.getById(id)).toMatchObject({ time: 2 ** 48 - 1 });
    expect((await again.verify()).ok).toBe(true);
    await again.close();
  });

  it('keeps a store from being made, and leaves a folder that can be opened', async () => {
    const fileSystem = new SimulatedFileSystem();
    const clock = new WrongClock();
    clock.time = Number.NaN;
    const { code } = await failureOf(() => open('/store', {}, { fileSystem, clock }));
    expect(code).toBe('INVALID_ARGUMENT');
    const store = await open('/store', {}, { fileSystem });
    await store.close();
  });

  it('does not end pauses and timers: the operating system gives them, and the logger hears of it once', async () => {
    const heard: LogEntry[] = [];
    const failing = {
      now: () => 1_700_000_000_000,
      pause: () => {
        throw new Error('no pause');
      },
      schedule: () => undefined as never,
    };
    const fileSystem = new SimulatedFileSystem();
    const logger = (entry: LogEntry): void => void heard.push(entry);
    const parts = { fileSystem, clock: failing, logger };
    const store = await open('/store', { maxDelayMs: 1, background: 'inline' }, parts);
    await Promise.all([1, 2, 3].map((data) => store.append('a', [{ type: 'T', data }])));
    await store.backup('/copy');
    await store.close();
    const kv = await openKv('/kv', { background: 'inline' }, parts);
    await kv.put('a', '1');
    await kv.flush();
    await kv.close();
    const events = heard.map(({ event }) => event).filter((one) => one === 'component-failed');
    // One for each store.
    expect(events).toHaveLength(2);
  });
});

describe('a source of random bytes that fails', () => {
  class WrongRandom extends SeededRandom {
    mode: 'good' | 'empty' | 'half' | 'throws' = 'good';
    override fill(target: Uint8Array): void {
      if (this.mode === 'throws') {
        throw new Error('no entropy');
      }
      if (this.mode !== 'empty') {
        super.fill(this.mode === 'half' ? target.subarray(0, target.length / 2) : target);
      }
    }
  }

  it('has appends rejected, and nothing else is hurt', async () => {
    const fileSystem = new SimulatedFileSystem();
    const random = new WrongRandom(1);
    const store = await open('/store', { maxSegmentBytes: 1 << 20 }, { fileSystem, random });
    const large = { type: 'Large', data: new Uint8Array(600_000).fill(1) };
    await store.append('a', [large]);
    for (const mode of ['empty', 'throws'] as const) {
      random.mode = mode;
      // The second one needs a segment of its own.
      for (const events of [[{ type: 'Lost' }], [large], [{ type: 'Lost' }, { type: 'Lost' }]]) {
        const { code, applied } = await failureOf(() => store.append('b', events));
        expect([mode, code, applied]).toEqual([mode, 'INVALID_ARGUMENT', 'no']);
      }
    }
    random.mode = 'half';
    const two = [{ type: 'Lost' }, { type: 'Lost' }];
    expect((await failureOf(() => store.append('b', two))).code).toBe('INVALID_ARGUMENT');
    random.mode = 'good';
    expect(await store.append('b', [large])).toMatchObject({ firstPosition: 1, revision: 0 });
    await store.close();
    const again = await open('/store', {}, { fileSystem });
    expect(await typesIn(again)).toEqual(['Large', 'Large']);
    await again.close();
  });

  it('has writes to a key-value store rejected that would need them', async () => {
    const fileSystem = new SimulatedFileSystem();
    const random = new WrongRandom(1);
    const kv = await openKv('/kv', {}, { fileSystem, random });
    random.mode = 'throws';
    const value = new Uint8Array(600_000);
    let failure: VarveError | undefined;
    let count = 0;
    while (failure === undefined) {
      try {
        await kv.put(`k${count}`, value);
        count += 1;
      } catch (error) {
        failure = error as VarveError;
      }
    }
    expect([failure.code, failure.applied]).toEqual(['INVALID_ARGUMENT', 'no']);
    random.mode = 'good';
    expect(await kv.put('last', '')).toBe(count + 1);
    await kv.close();
    expect((await failureOf(() => openKv('/kv2', {}, brokenParts()))).code).toBe(
      'INVALID_ARGUMENT',
    );
  });

  function brokenParts(): KvComponents {
    const random = new WrongRandom(1);
    random.mode = 'empty';
    return { random, fileSystem: new SimulatedFileSystem() };
  }
});

function zeroing(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  bytes.fill(0);
  return copy;
}

describe('a codec', () => {
  it.each<readonly [string, unknown]>([
    ['text', 'compressed'],
    ['a list of numbers', [1, 2, 3]],
    ['a number', 3],
    ['nothing', undefined],
    ['a promise', Promise.resolve(new Uint8Array(1))],
    ['an ArrayBuffer', new ArrayBuffer(1)],
  ])('that compresses to %s fails the append and nobody else', async (_name, result) => {
    const codec: Codec = {
      id: 70,
      name: 'own',
      compress: () => result as never,
      decompress: (s) => s,
    };
    const fileSystem = new SimulatedFileSystem();
    const options = { compression: 'own', compressionMinBytes: 10 };
    const store = await open('/store', options, { fileSystem, codecs: [codec] });
    const client = await attach(store.share(), {}, { codecs: [codec] });
    for (const one of [store, client]) {
      const { code, applied } = await failureOf(() =>
        one.append('a', [{ type: 'T', data: 'x'.repeat(50) }]),
      );
      expect([code, applied]).toEqual(['INVALID_ARGUMENT', 'no']);
    }
    await store.append('a', [{ type: 'T' }]);
    await client.close();
    await store.close();
  });

  it('that makes data longer is not used for it', async () => {
    const codec: Codec = {
      id: 70,
      name: 'own',
      compress: (plain) => new Uint8Array(plain.length + 1),
      decompress: () => new Uint8Array(0),
    };
    const store = await openInMemory(
      { compression: 'own', compressionMinBytes: 1 },
      { codecs: [codec] },
    );
    await store.append('a', [{ type: 'T', data: 'x'.repeat(50) }]);
    expect((await store.get(0))!.data).toBe('x'.repeat(50));
    await store.close();
  });

  it('that writes to what it is given changes nothing that is stored', async () => {
    const codec: Codec = {
      id: 70,
      name: 'own',
      compress: (plain) => zeroing(plain).subarray(0, -1),
      decompress: (stored, size) => new Uint8Array(size).map((_, at) => zeroing(stored)[at] ?? 34),
    };
    const store = await openInMemory(
      { compression: 'own', compressionMinBytes: 1 },
      { codecs: [codec] },
    );
    const key = { idempotencyKey: 'k' };
    const event = { type: 'T', data: 'x'.repeat(50) };
    const [first, repeat] = [store.append('a', [event], key), store.append('a', [event], key)];
    await Promise.allSettled([first, repeat]);
    expect((await store.verify()).ok).toBe(true);
    await store.close();
  });

  it('that decompresses to no bytes is damage that is told', async () => {
    const codec: Codec = {
      id: 70,
      name: 'own',
      compress: (plain) => plain.subarray(1),
      decompress: (_, size) => 'x'.repeat(size) as never,
    };
    const store = await openInMemory(
      { compression: 'own', compressionMinBytes: 1 },
      { codecs: [codec] },
    );
    await store.append('a', [{ type: 'T', data: 'x'.repeat(50) }]);
    expect((await failureOf(() => store.get(0))).code).toBe('CORRUPT');
    await store.close();
  });
});

/** What is awaited like a promise and is none of this realm's. */
class OtherPromise {
  // oxlint-disable-next-line unicorn/no-thenable -- it is what is tested
  then(_: unknown, reject: (error: Error) => void): void {
    reject(new Error('on purpose'));
  }
}

describe('a logger that fails', () => {
  it.each<readonly [string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('on purpose');
      },
    ],
    [
      'rejects',
      async () => {
        throw new Error('on purpose');
      },
    ],
    ['returns a promise of another kind', () => new OtherPromise()],
  ])('hurts nobody: it %s', async (_name, logger) => {
    const fileSystem = new SimulatedFileSystem();
    const unhandled: unknown[] = [];
    const note = (error: unknown): void => void unhandled.push(error);
    process.on('unhandledRejection', note);
    const store = await open('/store', {}, { fileSystem, logger });
    await store.append('a', [{ type: 'T' }]);
    // Not closed: the next one recovers, and says so.
    const crashed = fileSystem.crashClone(new SeededRandom(1), {
      keep: 'all',
      sector: 512,
      directory: 'ordered',
    });
    const again = await open('/store', {}, { fileSystem: crashed, logger });
    await again.append('a', [{ type: 'T' }]);
    await again.close();
    await store.close();
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', note);
    expect(unhandled).toEqual([]);
  });
});

describe('a file system that somebody else has made', () => {
  it('may be frozen', async () => {
    const disk = new SimulatedFileSystem();
    const methods = ['open', 'list', 'stat', 'makeDirectory', 'rename', 'link', 'remove'] as const;
    const rest = ['syncDirectory', 'lockDirectory'] as const;
    const bound = [...methods, ...rest].map((name) => [name, disk[name].bind(disk)]);
    const fileSystem = Object.freeze(Object.fromEntries(bound)) as SimulatedFileSystem;
    const store = await open('/store', {}, { fileSystem });
    await store.append('s', [{ type: 'One' }]);
    await store.close();
    const reader = await open('/store', { readOnly: true }, { fileSystem });
    expect(reader.head).toBe(1);
    await reader.close();
  });

  it('is refused where an opened directory gives a promise for its sync', async () => {
    const disk = new SimulatedFileSystem();
    const unhandled: unknown[] = [];
    const note = (error: unknown): unknown => unhandled.push(error);
    process.on('unhandledRejection', note);
    class Promising extends SimulatedFileSystem {
      override openDirectory(path: string): ReturnType<SimulatedFileSystem['openDirectory']> {
        const directory = super.openDirectory(path);
        return { ...directory, sync: promising };
      }
    }
    const store = await open('/store', {}, { fileSystem: new Promising() });
    const data = new Uint8Array(700 * 1024);
    const outcomes = [];
    for (let number = 0; number < 4; number += 1) {
      const outcome = store.append('s', [{ type: 'Large', data }]);
      outcomes.push(await outcome.then(() => 'appended', codeOf));
    }
    expect(outcomes).toContain('POISONED');
    await store.close().catch(() => {});
    process.off('unhandledRejection', note);
    expect(unhandled).toEqual([]);
    expect(disk.openCount).toBe(0);
  });

  it('has every file closed when opening fails after recovery', async () => {
    const disk = new SimulatedFileSystem();
    await (await open('/store', {}, { fileSystem: disk, random: new SeededRandom(1) })).close();
    for (let good = 0; good < 6; good += 1) {
      let draws = 0;
      const random = {
        fill: (bytes: Uint8Array) => {
          draws += 1;
          if (draws > good) {
            throw new Error('no randomness');
          }
          bytes.fill(draws);
        },
      };
      const result = await open('/store', {}, { fileSystem: disk, random }).catch(codeOf);
      if (typeof result !== 'string') {
        await result.close();
      }
      expect(disk.openCount, `after ${good} draws`).toBe(0);
    }
  });
});

function promising(): never {
  return Promise.reject(new Error('EIO')) as never;
}

function codeOf(error: unknown): string {
  return error instanceof VarveError ? error.code : String(error);
}
