import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../testing/simulated-clock.ts';
import { SimulatedFileSystem } from '../../testing/simulated-file-system.ts';
import type { Background } from './background.ts';
import { inlineBackground } from './inline-background.ts';
import type { IngestEntry } from './ingest-pieces.ts';
import type { CompactJob, IngestJob } from './job.ts';
import type { TableSettings } from '../sstable/table-settings.ts';
import { CountedTableNumbers } from './table-numbers.ts';

const settings: TableSettings = {
  blockSize: 4_096,
  tableSizeMax: 4 * 1024 * 1024,
  filterBitsPerKey: 10,
  compression: 'none',
};
const ingest: IngestJob = { kind: 'ingest', settings };

interface Setup {
  readonly fileSystem: SimulatedFileSystem;
  readonly background: Background;
}

function setUp(): Setup {
  const fileSystem = new SimulatedFileSystem();
  fileSystem.makeDirectory('/kv');
  fileSystem.makeDirectory('/kv/tables');
  const numbers = CountedTableNumbers.startingAt(1, false);
  const parts = {
    fileSystem,
    directory: '/kv',
    identity: new Uint8Array(16),
    numbers,
    failedSyncs: { count: 0 },
  };
  return { fileSystem, background: inlineBackground(parts, new SimulatedClock()) };
}

function keyOf(index: number): Uint8Array {
  const key = new Uint8Array(4);
  new DataView(key.buffer).setUint32(0, index);
  return key;
}

function entriesOf(count: number, valueSize: number): IngestEntry[] {
  return Array.from({ length: count }, (_, index) => [keyOf(index), new Uint8Array(valueSize)]);
}

async function compaction({ background }: Setup): Promise<CompactJob> {
  const { tables } = await background.ingest(ingest, entriesOf(200, 20_000));
  const inputs = tables.map((table) => [{ ...table, ingestSequence: 5 }]);
  return {
    kind: 'compact',
    settings,
    snapshots: [],
    inputs,
    outputLevel: 1,
    deeper: [],
    grandparents: [],
  };
}

function tableCount({ fileSystem }: Setup): number {
  return fileSystem.paths().filter((path) => path.endsWith('.tbl')).length;
}

