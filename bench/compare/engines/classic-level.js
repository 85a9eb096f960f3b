import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { LevelLog } from '../level-log.js';

/** @type {import('../engine.js').Engine[]} */
export const engines = [
  {
    name: 'classic-level',
    settings:
      'one chained batch for all who wait with sync: true (the log is synced at every batch), on its own thread, keys ascending; write buffer 4 MB, block cache 8 MB, Snappy (defaults).',
    threadCounts: [1],
    open: async (directory) => {
      const database = new ClassicLevel(join(directory, 'level'), {
        keyEncoding: 'buffer',
        valueEncoding: 'buffer',
      });
      await database.open();
      return new LevelLog(database);
    },
  },
];
