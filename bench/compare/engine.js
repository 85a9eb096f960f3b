/**
 * What an engine is to the driver. One file per product in `engines/`, each exporting `engines`: the product's variants.
 *
 * @typedef {object} Engine
 * @property {string} name
 * @property {string} settings What it promises when an append resolves, and what it keeps in memory: one sentence.
 * @property {string} [joining] How another thread joins, and what it is promised there: one sentence.
 * @property {(directory: string, plan: Plan) => Promise<OpenEngine>} open Makes the store if it isn't there.
 * @property {(directory: string, plan: Plan, invited: any) => Promise<OpenEngine>} [join] Called in another thread while
 *   the store is open in the first. An engine without it can be used from one thread only.
 *
 * @typedef {object} LoadableEngine An engine, and where another thread finds it.
 * @property {string} module Address of the module whose `engines` it is one of.
 *
 * @typedef {object} Plan
 * @property {number} count Appends that will be made in all, by whichever thread.
 * @property {number} valueSize
 * @property {number} threadCount
 * @property {number} thread Number of the thread: 0 opens, the others join.
 *
 * @typedef {object} OpenEngine
 * @property {(value: Buffer) => Promise<unknown>} append Resolves when the value is durable.
 * @property {() => Invitation} [invite] In the thread that opened it, once per thread that joins.
 * @property {() => Promise<Stored>} [stored] Reads back what all threads have appended; not in threads that joined.
 * @property {() => Promise<void>} close Threads that joined leave first.
 *
 * @typedef {object} Invitation
 * @property {unknown} data What `join` gets.
 * @property {readonly import('node:worker_threads').Transferable[]} [transfer]
 *
 * @typedef {object} Stored
 * @property {number} count
 * @property {number} bytes Of values.
 */

/** Bytes of a key: thread and number of the append, big-endian, so that the keys of each thread ascend. */
export const KEY_SIZE = 8;

/**
 * Keys for engines that need one.
 *
 * @param {number} thread
 * @param {number} number Of the append in its thread: 0, 1, 2, …
 */
export function keyOf(thread, number) {
  const key = Buffer.allocUnsafe(KEY_SIZE);
  key.writeUInt32BE(thread, 0);
  key.writeUInt32BE(number, 4);
  return key;
}
