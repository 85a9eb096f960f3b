import type { EventStore } from '../store/contract.ts';
import type { TestFunctions } from './file-system-conformance.ts';
import { storeClientConformance, type StoreUnderTest } from './store-client-conformance.ts';

/**
 * What every event store must do, wherever its events are: on a disk, in memory, on another machine. `make` is called once
 * per test.
 */
export function storeConformance(
  test: TestFunctions,
  make: () => Promise<StoreUnderTest<EventStore>>,
): void {
  storeClientConformance(test, make);
  const { describe, it, expect } = test;
  describe('the owner', () => {
    it('knows when nothing is in flight, and that all is well', async () => {
      const { store } = await make();
      const appending = store.append('a', [{ type: 'Happened' }, { type: 'Happened' }]);
      await store.flush();
      expect(store.stats().pending.commits).toBe(0);
      const report = await store.verify();
      expect([report.ok, report.events]).toEqual([true, 2]);
      await appending;
    });
  });
}
