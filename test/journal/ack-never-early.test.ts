/**
 * Promise 1 with real threads: nobody hears of a commit before the sync that made it durable has returned. The file system of
 * both threads notes the moment of every successful sync and the bytes it covered, every caller the moment of every
 * answer, all drawn from one counter. Afterwards the log says where each commit lies.
 */
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { type AppendOptions, type EventStore, open, type StoreOptions } from 'varve';
import { dumpSegment } from 'varve/inspect';
import { describe, expect, it } from 'vitest';
import { newFolder } from './planned-disk.ts';

const seed = Number(process.env['VARVE_SEED'] ?? 1);
const commitCount = Number(process.env['VARVE_ACKS'] ?? 100_000);
const SYNC_COUNT_MAX = 500_000;

interface Plan {
  readonly options: StoreOptions;
  /** Threads that share the store, besides the owner. */
  readonly clientCount: number;
  readonly commitCount: number;
  readonly inFlight: number;
  readonly ack?: AppendOptions['ack'];
  readonly defect?: 'late' | 'lies';
}

interface Outcome {
  readonly commitCount: number;
  readonly eventCount: number;
  readonly segmentCount: number;
  readonly syncCount: number;
  /** Of the syncs those during which the next batch was finished. */
  readonly overlappedCount: number;
  /** Commits that nobody heard of; that no sync covered; that were heard of before their sync. */
  readonly silent: number;
  readonly uncovered: number;
  readonly early: number;
}

/** What all threads write to. */
class Notes {
  readonly clock = new Int32Array(new SharedArrayBuffer(4));
  readonly acks: Int32Array;
  readonly syncs = new Float64Array(new SharedArrayBuffer(SYNC_COUNT_MAX * 5 * 8));
  readonly syncCount = new Int32Array(new SharedArrayBuffer(4));

  constructor(eventCountMax: number) {
    this.acks = new Int32Array(new SharedArrayBuffer(eventCountMax * 4));
  }

  get overlappedCount(): number {
    let count = 0;
    for (let index = 0; index < this.syncCount[0]!; index += 1) {
      count += this.syncs[index * 5 + 4]!;
    }
    return count;
  }

  /** Ranges that syncs made durable, by segment, in order of their places. */
  ranges(): Map<number, { moment: number; start: number; end: number }[]> {
    const bySegment = new Map<number, { moment: number; start: number; end: number }[]>();
    for (let index = 0; index < this.syncCount[0]!; index += 1) {
      const [moment, segment, start, end] = this.syncs.subarray(index * 5, index * 5 + 4);
      const known = bySegment.get(segment!) ?? [];
      known.push({ moment: moment!, start: start!, end: end! });
      bySegment.set(segment!, known);
    }
    for (const ranges of bySegment.values()) {
      ranges.sort((one, other) => one.start - other.start);
    }
    return bySegment;
  }
}

async function run(plan: Plan): Promise<Outcome> {
  const notes = new Notes(plan.commitCount * 3);
  const { clock, acks, syncs, syncCount } = notes;
  const module = new URL('../fixtures/recording-file-system.js', import.meta.url);
  const directory = newFolder();
  const options = { clock, syncs, syncCount, defect: plan.defect };
  const fileSystem = { module, options };
  const settings = { maxSegmentBytes: 1024 * 1024, ...plan.options };
  const store = await open(directory, settings, { fileSystem });
  const share = Math.ceil(plan.commitCount / (plan.clientCount + 1));
  const { inFlight, ack = 'durable' } = plan;
  const work = { clock, acks, count: share, inFlight, ack };
  const clients = Array.from({ length: plan.clientCount }, (_, index) =>
    runClient(store, { ...work, name: `client-${index}`, seed: seed * 100 + index }),
  );
  const fixture = new URL('../fixtures/ack-appender.js', import.meta.url);
  const appender = (await import(fixture.href)) as Appender;
  await Promise.all([
    appender.appendAll(store, { ...work, name: 'owner', seed: seed * 100 + 99 }),
    ...clients,
  ]);
  const segmentCount = store.segments().length;
  const eventCount = store.head;
  await store.close();
  const { overlappedCount } = notes;
  return {
    ...compare(directory, notes),
    eventCount,
    segmentCount,
    syncCount: syncCount[0]!,
    overlappedCount,
  };
}

