import type { WorkCounts } from './tree-reports.ts';
import type { VarveError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { Clock } from '../../io/clock.ts';
import type { Background } from '../compaction/background.ts';
import type { CompactionSettings } from '../compaction/compaction-settings.ts';
import type { CountedTableNumbers } from '../compaction/table-numbers.ts';
import type { TableSettings } from '../sstable/table-settings.ts';
import type { HiddenVersions } from './hidden-versions.ts';
import type { MemtableQueue } from './memtable-queue.ts';
import type { SnapshotList } from './snapshot-list.ts';
import type { TableSet } from './table-set.ts';

/** Who gives a tree its sequences, and brings back after a crash what no table holds. */
export interface TreeOwner {
  /** Resolves when the owner's log holds everything up to a sequence durably; to false if it never will. */
  whenLogged(sequence: number): Promise<boolean>;
  /**
   * What binds a position to the owner's very log, made from what `endBatch` was given with it: at most 32 bytes, which the manifest keeps;
   * undefined if that isn't known. The log holds it durably.
   */
  markAt?(place: unknown): Uint8Array | undefined;
  /** Tables hold everything up to a higher sequence than before: the log is not needed for it any more. */
  flushed(sequence: number): void;
  /** Writers may find room now, or hear why there is none. */
  progress(): void;
  /**
   * A merge has met damage: what it would have merged stays as it is, for good, and other work goes on. For an owner who can make the tree again.
   * May be told again and again.
   */
  damaged?(error: VarveError): void;
  /** The folder is lost, and nothing can be written to it any more. May be told again and again. */
  lost(error: VarveError): void;
}

export interface MaintenanceParts {
  readonly directory: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly background: Background;
  readonly tables: TableSet;
  readonly memtables: MemtableQueue;
  readonly snapshots: SnapshotList;
  readonly hidden: HiddenVersions;
  readonly numbers: CountedTableNumbers;
  readonly owner: TreeOwner;
}

export interface MaintenanceSettings {
  readonly tables: TableSettings;
  readonly compaction: CompactionSettings;
}

/** The end of a range of keys; undefined where it has none. */
export type RangeEnd = Uint8Array | undefined;

export function noWork(): WorkCounts {
  return { flushes: 0, compactions: 0, moves: 0, ingests: 0, bytesRead: 0, bytesWritten: 0 };
}
