import { join } from 'node:path';
import { open } from 'lmdb';

/** @type {import('../engine.js').Engine[]} */
export const engines = [
  {
    name: 'lmdb',
    settings:
      'put, grouped by the engine per turn of the event loop and committed on its own thread, overlappingSync off: resolves after the commit is synced; uint32 keys; memory-mapped, no object cache, no compression.',
    threadCounts: [1],
    open: async (directory) => new LmdbLog(directory),
  },
];

class LmdbLog {
  #database;
  #count = 0;

  constructor(directory) {
    this.#database = open({
      path: join(directory, 'bench.mdb'),
      encoding: 'binary',
      keyEncoding: 'uint32',
      overlappingSync: false,
    });
  }

  append(value) {
    this.#count += 1;
    return this.#database.put(this.#count, value);
  }

  async stored() {
    let count = 0;
    let bytes = 0;
    for (const { value } of this.#database.getRange({ snapshot: false })) {
      count += 1;
      bytes += value.length;
    }
    return { count, bytes };
  }

  async close() {
    await this.#database.close();
  }
}
