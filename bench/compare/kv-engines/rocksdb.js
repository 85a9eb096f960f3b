import { join } from 'node:path';
import rocksdb from '@nxtedition/rocksdb';
import { EntrySum, successorOf, untilStable } from '../kv-engine.js';

const PORTION = 1_000;
const GB = 2 ** 30;
const plain = {};

/** @type {import('../kv-engine.js').KvEngine} */
export const engine = {
  name: 'rocksdb',
  settings: `@nxtedition/rocksdb: chained batches and put (in the log file), on the calling thread, walCompression off; _getManySync of one key (its only synchronous get); nextv(${PORTION}) for full scans, querySync for short ones and listings; write buffer 64 MiB (default), no compression (values are random), block cache as given; its own count of bytes is in hundredths of a GB.`,
  views: ['rocksdb'],
  open: async (directory, { cacheSize }) => {
    const database = new rocksdb.RocksLevel(join(directory, 'rocks'), {
      createIfMissing: true,
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
      walCompression: false,
      compression: false,
      cacheSize,
    });
    await database.open();
    return new RocksKv(database);
  },
};

class RocksKv {
  #database;
  views;

  constructor(database) {
    this.#database = database;
    this.views = [
      {
        // oxlint-disable-next-line no-underscore-dangle -- its only synchronous get has no other name
        get: (key) => database._getManySync([key], plain)[0],
        scan: this.#scan,
        scanFrom: this.#scanFrom,
      },
    ];
  }

  writeBatch(keys, values) {
    const batch = this.#database.batch();
    for (const [index, key] of keys.entries()) {
      batch.put(key, values[index]);
    }
    return batch.write();
  }

  put(key, value) {
    return this.#database.put(key, value);
  }

  #scan = async () => {
    const sum = new EntrySum();
    const iterator = this.#database.iterator({ highWaterMarkBytes: 2 ** 22 });
    for (;;) {
      const entries = await iterator.nextv(PORTION);
      if (entries.length === 0) {
        break;
      }
      for (const [key, value] of entries) {
        sum.add(key, value);
      }
    }
    await iterator.close();
    return sum.result();
  };

  #scanFrom = async (starts, limit) => {
    const sum = new EntrySum();
    for (const gte of starts) {
      const { rows } = this.#query(gte, limit, true);
      for (let at = 0; at < rows.length; at += 2) {
        sum.add(rows[at], rows[at + 1]);
      }
    }
    return sum.result();
  };

  #query(gte, limit, values) {
    const encodings = { keyEncoding: 'buffer', valueEncoding: 'buffer' };
    return this.#database.querySync({ gte, limit, keys: true, values, ...encodings });
  }

  async listDirectories(delimiter) {
    const names = [];
    let start = Buffer.alloc(1);
    for (;;) {
      const [key] = this.#query(start, 1, false).rows;
      if (key === undefined) {
        return names;
      }
      const prefix = key.subarray(0, key.indexOf(delimiter) + 1);
      names.push(prefix.toString('latin1'));
      start = successorOf(prefix);
    }
  }

  async settle() {
    const names = ['num-running-flushes', 'num-running-compactions', 'compaction-pending'];
    const read = (name) => this.#database.getProperty(`rocksdb.${name}`);
    return untilStable(() =>
      names.every((name) => read(name) === '0') ? read('total-sst-files-size') : `${Math.random()}`,
    );
  }

  bytesWritten() {
    const stats = this.#database.getProperty('rocksdb.stats');
    const log = /Cumulative WAL:.*written: ([\d.]+) GB/.exec(stats);
    const tables = /Cumulative compaction: ([\d.]+) GB write/.exec(stats);
    return log === null || tables === null ? undefined : (Number(log[1]) + Number(tables[1])) * GB;
  }

  async close() {
    await this.#database.close();
  }
}
