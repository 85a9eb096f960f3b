/** Reports of a tree about itself. Public, so nothing of its insides is named here. */
import type { ReadCounters } from '../sstable/read-counters.ts';

/** Work done in the background since the tree was opened. */
export interface WorkCounts {
  flushes: number;
  compactions: number;
  moves: number;
  ingests: number;
  bytesRead: number;
  bytesWritten: number;
}

export interface LevelStats {
  readonly tableCount: number;
  readonly size: number;
}

/** The state of a tree, in numbers. */
export interface TreeStats {
  readonly levels: readonly LevelStats[];
  /** Entries in memory, and the bytes they take. */
  readonly memtables: { readonly count: number; readonly size: number };
  readonly flushedVersion: number;
  /** Whether writes are held up, and by what. */
  readonly pressure: { readonly state: 'none' | 'slow' | 'stop'; readonly debt: number };
  readonly background: Readonly<WorkCounts> & {
    /** The last failure of work in the background, until that work has succeeded. */
    readonly error: Error | undefined;
  };
  readonly reads: Readonly<ReadCounters>;
  readonly cache: { readonly size: number; readonly capacity: number };
  readonly snapshots: number;
  readonly openTables: number;
}

export interface VerifyOptions {
  /** Called after each table, with bytes checked and bytes in all. */
  readonly onProgress?: (progress: { readonly bytes: number; readonly bytesTotal: number }) => void;
  /** Looked at between tables. */
  readonly signal?: AbortSignal;
}

export interface VerifyReport {
  readonly ok: boolean;
  readonly tables: number;
  readonly entries: number;
  readonly size: number;
  readonly problems: readonly {
    readonly file: string;
    readonly offset?: number;
    readonly reason: string;
  }[];
}
