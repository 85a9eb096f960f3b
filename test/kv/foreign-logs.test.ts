/** Folders whose logs hold what is not ours, or are not there. */
import { describe, expect, it } from 'vitest';
import { codeOf, disk, openOn, smallTables, tablesOn } from './simulated-store.ts';

describe('a folder', () => {
  it('whose log holds what is not ours is refused, and nothing in it is removed', async () => {
    for (const name of ['app.log', '2024.csv', 'old/notes.txt', '0000.seg']) {
      const fileSystem = disk();
      // A beginning that was cut short, with somebody else's file in it.
      await (await openOn(fileSystem)).close();
      fileSystem.removeFile('/kv/manifest');
      fileSystem.writeFile(`/kv/log/${name}`, Buffer.from('precious'));
      const before = fileSystem.paths().filter((path) => path.startsWith('/kv/log/'));
      expect(await codeOf(openOn(fileSystem)), name).toBe('FOREIGN_FILE');
      expect(fileSystem.paths().filter((path) => path.startsWith('/kv/log/'))).toEqual(before);
      expect(Buffer.from(fileSystem.readFile(`/kv/log/${name}`)).toString()).toBe('precious');
    }
  });

  it('that only has such a log is refused, too', async () => {
    const fileSystem = disk();
    fileSystem.writeFile('/kv/log/app.log', Buffer.from('precious'));
    expect(await codeOf(openOn(fileSystem))).toBe('FOREIGN_FILE');
    expect(Buffer.from(fileSystem.readFile('/kv/log/app.log')).toString()).toBe('precious');
  });

  it('whose making was cut short is made again, and hidden files are left alone', async () => {
    const fileSystem = disk();
    await (await openOn(fileSystem)).close();
    fileSystem.removeFile('/kv/manifest');
    fileSystem.writeFile('/kv/log/.keep', Buffer.from('mine'));
    const kv = await openOn(fileSystem);
    expect(kv.recovery.isNew).toBe(true);
    await kv.put('a', '1');
    await kv.close();
    expect(Buffer.from(fileSystem.readFile('/kv/log/.keep')).toString()).toBe('mine');
  });

  it('of a damaged store with a log is not emptied by opening it without one', async () => {
    for (const damage of ['flip', 'truncate', 'no manifest', 'no table'] as const) {
      const fileSystem = disk();
      const kv = await openOn(fileSystem, smallTables);
      await kv.put('a', '1');
      await kv.flush();
      await kv.put('b', '2');
      await kv.close();
      const manifest = fileSystem.readFile('/kv/manifest');
      if (damage === 'flip') {
        fileSystem.flipBit('/kv/manifest', 40, 0);
      } else if (damage === 'truncate') {
        fileSystem.writeFile('/kv/manifest', manifest.subarray(0, 20));
      } else {
        fileSystem.removeFile(damage === 'no table' ? tablesOn(fileSystem)[0]! : '/kv/manifest');
      }
      const before = fileSystem.snapshotDigest();
      const code = await codeOf(openOn(fileSystem, { log: false }));
      expect(code, damage).toBe(damage === 'no table' ? 'INVALID_ARGUMENT' : 'CORRUPT');
      expect(fileSystem.snapshotDigest(), damage).toBe(before);
    }
  });
});
