/**
 * Reading and opening: a store of many events is made once, then read in order, one by one, by stream, verified, closed and
 * opened again. Each figure is the median of several runs in one process; memory is that of a fresh process that opens it.
 *
 *   npm run build && node --expose-gc bench/workloads/read.js [--events 1000000] [--rounds 5]
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { directoryOption, importBuilt, readOptions } from '../usage.js';

const values = readOptions({
  file: import.meta.filename,
  about: 'Reading, verifying and opening a store of many events.',
  options: {
    events: { value: 'n', default: '1000000', help: 'events in the store' },
    rounds: { value: 'n', default: '5', help: 'rounds; medians are printed' },
    payload: { value: 'n', default: '100', help: 'bytes of data of an event' },
    directory: directoryOption,
    child: { value: 'store' },
  },
});
const { open } = await importBuilt(import.meta.filename, 'index.js');

if (values.child === undefined) {
  await main();
} else {
  const start = performance.now();
  const store = await open(values.child);
  const ms = performance.now() - start;
  globalThis.gc?.();
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage();
  const peak = process.resourceUsage().maxRSS * 1024;
  console.log(JSON.stringify({ ms, rss, heapUsed, arrayBuffers, peak }));
  await store.close();
}

async function main() {
  const count = Number(values.events);
  const rounds = Number(values.rounds);
  const directory = mkdtempSync(join(values.directory, 'varve-bench-'));
  console.log(`Node ${process.version}, ${cpus().length} × ${cpus()[0].model}, Linux ${release()}`);
  console.log(`${count} events of ${values.payload} B of data, keyed, ${rounds} rounds, medians`);
  try {
    await fill(directory, count);
    await measure(directory, count, rounds);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

async function fill(directory, count) {
  const store = await open(directory);
  const text = 'x'.repeat(Math.max(0, Number(values.payload) - 20));
  let next = 0;
  async function caller() {
    while (next < count) {
      const n = next;
      next += 1;
      await store.append(`bench/${n % 10_000}`, [{ type: 'Happened', data: { n, text } }], {
        idempotencyKey: `key-${n}`,
      });
    }
  }
  await Promise.all(Array.from({ length: 1_024 }, () => caller()));
  await store.close();
}

async function measure(directory, count, rounds) {
  const store = await open(directory);
  const { size } = store.segments().reduce((sum, one) => ({ size: sum.size + one.size }));
  await report('read everything', rounds, 'events/s', async () => {
    let seen = 0;
    for await (const event of store.read()) {
      seen += event.position === seen ? 1 : 0;
    }
    return seen;
  });
  await report('get one by one, at random', rounds, 'events/s', async () => {
    for (let index = 0; index < 100_000; index += 1) {
      await store.get((index * 7_919_933) % count);
    }
    return 100_000;
  });
  await report('read streams of 100', rounds, 'events/s', async () => {
    let seen = 0;
    for (let stream = 0; stream < 1_000; stream += 1) {
      for await (const _ of store.read({ stream: `bench/${stream}` })) {
        seen += 1;
      }
    }
    return seen;
  });
  await report('verify', rounds, 'MB/s', async () => {
    const { ok } = await store.verify();
    return ok ? size / 1e6 : 0;
  });
  await store.close();
  const opened = Array.from({ length: rounds }, () => {
    const script = ['--expose-gc', new URL(import.meta.url).pathname, '--child', directory];
    return JSON.parse(execFileSync(process.execPath, script, { encoding: 'utf8' }));
  });
  const pick = (name) => median(opened.map((one) => one[name]));
  const mega = (name) => `${Math.round(pick(name) / 1e6)} MB`;
  console.log(`open after close: ${Math.round(pick('ms'))} ms`);
  console.log(`memory of that process: ${mega('rss')} resident, ${mega('peak')} at its peak,`);
  console.log(`  of it ${mega('heapUsed')} heap and ${mega('arrayBuffers')} typed arrays`);
  console.log(`log on disk: ${Math.round(size / 1e6)} MB, ${Math.round(size / count)} B an event`);
}

async function report(what, rounds, unit, work) {
  const rates = [];
  for (let round = 0; round < rounds; round += 1) {
    const start = performance.now();
    const done = await work();
    rates.push((done / (performance.now() - start)) * 1e3);
  }
  console.log(`${what}: ${Math.round(median(rates))} ${unit}`);
}

function median(numbers) {
  return numbers.sort((left, right) => left - right)[Math.floor(numbers.length / 2)];
}
