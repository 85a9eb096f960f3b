import { join } from 'node:path';
import { open } from 'lmdb';
import { AppendGrouper } from '../append-grouper.js';
import { chain } from './contract.js';

/** @type {import('./contract.js').Subject} */
export const subject = {
  name: 'lmdb by hand',
  settings:
    'databases for events (msgpack, data as JSON text), stream and revision, heads, keys and ids; one transaction for all who wait, overlappingSync off: resolves after the sync.',
  async open(directory) {
    return new LmdbEvents(join(directory, 'events.mdb'));
  },
};

class LmdbEvents {
  #root;
  #events;
  #revisions;
  #heads;
  #keys;
  #ids;
  #count;
  #grouper;

  constructor(path) {
    const root = open({ path, maxDbs: 8, overlappingSync: false });
    this.#root = root;
    this.#events = root.openDB({ name: 'events', keyEncoding: 'uint32' });
    this.#revisions = root.openDB({ name: 'revisions' });
    this.#heads = root.openDB({ name: 'heads' });
    this.#keys = root.openDB({ name: 'keys' });
    this.#ids = root.openDB({ name: 'ids' });
    this.#count = this.#events.getCount();
    this.#grouper = new AppendGrouper((events) =>
      root.transaction(() => {
        for (const event of events) {
          this.#insert(event);
        }
      }),
    );
  }

  append(event) {
    return this.#grouper.append(event);
  }

  async readStream(stream) {
    let count = 0;
    for (const { value: position } of this.#revisions.getRange({
      start: [stream, 0],
      end: [stream, Number.MAX_SAFE_INTEGER],
    })) {
      count += this.#dataAt(position).total === undefined ? 0 : 1;
    }
    return count;
  }

  async readAll() {
    let count = 0;
    for (const { value } of this.#events.getRange({ snapshot: false })) {
      count += JSON.parse(value.data).total === undefined ? 0 : 1;
    }
    return count;
  }

  async get(position) {
    return this.#dataAt(position);
  }

  async getById(id) {
    return this.#dataAt(this.#ids.get(id));
  }

  async close() {
    await this.#root.close();
  }

  #dataAt(position) {
    return JSON.parse(this.#events.get(position).data);
  }

  #insert(event) {
    const { stream, expectedRevision, key, id, type, data } = event;
    if (this.#keys.get(key) !== undefined || this.#ids.get(id) !== undefined) {
      throw new Error(`The key ${key} or the id ${id} was used.`);
    }
    const last = this.#heads.get(stream) ?? { revision: -1, hash: '' };
    if (last.revision !== expectedRevision) {
      throw new Error(`The stream ${stream} is at ${last.revision}.`);
    }
    const revision = last.revision + 1;
    const position = this.#count;
    this.#count += 1;
    const text = JSON.stringify(data);
    const digest = chain(last.hash, event, revision, text);
    const time = Date.now();
    void this.#events.put(position, {
      stream,
      revision,
      id,
      key,
      type,
      time,
      data: text,
      hash: digest,
    });
    void this.#revisions.put([stream, revision], position);
    void this.#heads.put(stream, { revision, hash: digest });
    void this.#keys.put(key, position);
    void this.#ids.put(id, position);
  }
}
