import { join } from 'node:path';
import rocksdb from '@nxtedition/rocksdb';
import { LevelLog } from '../level-log.js';

const encodings = { keyEncoding: 'buffer', valueEncoding: 'buffer' };

/** @type {import('../engine.js').Engine[]} */
export const engines = [
  {
    name: '@nxtedition/rocksdb',
    settings:
      'one chained batch for all who wait with sync: true (the WAL is synced at every batch), on the calling thread, keys ascending, walCompression off (faster here); memtables 256 MB, block cache 8 MB, Zstandard (defaults).',
    joining:
      "the handle of the first thread's database, an address that nothing guards (not in its documentation): batches of all threads meet in RocksDB, which syncs those that wait together; the same promise.",
    open: async (directory, { thread }) => {
      const database = new rocksdb.RocksLevel(join(directory, 'rocks'), {
        createIfMissing: true,
        ...encodings,
        walCompression: false,
      });
      await database.open();
      return new HandleLog(database, thread);
    },
    join: async (_directory, { thread }, handle) => {
      const database = new rocksdb.RocksLevel(handle, encodings);
      await database.open();
      return new JoinedLog(database, thread);
    },
  },
];

class HandleLog extends LevelLog {
  #database;

  constructor(database, thread) {
    super(database, thread);
    this.#database = database;
  }

  invite() {
    return { data: this.#database.handle };
  }
}

class JoinedLog extends LevelLog {
  async close() {
    // Closing here would close the database for all threads.
  }
}
