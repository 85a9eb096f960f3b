import { CorruptionError } from '../base/errors.ts';
import type { Clock } from '../io/clock.ts';
import type { KvVerifyReport } from './contract.ts';
import type { TableSet } from './table-set.ts';

type Problem = KvVerifyReport['problems'][number];

/** Reads every table to its end and reports what is wrong, all of it. Tables that are replaced meanwhile are read all the same. */
export async function verifyTables(tables: TableSet, clock: Clock): Promise<KvVerifyReport> {
  const view = tables.pin(tables.current);
  const problems: Problem[] = [];
  let count = 0;
  let entries = 0;
  let size = 0;
  try {
    for (const handle of view.handles.flat()) {
      const problem = problemOf(() => tables.reader(handle).verify());
      if (problem !== undefined) {
        problems.push(problem);
      }
      count += 1;
      entries += handle.meta.count;
      size += handle.meta.size;
      await clock.pause();
    }
  } finally {
    tables.unpin(view);
  }
  return { ok: problems.length === 0, tables: count, entries, size, problems };
}

function problemOf(verify: () => void): Problem | undefined {
  try {
    verify();
    return undefined;
  } catch (error) {
    if (!(error instanceof CorruptionError)) {
      throw error;
    }
    const { file, offset, reason } = error;
    return offset === undefined ? { file, reason } : { file, offset, reason };
  }
}
