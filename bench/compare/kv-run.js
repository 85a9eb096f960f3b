/**
 * One step of the comparison, in a process of its own: takes a task as JSON, prints what it has measured as JSON.
 *
 * @typedef {object} KvTask
 * @property {'fill' | 'hot' | 'cold' | 'open' | 'crash'} step
 * @property {string} engine File in kv-engines.
 * @property {string} directory
 * @property {number} valueSize
 * @property {number} count Keys that are stored: those of the numbers below it.
 * @property {number} putCount Single puts, of keys that are stored.
 * @property {number} getCount
 * @property {number} extraCount Keys behind `count`, written by `crash`; `open` expects them if more than 0.
 * @property {number} cacheSize
 * @property {number} [writeBufferSize]
 */
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { refuse } from '../usage.js';
import {
  DELIMITER,
  DIRECTORY_COUNT,
  KEY_SIZE,
  keysFrom,
  keysOf,
  randomFrom,
  uniformNumbers,
  Values,
  zipfNumbers,
} from './kv-data.js';
import { amplification, bytesWritten, peakMemory, syncFiles } from './process-counters.js';

const BATCH_COUNT = 1_000;
const BATCHES_IN_FLIGHT = 16;
const PUTS_IN_FLIGHT = 1_024;
const SCAN_LIMIT = 100;
const TURNS = 3;
/** Keys made at once, outside of what is timed where that is possible. */
const PORTION = 100_000;

if (!(process.argv[2] ?? '').startsWith('{')) {
  refuse(join(import.meta.dirname, 'kv.js'), 'kv-run.js is started by it, with a task as JSON.');
}
/** @type {KvTask} */
const task = JSON.parse(process.argv[2]);
const steps = { fill, hot, cold, open, crash };
const values = new Values(task.valueSize);
const { engine } = await import(`./kv-engines/${task.engine}.js`);
await steps[task.step]();

function openStore() {
  const { cacheSize, writeBufferSize } = task;
  return engine.open(task.directory, { cacheSize, writeBufferSize });
}

/** Synchronous: the process may be killed right afterwards. */
function tell(result) {
  writeSync(1, `${JSON.stringify(result)}\n`);
}

async function fill() {
  const { directory, count, putCount, valueSize } = task;
  const bare = peakMemory();
  const before = bytesWritten(directory);
  const store = await openStore();
  const seconds = await timed(() => load(store, count));
  const putSeconds = await timed(() => overwrite(store, putCount));
  const accepted = performance.now();
  const settled = await store.settle();
  const ownCount = store.bytesWritten();
  const details = store.details?.();
  await store.close();
  syncFiles(directory);
  const after = bytesWritten(directory);
  const raw = (count + putCount) * (KEY_SIZE + valueSize);
  tell({
    load: count / seconds,
    puts: putCount === 0 ? undefined : putCount / putSeconds,
    settleMs: Math.max(0, settled - accepted),
    amplification: {
      ...amplification(before, after, raw),
      engine: ownCount === undefined ? undefined : ownCount / raw,
    },
    memory: { bare, peak: peakMemory() },
    details,
  });
}

/** Batches of random keys, several in flight. */
async function load(store, count) {
  let next = 0;
  async function caller() {
    while (next < count) {
      const first = next;
      next = Math.min(count, first + BATCH_COUNT);
      const keys = keysFrom(first, next - first);
      const ofKeys = keys.map((_, index) => values.of(first + index));
      await store.writeBatch(keys, ofKeys);
    }
  }
  await Promise.all(Array.from({ length: BATCHES_IN_FLIGHT }, () => caller()));
}

/** Single puts of random keys that are there, many in flight. The values are the same ones. */
async function overwrite(store, count) {
  for (let done = 0; done < count; done += PORTION) {
    const numbers = uniformNumbers(Math.min(PORTION, count - done), {
      below: task.count,
      seed: done,
    });
    await putAll(store, numbers);
  }
}

async function putAll(store, numbers) {
  const keys = keysOf(numbers);
  let next = 0;
  async function caller() {
    while (next < numbers.length) {
      const mine = next;
      next += 1;
      await store.put(keys[mine], values.of(numbers[mine]));
    }
  }
  await Promise.all(Array.from({ length: PUTS_IN_FLIGHT }, () => caller()));
}

/**
 * Everything has been read, and the cache holds it all. Reading makes some engines merge what it goes through: before anything is
 * timed all of it is scanned once, the engine is let finish, and all of it is got once.
 */
async function hot() {
  const { count, getCount } = task;
  const store = await openStore();
  await store.views[0].scan();
  await store.settle();
  for (let first = 0; first < count; first += PORTION) {
    const numbers = Uint32Array.from(
      { length: Math.min(PORTION, count - first) },
      (_, at) => first + at,
    );
    getAll(store.views[0], numbers);
  }
  const uniform = uniformNumbers(getCount, { below: count, seed: 1 });
  const zipf = zipfNumbers(getCount, { below: count, seed: 2 });
  // Enough for the fastest engine to take a third of a second.
  const starts = keysOf(uniformNumbers(Math.ceil(getCount / 25), { below: count, seed: 3 }));
  const results = await inTurn(store.views, async (view) => ({
    uniform: getAll(view, uniform),
    zipf: getAll(view, zipf),
    absent: getNone(view, getCount),
    ...(view.scan === undefined ? {} : await scanAll(view, starts)),
  }));
  const listings = await listAll(store, Math.ceil(getCount / 500));
  const { details } = store;
  tell({ views: results, listings, memory: peakMemory(), details: details?.call(store) });
  await store.close();
}