interface Appender {
  appendAll(store: EventStore, work: object): Promise<void>;
}

async function runClient(store: EventStore, work: object): Promise<void> {
  const port = store.share();
  const fixture = new URL('../fixtures/ack-client.js', import.meta.url);
  const worker = new Worker(fixture, { workerData: { port, ...work }, transferList: [port] });
  // The exit may be told in the same turn as the message.
  const [[message]] = await Promise.all([once(worker, 'message'), once(worker, 'exit')]);
  expect(message).toBe('done');
}

function compare(
  directory: string,
  notes: Notes,
): Pick<Outcome, 'commitCount' | 'silent' | 'uncovered' | 'early'> {
  const bySegment = notes.ranges();
  const counts = { commitCount: 0, silent: 0, uncovered: 0, early: 0 };
  for (const name of readdirSync(join(directory, 'log')).filter((one) => one.endsWith('.seg'))) {
    const ranges = bySegment.get(Number.parseInt(name, 10)) ?? [];
    let index = 0;
    for (const row of dumpSegment(join(directory, 'log', name))) {
      if (row.kind !== 'frame') {
        continue;
      }
      counts.commitCount += 1;
      while (index < ranges.length && ranges[index]!.end <= row.offset) {
        index += 1;
      }
      const range = ranges[index];
      const heard = notes.acks[row.firstPosition]!;
      if (heard === 0) {
        counts.silent += 1;
      } else if (
        range === undefined ||
        range.start > row.offset ||
        range.end < row.offset + row.size
      ) {
        counts.uncovered += 1;
      } else if (heard < range.moment) {
        counts.early += 1;
      }
    }
  }
  return counts;
}

describe(`an acknowledgement (seed ${seed})`, () => {
  it.each([
    { writer: 'thread', clientCount: 4, share: 1 },
    { writer: 'inline', clientCount: 4, share: 0.2 },
  ] as const)(
    'comes after the sync that covers it: $writer, $clientCount attached threads',
    async ({ writer, clientCount, share }) => {
      const wanted = commitCount * share;
      const plan = {
        options: { background: writer },
        clientCount,
        commitCount: wanted,
        inFlight: 64,
      };
      const outcome = await run(plan);
      expect(outcome).toMatchObject({ silent: 0, uncovered: 0, early: 0 });
      expect(outcome.commitCount).toBeGreaterThanOrEqual(wanted);
      expect(outcome.eventCount).toBeGreaterThan(wanted);
      expect(outcome.segmentCount).toBeGreaterThan(5);
      expect(outcome.syncCount).toBeGreaterThan(wanted / 1_000);
      expect(outcome.overlappedCount).toBeGreaterThan(10);
    },
  );

  const small = {
    options: { background: 'thread' },
    clientCount: 2,
    commitCount: 10_000,
    inFlight: 32,
  } as const;

  it('that asks for less than the sync is found to come before it', async () => {
    const outcome = await run({ ...small, ack: 'written' });
    expect(outcome).toMatchObject({ silent: 0, uncovered: 0 });
    expect(outcome.early).toBeGreaterThan(1_000);
  });

  it('is found early where a sync is said to be done before it is', async () => {
    const outcome = await run({ ...small, defect: 'late' });
    expect(outcome.early).toBeGreaterThan(100);
  });

  it('is found uncovered where a sync does nothing', async () => {
    const outcome = await run({ ...small, defect: 'lies' });
    expect(outcome.uncovered).toBeGreaterThan(100);
  });
});
