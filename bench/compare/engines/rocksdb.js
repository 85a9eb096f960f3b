import { join } from 'node:path';
import rocksdb from '@nxtedition/rocksdb';
import { AppendGrouper } from '../append-grouper.js';
import { keyOf } from '../engine.js';

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
      return new RocksLog(database);
    },
  },
];

class RocksLog {
  #database;
  #count = 0;
  #grouper;

  constructor(database) {
    this.#database = database;
    this.#grouper = new AppendGrouper((values) => {
      const batch = database.batch();
      for (const [index, value] of values.entries()) {
        batch.put(keyOf(this.#count + index), value);
      }
      this.#count += values.length;
      return batch.write({ sync: true });
    });
  }

  append(value) {
    return this.#grouper.append(value);
  }

  async stored() {
    let count = 0;
    let bytes = 0;
    for await (const value of this.#database.values()) {
      count += 1;
      bytes += value.length;
    }
    return { count, bytes };
  }

  async close() {
    await this.#database.close();
  }
}
