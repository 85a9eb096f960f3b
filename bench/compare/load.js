/**
 * What the threads of a run share: one row of appends, of which whoever is free takes the next one. So all callers are
 * busy to the end, and an engine that serves one thread better than another isn't timed by its slowest.
 */

/** Words that all threads share. */
const Word = {
  /** How often the gate was opened: a thread begins when it is opened once more. */
  gate: 0,
  /** The append that the next caller takes. */
  next: 1,
};

/**
 * @typedef {object} Board
 * @property {Int32Array} words See `Word`.
 * @property {Float64Array} latencies In ms, by number of the append: each is written by the caller who took it.
 *
 * @typedef {object} Share What one thread has done.
 * @property {number} count Appends.
 * @property {bigint} end When the last one was acknowledged, by the clock that all threads share.
 */

/**
 * @param {number} countMax Appends in one load.
 * @returns {Board}
 */
export function makeBoard(countMax) {
  return {
    words: new Int32Array(new SharedArrayBuffer(Object.keys(Word).length * 4)),
    latencies: new Float64Array(new SharedArrayBuffer(countMax * 8)),
  };
}

/**
 * The common start. Call it when all other threads wait at the gate.
 *
 * @param {Board} board
 * @returns {bigint} When it was opened.
 */
export function openGate({ words }) {
  Atomics.store(words, Word.next, 0);
  const start = process.hrtime.bigint();
  Atomics.add(words, Word.gate, 1);
  Atomics.notify(words, Word.gate);
  return start;
}

/**
 * How often the gate was opened up to now. Ask before the first thread is told that this one waits.
 *
 * @param {Board} board
 */
export function gateNumber({ words }) {
  return Atomics.load(words, Word.gate);
}

/**
 * Blocks until the gate is opened once more.
 *
 * @param {Board} board
 * @param {number} number From `gateNumber`.
 */
export function waitAtGate({ words }, number) {
  Atomics.wait(words, Word.gate, number);
}

/**
 * Callers of one thread, each of which appends one value after the other until none is left.
 *
 * @param {import('./engine.js').OpenEngine} store
 * @param {readonly Buffer[]} values
 * @param {Board} board
 * @param {{ count: number, inFlight: number }} load `count` in all threads, `inFlight` in this one.
 * @returns {Promise<Share>}
 */
export async function applyLoad(store, values, { words, latencies }, { count, inFlight }) {
  let made = 0;
  async function caller() {
    for (;;) {
      const mine = Atomics.add(words, Word.next, 1);
      if (mine >= count) {
        return;
      }
      const start = performance.now();
      await store.append(values[mine % values.length]);
      latencies[mine] = performance.now() - start;
      made += 1;
    }
  }
  await Promise.all(Array.from({ length: inFlight }, () => caller()));
  return { count: made, end: process.hrtime.bigint() };
}

/**
 * Cuts values out of bytes.
 *
 * @param {Uint8Array} bytes
 * @param {number} size Of a value.
 */
export function valuesIn(bytes, size) {
  const count = bytes.length / size;
  return Array.from({ length: count }, (_, index) =>
    Buffer.from(bytes.buffer, bytes.byteOffset + index * size, size),
  );
}
