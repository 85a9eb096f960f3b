/**
 * What the background is asked to do, as plain data: jobs travel to a thread. The owner decides what is done and installs
 * what comes of it; the background reads, merges and writes, and never touches the manifest but to replace it as a whole.
 */
import type { RangeTombstone } from '../entries/range-tombstones.ts';
import type { TableImage } from '../sstable/table-file.ts';
import type { TableMeta } from '../sstable/table-meta.ts';
import type { TableSettings } from '../sstable/table-settings.ts';
import type { MemtableImage } from '../memtable/memtable.ts';

interface TableJob {
  readonly settings: TableSettings;
  /** Sequences of live snapshots, ascending; what they see is kept. */
  readonly snapshots: readonly number[];
}

/** Makes one or more tables of level 0 from a frozen memtable. */
export interface FlushJob extends TableJob {
  readonly kind: 'flush';
  readonly memtable: MemtableImage;
  readonly rangeTombstones: readonly RangeTombstone[];
}

/** Merges tables into tables of `outputLevel`. */
export interface CompactJob extends TableJob {
  readonly kind: 'compact';
  /** Newest source first: each table of level 0 alone, each further level as a run of tables in key order. */
  readonly inputs: readonly (readonly TableMeta[])[];
  readonly outputLevel: number;
  /** Tables below the output level that overlap: a deletion is kept where one of them may hold the key. */
  readonly deeper: readonly TableMeta[];
  /** Tables one level below the output, in key order: an output ends early rather than overlap too many of them. */
  readonly grandparents: readonly TableMeta[];
}

/** Makes tables from entries that arrive in key order, packed by `packIngestEntries`, through `IngestFeed`. */
export interface IngestJob {
  readonly kind: 'ingest';
  readonly settings: TableSettings;
}

/** Makes tables of what the background's `TableSource` finds for a request. Its entries count as ingested ones. */
export interface BuildJob {
  readonly kind: 'build';
  readonly settings: TableSettings;
  /** Plain data. */
  readonly request: unknown;
}

/** Replaces the manifest durably. Rejects with `applied: 'no'` if it surely is the one before; otherwise it may be either. */
export interface ManifestJob {
  readonly kind: 'manifest';
  readonly content: Uint8Array;
}

/** Removes files that nothing needs any more, in this order. Not synced: who finds one again removes it again. */
export interface RemoveJob {
  readonly kind: 'remove';
  readonly paths: readonly string[];
}

/** A job that needs nothing but what it says. */
export type SimpleJob = FlushJob | CompactJob | BuildJob | ManifestJob | RemoveJob;

export type Job = SimpleJob | IngestJob;

/** What a finished job made. Its tables and their names are durable. */
export interface JobResult {
  readonly tables: readonly TableMeta[];
  /** Of those of them that were made: their readers need not read filter and index again. */
  readonly images: readonly TableImage[];
  readonly bytesRead: number;
  readonly bytesWritten: number;
}

export const NOTHING_MADE: JobResult = { tables: [], images: [], bytesRead: 0, bytesWritten: 0 };

/** Of two jobs, one after the other. */
export function combined(one: JobResult, other: JobResult): JobResult {
  return {
    tables: [...one.tables, ...other.tables],
    images: [...one.images, ...other.images],
    bytesRead: one.bytesRead + other.bytesRead,
    bytesWritten: one.bytesWritten + other.bytesWritten,
  };
}
