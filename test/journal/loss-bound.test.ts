/**
 * How much can be lost without being noticed: the tail file says within a second of an acknowledgement that something was durable,
 * whatever else goes on. Whoever damages the log afterwards is found out.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { audit, type CorruptionError, open, VarveError } from 'varve';
import { openKv } from 'varve/kv';
import { FaultPlan, SeededRandom, SimulatedClock, SimulatedFileSystem } from 'varve/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { decodeTail } from '../../src/journal/format.ts';
import { isRefusal } from '../../src/base/refusal.ts';

const SECOND_MS = 1_000;
const PAUSE_MS = 110;
const COUNT = 103;

const temporary = mkdtempSync(join(tmpdir(), 'varve-loss-bound-'));

afterAll(() => {
  rmSync(temporary, { recursive: true });
});

/** A store of either kind with one write after the other. */
interface Subject {
  /** Resolves when it is durable. */
  write(number: number): Promise<unknown>;
}

interface Kind {
  readonly name: string;
  readonly directory: string;
  readonly log: string;
  open(
    fileSystem: SimulatedFileSystem,
    clock: SimulatedClock,
    logger?: (entry: { readonly event: string }) => void,
  ): Promise<Subject>;
}

const kinds: readonly Kind[] = [
  {
    name: 'an event store',
    directory: '/store',
    log: '/store/log',
    async open(fileSystem, clock, logger = () => {}) {
      const random = new SeededRandom(1);
      const store = await open('/store', {}, { fileSystem, clock, random, logger });
      return {
        write: async (number) => {
          await store.append('s', [{ type: 'Counted', data: number }]);
        },
      };
    },
  },
  {
    name: 'a key-value store',
    directory: '/kv',
    log: '/kv/log',
    async open(fileSystem, clock, logger = () => {}) {
      const random = new SeededRandom(1);
      const store = await openKv('/kv', {}, { fileSystem, clock, random, logger });
      return { write: async (number) => store.put(`${number}`, 'value') };
    },
  },
];

function durableIn(bytes: Uint8Array): number {
  const tail = decodeTail(bytes);
  return isRefusal(tail) ? -1 : tail.durable;
}

/** Runs what the clock has set off to its end. */
async function turns(clock: SimulatedClock): Promise<void> {
  for (let turn = 0; turn < 4; turn += 1) {
    await clock.pause();
  }
}

/** Writes one after the other, a pause between two; `look` is called after each, with how many were acknowledged when. */
async function writeSteadily(
  subject: Subject,
  clock: SimulatedClock,
  look: (elapsedMs: number, acknowledgedAt: readonly number[]) => void,
): Promise<void> {
  const acknowledgedAt: number[] = [];
  for (let number = 0; number < COUNT; number += 1) {
    await subject.write(number);
    acknowledgedAt.push(number * PAUSE_MS);
    clock.advance(PAUSE_MS);
    await turns(clock);
    look((number + 1) * PAUSE_MS, acknowledgedAt);
  }
}

