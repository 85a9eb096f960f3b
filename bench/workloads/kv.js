/**
 * The key-value engine alone, each part in fresh processes:
 *
 *   amplification   random single puts of new keys, 16 B and 100 B, acknowledged durable: bytes written for each byte of
 *                   keys and values, log and its zero-filling included, until the background is done and the store closed.
 *   latency         getSync of random keys while a writer in the same thread puts as fast as it is let: five runs. Beside it
 *                   what a loop of about the same length takes that touches no store: how much of the tail is the machine's.
 *
 *   npm run build && node bench/workloads/kv.js [--part amplification,latency] [--large] [--mib 256] [--runs 5]
 *       [--keys 1000000] [--gets 1000000] [--in-flight 1024] [--directory /tmp]
 *
 * `--large` adds 2 GiB of puts.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describeEnvironment, loadText } from '../compare/environment.js';
import { KEY_SIZE, keysFrom, keysOf, uniformNumbers, Values } from '../compare/kv-data.js';
import { amplification, bytesWritten, syncFiles } from '../compare/process-counters.js';
import { directoryOption, importBuilt, readOptions } from '../usage.js';

const VALUE_SIZE = 100;
const ENTRY_SIZE = KEY_SIZE + VALUE_SIZE;
const MiB = 2 ** 20;
const PORTION = 100_000;
const GETS_PER_TURN = 200;
const KEYS_OF_GETS = 200_000;
/** About 2 µs. */
const SPIN_COUNT = 400;

const given = readOptions({
  file: import.meta.filename,
  about:
    'The key-value engine alone: write amplification, and latencies of gets while a writer puts.',
  options: {
    part: { value: 'names', default: 'amplification,latency', help: 'what to measure' },
    large: { help: 'also 2 GiB of puts' },
    mib: { value: 'n', default: '256', help: 'MiB of puts for the amplification' },
    runs: { value: 'n', default: '5', help: 'runs of the latencies' },
    keys: { value: 'n', default: '1000000', help: 'keys in the store for the latencies' },
    gets: { value: 'n', default: '1000000', help: 'gets of a run' },
    'in-flight': { value: 'n', default: '1024', help: 'puts at a time' },
    directory: directoryOption,
    step: { value: 'name' },
    store: { value: 'folder' },
  },
});
const { openKv } = await importBuilt(import.meta.filename, 'kv.js');
const inFlight = Number(given['in-flight']);
const keyCount = Number(given.keys);
const values = new Values(VALUE_SIZE);
/** Kept, so that the loop isn't left out. */
let spun = 0;
const stepsByName = { amplify, fill, measureGets };

/** Puts over keys that are there, the same values, as many in flight as it may. */
class Writer {
  count = 0;
  #kv;
  #keys;
  #numbers;
  #isStopped = false;

  constructor(kv, keys, numbers) {
    this.#kv = kv;
    this.#keys = keys;
    this.#numbers = numbers;
  }

  stop() {
    this.#isStopped = true;
  }

