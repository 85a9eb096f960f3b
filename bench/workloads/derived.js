/**
 * What the data derived from the log costs and gives: appends of keyed events over many streams, 256 in flight, with the indexer and without
 * it; memory of the whole process; bytes; opening after a close, after a kill and without derived data; lookups of old and of fresh keys. Each
 * step is a process of its own.
 *
 *   npm run build && node bench/workloads/derived.js [--events 10000000] [--streams 1000000] [--order zipf]
 *
 * "Without" keeps all of the index in memory, as one generation that never ends: the owner does the same work but for tables.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { directoryOption, importBuilt, readOptions } from '../usage.js';

const IN_FLIGHT = 256;

const values = readOptions({
  file: import.meta.filename,
  about: 'Keyed appends over many streams with and without derived data, opening, and lookups.',
  options: {
    events: { value: 'n', default: '1000000', help: 'events' },
    streams: { value: 'n', default: '100000', help: 'streams' },
    order: {
      value: 'name',
      default: 'uniform',
      choices: ['uniform', 'zipf', 'brief'],
      help: 'how streams are chosen: all alike, few of them often, or each for some time',
    },
    payload: { value: 'n', default: '100', help: 'bytes of data of an event' },
    baseline: { value: 'n', default: '1000000', help: 'events of the run without; 0: none' },
    directory: directoryOption,
    step: { value: 'name' },
    store: { value: 'folder' },
  },
});
const { open } = await importBuilt(import.meta.filename, 'index.js');
const events = Number(values.events);
const streams = Number(values.streams);
const text = 'x'.repeat(Math.max(0, Number(values.payload) - 20));

let seed = 12_345;

const steps = { append, without, kill, reopen, rebuild, lookups };
if (values.step === undefined) {
  runAll();
} else {
  console.log(JSON.stringify(await steps[values.step](values.store)));
}

function runAll() {
  const store = mkdtempSync(join(values.directory, 'varve-bench-'));
  try {
    const result = { events, streams, order: values.order };
    result.append = step('append', store);
    if (Number(values.baseline) > 0) {
      result.without = step('without', store, values.baseline);
      result.sameCount = step('append', store, values.baseline, true);
      result.ratio = round(result.sameCount.rateUntilSettled / result.without.rate);
    }
    result.openClosed = step('reopen', store);
    step('kill', store);
    result.openKilled = step('reopen', store);
    result.lookups = step('lookups', store);
    rmSync(join(store, 'derived'), { recursive: true });
    result.rebuild = step('rebuild', store);
    console.log(JSON.stringify(result, undefined, 2));
  } finally {
    rmSync(store, { recursive: true });
  }
}

/** `elsewhere`: in a store of its own. */
function step(name, store, count = values.events, elsewhere = name === 'without') {
  const folder = elsewhere ? mkdtempSync(join(values.directory, 'varve-bench-')) : store;
  const { streams: of, order, payload } = values;
  const options = { events: count, streams: of, order, payload, step: name, store: folder };
  const args = Object.entries(options).flatMap(([key, value]) => [`--${key}`, value]);
  const child = spawnSync(process.execPath, [import.meta.filename, ...args], { encoding: 'utf8' });
  if (elsewhere) {
    rmSync(folder, { recursive: true });
  }
  if (child.signal === 'SIGKILL' && name === 'kill') {
    return undefined;
  }
  if (child.status !== 0) {
    throw new Error(`${name}: ${child.stderr}`);
  }
  const result = JSON.parse(child.stdout);
  console.error(name, JSON.stringify(result));
  return result;
}

async function append(directory) {
  const store = await open(directory);
  const measured = await appendAll(store);
  const settling = performance.now();
  await store.settled();
  const seconds = measured.seconds + (performance.now() - settling) / 1e3;
  const { index } = store.stats();
  await store.close();
  return {
    rate: Math.round(events / measured.seconds),
    rateUntilSettled: Math.round(events / seconds),
    ...measured,
    bytesPerEvent: round(sizeOf(join(directory, 'derived')) / events),
    written: round(index.work.bytesWritten / events),
    tables: index.tables.count,
    indexMiB: Math.round(index.memory.bytes / 2 ** 20),
    blockReadsPer1000: round((index.reads.blockReads * 1e3) / events),
  };
}

async function without(directory) {
  const { Tail } = await importBuilt(import.meta.filename, 'derived/tail.js');
  Tail.prototype.commitEnded = () => false;
  const store = await open(directory);
  const measured = await appendAll(store);
  await store.close();
  return { rate: Math.round(events / measured.seconds), ...measured };
}

