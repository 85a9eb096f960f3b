import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { EntrySum, successorOf, untilStable } from '../kv-engine.js';

const MiB = 2 ** 20;
/** Entries asked for at once, and bytes that may come: its default of 16 KiB makes scans slower. */
const PORTION = 1_000;
const highWaterMarkBytes = 4 * MiB;

/** @type {import('../kv-engine.js').KvEngine} */
export const engine = {
  name: 'classic-level',
  settings: `chained batches and put (in the log file), on its own thread; getSync; iterators with nextv(${PORTION}) and highWaterMarkBytes 4 MiB; write buffer 4 MiB unless given, no compression (values are random), block cache as given; its own count of bytes is of tables, in whole MB.`,
  views: ['classic-level'],
  open: async (directory, { cacheSize, writeBufferSize = 4 * MiB }) => {
    const database = new ClassicLevel(join(directory, 'level'), {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
      compression: false,
      cacheSize,
      writeBufferSize,
    });
    await database.open();
    return new LevelKv(database);
  },
};

class LevelKv {
  #database;
  views;

  constructor(database) {
    this.#database = database;
    this.views = [
      { get: (key) => database.getSync(key), scan: this.#scan, scanFrom: this.#scanFrom },
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
    await addAll(sum, this.#database.iterator({ highWaterMarkBytes }), PORTION);
    return sum.result();
  };

  #scanFrom = async (starts, limit) => {
    const sum = new EntrySum();
    for (const gte of starts) {
      const iterator = this.#database.iterator({ gte, limit, highWaterMarkBytes });
      const entries = await iterator.nextv(limit);
      for (const [key, value] of entries) {
        sum.add(key, value);
      }
      await iterator.close();
    }
    return sum.result();
  };

  async listDirectories(delimiter) {
    const names = [];
    const keys = this.#database.keys();
    for (let key = await keys.next(); key !== undefined; key = await keys.next()) {
      const prefix = key.subarray(0, key.indexOf(delimiter) + 1);
      names.push(prefix.toString('latin1'));
      keys.seek(successorOf(prefix));
    }
    await keys.close();
    return names;
  }

  async settle() {
    return untilStable(() => this.#database.getProperty('leveldb.stats'));
  }

  /** Level, files, size, time, MB read, MB written. */
  bytesWritten() {
    const lines = this.#database.getProperty('leveldb.stats').trim().split('\n');
    const rows = lines.map((line) => line.trim().split(/\s+/).map(Number));
    return rows.reduce((sum, row) => sum + (row.length === 6 ? row[5] || 0 : 0), 0) * MiB;
  }

  async close() {
    await this.#database.close();
  }
}

async function addAll(sum, iterator, portion) {
  for (;;) {
    const entries = await iterator.nextv(portion);
    if (entries.length === 0) {
      break;
    }
    for (const [key, value] of entries) {
      sum.add(key, value);
    }
  }
  await iterator.close();
}
