/**
 * One store, appended to by the thread that opened it and by 0, 1, 2 and 4 workers that are attached: durable appends per
 * second in all and of each thread, and messages that the clients' ports carried, both ways, per 1,000 appends. Keyed and
 * revision checked, 100 B; in flight in all threads together. Counts of workers are measured in turn; medians are printed.
 *
 *   npm run build && cd bench && node --expose-gc workloads/threads.js [--rounds 3] [--workers 0,1,2,4] [--in-flight 256,4096]
 *       [--count 200000] [--directory /tmp]
 */
import { isMainThread } from 'node:worker_threads';
import { describeEnvironment } from '../compare/environment.js';
import { measureRun } from '../compare/measured-run.js';
import { directoryOption, importBuilt, readOptions } from '../usage.js';

/** Other threads load this file, too, with arguments that are none of theirs. */
const values = isMainThread
  ? readOptions({
      file: import.meta.filename,
      about:
        'One store, appended to by the thread that opened it and by workers that are attached.',
      options: {
        rounds: { value: 'n', default: '3', help: 'rounds; medians are printed' },
        workers: { value: 'n,…', default: '0,1,2,4', help: 'workers beside the owner' },
        'in-flight': {
          value: 'n,…',
          default: '256,4096',
          help: 'appends at a time, in all threads',
        },
        count: { value: 'n', default: '200000', help: 'appends of a run' },
        directory: directoryOption,
      },
    })
  : undefined;

await importBuilt(import.meta.filename, 'index.js');
const { engines: varves } = await import('../compare/engines/varve.js');
const keyed = varves.find(({ name }) => name === 'varve');
/** Messages in all client's ports: one word that all threads count in. */
const messages = new Int32Array(new SharedArrayBuffer(4));

/** Varve, with counted messages. Other threads find it by loading this file. */
const counted = {
  ...keyed,
  module: import.meta.url,
  open: async (directory, plan) => {
    const store = await keyed.open(directory, plan);
    const invite = () => {
      const { data: port, transfer } = store.invite();
      return { data: { port, counter: messages }, transfer };
    };
    return { ...store, invite };
  },
  join: (directory, plan, { port, counter }) => {
    countMessages(port, counter);
    return keyed.join(directory, plan, port);
  },
};
export const engines = [counted];

if (isMainThread) {
  await main();
}

function countMessages(port, counter) {
  const post = port.postMessage.bind(port);
  port.postMessage = (...args) => {
    Atomics.add(counter, 0, 1);
    post(...args);
  };
  port.on('message', () => Atomics.add(counter, 0, 1));
}

async function main() {
  console.log(describeEnvironment(values.directory).join('\n'));
  console.log(`median of ${values.rounds}; threads: the owner first`);
  console.log(
    'in flight  workers  appends/s   p50 ms   p99 ms  messages/1,000  appends/s of each thread',
  );
  for (const inFlight of numbers(values['in-flight'])) {
    const results = new Map(numbers(values.workers).map((workerCount) => [workerCount, []]));
    for (let round = 0; round < Number(values.rounds); round += 1) {
      for (const [workerCount, runs] of results) {
        const threadCount = workerCount + 1;
        const cell = { valueSize: 100, inFlight, threadCount, count: Number(values.count) };
        const readMeter = () => Atomics.load(messages, 0);
        const options = { parent: values.directory, isChecked: round === 0, readMeter };
        runs.push(await measureRun(counted, cell, options));
      }
    }
    for (const [workerCount, runs] of results) {
      console.log(lineOf(inFlight, workerCount, runs));
    }
  }
}

function lineOf(inFlight, workerCount, runs) {
  const of = (pick) => median(runs.map(pick));
  const ofThreads = Array.from({ length: workerCount + 1 }, (_, thread) =>
    whole(of(({ rate, shares }) => rate * shares[thread])),
  );
  return [
    String(inFlight).padStart(9),
    String(workerCount).padStart(9),
    whole(of(({ rate }) => rate)).padStart(11),
    of(({ latency }) => latency.p50)
      .toFixed(2)
      .padStart(9),
    of(({ latency }) => latency.p99)
      .toFixed(2)
      .padStart(9),
    (of(({ metered }) => metered) * 1e3).toFixed(1).padStart(16),
    `  ${ofThreads.join('  ')}`,
  ].join('');
}

function numbers(text) {
  return text.split(',').map(Number);
}

function whole(number) {
  return Math.round(number).toLocaleString('en');
}

/** The lower one of two in the middle. */
function median(all) {
  return all.toSorted((one, other) => one - other)[(all.length - 1) >> 1];
}
