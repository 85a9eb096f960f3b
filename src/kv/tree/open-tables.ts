import { checkAborted } from '../../base/aborted.ts';
import type { Clock } from '../../io/clock.ts';
import type { TableSet } from './table-set.ts';

export interface OpenTablesOptions {
  /** Looked at between tables. */
  readonly signal?: AbortSignal | undefined;
  /** Called after each table, with tables opened and tables in all. */
  readonly onProgress?: (progress: {
    readonly tables: number;
    readonly tablesTotal: number;
  }) => void;
}

/** Opens all tables, one after the other: footers, filters and indexes are read and checked before anybody asks. */
export async function openTables(
  tables: TableSet,
  clock: Clock,
  { signal, onProgress }: OpenTablesOptions,
): Promise<void> {
  const view = tables.pin(tables.current);
  const handles = view.handles.flat();
  try {
    checkAborted(signal);
    for (const [index, handle] of handles.entries()) {
      await tables.openAhead(handle);
      onProgress?.({ tables: index + 1, tablesTotal: handles.length });
      await clock.pause();
      tables.checkOpen();
      checkAborted(signal);
    }
  } finally {
    tables.unpin(view);
  }
}
