/** What a store that is closed leaves to the next open. */
import { describe, expect, it } from 'vitest';
import { disk, openOn } from './open.ts';

describe('close', () => {
  it.each([
    [100, false, true],
    [100, true, true],
    [600, false, true],
    [600, true, false],
    [1_500, false, false],
  ])(
    'leaves %i KiB to be read from the log, having flushed before: %s, or not: %s',
    async (size, hasFlushed, isReplayed) => {
      const fileSystem = disk();
      const kv = await openOn(fileSystem);
      await kv.put('first', '1');
      if (hasFlushed) {
        await kv.flush();
      }
      await kv.put('rest', new Uint8Array(size * 1024));
      await kv.close();
      const again = await openOn(fileSystem);
      const expected = isReplayed ? (hasFlushed ? 1 : 2) : 0;
      expect(again.recovery).toMatchObject({ wasClosed: true, replayed: expected });
      expect(again.getSync('rest')).toHaveLength(size * 1024);
      await again.close();
    },
  );
});
