import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { LevelLog } from '../level-log.js';

/** @type {import('../engine.js').Engine[]} */
export const engines = [
  {
    name: 'classic-level',
    settings:
      'one chained batch for all who wait with sync: true (the log is synced at every batch), on its own thread, keys ascending; write buffer 4 MB, block cache 8 MB, Snappy (defaults).',
    joining:
      'multithreading: true in each thread, whose objects then share one LevelDB: batches of all threads queue there, where LevelDB merges small ones; the same promise.',
    open: openLog,
    join: openLog,
  },
];

async function openLog(directory, { thread, threadCount }) {
  const database = new ClassicLevel(join(directory, 'level'), {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
    multithreading: threadCount > 1,
  });
  await database.open();
  return new LevelLog(database, thread);
}
