import { describe, expect, it } from 'vitest';
import { SimulatedFileSystem } from '../../testing/simulated-file-system.ts';
import { wholeKeys } from '../sstable/filter-rule.ts';
import type { TableMeta } from '../sstable/table-meta.ts';
import type { TableSettings } from '../sstable/table-settings.ts';
import type { BackgroundReport } from './background-messages.ts';
import type { IngestEntry } from './ingest-pieces.ts';
import type { BuildJob } from './job.ts';
import { JobRunner, stepBlocking } from './job-runner.ts';
import { CountedTableNumbers } from './table-numbers.ts';

const settings: TableSettings = {
  blockSize: 4_096,
  tableSizeMax: 8 * 1024 * 1024,
  filter: wholeKeys(10),
  compression: 'none',
};
/** A step does so much work: a little more is written at once, for a block is written whole. */
const WRITE_SIZE_MAX = 256 * 1024 + 64 * 1024;

function* numbered(request: unknown): Generator<IngestEntry> {
  const { count, valueSize } = request as { readonly count: number; readonly valueSize: number };
  for (let index = 0; index < count; index += 1) {
    const key = new Uint8Array(4);
    new DataView(key.buffer).setUint32(0, index);
    yield [key, new Uint8Array(valueSize).fill(index)];
  }
}

function setUp(): { runner: JobRunner; reports: BackgroundReport[] } {
  const fileSystem = new SimulatedFileSystem();
  fileSystem.makeDirectory('/kv');
  fileSystem.makeDirectory('/kv/tables');
  const parts = {
    fileSystem,
    directory: '/kv',
    identity: new Uint8Array(16),
    numbers: CountedTableNumbers.startingAt(1, false),
    failedSyncs: { count: 0 },
    source: { entries: numbered },
  };
  const reports: BackgroundReport[] = [];
  return { runner: new JobRunner(parts, (report) => reports.push(report)), reports };
}

function buildJob(count: number, valueSize: number): BuildJob {
  return { kind: 'build', settings, request: { count, valueSize } };
}

/** Does all there is to do; returns the kinds of jobs in the order of their steps. */
function stepAll(runner: JobRunner, stepped: (kind: string, count: number) => void): string[] {
  const kinds: string[] = [];
  for (let job = runner.next(); job !== undefined; job = runner.next()) {
    kinds.push(job.kind);
    if (job.step.operation === 'write') {
      expect(job.step.bytes.length).toBeLessThan(WRITE_SIZE_MAX);
    }
    stepBlocking(job);
    stepped(job.kind, kinds.length);
  }
  return kinds;
}

function tablesOf(reports: readonly BackgroundReport[]): readonly TableMeta[] {
  return reports.flatMap((report) => (report.report === 'succeeded' ? report.result.tables : []));
}

describe('jobs', () => {
  it('that make tables go before merges at every step of these, and no step is long', () => {
    const make = (): { runner: JobRunner; reports: BackgroundReport[] } => {
      const { runner, reports } = setUp();
      runner.obey({ order: 'job', id: 1, job: buildJob(3_000, 1_000) });
      runner.obey({ order: 'job', id: 2, job: buildJob(3_000, 1_000) });
      stepAll(runner, () => {});
      const inputs = tablesOf(reports).map((table) => [{ ...table, ingestSequence: table.number }]);
      expect(inputs).toHaveLength(2);
      const plan = { inputs, outputLevel: 1, deeper: [], grandparents: [] };
      runner.obey({
        order: 'job',
        id: 3,
        job: { kind: 'compact', settings, snapshots: [], ...plan },
      });
      return { runner, reports };
    };
    const alone = make();
    const mergeCount = stepAll(alone.runner, () => {}).length;
    expect(mergeCount).toBeGreaterThan(20);
    for (let after = 1; after < mergeCount; after += 5) {
      const { runner, reports } = make();
      const kinds = stepAll(runner, (_kind, count) => {
        if (count === after) {
          runner.obey({ order: 'job', id: 4, job: buildJob(600, 2_000) });
        }
      });
      const first = kinds.indexOf('build');
      const last = kinds.lastIndexOf('build');
      expect(first).toBe(after);
      expect(kinds.slice(first, last + 1).every((kind) => kind === 'build')).toBe(true);
      expect(kinds).toHaveLength(mergeCount + last - first + 1);
      expect(reports.map(({ id }) => id)).toEqual([1, 2, 4, 3]);
    }
  });
});