describe.each(kinds)('the tail of $name', (kind) => {
  const tailPath = `${kind.log}/tail`;
  const segment = `${kind.log}/00000000000000000000.seg`;

  it('covers everything acknowledged a second ago while writes go on', async () => {
    const disk = new SimulatedFileSystem();
    const clock = new SimulatedClock();
    const uncovered: string[] = [];
    await writeSteadily(await kind.open(disk, clock), clock, (elapsedMs, acknowledgedAt) => {
      const due = acknowledgedAt.filter((ms) => ms <= elapsedMs - SECOND_MS).length;
      const covered = durableIn(disk.readFile(tailPath));
      if (covered < due) {
        uncovered.push(`${covered} of ${due} after ${elapsedMs} ms`);
      }
    });
    expect(uncovered).toEqual([]);
  });

  it.each(['zeroed', 'cut'])(
    'refuses a log whose end was %s after a crash under load',
    async (how) => {
      const disk = new SimulatedFileSystem();
      const clock = new SimulatedClock();
      await writeSteadily(await kind.open(disk, clock), clock, () => {});
      const crashed = disk.crashClone(new SeededRandom(7), {
        keep: 'all',
        sector: 512,
        directory: 'ordered',
      });
      const bytes = crashed.readFile(segment);
      crashed.writeFile(
        segment,
        how === 'cut' ? bytes.subarray(0, 2_048) : new Uint8Array(bytes).fill(0, 2_048),
      );
      const error = await kind.open(crashed, clock).then(
        () => undefined,
        (found: unknown) => found as CorruptionError,
      );
      expect(error).toMatchObject({ code: 'CORRUPT', file: segment });
      expect(error?.reason).toMatch(/positions \d+ to 9\d were durable/);
    },
  );

  it('is written although an attempt fails, which the logger hears once', async () => {
    let isFailing = true;
    let failures = 0;
    const faults = new FaultPlan({
      when: ({ kind: operation, target }) => {
        const fails = isFailing && operation === 'rename' && target === tailPath;
        failures += fails ? 1 : 0;
        return fails ? 'EIO' : undefined;
      },
    });
    isFailing = false;
    const disk = new SimulatedFileSystem({ faults });
    const clock = new SimulatedClock();
    const told: string[] = [];
    const subject = await kind.open(disk, clock, ({ event }) => told.push(event));
    isFailing = true;
    await subject.write(0);
    for (let attempt = 0; attempt < 3; attempt += 1) {
      clock.advance(SECOND_MS);
      await turns(clock);
    }
    expect(failures).toBe(3);
    expect(told.filter((event) => event === 'derived-write-failed')).toHaveLength(1);
    isFailing = false;
    clock.advance(SECOND_MS);
    await turns(clock);
    expect(durableIn(disk.readFile(tailPath))).toBe(1);
  });

  it('ends writing when it finds the folder lost, also after it could not be written before', async () => {
    let failure: Error | undefined;
    const disk = new SimulatedFileSystem();
    const rename: SimulatedFileSystem['rename'] = (from, to) => {
      if (failure !== undefined && to === tailPath) {
        throw failure;
      }
      disk.rename(from, to);
    };
    const fileSystem = new Proxy(disk, {
      get: (target, name) => {
        const member: unknown = name === 'rename' ? rename : Reflect.get(target, name);
        return typeof member === 'function' ? member.bind(target) : member;
      },
    });
    const clock = new SimulatedClock();
    const told: string[] = [];
    const subject = await kind.open(fileSystem, clock, ({ event }) => told.push(event));
    failure = Object.assign(new Error('the disk fails'), { code: 'EIO' });
    await subject.write(0);
    clock.advance(SECOND_MS);
    await turns(clock);
    expect(told).toContain('derived-write-failed');
    failure = new VarveError('UNAVAILABLE', 'The folder was moved.', { details: { lost: '/' } });
    clock.advance(SECOND_MS);
    await turns(clock);
    expect(told).toContain('poisoned');
    await expect(subject.write(1)).rejects.toMatchObject({ code: 'POISONED', applied: 'no' });
  });

  it('is left alone while nothing new is durable', async () => {
    const disk = new SimulatedFileSystem();
    const clock = new SimulatedClock();
    const subject = await kind.open(disk, clock);
    await subject.write(0);
    clock.advance(SECOND_MS);
    await turns(clock);
    expect(durableIn(disk.readFile(tailPath))).toBe(1);
    expect(clock.timerCount).toBe(0);
  });
});

it('verify finds the damage that opening refuses', async () => {
  const disk = new SimulatedFileSystem();
  const clock = new SimulatedClock();
  const [kind] = kinds;
  const segment = `${kind!.log}/00000000000000000000.seg`;
  await writeSteadily(await kind!.open(disk, clock), clock, () => {});
  const crashed = disk.crashClone(new SeededRandom(7), {
    keep: 'all',
    sector: 512,
    directory: 'ordered',
  });
  crashed.writeFile(segment, crashed.readFile(segment).subarray(0, 2_048));
  const report = await audit('/store', {}, { fileSystem: crashed });
  expect(report.ok).toBe(false);
  expect(report.findings.map(({ reason }) => reason).join()).toMatch(
    /were durable and are missing/,
  );
});

describe('the thread that writes the log', () => {
  it('brings the tail up to date while the owner does nothing but wait for it', async () => {
    const directory = join(temporary, 'blocked');
    const store = await open(directory, { background: 'thread' });
    try {
      await store.append('s', [{ type: 'Counted' }]);
      // The owner's event loop stands still from here on.
      const tail = waitForTail(join(directory, 'log', 'tail'));
      expect(tail).toBe(1);
    } finally {
      await store.close();
    }
  });

  it('brings the tail up to date while it is never idle', async () => {
    const directory = join(temporary, 'busy');
    const store = await open(directory, { background: 'thread' });
    const path = join(directory, 'log', 'tail');
    try {
      let acknowledged = 0;
      const write = async (): Promise<void> => {
        while (durableIn(readFileSync(path)) === 0 && acknowledged < 1_000_000) {
          await store.append('s', [{ type: 'Counted' }]);
          acknowledged += 1;
        }
      };
      await Promise.all([write(), write(), write()]);
      expect(durableIn(readFileSync(path))).toBeGreaterThan(0);
    } finally {
      await store.close();
    }
  });
});

/** Looks until something is durable there. */
function waitForTail(path: string): number {
  const words = new Int32Array(new SharedArrayBuffer(4));
  for (let look = 0; look < 3_000; look += 1) {
    const durable = durableIn(readFileSync(path));
    if (durable > 0) {
      return durable;
    }
    Atomics.wait(words, 0, 0, 10);
  }
  return 0;
}
