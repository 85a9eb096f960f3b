import { open } from '../../../dist/index.js';

/** @type {import('../engine.js').Engine[]} */
export const engines = [
  {
    name: 'varve',
    settings:
      'ack durable (fdatasync), each append with an idempotency key and the expected revision of its stream, SHA-256 leaves; all indexes in memory.',
    threadCounts: [1],
    open: async (directory) => new KeyedVarve(await open(directory)),
  },
  {
    name: 'varve, no keys',
    settings: 'The same without idempotency keys and expected revisions, one stream.',
    threadCounts: [1],
    open: async (directory) => new PlainVarve(await open(directory)),
  },
];

class PlainVarve {
  #store;

  constructor(store) {
    this.#store = store;
  }

  append(value) {
    return this.#store.append('bench', [{ type: 'Happened', data: value }]);
  }

  stored() {
    return readAll(this.#store);
  }

  async close() {
    await this.#store.close();
  }
}

/** Each append in flight is the next event of a stream of its own, as with callers who each have one. */
class KeyedVarve {
  #store;
  #free = [];
  #streamCount = 0;
  #keyCount = 0;

  constructor(store) {
    this.#store = store;
  }

  append(value) {
    return this.#appendTo(this.#free.pop() ?? this.#newStream(), value);
  }

  stored() {
    return readAll(this.#store);
  }

  async close() {
    await this.#store.close();
  }

  async #appendTo(stream, value) {
    const { name, revision } = stream;
    const event = { type: 'Happened', data: value };
    this.#keyCount += 1;
    const result = await this.#store.append(name, [event], {
      idempotencyKey: `key-${this.#keyCount}`,
      expectedRevision: revision,
    });
    stream.revision = result.revision;
    this.#free.push(stream);
  }

  #newStream() {
    this.#streamCount += 1;
    return { name: `bench/streams/${this.#streamCount}`, revision: 'none' };
  }
}

async function readAll(store) {
  let count = 0;
  let bytes = 0;
  for await (const event of store.read()) {
    count += 1;
    bytes += event.data.length;
  }
  return { count, bytes };
}
