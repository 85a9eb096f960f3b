export interface LevelStats {
  readonly tableCount: number;
  readonly size: number;
}

/** What a tree has to tell of itself. */
export interface TreeStats {
  readonly levels: readonly LevelStats[];
  /** Entries in memory, and the bytes they take. */
  readonly memtables: { readonly count: number; readonly size: number };
  readonly flushedVersion: number;
  /** Whether writes are held up, and by what. */
  readonly pressure: { readonly state: 'none' | 'slow' | 'stop'; readonly debt: number };
  readonly background: {
    readonly flushes: number;
    readonly compactions: number;
    readonly moves: number;
    readonly ingests: number;
    readonly bytesRead: number;
    readonly bytesWritten: number;
    /** Steps of flushes, compactions and manifests that ran in this thread, for whichever store. */
    readonly ownerSteps: number;
    /** The last failure of work in the background, until that work has succeeded. */
    readonly error: Error | undefined;
  };
  readonly reads: {
    readonly blockReads: number;
    readonly blockHits: number;
    readonly filterChecks: number;
    readonly filterMisses: number;
    readonly tableGets: number;
    readonly seeks: number;
  };
  readonly cache: { readonly size: number; readonly capacity: number };
  readonly snapshots: number;
  readonly openTables: number;
}
