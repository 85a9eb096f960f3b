import type { VerifyOptions, VerifyReport } from './tree-reports.ts';
import { checkAborted } from '../../base/aborted.ts';
import { CorruptionError } from '../../base/errors.ts';
import type { Clock } from '../../io/clock.ts';
import type { TableSet } from './table-set.ts';

type Problem = VerifyReport['problems'][number];

/** Reads every table to its end and reports what is wrong, all of it. Tables that are replaced meanwhile are read all the same. */
export async function verifyTables(
  tables: TableSet,
  clock: Clock,
  { onProgress, signal }: VerifyOptions,
): Promise<VerifyReport> {
  const view = tables.pin(tables.current);
  const handles = view.handles.flat();
  const bytesTotal = handles.reduce((sum, { meta }) => sum + meta.size, 0);
  const problems: Problem[] = [];
  let entries = 0;
  let size = 0;
  try {
    checkAborted(signal);
    for (const handle of handles) {
      const problem = problemOf(() => tables.reader(handle).verify());
      if (problem !== undefined) {
        problems.push(problem);
      }
      entries += handle.meta.count;
      size += handle.meta.size;
      onProgress?.({ bytes: size, bytesTotal });
      await clock.pause();
      tables.checkOpen();
      checkAborted(signal);
    }
  } finally {
    tables.unpin(view);
  }
  return { ok: problems.length === 0, tables: handles.length, entries, size, problems };
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