describe('the background in the event loop', () => {
  it('does manifests between two steps of a compaction, in their order', async () => {
    const setup = setUp();
    const job = await compaction(setup);
    const done: string[] = [];
    const compacted = setup.background.run(job).then(() => done.push('compaction'));
    // The compaction has begun.
    const { fileSystem } = setup;
    const begun = fileSystem.counts.create;
    while (fileSystem.counts.create === begun) {
      await new Promise(setImmediate);
    }
    const manifests = [1, 2].map((number) =>
      setup.background
        .run({ kind: 'manifest', content: new Uint8Array([number]) })
        .then(() => done.push(`manifest ${number}`)),
    );
    await Promise.all([compacted, ...manifests]);
    expect(done).toEqual(['manifest 1', 'manifest 2', 'compaction']);
    expect(fileSystem.readFile('/kv/manifest')).toEqual(new Uint8Array([2]));
  });

  it('ends compactions and ingests early when asked to, and leaves nothing of them', async () => {
    const setup = setUp();
    const job = await compaction(setup);
    const before = tableCount(setup);
    const running = setup.background.run(job);
    const waiting = setup.background.run(job);
    const fed = setup.background.ingest(ingest, endless());
    const manifest = setup.background.run({ kind: 'manifest', content: new Uint8Array(1) });
    for (let turn = 0; turn < 10; turn += 1) {
      await new Promise(setImmediate);
    }
    setup.background.cancel();
    const cancelled = [running, waiting, fed].map((promise) =>
      expect(promise).rejects.toMatchObject({ code: 'ABORTED' }),
    );
    await Promise.all(cancelled);
    await manifest;
    expect(tableCount(setup)).toBe(before);
    expect(setup.fileSystem.openCount).toBe(0);
    await setup.background.run(job);
    expect(tableCount(setup)).toBeGreaterThan(before);
  });

  it('finishes manifests when it is closed, and takes nothing more', async () => {
    const setup = setUp();
    const job = await compaction(setup);
    const running = expect(setup.background.run(job)).rejects.toMatchObject({ code: 'ABORTED' });
    const manifest = setup.background.run({ kind: 'manifest', content: new Uint8Array(1) });
    await setup.background.close();
    expect(setup.fileSystem.readFile('/kv/manifest')).toHaveLength(1);
    expect(setup.fileSystem.openCount).toBe(0);
    await Promise.all([manifest, running]);
    await expect(setup.background.run(job)).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(setup.background.ingest(ingest, [])).rejects.toMatchObject({ code: 'CLOSED' });
    expect(setup.fileSystem.openCount).toBe(0);
  });

  it('asks for entries no faster than it writes them', async () => {
    const setup = setUp();
    let askedSize = 0;
    let aheadMax = 0;
    const { fileSystem } = setup;
    let writtenSize = 0;
    fileSystem.onOperation = ({ kind, size = 0 }) => {
      writtenSize += kind === 'write' ? size : 0;
    };
    async function* entries(): AsyncGenerator<IngestEntry> {
      for (let index = 0; index < 300; index += 1) {
        askedSize += 50_000;
        aheadMax = Math.max(aheadMax, askedSize - writtenSize);
        yield [keyOf(index), new Uint8Array(50_000)];
      }
    }
    const { tables } = await setup.background.ingest(ingest, entries());
    expect(tables.reduce((sum, { count }) => sum + count, 0)).toBe(300);
    expect(aheadMax).toBeGreaterThan(1024 * 1024);
    expect(aheadMax).toBeLessThan(6 * 1024 * 1024);
  });

  it('refuses keys that do not ascend and entries beyond their limits', async () => {
    const setup = setUp();
    const value = new Uint8Array(0);
    const wrong: [IngestEntry[], string][] = [
      [
        [
          [keyOf(1), value],
          [keyOf(1), value],
        ],
        'INVALID_ARGUMENT',
      ],
      [
        [
          [keyOf(2), value],
          [keyOf(1), value],
        ],
        'INVALID_ARGUMENT',
      ],
      [
        [
          [keyOf(2), value],
          [new Uint8Array(0), value],
        ],
        'INVALID_ARGUMENT',
      ],
      [
        [
          [new Uint8Array(0), value],
          [new Uint8Array(0), value],
        ],
        'INVALID_ARGUMENT',
      ],
      [[[new Uint8Array(65_536), value]], 'LIMIT_EXCEEDED'],
      [[[keyOf(1), new Uint8Array(16 * 1024 * 1024 + 1)]], 'LIMIT_EXCEEDED'],
    ];
    for (const [entries, code] of wrong) {
      await expect(setup.background.ingest(ingest, entries)).rejects.toMatchObject({ code });
    }
    async function* failing(): AsyncGenerator<IngestEntry> {
      yield [keyOf(1), value];
      throw new RangeError('the source fails');
    }
    await expect(setup.background.ingest(ingest, failing())).rejects.toThrow('the source fails');
    expect(tableCount(setup)).toBe(0);
    expect(await setup.background.ingest(ingest, [])).toMatchObject({ tables: [] });
    const empty = await setup.background.ingest(ingest, [[new Uint8Array(0), value]]);
    expect(empty.tables).toMatchObject([{ count: 1, rawSize: 0 }]);
  });

  it('reports what the disk says, and ends the source of the entries', async () => {
    const setup = setUp();
    setup.fileSystem.faults.capacity = 3_000_000;
    let isEnded = false;
    function* source(): Generator<IngestEntry> {
      try {
        for (let index = 0; ; index += 1) {
          yield [keyOf(index), new Uint8Array(10_000)];
        }
      } finally {
        isEnded = true;
      }
    }
    await expect(setup.background.ingest(ingest, source())).rejects.toMatchObject({
      applied: 'no',
      cause: expect.objectContaining({ code: 'ENOSPC' }),
    });
    await new Promise(setImmediate);
    expect(isEnded).toBe(true);
    expect(tableCount(setup)).toBe(0);
    const failed = setup.background.run({ kind: 'manifest', content: new Uint8Array(4_000_000) });
    await expect(failed).rejects.toThrow();
    setup.fileSystem.faults.capacity = Infinity;
    await setup.background.run({ kind: 'manifest', content: new Uint8Array(3) });
  });

  it('does not wait for entries that never come when the job has ended', async () => {
    const { background } = setUp();
    const silent: AsyncIterable<IngestEntry> = {
      [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }),
    };
    const fed = expect(background.ingest(ingest, silent)).rejects.toMatchObject({
      code: 'ABORTED',
    });
    await background.close();
    await fed;
  });

  it('makes the same bytes of the same calls', async () => {
    const digests: string[] = [];
    for (let round = 0; round < 2; round += 1) {
      const setup = setUp();
      await setup.background.run(await compaction(setup));
      digests.push(setup.fileSystem.snapshotDigest());
    }
    expect(digests[0]).toBe(digests[1]);
  });
});

async function* endless(): AsyncGenerator<IngestEntry> {
  for (let index = 0; ; index += 1) {
    await new Promise(setImmediate);
    yield [keyOf(index), new Uint8Array(1_000)];
  }
}
