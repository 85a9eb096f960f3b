import { join } from 'node:path';
import Database from 'better-sqlite3';
import { AppendGrouper } from '../append-grouper.js';
import { chain } from './contract.js';

const schema = `
  create table if not exists event (
    position integer primary key,
    stream text not null,
    revision integer not null,
    id text not null unique,
    key text not null unique,
    type text not null,
    time integer not null,
    data text not null,
    hash blob not null,
    unique (stream, revision)
  )`;

/** @type {import('./contract.js').Subject} */
export const subject = {
  name: 'better-sqlite3 by hand',
  settings:
    'one table with unique (stream, revision), id and key; WAL, synchronous=FULL; one transaction for all who wait; page cache 64 MB.',
  async open(directory) {
    return new SqliteEvents(join(directory, 'events.db'));
  },
};

class SqliteEvents {
  #database;
  #statements;
  #grouper;

  constructor(path) {
    const database = new Database(path);
    database.pragma('journal_mode = WAL');
    database.pragma('synchronous = FULL');
    database.pragma('cache_size = -65536');
    database.exec(schema);
    const prepare = (text) => database.prepare(text);
    this.#statements = {
      byKey: prepare('select position from event where key = ?'),
      head: prepare(
        'select revision, hash from event where stream = ? order by revision desc limit 1',
      ),
      insert: prepare(
        'insert into event (stream, revision, id, key, type, time, data, hash) values (?, ?, ?, ?, ?, ?, ?, ?)',
      ),
      stream: prepare(
        'select position, revision, id, type, time, data from event where stream = ? order by revision',
      ),
      all: prepare(
        'select position, stream, revision, id, type, time, data from event order by position',
      ),
      get: prepare('select stream, revision, id, type, time, data from event where position = ?'),
      byId: prepare('select position, stream, revision, type, time, data from event where id = ?'),
    };
    const transaction = database.transaction((events) => {
      for (const event of events) {
        this.#insert(event);
      }
    });
    this.#database = database;
    this.#grouper = new AppendGrouper((events) => transaction.immediate(events));
  }

  append(event) {
    return this.#grouper.append(event);
  }

  async readStream(stream) {
    return countOf(this.#statements.stream.all(stream));
  }

  async readAll() {
    return countOf(this.#statements.all.iterate());
  }

  async get(position) {
    return JSON.parse(this.#statements.get.get(position + 1).data);
  }

  async getById(id) {
    return JSON.parse(this.#statements.byId.get(id).data);
  }

  async close() {
    this.#database.close();
  }

  #insert(event) {
    const { byKey, head, insert } = this.#statements;
    const { stream, expectedRevision, key, id, type, data } = event;
    if (byKey.get(key) !== undefined) {
      throw new Error(`The key ${key} was used.`);
    }
    const last = head.get(stream) ?? { revision: -1, hash: Buffer.alloc(32) };
    if (last.revision !== expectedRevision) {
      throw new Error(`The stream ${stream} is at ${last.revision}.`);
    }
    const revision = last.revision + 1;
    const text = JSON.stringify(data);
    const digest = Buffer.from(chain(last.hash.latin1Slice(), event, revision, text), 'latin1');
    insert.run(stream, revision, id, key, type, Date.now(), text, digest);
  }
}

function countOf(rows) {
  let count = 0;
  for (const { data } of rows) {
    count += JSON.parse(data).total === undefined ? 0 : 1;
  }
  return count;
}