/** Appends some and ends in the middle of it. */
async function kill(directory) {
  const store = await open(directory);
  const more = Array.from({ length: 30_000 }, (_, number) =>
    store.append(streamOf(events + number), [{ type: 'Happened' }], {
      idempotencyKey: `more-${number}`,
    }),
  );
  await Promise.all(more);
  process.kill(process.pid, 'SIGKILL');
  await new Promise(() => {});
}

async function reopen(directory) {
  const start = performance.now();
  const store = await open(directory);
  const ms = performance.now() - start;
  const { index } = store.stats();
  await store.close();
  return { ms: Math.round(ms), tailEvents: index.tail.events };
}

async function rebuild(directory) {
  const start = performance.now();
  const store = await open(directory);
  const opened = performance.now();
  await store.settled();
  const settled = performance.now();
  const { head } = store;
  await store.close();
  return {
    eventsPerSecond: Math.round((head / (opened - start)) * 1e3),
    eventsPerSecondUntilSettled: Math.round((head / (settled - start)) * 1e3),
    peakMiB: peakMiB(),
  };
}

async function lookups(directory) {
  const store = await open(directory);
  const count = 20_000;
  const reads = () => store.stats().index.reads.blockReads;
  const hits = new Float64Array(count);
  let before = reads();
  for (let nth = 0; nth < count; nth += 1) {
    const idempotencyKey = `request-${Math.floor((nth * 7_919 + 13) % events)}`;
    const start = performance.now();
    const found = await store.findCommit({ idempotencyKey });
    hits[nth] = performance.now() - start;
    if (found === undefined) {
      throw new Error(`${idempotencyKey} is gone`);
    }
  }
  const blocksPerHit = (reads() - before) / count;
  before = reads();
  const misses = new Float64Array(count);
  for (let nth = 0; nth < count; nth += 1) {
    const start = performance.now();
    await store.findCommit({ idempotencyKey: `fresh-${nth}` });
    misses[nth] = performance.now() - start;
  }
  const blocksPerMiss = (reads() - before) / count;
  const heads = new Float64Array(count);
  for (let nth = 0; nth < count; nth += 1) {
    const stream = `shop/orders/${String(Math.floor((nth * 7_919 + 13) % streams)).padStart(8, '0')}`;
    const start = performance.now();
    await store.streamHead(stream);
    heads[nth] = performance.now() - start;
  }
  await store.close();
  return {
    headMicros: micros(heads),
    hitMicros: micros(hits),
    blocksPerHit: round(blocksPerHit),
    missMicros: micros(misses),
    blocksPerMiss: round(blocksPerMiss),
  };
}

async function appendAll(store) {
  const latencies = new Float64Array(events);
  const cpu = process.cpuUsage();
  const start = performance.now();
  let next = 0;
  let peak = 0;
  async function caller() {
    while (next < events) {
      const mine = next;
      next += 1;
      const began = performance.now();
      await store.append(streamOf(mine), [{ type: 'OrderPlaced', data: { n: mine, text } }], {
        idempotencyKey: `request-${mine}`,
      });
      latencies[mine] = performance.now() - began;
      if (mine % 50_000 === 0) {
        peak = Math.max(peak, process.memoryUsage.rss());
      }
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, caller));
  const seconds = (performance.now() - start) / 1e3;
  const { user, system } = process.cpuUsage(cpu);
  const { tail } = store.stats().index;
  latencies.sort();
  return {
    seconds: round(seconds),
    p50: round(latencies[events >> 1]),
    p999: round(latencies[Math.floor(events * 0.999)]),
    cpuMicros: round((user + system) / events),
    peakMiB: Math.max(peakMiB(), Math.round((peak - latencies.byteLength) / 2 ** 20)),
    latenciesMiB: Math.round(latencies.byteLength / 2 ** 20),
    tailEventsAtEnd: tail.events,
  };
}

function random() {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
  return seed / 2 ** 32;
}

function streamOf(number) {
  return `shop/orders/${String(pick(number)).padStart(8, '0')}`;
}

function pick(number) {
  switch (values.order) {
    case 'zipf':
      return Math.floor(streams ** random()) - 1;
    case 'brief':
      // 4,096 at a time, ten events each.
      return Math.floor(number / 40_960) * 4_096 + Math.floor(random() * 4_096);
    default:
      return Math.floor(random() * streams);
  }
}

function peakMiB() {
  return Math.round(process.resourceUsage().maxRSS / 1024);
}

function micros(latencies) {
  latencies.sort();
  const at = (share) => round(latencies[Math.floor(latencies.length * share)] * 1e3);
  return { p50: at(0.5), p99: at(0.99) };
}

function sizeOf(folder) {
  return readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => {
    const path = join(folder, entry.name);
    return sum + (entry.isDirectory() ? sizeOf(path) : statSync(path).size);
  }, 0);
}

function round(value) {
  return Math.round(value * 100) / 100;
}
