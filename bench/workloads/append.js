/**
 * Durable appends per second at 1, 16, 256 and 4,096 in flight, one event each with an idempotency key and a revision
 * check, beside a bare loop that overwrites a pre-written file and fdatasyncs: the same bytes, nothing else. Both are run
 * in turn, several times; medians are printed.
 *
 *   npm run build && node bench/workloads/append.js [--rounds 5] [--payload 100]
 */
import {
  fdatasync,
  closeSync,
  fdatasyncSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { directoryOption, importBuilt, readOptions } from '../usage.js';

const values = readOptions({
  file: import.meta.filename,
  about:
    'Durable appends with 1, 16, 256 and 4,096 in flight, beside a bare loop that writes the same bytes and fdatasyncs.',
  options: {
    rounds: { value: 'n', default: '5', help: 'rounds; medians are printed' },
    payload: { value: 'n', default: '100', help: 'bytes of data of an event' },
    directory: directoryOption,
  },
});
const { open } = await importBuilt(import.meta.filename, 'index.js');
const rounds = Number(values.rounds);
const payloadSize = Number(values.payload);
const inFlights = [1, 16, 256, 4_096];
const countOf = { 1: 3_000, 16: 30_000, 256: 150_000, 4_096: 300_000 };
const text = 'x'.repeat(Math.max(0, payloadSize - 12));

function data(number) {
  return { n: number, text };
}

async function varveRound(inFlight) {
  const directory = mkdtempSync(join(values.directory, 'varve-bench-'));
  const store = await open(directory);
  const count = countOf[inFlight];
  try {
    // The store is warm and its first small segments are behind it.
    await run(store, 20_000, 1_024, 'warm');
    const start = performance.now();
    const latencies = await run(store, count, inFlight, 'key');
    const seconds = (performance.now() - start) / 1e3;
    return { rate: count / seconds, latencies };
  } finally {
    await store.close();
    rmSync(directory, { recursive: true });
  }
}

async function run(store, count, inFlight, prefix) {
  const latencies = new Float64Array(count);
  let next = 0;
  async function caller(number) {
    const stream = `bench/${prefix}/${number % 1_000}-${Math.floor(number / 1_000)}`;
    let revision = 'none';
    while (next < count) {
      const mine = next;
      next += 1;
      const start = performance.now();
      const result = await store.append(stream, [{ type: 'Happened', data: data(mine) }], {
        idempotencyKey: `${prefix}-${mine}`,
        expectedRevision: revision,
      });
      ({ revision } = result);
      latencies[mine] = performance.now() - start;
    }
  }
  await Promise.all(Array.from({ length: inFlight }, (_, number) => caller(number)));
  return latencies.sort();
}

/** The same callers over the least that could serve them: one copy, one write, one fdatasync for all who wait. */
async function bareRound(inFlight) {
  const directory = mkdtempSync(join(values.directory, 'varve-bench-'));
  const file = openSync(join(directory, 'bare'), 'w+');
  const fileSize = 64 * 1024 * 1024;
  const zeros = Buffer.alloc(1024 * 1024);
  for (let offset = 0; offset < fileSize; offset += zeros.length) {
    writeSync(file, zeros, 0, zeros.length, offset);
    fdatasyncSync(file);
  }
  const count = countOf[inFlight];
  const record = Buffer.alloc(payloadSize + 260, 1);
  const append = bareLog(file, fileSize, record.length * inFlight);
  let next = 0;
  async function caller() {
    while (next < count) {
      next += 1;
      await append(record);
    }
  }
  const start = performance.now();
  await Promise.all(Array.from({ length: inFlight }, () => caller()));
  const seconds = (performance.now() - start) / 1e3;
  closeSync(file);
  rmSync(directory, { recursive: true });
  return { rate: count / seconds };
}

function bareLog(file, fileSize, batchSizeMax) {
  let gathering = { bytes: Buffer.alloc(batchSizeMax), size: 0, resolves: [] };
  let spare = { bytes: Buffer.alloc(batchSizeMax), size: 0, resolves: [] };
  let offset = 0;
  let isRunning = false;
  async function loop() {
    isRunning = true;
    await Promise.resolve();
    while (gathering.size > 0) {
      const batch = gathering;
      gathering = spare;
      if (offset + batch.size > fileSize) {
        offset = 0;
      }
      writeSync(file, batch.bytes, 0, batch.size, offset);
      offset += batch.size;
      await new Promise((resolve, reject) => {
        fdatasync(file, (error) => (error ? reject(error) : resolve()));
      });
      for (const resolve of batch.resolves) {
        resolve();
      }
      batch.size = 0;
      batch.resolves = [];
      spare = batch;
      await new Promise((resolve) => setImmediate(resolve));
    }
    isRunning = false;
  }
  return (record) =>
    new Promise((resolve, reject) => {
      record.copy(gathering.bytes, gathering.size);
      gathering.size += record.length;
      gathering.resolves.push(resolve);
      if (!isRunning) {
        loop().catch(reject);
      }
    });
}

function median(numbers) {
  return numbers.sort((left, right) => left - right)[Math.floor(numbers.length / 2)];
}

console.log(`Node ${process.version}, ${cpus().length} × ${cpus()[0].model}, Linux ${release()}`);
console.log(`${payloadSize} B of data, ack durable, keyed, revision checked, median of ${rounds}`);
console.log('in flight   varve/s    bare/s   ratio   p50 ms   p99 ms   p999 ms');
for (const inFlight of inFlights) {
  const varve = [];
  const bare = [];
  const ratios = [];
  const quantiles = { p50: [], p99: [], p999: [] };
  for (let round = 0; round < rounds; round += 1) {
    const ours = await varveRound(inFlight);
    const theirs = await bareRound(inFlight);
    varve.push(ours.rate);
    bare.push(theirs.rate);
    ratios.push(ours.rate / theirs.rate);
    const { latencies } = ours;
    quantiles.p50.push(latencies[Math.floor(latencies.length * 0.5)]);
    quantiles.p99.push(latencies[Math.floor(latencies.length * 0.99)]);
    quantiles.p999.push(latencies[Math.floor(latencies.length * 0.999)]);
  }
  const cells = [
    String(inFlight).padStart(9),
    String(Math.round(median(varve))).padStart(9),
    String(Math.round(median(bare))).padStart(9),
    median(ratios).toFixed(2).padStart(7),
    median(quantiles.p50).toFixed(2).padStart(8),
    median(quantiles.p99).toFixed(2).padStart(8),
    median(quantiles.p999).toFixed(2).padStart(9),
  ];
  console.log(cells.join(' '));
}