  async run() {
    await Promise.all(Array.from({ length: inFlight }, () => this.#caller()));
  }

  async #caller() {
    while (!this.#isStopped) {
      const at = (this.count * 7_919) % this.#keys.length;
      this.count += 1;
      await this.#kv.put(this.#keys[at], values.of(this.#numbers[at]));
    }
  }
}

await (given.step === undefined ? main() : stepsByName[given.step](given.store));

async function main() {
  const parts = given.part.split(',');
  console.log(describeEnvironment(given.directory).join('\n'));
  console.log(
    `keys of ${KEY_SIZE} B, values of ${VALUE_SIZE} B, ${inFlight} puts in flight, durable`,
  );
  if (parts.includes('amplification')) {
    for (const mib of given.large ? [given.mib, '2048'] : [given.mib]) {
      withStore((store) => describeAmplification(mib, runStep('amplify', store, ['--mib', mib])));
    }
  }
  if (parts.includes('latency')) {
    withStore(latencies);
  }
  console.log(`load average at end ${loadText()}`);
}

function withStore(work) {
  const directory = mkdtempSync(join(given.directory, 'varve-kv-'));
  try {
    work(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** The same options, in a process of its own. */
function runStep(step, store, more = []) {
  const args = [...process.argv.slice(2), '--step', step, '--store', store, ...more];
  const script = ['--expose-gc', import.meta.filename, ...args];
  return JSON.parse(execFileSync(process.execPath, script, { encoding: 'utf8' }));
}

async function amplify(directory) {
  const count = Math.floor((Number(given.mib) * MiB) / ENTRY_SIZE);
  const raw = count * ENTRY_SIZE;
  const before = bytesWritten(directory);
  const kv = await openKv(directory);
  const start = performance.now();
  for (let first = 0; first < count; first += PORTION) {
    await putAll(kv, first, Math.min(PORTION, count - first));
  }
  const seconds = (performance.now() - start) / 1e3;
  await kv.settled();
  const { background, written, levels } = kv.stats();
  await kv.close();
  syncFiles(directory);
  const factors = amplification(before, bytesWritten(directory), raw);
  const { flushes, compactions, moves } = background;
  const engine = { tables: background.bytesWritten / raw, log: written.log / raw };
  const tables = levels.map(({ tableCount }) => tableCount);
  const rate = count / seconds;
  const told = { factors, engine, raw, tables, rate, flushes, compactions, moves };
  console.log(JSON.stringify(told));
}

function describeAmplification(mib, told) {
  const { factors, engine, tables, rate, flushes, compactions, moves } = told;
  const [calls, pages, disk, inTables, inLog] = [
    factors.calls,
    factors.pages,
    factors.disk,
    engine.tables,
    engine.log,
  ].map((factor) => factor?.toFixed(2) ?? 'unknown');
  console.log(
    [
      '',
      `Write amplification of ${mib} MiB of random puts, ${Math.round(rate).toLocaleString('en')} puts/s`,
      `  bytes of write calls ÷ keys and values: ${calls} (below 15 is promised)`,
      `  pages made dirty: ${pages} (a write into a large folio counts all its pages: too much)`,
      `  written by the disk, others included: ${disk}`,
      `  as the engine counts: tables until the background was done ${inTables}, log ${inLog}; the rest is zero-filling of the log, tables made by closing, and manifests`,
      `  tables by level: ${tables.join(' ')}; ${flushes} flushes, ${compactions} compactions, ${moves} moves`,
      `  load average ${loadText()}`,
    ].join('\n'),
  );
}

function latencies(store) {
  runStep('fill', store);
  const names = ['p50', 'p99', 'p99.9', 'p99.99', 'max', 'spin p50', 'p99.99', 'max'];
  console.log(
    [
      '',
      `getSync in µs, ${Number(given.gets).toLocaleString('en')} of ${keyCount.toLocaleString('en')} keys at random, while puts go on in the same thread`,
      `${''.padEnd(5)}${names.map((name) => name.padStart(10)).join('')}  puts/s meanwhile, pressure, load average`,
    ].join('\n'),
  );
  const runs = [];
  for (let run = 1; run <= Number(given.runs); run += 1) {
    const told = runStep('measureGets', store);
    runs.push(told);
    const figures = [...told.latencies, ...told.spins.slice(0, 1), ...told.spins.slice(3)]
      .map((us) => us.toFixed(1).padStart(10))
      .join('');
    const rate = Math.round(told.putRate).toLocaleString('en');
    const [load] = loadText().split(' ');
    console.log(
      `${String(run).padEnd(5)}${figures}  ${rate}, ${told.pressures.join(' ')}, ${load}`,
    );
  }
  const [middle, spins] = ['latencies', 'spins'].map((name) =>
    median(runs.map((run) => run[name][3])),
  );
  console.log(`median p99.99: ${middle.toFixed(1)} µs (spins: ${spins.toFixed(1)} µs)`);
}

async function fill(directory) {
  const kv = await openKv(directory);
  for (let first = 0; first < keyCount; first += PORTION) {
    await putAll(kv, first, Math.min(PORTION, keyCount - first));
  }
  await kv.settled();
  await kv.close();
  console.log('{}');
}

async function putAll(kv, first, count) {
  const keys = keysFrom(first, count);
  let next = 0;
  async function caller() {
    while (next < count) {
      const mine = next;
      next += 1;
      await kv.put(keys[mine], values.of(first + mine));
    }
  }
  await Promise.all(Array.from({ length: inFlight }, () => caller()));
}

async function measureGets(directory) {
  const kv = await openKv(directory);
  const getCount = Number(given.gets);
  const numbers = uniformNumbers(KEYS_OF_GETS, { below: keyCount, seed: process.pid });
  const keys = keysOf(numbers);
  for (let at = 0; at < keys.length; at += 1) {
    kv.getSync(keys[at]);
  }
  globalThis.gc?.();
  const writer = new Writer(kv, keys, numbers);
  const times = { gets: new Float64Array(getCount), spins: new Float64Array(getCount) };
  const pressures = new Set();
  const start = performance.now();
  const writing = writer.run();
  for (let done = 0; done < getCount;) {
    const end = Math.min(getCount, done + GETS_PER_TURN);
    timeGets(kv, { keys, numbers }, times, done, end);
    done = end;
    pressures.add(kv.stats().pressure.state);
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
  const seconds = (performance.now() - start) / 1e3;
  writer.stop();
  await writing;
  await kv.close();
  const told = { latencies: quantilesOf(times.gets), spins: quantilesOf(times.spins) };
  const putRate = writer.count / seconds;
  console.log(JSON.stringify({ ...told, putRate, pressures: [...pressures] }));
}

/** In µs; each get has to find its value. */
function timeGets(kv, { keys, numbers }, { gets, spins }, start, end) {
  for (let index = start; index < end; index += 1) {
    const at = index % keys.length;
    const before = performance.now();
    const value = kv.getSync(keys[at]);
    const between = performance.now();
    spin(keys[at]);
    gets[index] = (between - before) * 1e3;
    spins[index] = (performance.now() - between) * 1e3;
    if (!values.matches(numbers[at], value)) {
      throw new Error(`The value of key ${numbers[at]} is missing.`);
    }
  }
}

function spin(key) {
  for (let turn = 0; turn < SPIN_COUNT; turn += 1) {
    spun = (Math.imul(spun, 31) + key[turn & (KEY_SIZE - 1)]) | 0;
  }
}

/** p50, p99, p99.9, p99.99 and the longest. */
function quantilesOf(times) {
  times.sort();
  const shares = [0.5, 0.99, 0.999, 0.9999];
  return [...shares.map((share) => times[Math.floor(times.length * share)]), times.at(-1)];
}

function median(numbers) {
  return numbers.toSorted((one, other) => one - other)[numbers.length >> 1];
}
