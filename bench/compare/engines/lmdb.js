import { join } from 'node:path';
import { open } from 'lmdb';

/** Keys of a thread begin at this multiple of its number. */
const KEYS_PER_THREAD = 2 ** 28;

/** @type {import('../engine.js').Engine[]} */
export const engines = [
  {
    name: 'lmdb',
    settings:
      'put, grouped by the engine per turn of the event loop and committed on its own thread, overlappingSync off: resolves after the commit is synced; uint32 keys; memory-mapped, no object cache, no compression.',
    joining:
      'opens the same path with the same settings: one environment in the process, whose write lock the commits of each thread take in turn; the same promise.',
    open: async (directory, { thread }) => new LmdbLog(directory, thread),
    join: async (directory, { thread }) => new LmdbLog(directory, thread),
  },
];

class LmdbLog {
  #database;
  #lastKey;

  constructor(directory, thread) {
    this.#lastKey = thread * KEYS_PER_THREAD;
    this.#database = open({
      path: join(directory, 'bench.mdb'),
      encoding: 'binary',
      keyEncoding: 'uint32',
      overlappingSync: false,
    });
  }

  append(value) {
    this.#lastKey += 1;
    return this.#database.put(this.#lastKey, value);
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
