import { join } from 'node:path';
import Database from 'better-sqlite3';
import { AppendGrouper } from '../append-grouper.js';
import { keyOf } from '../engine.js';

/** Longer than any other thread could hold the lock. */
const BUSY_TIMEOUT_MS = 60_000;
const durability =
  'WAL, synchronous=FULL (the WAL is synced at every commit), one transaction for all who wait, on the calling thread';
const cache = 'page cache 16 MB, checkpoint every 1,000 pages (defaults)';
const joining = `a connection of its own to the same file, begin immediate, busy timeout ${BUSY_TIMEOUT_MS / 1e3} s: who finds the lock taken sleeps and tries again, which blocks that thread; the same promise.`;

/** @type {import('../engine.js').Engine[]} */
export const engines = [
  sqliteEngine(
    'better-sqlite3, rowid',
    'appends to a rowid table (integer primary key, value blob)',
    {
      create: 'create table if not exists event (number integer primary key, value blob)',
      insert: 'insert into event (value) values (?)',
      insertAll: insertValues,
    },
  ),
  sqliteEngine(
    'better-sqlite3, keyed',
    'table with a blob primary key, without rowid, keys ascending',
    {
      create: 'create table if not exists event (key blob primary key, value blob) without rowid',
      insert: 'insert into event (key, value) values (?, ?)',
      insertAll: insertPairs,
    },
  ),
];

function sqliteEngine(name, table, statements) {
  const openLog = async (directory, { thread }) => new SqliteLog(directory, thread, statements);
  const settings = `${durability}; ${table}; ${cache}.`;
  return { name, settings, joining, open: openLog, join: openLog };
}

class SqliteLog {
  #database;
  #count = 0;
  #grouper;

  constructor(directory, thread, { create, insert, insertAll }) {
    const database = new Database(join(directory, 'bench.db'), { timeout: BUSY_TIMEOUT_MS });
    database.pragma('journal_mode = WAL');
    database.pragma('synchronous = FULL');
    database.exec(create);
    const statement = database.prepare(insert);
    const transaction = database.transaction((values) =>
      insertAll(statement, values, { thread, first: this.#count }),
    );
    this.#database = database;
    this.#grouper = new AppendGrouper((values) => {
      // A transaction that began as a reader could find, at its first insert, that another thread was faster.
      transaction.immediate(values);
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

function insertPairs(statement, values, { thread, first }) {
  for (const [index, value] of values.entries()) {
    statement.run(keyOf(thread, first + index), value);
  }
}
