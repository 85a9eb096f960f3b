/**
 * The same work as an event store does, by hand on better-sqlite3 and lmdb, beside Varve: durable appends of one event with
 * 90 bytes of JSON, an idempotency key and an id that are looked up and unique, an expected revision that is checked, and a SHA-256 chain of each
 * of 10,000 streams; then reads, data parsed. One event loop; subjects in turn within each round; medians.
 *
 *   npm run build && cd bench && npm ci && node compare/same-work.js
 *       [--rounds 3] [--in-flight 1,16,256,4096] [--events 300000] [--subjects varve,lmdb] [--directory /tmp]
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { directoryOption, readOptions, refuse } from '../usage.js';
import { describeEnvironment, loadText, watchOthers } from './environment.js';

const STREAMS = 10_000;
/** Reads of each kind, but for those of everything. */
const READS = { stream: 2_000, get: 20_000, getById: 20_000 };
const WARM = 20_000;
const COUNTS = { 1: 3_000, 16: 20_000, 256: 60_000, 4_096: 100_000 };
const REFERENCE = 'better-sqlite3 by hand';

const given = readOptions({
  file: import.meta.filename,
  about:
    'The same work as an event store does, by hand on better-sqlite3 and lmdb (cd bench && npm ci), beside Varve.',
  options: {
    rounds: { value: 'n', default: '3', help: 'rounds, subjects in turn within each' },
    'in-flight': { value: 'n,…', default: '1,16,256,4096', help: 'appends at a time' },
    events: {
      value: 'n',
      default: '300000',
      help: 'events in the store that is read: a multiple of 10000',
    },
    subjects: { value: 'names', default: 'varve,better-sqlite3,lmdb', help: 'what to measure' },
    directory: directoryOption,
  },
});
const rounds = Number(given.rounds);
const inFlights = given['in-flight'].split(',').map(Number);
const eventCount = Number(given.events);
if (eventCount === 0 || eventCount % STREAMS !== 0) {
  refuse(import.meta.filename, `--events takes a multiple of ${STREAMS}: each stream has as many.`);
}

async function main() {
  const subjects = [];
  for (const name of given.subjects.split(',')) {
    subjects.push((await import(`./by-hand/${name}.js`)).subject);
  }
  const lines = describeEnvironment(given.directory);
  lines.push(`${rounds} rounds, ${STREAMS} streams`, '');
  lines.push(...subjects.map(({ name, settings }) => `${name}: ${settings}`));
  console.log(lines.join('\n'));
  const others = watchOthers();
  const results = new Map();
  for (let round = 0; round < rounds; round += 1) {
    for (const subject of subjects) {
      for (const inFlight of inFlights) {
        const rate = await inFreshFolder((directory) => appendRun(subject, directory, inFlight));
        note(results, `appends/s, ${inFlight} in flight`, subject.name, rate);
      }
      const reads = await inFreshFolder((directory) => readRun(subject, directory));
      for (const [name, value] of Object.entries(reads)) {
        note(results, name, subject.name, value);
      }
    }
  }
  report(results, subjects);
  console.log(
    `Busy besides this process (kernel included): ${others().toFixed(2)} CPUs; load average at end ${loadText()}.`,
  );
}

async function inFreshFolder(work) {
  const directory = mkdtempSync(join(given.directory, 'varve-same-work-'));
  try {
    return await work(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

async function appendRun(subject, directory, inFlight) {
  const store = await subject.open(directory);
  const load = new Load(store);
  await load.run(WARM, 1_024);
  const count = COUNTS[inFlight] ?? 20_000;
  const start = performance.now();
  await load.run(count, inFlight);
  const seconds = (performance.now() - start) / 1e3;
  await store.close();
  return count / seconds;
}

async function readRun(subject, directory) {
  let store = await subject.open(directory);
  await new Load(store).run(eventCount, 4_096);
  await store.close();
  const bytes = sizeOf(directory) / eventCount;
  const openedAt = performance.now();
  store = await subject.open(directory);
  const openMs = performance.now() - openedAt;
  const all = await timed(async () => store.readAll(), eventCount);
  const perStream = Math.floor(eventCount / STREAMS);
  const stream = await timed(async () => {
    for (let number = 0; number < READS.stream; number += 1) {
      const found = await store.readStream(streamOf((number * 7_919) % STREAMS));
      if (found !== perStream) {
        throw new Error(`${subject.name}: a stream has ${found} events instead of ${perStream}.`);
      }
    }
  }, READS.stream * perStream);
  const get = await timed(async () => {
    for (let number = 0; number < READS.get; number += 1) {
      await store.get((number * 104_729) % eventCount);
    }
  }, READS.get);
  const getById = await timed(async () => {
    for (let number = 0; number < READS.getById; number += 1) {
      await store.getById(idOf((number * 104_729) % eventCount));
    }
  }, READS.getById);
  await store.close();
  return {
    'everything in order, events/s': all,
    [`streams of ${perStream}, events/s`]: stream,
    'get(position)/s': get,
    'getById/s': getById,
    'bytes per event on disk': bytes,
    'open after close, ms': openMs,
  };
}

async function timed(work, count) {
  const start = performance.now();
  await work();
  return count / ((performance.now() - start) / 1e3);
}

/** Callers that append one event after the other, each stream in its order. */
class Load {
  #store;
  #next = 0;
  /** The append before in each stream: the next one is made when it is done. */
  #last = new Map();

  constructor(store) {
    this.#store = store;
  }

  async run(count, inFlight) {
    const end = this.#next + count;
    await Promise.all(Array.from({ length: inFlight }, () => this.#caller(end)));
  }

  async #caller(end) {
    while (this.#next < end) {
      const number = this.#next;
      this.#next += 1;
      const slot = number % STREAMS;
      await this.#last.get(slot);
      const appended = this.#store.append(eventOf(number, slot));
      this.#last.set(slot, appended);
      await appended;
    }
  }
}

function eventOf(number, slot) {
  return {
    stream: streamOf(slot),
    expectedRevision: Math.floor(number / STREAMS) - 1,
    key: `request-${number}`,
    id: idOf(number),
    type: 'OrderPlaced',
    data: {
      order: number,
      customer: `customer-${slot}`,
      total: number % 997,
      currency: 'EUR',
      note: 'abcdefgh',
    },
  };
}

function streamOf(slot) {
  return `orders/eu/${slot}`;
}

function idOf(number) {
  return `event-${number}`;
}

function sizeOf(directory) {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}

function note(results, row, name, value) {
  const ofRow = results.get(row) ?? new Map();
  results.set(row, ofRow);
  ofRow.set(name, [...(ofRow.get(name) ?? []), value]);
  process.stderr.write(`${name}: ${row} ${Math.round(value)}\n`);
}

/** Medians, and beside them the ratio to the reference. */
function report(results, subjects) {
  console.log(`\n${''.padEnd(34)}${subjects.map(({ name }) => name.padStart(32)).join('')}`);
  for (const [row, ofRow] of results) {
    const reference = ofRow.get(REFERENCE);
    const texts = subjects.map(({ name }) => {
      const value = median(ofRow.get(name));
      const ratio = reference === undefined ? '' : ` (${(value / median(reference)).toFixed(2)})`;
      return `${Math.round(value).toLocaleString('en')}${ratio}`.padStart(32);
    });
    console.log(row.padEnd(34) + texts.join(''));
  }
}

function median(values) {
  const sorted = values.toSorted((one, other) => one - other);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

await main();
