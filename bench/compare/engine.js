/**
 * What an engine is to the driver. One file per product in `engines/`, each exporting `engines`: the product's variants.
 *
 * @typedef {object} Engine
 * @property {string} name
 * @property {string} settings What it promises when an append resolves, and what it keeps in memory: one sentence.
 * @property {readonly number[]} threadCounts From how many threads one store can be used.
 * @property {(directory: string, plan: Plan) => Promise<OpenEngine>} open Makes the store if it isn't there.
 *
 * @typedef {object} Plan
 * @property {number} count Appends that will be made in all.
 * @property {number} valueSize
 *
 * @typedef {object} OpenEngine
 * @property {(value: Buffer) => Promise<unknown>} append Resolves when the value is durable.
 * @property {() => Promise<Stored>} stored Reads everything back.
 * @property {() => Promise<void>} close
 *
 * @typedef {object} Stored
 * @property {number} count
 * @property {number} bytes Of values.
 */

/** Bytes of a key: the number of the append, big-endian, so that keys ascend. */
export const KEY_SIZE = 8;

/**
 * Keys 0, 1, 2, … for engines that need one.
 *
 * @param {number} number
 */
export function keyOf(number) {
  const key = Buffer.allocUnsafe(KEY_SIZE);
  key.writeUInt32BE(0, 0);
  key.writeUInt32BE(number, 4);
  return key;
}
