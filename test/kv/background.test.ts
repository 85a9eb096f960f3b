/** The background of a key-value store on a thread of its own: that it does what is asked, and what becomes of it otherwise. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import type { IngestEntry } from '../../dist/kv/compaction/ingest-pieces.js';
import type { CompactJob, FlushJob, IngestJob } from '../../dist/kv/compaction/job.js';
import type { TableSettings } from '../../dist/kv/sstable/table-settings.js';
import { CountedTableNumbers } from '../../dist/kv/compaction/table-numbers.js';
import type { Background } from '../../dist/kv/compaction/background.js';
import { threadBackground } from '../../dist/kv/compaction/thread-background.js';
import { EntryKind } from '../../dist/kv/entries/cursor.js';
import { insertEntry } from '../../dist/testing/insert-entry.js';
import { Memtable } from '../../dist/kv/memtable/memtable.js';
import { Arena } from '../../dist/radix/arena.js';
import { PlannedDisk, type PlannedFault } from '../journal/planned-disk.ts';

const settings: TableSettings = {
  blockSize: 4_096,
  tableSizeMax: 4 * 1024 * 1024,
  filter: { bitsPerKey: 10, axes: [] },
  compression: 'none',
};
const ingest: IngestJob = { kind: 'ingest', settings };
const folders: string[] = [];

afterAll(() => {
  for (const folder of folders) {
    rmSync(folder, { recursive: true });
  }
});

interface Setup {
  readonly background: Background;
  readonly disk: PlannedDisk;
  readonly directory: string;
}

function setUp(faults: readonly PlannedFault[] = []): Setup {
  const directory = mkdtempSync(join(tmpdir(), 'varve-background-'));
  folders.push(directory);
  mkdirSync(join(directory, 'tables'));
  const disk = new PlannedDisk(faults);
  const background = threadBackground({
    directory,
    identity: new Uint8Array(16),
    worker: {
      name: 'tableWorker',
      locate: () => new URL('../fixtures/table-worker.js', import.meta.url),
    },
    numbers: CountedTableNumbers.startingAt(1, true).words,
    threads: { goInline: undefined, workers: {}, namedFileSystem: disk.component as never },
    startInline: () => {
      throw new Error('not here');
    },
  });
  return { background, disk, directory };
}

function tableNames({ directory }: Setup): string[] {
  return readdirSync(join(directory, 'tables'));
}

function keyOf(index: number): Uint8Array {
  const key = new Uint8Array(4);
  new DataView(key.buffer).setUint32(0, index);
  return key;
}

function* entriesOf(count: number, valueSize: number): Generator<IngestEntry> {
  for (let index = 0; index < count; index += 1) {
    yield [keyOf(index), new Uint8Array(valueSize).fill(index)];
  }
}

function flushJob(count: number, firstSequence: number): FlushJob {
  const memtable = Memtable.create(Arena.create(8 * 1024 * 1024, true), 8 * 1024 * 1024);
  for (let index = 0; index < count; index += 1) {
    insertEntry(memtable, keyOf(index), firstSequence + index, EntryKind.put, new Uint8Array(100));
  }
  return {
    kind: 'flush',
    memtable: memtable.freeze(),
    rangeTombstones: [],
    settings,
    snapshots: [],
  };
}

/** A compaction that takes a while. */
async function compactJob({ background }: Setup, valueSize = 1_000): Promise<CompactJob> {
  const { tables } = await background.ingest(ingest, entriesOf(40_000, valueSize));
  return {
    kind: 'compact',
    settings,
    snapshots: [],
    inputs: [tables.map((table) => ({ ...table, ingestSequence: 5 }))],
    outputLevel: 1,
    deeper: [],
    grandparents: [],
  };
}

