/** Files that no manifest names any more. */
import type { KvStore } from 'varve/kv';
import { describe, expect, it } from 'vitest';
import { disk, faulty, openOn, smallTables, tablesOn } from './simulated-store.ts';

async function churn(kv: KvStore): Promise<void> {
  for (let round = 0; round < 3; round += 1) {
    await Promise.all(Array.from({ length: 20 }, (_, index) => kv.put(`k${index}`, `${round}`)));
    await kv.flush();
  }
  await kv.compact();
}

describe('files that are not needed any more', () => {
  it('are gone when the store has settled', async () => {
    const fileSystem = disk();
    const kv = await openOn(fileSystem, { ...smallTables, levelZeroTables: 2 });
    for (let round = 0; round < 5; round += 1) {
      await churn(kv);
      await kv.settled();
      expect(tablesOn(fileSystem)).toHaveLength(kv.tables().length);
    }
    await kv.close();
  });

  it('and can not be removed are told of, fail nothing, and are removed by the next open', async () => {
    const { fileSystem, arm } = faulty(
      ({ kind, path }) => kind === 'remove' && path.endsWith('.tbl'),
    );
    const events: string[] = [];
    const logger = ({ event }: { event: string }): void => void events.push(event);
    const kv = await openOn(fileSystem, smallTables, { logger });
    arm(true);
    await churn(kv);
    await kv.settled();
    expect(events).toContain('derived-write-failed');
    expect(events).not.toContain('background-failed');
    expect(kv.stats().background.error).toBeUndefined();
    expect(tablesOn(fileSystem).length).toBeGreaterThan(kv.tables().length);
    await kv.close();
    arm(false);
    const again = await openOn(fileSystem, smallTables);
    expect(again.recovery.orphans.length).toBeGreaterThan(0);
    expect(tablesOn(fileSystem)).toHaveLength(again.tables().length);
    await again.close();
  });

  it('are removed one after the other, the manifest that names none of them first', async () => {
    const fileSystem = disk();
    const kv = await openOn(fileSystem, smallTables);
    const seen: string[] = [];
    fileSystem.onOperation = ({ kind, path }) => {
      if ((kind === 'rename' && path.includes('manifest')) || kind === 'remove') {
        seen.push(kind === 'rename' ? 'manifest' : path.slice(-3));
      }
    };
    await churn(kv);
    await kv.settled();
    const last = seen.lastIndexOf('manifest');
    expect(seen.slice(last + 1).filter((name) => name === 'tbl')).toHaveLength(3);
    await kv.close();
  });
});
