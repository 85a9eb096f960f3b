/** How a key-value store ends: writes that were accepted are durable, the rest is left for the next open. */
import { Ending } from '../../base/ending.ts';
import { closedError } from './call-errors.ts';
import type { KvStoreParts } from './kv-store.ts';

/**
 * Memtables that hold less than this come back from the log at the next open rather than being flushed when the store is closed: reading so
 * much takes about as long as a flush, 5 to 10 ms.
 */
const REPLAYED_SIZE_MAX = 256 * 1024;
/** The same where nothing was flushed before: to start the thread that does it takes far longer. */
const REPLAYED_SIZE_MAX_AT_FIRST = 1024 * 1024;

type ClosedParts = Pick<
  KvStoreParts<never>,
  'isReadOnly' | 'journal' | 'lock' | 'logger' | 'maintenance' | 'memtables' | 'tables' | 'writer'
>;

/** Answers writes that came before, and lets nobody in any more. Rejects with what may have been lost, having tried everything. */
export async function closeEngine(parts: ClosedParts): Promise<void> {
  const { writer, journal, maintenance, tables, lock, logger } = parts;
  const ending = new Ending(logger);
  await writer.settled();
  writer.close(closedError('no'));
  await ending.attempt(async () => journal?.whenIdle());
  await flushRest(parts, ending);
  await ending.tryTo('end the work in the background', () => maintenance.close());
  tables.close();
  await ending.attempt(async () => journal?.close(), 'leave the log at rest');
  await ending.attempt(async () => lock.release());
  ending.throwFirst('The store was closed, and not everything could be put in order');
}

async function flushRest(
  { isReadOnly, journal, maintenance, memtables }: ClosedParts,
  ending: Ending,
): Promise<void> {
  if (isReadOnly) {
    return;
  }
  if (journal === undefined) {
    await ending.attempt(() => maintenance.flushRest());
    return;
  }
  const replayedMax =
    maintenance.counts.flushes > 0 ? REPLAYED_SIZE_MAX : REPLAYED_SIZE_MAX_AT_FIRST;
  if (journal.failure === undefined && memtables.size > replayedMax) {
    await ending.tryTo('flush what is in memory', () => maintenance.flushRest());
  }
}