describe('the thread of a background', () => {
  it('flushes, merges, ingests and replaces the manifest', async () => {
    const setup = setUp();
    const { background, directory } = setup;
    const first = await background.run(flushJob(5_000, 1));
    const second = await background.run(flushJob(2_000, 6_000));
    expect(first.tables).toMatchObject([{ number: 1, count: 5_000, maxSequence: 5_000 }]);
    expect(first.images).toMatchObject([
      { footer: { number: 1 }, filter: expect.any(Uint8Array), properties: { count: 5_000 } },
    ]);
    const merged = await background.run({
      kind: 'compact',
      settings,
      snapshots: [],
      inputs: [second.tables, first.tables],
      outputLevel: 1,
      deeper: [],
      grandparents: [],
    });
    expect(merged.tables).toMatchObject([{ number: 3, count: 5_000, maxSequence: 7_999 }]);
    expect(merged.bytesRead).toBe(first.tables[0]!.size + second.tables[0]!.size);
    const fed = await background.ingest(ingest, entriesOf(20_000, 1_000));
    expect(fed.tables.length).toBeGreaterThan(3);
    expect(fed.tables.reduce((sum, { count }) => sum + count, 0)).toBe(20_000);
    await background.run({ kind: 'manifest', content: new Uint8Array([1, 2, 3]) });
    expect([...readFileSync(join(directory, 'manifest'))]).toEqual([1, 2, 3]);
    expect(tableNames(setup)).toHaveLength(3 + fed.tables.length);
    await background.close();
  });

  it('builds tables of what its own source reads, and asks the owner for nothing', async () => {
    const setup = setUp();
    const { background, directory } = setup;
    const path = join(directory, 'value');
    writeFileSync(path, 'from a file');
    const request = { path, first: 0, count: 50_000 };
    await background.run({ kind: 'manifest', content: new Uint8Array(1) });
    const built = background.run({ kind: 'build', settings, request });
    await new Promise(setImmediate);
    // The owner is busy: nothing that a thread asks of it is answered.
    const cell = new Int32Array(new SharedArrayBuffer(4));
    for (let turn = 0; turn < 20_000 && tableNames(setup).length === 0; turn += 1) {
      Atomics.wait(cell, 0, 0, 1);
    }
    expect(tableNames(setup)).toHaveLength(1);
    const { tables, images, bytesWritten } = await built;
    expect(tables.reduce((sum, { count }) => sum + count, 0)).toBe(50_000);
    expect(tables[0]).toMatchObject({ minSequence: 0, maxSequence: 0, ingestSequence: undefined });
    expect(images).toHaveLength(tables.length);
    const value = Buffer.from('from a file');
    const same = await background.ingest(
      ingest,
      Array.from({ length: 50_000 }, (_, number) => [
        Buffer.from(`n${String(number).padStart(8, '0')}`),
        value,
      ]),
    );
    expect(same.bytesWritten).toBe(bytesWritten);
    const failed = background.run({
      kind: 'build',
      settings,
      request: { ...request, path: join(directory, 'missing') },
    });
    await expect(failed).rejects.toMatchObject({ code: 'ENOENT' });
    expect(tableNames(setup)).toHaveLength(tables.length + same.tables.length);
    await background.close();
  });

  it('is started by the first job, once', async () => {
    const { background, disk } = setUp();
    background.cancel();
    expect(disk.count('threadCount')).toBe(0);
    const manifests = [1, 2].map((number) =>
      background.run({ kind: 'manifest', content: new Uint8Array([number]) }),
    );
    await Promise.all(manifests);
    expect(disk.count('threadCount')).toBe(1);
    await background.close();
    const unused = setUp();
    await unused.background.close();
    expect(unused.disk.count('threadCount')).toBe(0);
  });

  it('does flushes and manifests between two steps of a compaction', async () => {
    const setup = setUp();
    const { background } = setup;
    const job = await compactJob(setup);
    const done: string[] = [];
    const isDone = (what: string) => (): number => done.push(what);
    const before = tableNames(setup).length;
    const compacted = background.run(job).then(isDone('compaction'));
    while (tableNames(setup).length === before) {
      await new Promise(setImmediate);
    }
    const flushed = background.run(flushJob(100, 10)).then(isDone('flush'));
    const replaced = background
      .run({ kind: 'manifest', content: new Uint8Array(9) })
      .then(isDone('manifest'));
    await Promise.all([compacted, flushed, replaced]);
    expect(done).toEqual(['flush', 'manifest', 'compaction']);
    await background.close();
  });

  it('ends a compaction early when it is cancelled or closed', async () => {
    const setup = setUp();
    const { background } = setup;
    const job = await compactJob(setup);
    const before = tableNames(setup);
    for (const end of [async () => background.cancel(), async () => background.close()]) {
      const compacted = background.run(job);
      const outcome = expect(compacted).rejects.toMatchObject({ code: 'ABORTED' });
      while (tableNames(setup).length === before.length) {
        await new Promise(setImmediate);
      }
      await end();
      await outcome;
      expect(tableNames(setup)).toEqual(before);
    }
    await expect(background.run(job)).rejects.toMatchObject({ code: 'CLOSED' });
    await background.close();
  });

  it('reports the failure of a job and goes on', async () => {
    const setup = setUp([{ kind: 'write', path: '.tbl', does: 'ENOSPC', count: 1 }]);
    const { background, disk } = setup;
    disk.arm();
    await expect(background.run(flushJob(100, 1))).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(tableNames(setup)).toEqual([]);
    await background.run(flushJob(100, 1));
    expect(tableNames(setup)).toHaveLength(1);
    const given: IngestEntry[] = [
      [keyOf(2), keyOf(2)],
      [keyOf(1), keyOf(1)],
    ];
    await expect(background.ingest(ingest, given)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    expect(tableNames(setup)).toHaveLength(1);
    expect(disk.count('threadCount')).toBe(1);
    await background.close();
  });

  it('rejects its jobs when it dies, and a later job starts another', async () => {
    const setup = setUp([{ kind: 'write', path: '.tbl', does: 'exit', count: 1 }]);
    const { background, disk } = setup;
    disk.arm();
    const jobs = [background.run(flushJob(100, 1)), background.ingest(ingest, entriesOf(9, 9))];
    const rejected = jobs.map((job) => expect(job).rejects.toMatchObject({ code: 'UNAVAILABLE' }));
    await Promise.all(rejected);
    await background.run({ kind: 'manifest', content: new Uint8Array(1) });
    expect(disk.count('threadCount')).toBe(2);
    await background.close();
  });

  it('rejects its jobs with the cause when it can not be made ready, or something in it throws', async () => {
    const unready = setUp([{ kind: 'create', does: 'EIO' }]);
    unready.disk.arm();
    const manifest = { kind: 'manifest', content: new Uint8Array(1) } as const;
    const failure = { code: 'UNAVAILABLE', applied: 'no', cause: { code: 'EIO' } };
    await expect(unready.background.run(manifest)).rejects.toMatchObject(failure);
    await expect(unready.background.run(manifest)).rejects.toMatchObject(failure);
    expect(unready.disk.count('threadCount')).toBe(2);
    await unready.background.close();
    const later = setUp([{ kind: 'open', path: 'manifest.tmp', does: 'throw later', count: 1 }]);
    later.disk.arm();
    // It is under way before the manifest has the thread end.
    const lost = expect(later.background.ingest(ingest, neverEnding())).rejects.toThrow(
      'thrown later on purpose',
    );
    await later.background.run(manifest);
    await lost;
    await later.background.run(manifest);
    await later.background.close();
  });

  it('does not keep the process alive unless it works, and keeps it while it does', () => {
    const script = `${preamble()}
      background.run(job).then(() => background.run(job)).then(() => console.log('done'));`;
    const { stdout, status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
      timeout: 60_000,
    });
    expect({ stdout, status }).toEqual({ stdout: 'done\n', status: 0 });
  });

  it.runIf(process.platform === 'linux' && LOOK_MS > 0)(
    'wakes no thread of its process at rest',
    async () => {
      const script = `${preamble()}
      await background.run(job);
      process.stdin.resume();
      console.log('ready');`;
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      await once(child.stdout, 'data');
      let woken = -1;
      for (let look = 0; look < LOOK_COUNT_MAX && woken !== 0; look += 1) {
        const before = switchCounts(child.pid!);
        await wait(LOOK_MS);
        const after = switchCounts(child.pid!);
        woken = after.filter((count, index) => count !== before[index]).length;
      }
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
      expect(woken).toBe(0);
    },
  );
});

