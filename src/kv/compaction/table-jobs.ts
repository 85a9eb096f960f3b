/** The jobs that make tables. What they make is durable when they return; a job that throws has removed it. */
import type { FileSystem } from '../../io/file-system.ts';
import { type Cursor, EntryKind } from '../entries/cursor.ts';
import { LevelCursor } from '../sstable/level-cursor.ts';
import { Memtable } from '../memtable/memtable.ts';
import { mergeCursors } from '../entries/merge-cursor.ts';
import { tablePath } from '../sstable/names.ts';
import { RangeTombstones } from '../entries/range-tombstones.ts';
import { BlockCache } from '../sstable/block-cache.ts';
import { ReadCounters } from '../sstable/read-counters.ts';
import { TableReader } from '../sstable/table-reader.ts';
import type { TableMeta } from '../sstable/table-meta.ts';
import { anyDeeperKeys, deeperKeysOf } from './deeper-keys.ts';
import { EntryFilter } from './entry-filter.ts';
import type { IngestFeed } from './ingest-feed.ts';
import { IngestPiece } from './ingest-pieces.ts';
import type { CompactJob, FlushJob, IngestJob, JobResult } from './job.ts';
import { pause, wait, type Work } from '../../io/steps.ts';
import type { TableNumbers } from './table-numbers.ts';
import { TableOutput } from './table-output.ts';

export interface JobParts {
  readonly fileSystem: FileSystem;
  /** The store's. */
  readonly directory: string;
  readonly identity: Uint8Array;
  readonly numbers: TableNumbers;
  /** Syncs of the tables' folder that failed, whichever job's they were. Shared by all jobs of a store. */
  readonly failedSyncs: { count: number };
}

/** So much is done between two steps at most, but for a single entry. */
const STEP_COUNT = 1_024;
const STEP_SIZE = 256 * 1024;

/** Entries of an ingested table get their sequence when it is installed; until then any will do. */
const INGESTED_SEQUENCE = 0;

export function* runFlush(job: FlushJob, parts: JobParts): Work<JobResult> {
  const ranges = new RangeTombstones();
  for (const tombstone of job.rangeTombstones) {
    ranges.add(tombstone, job.snapshots);
  }
  const filter = new EntryFilter(job.snapshots, ranges, anyDeeperKeys);
  const output = new TableOutput(parts, {
    level: 0,
    inputs: [],
    settings: job.settings,
    ranges: filter.survivingRanges(),
    grandparents: [],
  });
  const cursor = Memtable.attach(job.memtable).cursor();
  return yield* resultOf(output, 0, fill(output, cursor, filter));
}

export function* runCompaction(job: CompactJob, parts: JobParts): Work<JobResult> {
  const inputs = new InputTables(parts);
  try {
    const ranges = yield* inputs.rangeTombstones(job.inputs.flat(), job.snapshots);
    const filter = new EntryFilter(job.snapshots, ranges, deeperKeysOf(job.deeper));
    const output = new TableOutput(parts, {
      level: job.outputLevel,
      inputs: job.inputs.flat().map(({ number }) => number),
      settings: job.settings,
      ranges: filter.survivingRanges(),
      grandparents: job.grandparents,
    });
    const cursor = mergeCursors(job.inputs.map((run) => inputs.cursor(run)));
    const bytesRead = job.inputs.flat().reduce((sum, { size }) => sum + size, 0);
    return yield* resultOf(output, bytesRead, fill(output, cursor, filter));
  } finally {
    inputs.close();
  }
}

export function* runIngest(job: IngestJob, feed: IngestFeed, parts: JobParts): Work<JobResult> {
  const output = new TableOutput(parts, {
    level: 0,
    inputs: [],
    settings: job.settings,
    ranges: [],
    grandparents: [],
  });
  return yield* resultOf(output, 0, fillFromFeed(output, feed));
}

