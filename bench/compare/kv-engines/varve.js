import { openKv } from '../../../dist/kv.js';
import { EntrySum } from '../kv-engine.js';

const written = { ack: 'written' };
const borrow = { borrow: true };

/** @type {import('../kv-engine.js').KvEngine} */
export const engine = {
  name: 'varve',
  settings:
    'batch and put with ack "written" (in the log file; synced right afterwards, not waited for); getSync and iterateSync, which copy, and the same with borrow: true; list; memtables 32 MiB, no compression (defaults).',
  views: ['varve', 'varve borrow'],
  open: async (directory, { cacheSize }) =>
    new VarveKv(await openKv(directory, { blockCacheBytes: cacheSize })),
};

class VarveKv {
  #kv;
  views;

  constructor(kv) {
    this.#kv = kv;
    this.views = [viewOf(kv, undefined), viewOf(kv, borrow)];
  }

  writeBatch(keys, values) {
    const operations = keys.map((key, index) => ({ type: 'put', key, value: values[index] }));
    return this.#kv.batch(operations, written);
  }

  put(key, value) {
    return this.#kv.put(key, value, written);
  }

  async listDirectories(delimiter) {
    const names = [];
    for (const entry of this.#kv.list('', { delimiter: String.fromCodePoint(delimiter) })) {
      names.push(Buffer.from(entry.prefix).toString('latin1'));
    }
    return names;
  }

  async settle() {
    await this.#kv.settled();
    return performance.now();
  }

  bytesWritten() {
    const { background, written: accepted } = this.#kv.stats();
    return background.bytesWritten + accepted.log;
  }

  details() {
    const { flushes, compactions, moves } = this.#kv.stats().background;
    return { flushes, compactions, moves };
  }

  async close() {
    await this.#kv.close();
  }
}

function viewOf(kv, options) {
  return {
    get: options === undefined ? (key) => kv.getSync(key) : (key) => kv.getSync(key, options),
    scan: async () => {
      const sum = new EntrySum();
      for (const [key, value] of kv.iterateSync(options)) {
        sum.add(key, value);
      }
      return sum.result();
    },
    scanFrom: async (starts, limit) => {
      const sum = new EntrySum();
      for (const gte of starts) {
        for (const [key, value] of kv.iterateSync({ ...options, gte, limit })) {
          sum.add(key, value);
        }
      }
      return sum.result();
    },
  };
}
