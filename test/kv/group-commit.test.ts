/** How writes to a key-value store share the work of the disk, in counts. */
import { describe, expect, it } from 'vitest';
import { disk, openOn } from './simulated-store.ts';

describe('large batches', () => {
  it('that come while another is written are synced together', async () => {
    const fileSystem = disk();
    const kv = await openOn(fileSystem);
    const value = new Uint8Array(100_000);
    const frameSize = 100_072;
    await kv.put('makes room', value);
    await kv.put('makes room', value);
    // Until space has been prepared for what follows.
    for (let turn = 0; turn < 20; turn += 1) {
      await new Promise(setImmediate);
    }
    const before = fileSystem.counts.sync;
    const later: Promise<number>[] = [];
    const sizes: (number | undefined)[] = [];
    fileSystem.onBeforeOperation = ({ kind, path, size }) => {
      if (kind !== 'write' || !path.includes('/log/')) {
        return;
      }
      sizes.push(size);
      if (later.length === 0) {
        later.push(...Array.from({ length: 6 }, (_, index) => kv.put(`later ${index}`, value)));
      }
    };
    await kv.put('first', value);
    await Promise.all(later);
    expect(sizes).toEqual([frameSize, 6 * frameSize]);
    expect(fileSystem.counts.sync - before).toBe(2);
    await kv.close();
  });
});