/** Fills tables and finishes them; if that fails, nothing is left of them. */
function* resultOf(output: TableOutput, bytesRead: number, filling: Work<void>): Work<JobResult> {
  try {
    yield* filling;
    const tables = yield* output.end();
    return { tables, bytesRead, bytesWritten: output.bytesWritten };
  } catch (error) {
    output.discard();
    throw error;
  }
}

/** Adds the entries that survive. */
function* fill(output: TableOutput, cursor: Cursor, filter: EntryFilter): Work<void> {
  let count = 0;
  let size = 0;
  /** No version of the key has been added yet: a table may end before it. */
  let isNewKey = true;
  cursor.seekFirst();
  while (cursor.isValid) {
    const isKept = filter.keeps(cursor);
    isNewKey ||= filter.isNewKey;
    if (isKept) {
      if (isNewKey && output.mustPrepare(cursor)) {
        yield* output.prepare(cursor);
      }
      isNewKey = false;
      output.add(cursor);
    }
    count += 1;
    size += cursor.keyEnd - cursor.keyStart + cursor.valueEnd - cursor.valueStart;
    if (output.wantsWrite) {
      yield* output.write();
    }
    if (count >= STEP_COUNT || size >= STEP_SIZE) {
      yield pause;
      count = 0;
      size = 0;
    }
    cursor.next();
  }
}

function* fillFromFeed(output: TableOutput, feed: IngestFeed): Work<void> {
  for (;;) {
    while (!feed.hasNews) {
      yield wait;
    }
    const bytes = feed.take();
    if (bytes === undefined) {
      return;
    }
    yield* fillFromPiece(output, new IngestPiece(bytes));
  }
}

function* fillFromPiece(output: TableOutput, piece: IngestPiece): Work<void> {
  const { bytes } = piece;
  let stepEnd = STEP_SIZE;
  while (piece.next()) {
    const { keyStart, keyEnd, valueEnd } = piece;
    if (output.isFull) {
      yield* output.finishBefore(bytes, keyStart, keyEnd);
    }
    const sequence = INGESTED_SEQUENCE;
    output.addEntry(bytes, keyStart, keyEnd, sequence, EntryKind.put, bytes, keyEnd, valueEnd);
    if (output.wantsWrite) {
      yield* output.write();
    }
    if (valueEnd >= stepEnd) {
      yield pause;
      stepEnd = valueEnd + STEP_SIZE;
    }
  }
}

/** Tables that are read. Of each run one is open at a time. */
class InputTables {
  readonly #parts: JobParts;
  /** By run. */
  readonly #readers: (TableReader | undefined)[] = [];
  /** Everything is read once. */
  readonly #noCache = new BlockCache(0);
  readonly #counters = new ReadCounters();

  constructor(parts: JobParts) {
    this.#parts = parts;
  }

  cursor(run: readonly TableMeta[]): Cursor {
    const index = this.#readers.push(undefined) - 1;
    return new LevelCursor(run, (meta) => {
      this.#readers[index]?.close();
      this.#readers[index] = undefined;
      const reader = this.#open(meta);
      this.#readers[index] = reader;
      return reader.cursor({ fillCache: false });
    });
  }

  *rangeTombstones(
    tables: readonly TableMeta[],
    snapshots: readonly number[],
  ): Work<RangeTombstones> {
    const all = new RangeTombstones();
    for (const meta of tables) {
      if (meta.rangeDeleteCount > 0) {
        this.#addRanges(meta, all, snapshots);
        yield pause;
      }
    }
    return all;
  }

  close(): void {
    for (const reader of this.#readers) {
      reader?.close();
    }
  }

  #addRanges(meta: TableMeta, all: RangeTombstones, snapshots: readonly number[]): void {
    const reader = this.#open(meta);
    try {
      for (const tombstone of reader.rangeTombstones()) {
        all.add(tombstone, snapshots);
      }
    } finally {
      reader.close();
    }
  }

  #open(meta: TableMeta): TableReader {
    const { fileSystem, directory, identity } = this.#parts;
    const path = tablePath(directory, meta.number);
    return TableReader.open(fileSystem, path, meta, identity, this.#noCache, this.#counters);
  }
}
