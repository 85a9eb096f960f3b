import { join } from 'node:path';
import { open } from 'lmdb';
import { EntrySum, successorOf } from '../kv-engine.js';

/** @type {import('../kv-engine.js').KvEngine} */
export const engine = {
  name: 'lmdb',
  settings:
    'put, grouped per turn of the event loop or by batch, committed on its own thread, noSync (faster; a power cut may break it); getBinary, getRange and getKeys; lmdb fast: getBinaryFast, one buffer used again and again; memory-mapped: no cache of its own, pages of the system instead.',
  views: ['lmdb', 'lmdb fast'],
  open: async (directory) => new LmdbKv(directory),
};

class LmdbKv {
  #database;
  views;

  constructor(directory) {
    const database = open({
      path: join(directory, 'bench.mdb'),
      encoding: 'binary',
      keyEncoding: 'binary',
      noSync: true,
    });
    this.#database = database;
    this.views = [
      { get: (key) => database.getBinary(key), scan: this.#scan, scanFrom: this.#scanFrom },
      { get: (key) => database.getBinaryFast(key) },
    ];
  }

  writeBatch(keys, values) {
    return this.#database.batch(() => {
      for (const [index, key] of keys.entries()) {
        // Answered together with the batch.
        void this.#database.put(key, values[index]);
      }
    });
  }

  put(key, value) {
    return this.#database.put(key, value);
  }

  #scan = async () => {
    const sum = new EntrySum();
    for (const { key, value } of this.#database.getRange()) {
      sum.add(key, value);
    }
    return sum.result();
  };

  #scanFrom = async (starts, limit) => {
    const sum = new EntrySum();
    for (const start of starts) {
      for (const { key, value } of this.#database.getRange({ start, limit })) {
        sum.add(key, value);
      }
    }
    return sum.result();
  };

  async listDirectories(delimiter) {
    const names = [];
    let start = Buffer.alloc(1);
    for (;;) {
      const [key] = this.#database.getKeys({ start, limit: 1 });
      if (key === undefined) {
        return names;
      }
      const prefix = key.subarray(0, key.indexOf(delimiter) + 1);
      names.push(prefix.toString('latin1'));
      start = successorOf(prefix);
    }
  }

  async settle() {
    await this.#database.flushed;
    return performance.now();
  }

  bytesWritten() {
    return undefined;
  }

  async close() {
    await this.#database.close();
  }
}
