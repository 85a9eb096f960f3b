import { join } from 'node:path';
import rocksdb from '@nxtedition/rocksdb';
import { LevelLog } from '../level-log.js';

/** @type {import('../engine.js').Engine[]} */
export const engines = [
  {
    name: '@nxtedition/rocksdb',
    settings:
      'one chained batch for all who wait with sync: true (the WAL is synced at every batch), on the calling thread, keys ascending, walCompression off (faster here); memtables 256 MB, block cache 8 MB, Zstandard (defaults).',
    threadCounts: [1],
    open: async (directory) => {
      const database = new rocksdb.RocksLevel(join(directory, 'rocks'), {
        createIfMissing: true,
        keyEncoding: 'buffer',
        valueEncoding: 'buffer',
        walCompression: false,
      });
      await database.open();
      return new LevelLog(database);
    },
  },
];