/**
 * Several turns, so that no view pays for the compiler's warming up, nor for coming first.
 *
 * @returns {Promise<object[]>} The median of each figure, by view.
 */
async function inTurn(views, measure) {
  const found = views.map(() => []);
  for (let turn = 0; turn < TURNS; turn += 1) {
    for (const [index, view] of views.entries()) {
      found[index].push(await measure(view));
    }
  }
  return found.map((turns) => {
    const names = Object.keys(turns[0]);
    return Object.fromEntries(names.map((name) => [name, middleOf(turns, name)]));
  });
}

/** Sums are the same in every turn. */
function middleOf(turns, name) {
  const sorted = turns.map((turn) => turn[name]);
  return name === 'sums' ? sorted[0] : sorted.toSorted((one, other) => one - other)[TURNS >> 1];
}

async function scanAll(view, starts) {
  const { count, valueSize } = task;
  globalThis.gc?.();
  let all;
  const seconds = await timed(async () => {
    all = await view.scan();
  });
  check(all.count === count, `The scan gave ${all.count} entries instead of ${count}.`);
  check(all.bytes === count * (KEY_SIZE + valueSize), `The scan gave ${all.bytes} bytes.`);
  let some;
  const scanSeconds = await timed(async () => {
    some = await view.scanFrom(starts, SCAN_LIMIT);
  });
  const sums = { all: all.sum, count: some.count, some: some.sum };
  return { scan: count / seconds, shortScans: starts.length / scanSeconds, sums };
}

async function listAll(store, times) {
  let found = 0;
  const seconds = await timed(async () => {
    for (let time = 0; time < times; time += 1) {
      const names = await store.listDirectories(DELIMITER);
      found += names.length;
    }
  });
  check(found === times * DIRECTORY_COUNT, `${times} listings gave ${found} directories.`);
  return times / seconds;
}

/** A small cache, nothing in it. */
async function cold() {
  const { count, getCount } = task;
  const store = await openStore();
  const uniform = uniformNumbers(getCount, { below: count, seed: 4 });
  const results = await inTurn(store.views, async (view) => ({
    uniform: getAll(view, uniform),
    absent: getNone(view, getCount),
  }));
  tell({ views: results, memory: peakMemory() });
  await store.close();
}

/** @returns {number} Gets per second; each has to find its value. */
function getAll(view, numbers) {
  const keys = keysOf(numbers);
  globalThis.gc?.();
  let missed = 0;
  const start = performance.now();
  for (let at = 0; at < keys.length; at += 1) {
    if (!values.matches(numbers[at], view.get(keys[at]))) {
      missed += 1;
    }
  }
  const seconds = (performance.now() - start) / 1e3;
  check(missed === 0, `${missed} of ${keys.length} gets didn't find their value.`);
  return keys.length / seconds;
}

function getNone(view, count) {
  const random = randomFrom(5);
  const first = task.count + task.extraCount + 1_000_000_000;
  const keys = keysOf(
    Uint32Array.from({ length: count }, () => first + Math.floor(random() * 1e9)),
  );
  globalThis.gc?.();
  let found = 0;
  const start = performance.now();
  for (const key of keys) {
    if (view.get(key) !== undefined) {
      found += 1;
    }
  }
  const seconds = (performance.now() - start) / 1e3;
  check(found === 0, `${found} keys were found that nobody has written.`);
  return count / seconds;
}

/** Until the first value has been read. */
async function open() {
  const { count, extraCount } = task;
  const [first] = keysFrom(0, 1);
  let store;
  const seconds = await timed(async () => {
    store = await openStore();
    check(values.matches(0, store.views[0].get(first)), 'The first value is missing.');
  });
  const memory = peakMemory();
  getAll(store.views[0], uniformNumbers(10_000, { below: count, seed: 6 }));
  if (extraCount > 0) {
    getAll(
      store.views[0],
      Uint32Array.from({ length: extraCount }, (_, at) => count + at),
    );
  }
  tell({ ms: seconds * 1e3, memory });
  await store.close();
}

/** Ends without warning when every put has been acknowledged. */
async function crash() {
  const { count, extraCount } = task;
  const store = await openStore();
  await putAll(
    store,
    Uint32Array.from({ length: extraCount }, (_, at) => count + at),
  );
  tell({ isReady: true });
  process.kill(process.pid, 'SIGKILL');
}

/** @returns {Promise<number>} Seconds. */
async function timed(work) {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1e3;
}

function check(condition, message) {
  if (!condition) {
    throw new Error(`${engine.name}: ${message}`);
  }
}
