/**
 * What workloads/derived.js measures, by hand on better-sqlite3: one table with unique stream and revision, key and id. Loaded in bulk, indexes
 * afterwards, for at the pace of single appends it would take hours; then the last rows are appended as a program would and timed.
 *
 *   cd bench && npm ci && node compare/derived.js [--events 10000000] [--streams 1000000]
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { directoryOption, readOptions } from '../usage.js';

const BATCH = 256;

const values = readOptions({
  file: import.meta.filename,
  about: 'Keyed appends over many streams, lookups and opening, by hand on better-sqlite3.',
  options: {
    events: { value: 'n', default: '1000000', help: 'events' },
    streams: { value: 'n', default: '100000', help: 'streams' },
    timed: {
      value: 'n',
      default: '200000',
      help: 'events of these that are appended last, and timed',
    },
    payload: { value: 'n', default: '100', help: 'bytes of data of an event' },
    directory: directoryOption,
  },
});
const { default: Database } = await import('better-sqlite3');
const events = Number(values.events);
const streams = Number(values.streams);
const timed = Number(values.timed);
const text = 'x'.repeat(Math.max(0, Number(values.payload) - 20));
const revisions = new Int32Array(streams);
let seed = 12_345;

const directory = mkdtempSync(join(values.directory, 'varve-bench-'));
const path = join(directory, 'events.db');
try {
  console.log(JSON.stringify(run(), undefined, 2));
} finally {
  rmSync(directory, { recursive: true });
}

function run() {
  load();
  const result = { events, streams, append: append(), ...lookups() };
  const start = performance.now();
  const database = opened();
  database.prepare('select max(position) from event').get();
  result.openMs = round(performance.now() - start);
  database.close();
  result.bytesPerEvent = round(statSync(path).size / events);
  result.peakMiB = Math.round(process.resourceUsage().maxRSS / 1024);
  return result;
}

function opened() {
  const database = new Database(path);
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = FULL');
  database.pragma('cache_size = -65536');
  return database;
}

function inserting(database) {
  const insert = database.prepare(
    'insert into event (stream, revision, id, key, type, time, data) values (?, ?, ?, ?, ?, ?, ?)',
  );
  return (number) => {
    const stream = Math.floor(random() * streams);
    const revision = revisions[stream];
    revisions[stream] += 1;
    const data = JSON.stringify({ n: number, text });
    insert.run(
      streamOf(stream),
      revision,
      idOf(number),
      keyOf(number),
      'OrderPlaced',
      number,
      data,
    );
  };
}

function load() {
  const database = opened();
  database.pragma('synchronous = OFF');
  database.exec(`create table event (
    position integer primary key, stream text not null, revision integer not null, id text not null, key text not null,
    type text not null, time integer not null, data text not null)`);
  const insert = inserting(database);
  database.transaction(() => {
    for (let number = 0; number < events - timed; number += 1) {
      insert(number);
    }
  })();
  database.exec('create unique index event_stream on event (stream, revision)');
  database.exec('create unique index event_key on event (key)');
  database.exec('create unique index event_id on event (id)');
  database.close();
}

/** As a program does that groups whoever waits: the head and the key are looked up before. */
function append() {
  const database = opened();
  const insert = inserting(database);
  const head = database.prepare(
    'select revision from event where stream = ? order by revision desc limit 1',
  );
  const byKey = database.prepare('select position from event where key = ?');
  const transaction = database.transaction((first) => {
    for (let number = first; number < Math.min(first + BATCH, events); number += 1) {
      byKey.get(keyOf(number));
      head.get(streamOf(number % streams));
      insert(number);
    }
  });
  const start = performance.now();
  for (let first = events - timed; first < events; first += BATCH) {
    transaction(first);
  }
  const seconds = (performance.now() - start) / 1e3;
  database.close();
  return { rate: Math.round(timed / seconds) };
}

function lookups() {
  const database = opened();
  const byKey = database.prepare(
    'select position, stream, revision, time from event where key = ?',
  );
  const head = database.prepare(
    'select revision, position from event where stream = ? order by revision desc limit 1',
  );
  const count = 20_000;
  const hits = time(count, (nth) => byKey.get(keyOf(spread(nth))));
  const misses = time(count, (nth) => byKey.get(`fresh-${nth}`));
  const heads = time(count, (nth) => head.get(streamOf(spread(nth) % streams)));
  database.close();
  return { hitMicros: hits, missMicros: misses, headMicros: heads };
}

function spread(nth) {
  return (nth * 7_919 + 13) % events;
}

function time(count, work) {
  const latencies = new Float64Array(count);
  for (let nth = 0; nth < count; nth += 1) {
    const start = performance.now();
    work(nth);
    latencies[nth] = performance.now() - start;
  }
  latencies.sort();
  const at = (share) => round(latencies[Math.floor(count * share)] * 1e3);
  return { p50: at(0.5), p99: at(0.99) };
}

function random() {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
  return seed / 2 ** 32;
}

function streamOf(stream) {
  return `shop/orders/${String(stream).padStart(8, '0')}`;
}

function keyOf(number) {
  return `request-${number}`;
}

function idOf(number) {
  return `018f0000-0000-8000-8000-${String(number).padStart(12, '0')}`;
}

function round(value) {
  return Math.round(value * 100) / 100;
}
