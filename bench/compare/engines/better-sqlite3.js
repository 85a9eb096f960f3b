import { join } from 'node:path';
import Database from 'better-sqlite3';
import { AppendGrouper } from '../append-grouper.js';
import { keyOf } from '../engine.js';

const durability =
  'WAL, synchronous=FULL (the WAL is synced at every commit), one transaction for all who wait, on the calling thread';
const cache = 'page cache 16 MB, checkpoint every 1,000 pages (defaults)';

/** @type {import('../engine.js').Engine[]} */
export const engines = [
  {
    name: 'better-sqlite3, rowid',
    settings: `${durability}; appends to a rowid table (integer primary key, value blob); ${cache}.`,
    threadCounts: [1],
    open: async (directory) =>
      new SqliteLog(directory, {
        create: 'create table if not exists event (number integer primary key, value blob)',
        insert: 'insert into event (value) values (?)',
        insertAll: insertValues,
      }),
  },
  {
    name: 'better-sqlite3, keyed',
    settings: `${durability}; table with a blob primary key, without rowid, keys ascending; ${cache}.`,
    threadCounts: [1],
    open: async (directory) =>
      new SqliteLog(directory, {
        create: 'create table if not exists event (key blob primary key, value blob) without rowid',
        insert: 'insert into event (key, value) values (?, ?)',
        insertAll: insertPairs,
      }),
  },
];

class SqliteLog {
  #database;
  #count = 0;
  #grouper;

  constructor(directory, { create, insert, insertAll }) {
    const database = new Database(join(directory, 'bench.db'));
    database.pragma('journal_mode = WAL');
    database.pragma('synchronous = FULL');
    database.exec(create);
    const statement = database.prepare(insert);
    const transaction = database.transaction((values) => insertAll(statement, values, this.#count));
    this.#database = database;
    this.#grouper = new AppendGrouper((values) => {
      transaction(values);
      this.#count += values.length;
    });
  }

  append(value) {
    return this.#grouper.append(value);
  }

  async stored() {
    const query = 'select count(*) as count, sum(length(value)) as bytes from event';
    return this.#database.prepare(query).get();
  }

  async close() {
    this.#database.close();
  }
}

function insertValues(statement, values) {
  for (const value of values) {
    statement.run(value);
  }
}

function insertPairs(statement, values, first) {
  for (const [index, value] of values.entries()) {
    statement.run(keyOf(first + index), value);
  }
}
