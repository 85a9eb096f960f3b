/** What reading tables has cost: counts since they were made. Plain numbers, for they are raised on the hot path. */
export class ReadCounters {
  /** Point reads that reached a table. */
  tableGets = 0;
  /** Filters asked. */
  filterChecks = 0;
  /** Of them, those that answered "surely not here". */
  filterMisses = 0;
  /** Data blocks read from disk. */
  blockReads = 0;
  /** Data blocks found in the cache. */
  blockHits = 0;
  /** Cursors placed. */
  seeks = 0;
}
