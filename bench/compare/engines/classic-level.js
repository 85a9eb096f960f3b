import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { AppendGrouper } from '../append-grouper.js';
import { keyOf } from '../engine.js';

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

class LevelLog {
  #database;
  #count = 0;
  #grouper;

  constructor(database) {
    this.#database = database;
    this.#grouper = new AppendGrouper((values) => {
      // A chained batch copies each entry at once: three times as fast as an array of operations.
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