/** The length of a look. Tests wait for no time: it is looked only if a length is given, as it is at night. */
const LOOK_MS = Number(process.env['VARVE_IDLE_MS'] ?? 0);
/** Within so many looks the process must have come to rest. */
const LOOK_COUNT_MAX = 10;

/** Times each thread gave up the processor of its own accord: each time it had been woken. */
function switchCounts(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).map((thread) => {
    const status = readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8');
    const [, count] = /^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status) ?? [];
    return Number(count);
  });
}

/** A program with a background on a thread, and a job for it. */
function preamble(): string {
  return `
    import { CountedTableNumbers } from ${url('../../dist/kv/compaction/table-numbers.js')};
    import { threadBackground } from ${url('../../dist/kv/compaction/thread-background.js')};
    const background = threadBackground({
      directory: ${JSON.stringify(setUp().directory)},
      identity: new Uint8Array(16),
      numbers: CountedTableNumbers.startingAt(1, true).words,
      threads: { workers: {} },
    });
    const job = { kind: 'manifest', content: new Uint8Array(5) };`;
}

function url(path: string): string {
  return JSON.stringify(new URL(path, import.meta.url).href);
}

async function* neverEnding(): AsyncGenerator<IngestEntry> {
  for (let index = 0; ; index += 1) {
    await new Promise(setImmediate);
    yield [keyOf(index), new Uint8Array(10)];
  }
}
