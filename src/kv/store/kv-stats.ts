import type { Journal } from '../../journal/journal.ts';
import { stepsInThisThread } from '../compaction/step-count.ts';
import type { KvStats } from './contract.ts';
import type { KvWriter } from './kv-writer.ts';
import type { Maintenance } from '../tree/maintenance.ts';
import { LEVEL_COUNT } from '../manifest/levels.ts';
import type { MemtableQueue } from '../tree/memtable-queue.ts';
import type { SnapshotList } from '../tree/snapshot-list.ts';
import type { BlockCache } from '../sstable/block-cache.ts';
import type { ReadCounters } from '../sstable/read-counters.ts';
import type { TableSet } from '../tree/table-set.ts';

export interface StatsParts {
  readonly journal: Journal | undefined;
  readonly writer: KvWriter;
  readonly memtables: MemtableQueue;
  readonly maintenance: Maintenance;
  readonly snapshots: SnapshotList;
  readonly tables: TableSet;
  readonly cache: BlockCache;
  readonly counters: ReadCounters;
}

/** What a store has to tell of itself. Reading it changes nothing. */
export function kvStats(parts: StatsParts): KvStats {
  const { journal, writer, memtables, maintenance, snapshots, tables, cache, counters } = parts;
  const { levels, flushedSequence } = maintenance.state;
  const { flushes, compactions, moves, ingests, bytesRead, bytesWritten } = maintenance.counts;
  return {
    levels: Array.from({ length: LEVEL_COUNT }, (_, level) => ({
      tableCount: levels.countOf(level),
      size: levels.sizeOf(level),
    })),
    memtables: { count: memtables.frozenCount + 1, size: memtables.size },
    lastVersion: writer.lastSequence,
    flushedVersion: flushedSequence,
    pending: { bytes: journal?.pendingSize ?? 0, waiting: writer.waitingCount },
    pressure: { state: maintenance.pressure, debt: maintenance.debt },
    background: {
      flushes,
      compactions,
      moves,
      ingests,
      bytesRead,
      bytesWritten,
      ownerSteps: stepsInThisThread(),
      error: maintenance.error,
    },
    reads: readsOf(counters),
    cache: { size: cache.size, capacity: cache.capacity },
    written: { raw: writer.rawSize, log: writer.logSize },
    snapshots: snapshots.count,
    openTables: tables.openCount,
  };
}

function readsOf(counters: ReadCounters): KvStats['reads'] {
  const { tableGets, filterChecks, filterMisses, blockReads, blockHits, seeks } = counters;
  return { tableGets, filterChecks, filterMisses, blockReads, blockHits, seeks };
}
