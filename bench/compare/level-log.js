import { AppendGrouper } from './append-grouper.js';
import { keyOf } from './engine.js';

/** A log in any database with the interface of abstract-level: one chained batch, synced, for all who wait. */
export class LevelLog {
  #database;
  #thread;
  #count = 0;
  #grouper;

  /** @param {number} thread Number of the thread, for its keys. */
  constructor(database, thread) {
    this.#database = database;
    this.#thread = thread;
    this.#grouper = new AppendGrouper((values) => {
      // A chained batch copies each entry at once: three times as fast as an array of operations.
      const batch = database.batch();
      for (const [index, value] of values.entries()) {
        batch.put(keyOf(this.#thread, this.#count + index), value);
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
