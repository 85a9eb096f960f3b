import type { Logger } from '../../base/logger.ts';
import type { Clock } from '../../io/clock.ts';
import type { Background } from '../compaction/background.ts';
import type { CompactionSettings } from '../compaction/compaction-settings.ts';
import type { TableSettings } from '../sstable/table-settings.ts';
import type { CountedTableNumbers } from '../compaction/table-numbers.ts';
import type { HiddenVersions } from './hidden-versions.ts';
import type { MemtableQueue } from './memtable-queue.ts';
import type { SnapshotList } from './snapshot-list.ts';
import type { TableMeta } from '../sstable/table-meta.ts';
import type { TableSet } from './table-set.ts';

export interface MaintenanceParts {
  readonly background: Background;
  readonly tables: TableSet;
  readonly memtables: MemtableQueue;
  readonly snapshots: SnapshotList;
  readonly hidden: HiddenVersions;
  readonly numbers: CountedTableNumbers;
  /**
   * Resolves when whatever brings the memtables back after a crash holds everything up to a sequence durably; to false if it never will.
   */
  readonly whenLogged: (sequence: number) => Promise<boolean>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Tables hold everything up to a higher sequence than before. */
  readonly flushed: (sequence: number) => void;
  /** Removes tables that are in no manifest. */
  readonly discard: (tables: readonly TableMeta[]) => void;
  /** Writers may find room now, or hear why there is none. */
  readonly progress: () => void;
}

export interface MaintenanceSettings {
  readonly tables: TableSettings;
  readonly compaction: CompactionSettings;
}

/** The end of a range of keys; undefined where it has none. */
export type RangeEnd = Uint8Array | undefined;
