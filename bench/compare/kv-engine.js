/**
 * What an engine has to offer to be compared as an ordered key-value store. Keys and values are Buffers; values given are kept
 * by the caller. Writes are not synced: they resolve when they would survive the end of the process.
 *
 * @typedef {object} KvEngine
 * @property {string} name
 * @property {string} settings Printed beside the results: the interfaces used, caches, and what a resolved write has survived.
 * @property {string[]} views Names of the ways of reading, the first of which is the engine's own name.
 * @property {(directory: string, options: KvEngineOptions) => Promise<ComparedKv>} open
 *
 * @typedef {object} KvEngineOptions
 * @property {number} cacheSize Bytes of memory for blocks.
 * @property {number | undefined} writeBufferSize For engines whose default is much smaller than Varve's; undefined: its default.
 *
 * @typedef {object} ComparedKv
 * @property {(keys: Buffer[], values: Buffer[]) => Promise<unknown>} writeBatch All or nothing.
 * @property {(key: Buffer, value: Buffer) => Promise<unknown>} put
 * @property {KvView[]} views In the order of the engine's names.
 * @property {(delimiter: number) => Promise<string[]>} listDirectories First components of all keys, a seek for each.
 * @property {() => Promise<number>} settle Resolves when nothing is left to do in the background: to when that was,
 *   by `performance.now()`.
 * @property {() => string | number | undefined} bytesWritten As the engine counts them; undefined if it doesn't.
 * @property {() => object | undefined} [details] What else it has to tell.
 * @property {() => Promise<void>} close
 *
 * @typedef {object} KvView
 * @property {(key: Buffer) => Uint8Array | undefined} get
 * @property {() => Promise<Scanned>} scan Everything, keys and values.
 * @property {(starts: Buffer[], limit: number) => Promise<Scanned>} scanFrom One short scan after the other.
 *
 * @typedef {object} Scanned `sum` is that of the values' first bytes and keys' last: proof that both were there.
 * @property {number} count
 * @property {number} bytes
 * @property {number} sum
 */

/** Adds up entries. */
export class EntrySum {
  count = 0;
  bytes = 0;
  sum = 0;

  add(key, value) {
    this.count += 1;
    this.bytes += key.length + value.length;
    this.sum += value[0] + key[key.length - 1];
  }

  /** @returns {import('./kv-engine.js').Scanned} */
  result() {
    const { count, bytes, sum } = this;
    return { count, bytes, sum };
  }
}

/** The key that follows everything which begins with `prefix`, whose last byte is below 255. */
export function successorOf(prefix) {
  const successor = Buffer.from(prefix);
  successor[successor.length - 1] += 1;
  return successor;
}

/** For backgrounds that don't tell when they are done: looks until what is read has stayed the same for a second. */
export async function untilStable(read) {
  let text = read();
  let changed = performance.now();
  while (performance.now() - changed < 1_000) {
    await new Promise((resolve) => {
      setTimeout(resolve, 50);
    });
    const now = read();
    if (now !== text) {
      text = now;
      changed = performance.now();
    }
  }
  return changed;
}
