/** A disk that fails under the writer's thread, and a thread that dies: the same answers as inline, and nothing left open. */
import { readdirSync, readlinkSync } from 'node:fs';
import { type EventStore, open, type StoreOptions, VarveError } from 'varve';
import { SimulatedClock } from 'varve/testing';
import { describe, expect, it } from 'vitest';
import type { File } from '../../src/io/file-system.ts';
import { startNoWriter } from '../../src/journal/no-writer.ts';
import { OffsetTable } from '../../src/journal/offset-table.ts';
import { journalDefaults } from '../../src/journal/options.ts';
import { threadWriter } from '../../src/journal/thread-writer.ts';
import { eventsOf, noise } from '../store/damage.ts';
import { newFolder, PlannedDisk, type PlannedFault } from './planned-disk.ts';

const MiB = 1024 * 1024;
const block = noise(MiB, 12);
const options: StoreOptions = { maxSegmentBytes: MiB };

/** What a caller hears of a commit, without what differs from run to run. */
type Answer = { readonly position: number } | { readonly code: string; readonly applied: unknown };

class Caller {
  readonly answers = new Map<string, Answer>();
  readonly errors: VarveError[] = [];
  readonly #writtenOnly = new Set<string>();
  store!: EventStore;

  /** All answers but those of callers who were content with "written": what they were told of may be lost. */
  get promises(): Caller['answers'] {
    return new Map([...this.answers].filter(([type]) => !this.#writtenOnly.has(type)));
  }

  /** Never rejects. */
  async append(type: string, size: number, more: { ack?: 'written' } = {}): Promise<Answer> {
    const events = [{ type, data: block.subarray(0, size) }];
    let answer: Answer;
    try {
      const result = await this.store.append('s', events, { idempotencyKey: type, ...more });
      answer = { position: result.firstPosition };
    } catch (error) {
      if (!(error instanceof VarveError)) {
        throw error;
      }
      this.errors.push(error);
      answer = { code: error.code, applied: error.applied };
    }
    expect(this.answers.has(type)).toBe(false);
    this.answers.set(type, answer);
    if (more.ack === 'written') {
      this.#writtenOnly.add(type);
    }
    return answer;
  }
}

/** Files of a folder that this process has open. */
function openFilesIn(directory: string): string[] {
  const descriptors = process.platform === 'linux' ? readdirSync('/proc/self/fd') : [];
  return descriptors
    .map((descriptor) => {
      try {
        return readlinkSync(`/proc/self/fd/${descriptor}`);
      } catch {
        // The one that the list was read by.
        return '';
      }
    })
    .filter((path) => path.startsWith(`${directory}/`));
}

/** Opens what is left and compares it with what was said. Returns how many events are there. */
async function checkFolder(directory: string, answers: Caller['answers']): Promise<number> {
  expect(openFilesIn(directory)).toEqual([]);
  const store = await open(directory, options);
  const events = await eventsOf(store);
  const positions = new Map(events.map(({ type, position }) => [type, position]));
  expect(positions.size).toBe(events.length);
  for (const [type, answer] of answers) {
    if ('position' in answer) {
      expect(positions.get(type), type).toBe(answer.position);
    } else if (answer.applied === 'no') {
      expect(positions.has(type), `${type}, applied: no`).toBe(false);
    }
  }
  expect(await store.verify()).toMatchObject({ ok: true });
  expect(await store.append('last', [{ type: 'Last' }])).toMatchObject({ outcome: 'appended' });
  await store.close();
  return events.length;
}

/** What must hold of a store whose writing has ended. */
async function checkPoisoned(caller: Caller): Promise<void> {
  const { store } = caller;
  const { failure, watermarks } = store.stats();
  expect(failure).toBeDefined();
  const late = store.append('late', [{ type: 'Late' }]);
  await expect(late).rejects.toMatchObject({ code: 'POISONED', applied: 'no' });
  await late.catch((error: VarveError) => {
    expect(String(error.cause)).toBe(failure);
  });
  if (watermarks.appended > store.head) {
    await expect(store.flush()).rejects.toMatchObject({ code: 'POISONED' });
  }
  const events = await eventsOf(store);
  expect(events).toHaveLength(store.head);
  const seen = new Set(events.map(({ type }) => type));
  for (const [type, answer] of caller.promises) {
    // Whoever was told that it is there can see it.
    expect(seen.has(type) || !('position' in answer), type).toBe(true);
  }
  const [known] = events;
  if (known !== undefined) {
    const repeat = store.append('s', [{ type: known.type, data: known.data }], {
      idempotencyKey: known.type,
    });
    expect(await repeat).toMatchObject({ outcome: 'duplicate', firstPosition: 0 });
  }
}

interface Crash {
  readonly name: string;
  readonly fault: PlannedFault;
  readonly cause: RegExp;
  /** The thread never got so far as to write. */
  readonly isAtStart?: boolean;
}

const ended = /has been ended/;
const crashes: readonly Crash[] = [
  {
    name: 'can not make its file system',
    fault: { kind: 'create', does: 'throw' },
    cause: /thrown on purpose/,
    isAtStart: true,
  },
  {
    name: 'ends while it makes its file system',
    fault: { kind: 'create', does: 'exit' },
    cause: ended,
    isAtStart: true,
  },
  {
    name: 'can not open the segment',
    fault: { kind: 'open', path: '.seg', where: 'thread', does: 'EIO' },
    cause: /EIO/,
    isAtStart: true,
  },
  {
    name: 'throws what is no error',
    fault: { kind: 'open', path: '.seg', where: 'thread', does: 'throw a string' },
    cause: /a string thrown on purpose/,
    isAtStart: true,
  },
  {
    name: 'ends while it prepares space',
    fault: { kind: 'write', content: 'zeros', where: 'thread', does: 'exit' },
    cause: ended,
  },
  {
    name: 'ends before it writes frames',
    fault: { kind: 'write', content: 'frames', skip: 1, does: 'exit' },
    cause: ended,
  },
  {
    name: 'ends before it syncs frames',
    fault: { kind: 'sync', content: 'frames', skip: 1, does: 'exit' },
    cause: ended,
  },
  {
    name: 'ends while it rotates',
    fault: { kind: 'rename', path: '.seg', where: 'thread', does: 'exit' },
    cause: ended,
  },
  {
    name: 'has an error that nobody catches',
    fault: { kind: 'sync', content: 'frames', skip: 1, count: 1, does: 'throw later' },
    cause: /thrown later on purpose/,
  },
];

describe('a writer thread that crashes', () => {
  it.each(crashes)('$name: poisons the store and settles everything', async (crash) => {
    const disk = new PlannedDisk([crash.fault]);
    const directory = newFolder();
    const caller = new Caller();
    const components = { fileSystem: disk.component, clock: new SimulatedClock() };
    // Batches are small: while one is synced, others wait.
    const small = { ...options, maxPendingBytes: 256 * 1024, maxBatchBytes: 32 * 1024 };
    caller.store = await open(directory, { ...small, background: 'thread' }, components);
    if (crash.isAtStart !== true) {
      await caller.append('First', 100);
      await caller.append('Second', 2_000);
    }
    disk.arm();
    const sent = Array.from({ length: 120 }, (_, index) =>
      caller.append(`E${index}`, 12_000, index % 5 === 0 ? { ack: 'written' } : {}),
    );
    expect(caller.store.stats().waiting).toBeGreaterThan(50);
    await Promise.all(sent);
    expect(caller.errors.length).toBeGreaterThan(20);
    for (const error of caller.errors) {
      expect(error.code).toBe('POISONED');
      expect(String(error.cause)).toMatch(crash.cause);
    }
    if (crash.isAtStart === true) {
      expect(new Set(caller.errors.map(({ applied }) => applied))).toEqual(new Set(['no']));
    }
    await checkPoisoned(caller);
    await caller.store.close();
    expect(await checkFolder(directory, caller.promises)).toBeGreaterThanOrEqual(caller.store.head);
  });

  it('during close leaves a store that is recovered', async () => {
    const disk = new PlannedDisk([{ kind: 'truncate', where: 'thread', does: 'exit' }]);
    const directory = newFolder();
    const caller = new Caller();
    caller.store = await open(directory, { background: 'thread' }, { fileSystem: disk.component });
    await caller.append('First', 100);
    disk.arm();
    const sent = caller.append('Second', 100);
    await expect(caller.store.close()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(await sent).toEqual({ position: 1 });
    expect(await checkFolder(directory, caller.answers)).toBe(2);
  });

  it('while the store is being closed settles what is in flight, and lets it be closed', async () => {
    const disk = new PlannedDisk([{ kind: 'sync', content: 'frames', does: 'exit' }]);
    const directory = newFolder();
    const caller = new Caller();
    caller.store = await open(directory, { background: 'thread' }, { fileSystem: disk.component });
    await caller.append('First', 100);
    disk.holdSyncs();
    const sent = caller.append('Second', 100);
    await disk.held();
    disk.arm();
    const closed = caller.store.close();
    disk.releaseSyncs();
    expect(await sent).toEqual({ code: 'POISONED', applied: 'unknown' });
    await closed;
    await checkFolder(directory, caller.answers);
  });

  it('does not keep the store from being closed, whatever else lives in it', async () => {
    const faults = [
      { kind: 'create', does: 'linger' },
      { kind: 'open', path: '.seg', where: 'thread', does: 'EIO' },
    ] as const;
    const disk = new PlannedDisk(faults);
    const directory = newFolder();
    const caller = new Caller();
    caller.store = await open(directory, { background: 'thread' }, { fileSystem: disk.component });
    disk.arm();
    expect(await caller.append('First', 100)).toEqual({ code: 'POISONED', applied: 'no' });
    await checkPoisoned(caller);
    await caller.store.close();
    expect(await checkFolder(directory, caller.answers)).toBe(0);
  });

  it('or can not even be started is heard of after the call that wanted it', async () => {
    const defects: unknown[] = [];
    const parts = {
      worker: {
        name: 'none',
        locate: () => new URL('https://example.org/no-thread-runs-this.js'),
      },
      directory: '/nowhere',
      identity: new Uint8Array(16),
      threads: { goInline: undefined, namedFileSystem: undefined },
      startInline: startNoWriter,
    };
    const file = { close: () => {} } as File;
    const place = { index: 0, firstPosition: 0, offset: 128, position: 0, link: 0 };
    const rest = {
      frameCount: 0,
      offsets: new OffsetTable(),
      tailDurable: 0,
      salt: new Uint8Array(16),
    };
    const start = threadWriter(parts, journalDefaults, { file, ...place, ...rest });
    const { host } = start(
      () => {},
      (error) => defects.push(error),
    );
    host.hold(true);
    host.order({ order: 'space', index: 0, size: 1_000 });
    expect(defects).toEqual([]);
    await Promise.resolve();
    expect(defects).toMatchObject([
      { code: 'UNAVAILABLE', cause: { code: 'ERR_INVALID_URL_SCHEME' } },
    ]);
    host.order({ order: 'stop' });
    await host.close();
  });

  it('holds the folder no longer than its store: it can be opened again at once, many times', async () => {
    const directory = newFolder();
    for (let round = 0; round < 8; round += 1) {
      const disk = new PlannedDisk([
        { kind: 'sync', content: 'frames', skip: 3 + round, does: 'exit' },
      ]);
      disk.arm();
      const components = { fileSystem: disk.component };
      const store = await open(directory, { background: 'thread' }, components);
      const sent = Array.from({ length: 40 }, async (_, index) => {
        await store.append('s', [{ type: `E${index}` }], { idempotencyKey: `E${index}` });
        return store.append('s', [{ type: `F${round}` }]);
      });
      await Promise.allSettled(sent);
      await store.close();
    }
    const store = await open(directory);
    const keyed = (await eventsOf(store)).filter(({ type }) => type.startsWith('E'));
    expect(new Set(keyed.map(({ type }) => type)).size).toBe(keyed.length);
    await store.close();
  });
});

interface DiskFault {
  readonly fault: PlannedFault;
  /** What the commit hears that meets it; undefined if none does. */
  readonly applied: 'no' | 'unknown' | undefined;
  /** Which commit meets it depends on timing: space is prepared when there is time. */
  readonly isTimed?: boolean;
}

const faults: readonly DiskFault[] = [
  { fault: { kind: 'write', content: 'frames', skip: 1, count: 1, does: 'EIO' }, applied: 'no' },
  { fault: { kind: 'write', content: 'frames', skip: 1, count: 1, does: 'ENOSPC' }, applied: 'no' },
  { fault: { kind: 'write', content: 'frames', skip: 1, count: 1, does: 'short' }, applied: 'no' },
  { fault: { kind: 'write', content: 'frames', skip: 5, count: 1, does: 'EIO' }, applied: 'no' },
  { fault: { kind: 'write', content: 'frames', skip: 1, count: 1, does: 'throw' }, applied: 'no' },
  { fault: { kind: 'sync', content: 'frames', count: 1, does: 'EIO' }, applied: 'unknown' },
  {
    fault: { kind: 'sync', content: 'frames', skip: 6, count: 1, does: 'EIO' },
    applied: 'unknown',
  },
  { fault: { kind: 'sync', content: 'frames', skip: 1, does: 'throw' }, applied: 'unknown' },
  { fault: { kind: 'write', content: 'header', count: 1, does: 'EIO' }, applied: 'no' },
  { fault: { kind: 'sync', content: 'header', count: 1, does: 'EIO' }, applied: 'no' },
  { fault: { kind: 'rename', path: '.seg', count: 1, does: 'EIO' }, applied: 'no' },
  { fault: { kind: 'syncDirectory', path: '/log', count: 1, does: 'EIO' }, applied: 'no' },
  {
    fault: { kind: 'write', content: 'zeros', skip: 1, count: 1, does: 'EIO' },
    applied: 'no',
    isTimed: true,
  },
  { fault: { kind: 'write', content: 'footer', count: 1, does: 'EIO' }, applied: undefined },
  { fault: { kind: 'sync', content: 'footer', count: 1, does: 'EIO' }, applied: undefined },
  { fault: { kind: 'write', content: 'tail', count: 1, does: 'EIO' }, applied: undefined },
  { fault: { kind: 'rename', path: '/tail', count: 1, does: 'EIO' }, applied: undefined },
];

/** Appends one after the other over several segments, on a disk with one fault; gives every answer. */
async function runWith(fault: PlannedFault, writer: 'thread' | 'inline'): Promise<unknown> {
  const disk = new PlannedDisk([fault]);
  const directory = newFolder();
  const caller = new Caller();
  const components = { fileSystem: disk.component, clock: new SimulatedClock() };
  caller.store = await open(directory, { ...options, background: writer }, components);
  await caller.append('First', 100);
  disk.arm();
  for (let index = 0; index < 12; index += 1) {
    await caller.append(`E${index}`, 50 + (index % 4) * 100_000);
  }
  const { failure, watermarks } = caller.store.stats();
  if (failure !== undefined) {
    await checkPoisoned(caller);
  }
  await caller.store.close();
  expect(disk.count('struckCount')).toBeGreaterThan(0);
  expect(disk.count('threadCount')).toBe(writer === 'thread' ? 1 : 0);
  await checkFolder(directory, caller.answers);
  return { answers: [...caller.answers], failure: failure?.replace(directory, ''), watermarks };
}

describe('a disk that fails', () => {
  it.each(faults)(
    'at $fault.kind of $fault.content $fault.path after $fault.skip: $fault.does, answers as inline',
    async ({ fault, applied, isTimed }) => {
      const inline = await runWith(fault, 'inline');
      const thread = await runWith(fault, 'thread');
      if (isTimed !== true) {
        expect(thread).toEqual(inline);
      }
      const { answers } = thread as { answers: [string, Answer][] };
      const failed = answers.filter(([, answer]) => 'code' in answer).map(([, answer]) => answer);
      if (applied === undefined) {
        expect(failed).toEqual([]);
      } else {
        expect(failed[0]).toEqual({ code: 'POISONED', applied });
        expect(failed.length).toBeGreaterThan(1);
      }
    },
  );

  it.each(['thread', 'inline'] as const)(
    '%s: without space refuses appends, and takes them again when there is some',
    async (writer) => {
      const disk = new PlannedDisk([{ kind: 'write', content: 'zeros', does: 'ENOSPC' }]);
      const directory = newFolder();
      const caller = new Caller();
      const components = { fileSystem: disk.component, clock: new SimulatedClock() };
      caller.store = await open(directory, { ...options, background: writer }, components);
      const refused = { code: 'UNAVAILABLE', applied: 'no' };
      disk.arm();
      expect(await caller.append('First', 100)).toEqual(refused);
      disk.disarm();
      expect(await caller.append('Second', 100)).toEqual({ position: 0 });
      disk.arm();
      let answer: Answer = { position: 0 };
      for (let index = 0; index < 40 && 'position' in answer; index += 1) {
        answer = await caller.append(`E${index}`, 200_000);
      }
      expect(answer).toEqual(refused);
      const many = Array.from({ length: 5 }, (_, index) => caller.append(`F${index}`, 500_000));
      expect(await Promise.all(many)).toEqual(many.map(() => refused));
      expect(caller.store.stats()).toMatchObject({ failure: undefined, waiting: 0 });
      expect(caller.errors.every(({ cause }) => String(cause).includes('ENOSPC'))).toBe(true);
      disk.disarm();
      expect(await caller.append('Again', 500_000)).toHaveProperty('position');
      await caller.store.close();
      await checkFolder(directory, caller.answers);
    },
  );
});
