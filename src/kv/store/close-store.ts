/** How a key-value store ends: writes that were accepted are durable, the rest is left for the next open. */
import { Ending } from '../../base/ending.ts';
import { closedError } from './call-errors.ts';
import type { KvStoreParts } from './kv-store.ts';

/** Answers writes that came before, and lets nobody in any more. Rejects with what may have been lost, having tried everything. */
export async function closeStore(parts: Omit<KvStoreParts<never>, 'codec'>): Promise<void> {
  const { tree, log, writer, lock, logger } = parts;
  const ending = new Ending(logger);
  await writer.settled();
  writer.close(closedError('no'));
  await ending.attempt(() => log.drain());
  if (!tree.isReadOnly) {
    await log.flushRest(ending);
  }
  await ending.tryTo('end the work in the background', () => tree.close());
  await ending.attempt(() => log.close(), 'leave the log at rest');
  await ending.attempt(() => lock.release());
  ending.throwFirst('The store was closed, and not everything could be put in order');
}
