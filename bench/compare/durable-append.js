/**
 * Durable appends, Varve beside the engines people pick today and beside bare loops that only write and fdatasync: every
 * engine gets the same callers and the same values, in turn within each cell, several rounds. Stores are fresh for each
 * run and warmed up; in the first round each is opened again and must hold everything that was acknowledged. With several
 * threads, callers are shared out among the main thread, which opens the store, and workers that join it; fewer callers than
 * threads are not measured.
 *
 *   npm run build && cd bench && npm ci && node --expose-gc compare/durable-append.js
 *       [--quick] [--save] [--rounds 5] [--engines varve,lmdb] [--in-flight 1,256] [--threads 1,2]
 *       [--values 100] [--directory /tmp]
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { directoryOption, readOptions } from '../usage.js';
import { describeEnvironment, loadText, watchOthers } from './environment.js';
import { measureRun } from './measured-run.js';
import { describeFlushes, describeResults } from './report.js';

const given = readOptions({
  file: import.meta.filename,
  about:
    'Durable appends, Varve beside other engines and beside bare loops that only write and fdatasync. Engines that are not installed (cd bench && npm ci) are left out.',
  options: {
    quick: { help: 'fewer rounds, a third of the appends' },
    save: { help: 'write the report to bench/results' },
    rounds: { value: 'n', help: 'rounds, engines in turn within each (default: 5, quick: 2)' },
    engines: { value: 'names', help: 'only engines with one of these in their names' },
    'in-flight': { value: 'n,…', default: '1,16,256,4096', help: 'callers that append at a time' },
    threads: { value: 'n,…', default: '1,2', help: 'threads that append to one store' },
    values: { value: 'n,…', default: '100,1024', help: 'bytes of a value' },
    directory: directoryOption,
  },
});

const BASELINE = 'bare, overwriting';
const engineFiles = ['bare', 'varve', 'better-sqlite3', 'lmdb', 'rocksdb', 'classic-level'];
/** Threads that append to one store. */
const threadCounts = numbers(given.threads);
const rounds = Number(given.rounds ?? (given.quick ? 2 : 5));

await main();

async function main() {
  const { engines, notes } = await loadEngines();
  const cells = cellsOf();
  const lines = describeEnvironment(given.directory);
  lines.push(
    `${rounds} rounds, engines in turn within each; callers, stores and grouping run in the threads named, engines may use more`,
    '',
    ...engines.map(({ name, settings }) => `${name}: ${settings}`),
    ...notes,
    ...describeJoining(engines),
  );
  console.log(lines.join('\n'));
  const others = watchOthers();
  const results = await measureAll(engines, cells);
  const report = [
    ...describeResults(results, { baseline: BASELINE, rounds }),
    ...describeFlushes(results),
    '',
    'All engines held every acknowledged value when opened again.',
    `Busy besides this process (kernel included): ${others().toFixed(2)} CPUs; load average at end ${loadText()}.`,
  ];
  console.log(report.join('\n'));
  if (given.save) {
    save([...lines, ...report]);
  }
}

/** What is different with several threads. */
function describeJoining(engines) {
  const countMax = Math.max(...threadCounts);
  if (countMax === 1) {
    return [];
  }
  const lines = [
    '',
    "Several threads append to one store: callers are shared out evenly, whoever is free makes the next append; streams and keys are each thread's own (thread, number); timed from a common start to the last acknowledgement; latencies of all threads.",
  ];
  const unshared = numbers(given['in-flight']).filter((inFlight) => inFlight < countMax);
  if (unshared.length > 0) {
    lines.push(`Not measured with more threads than callers: ${unshared.join(', ')} in flight.`);
  }
  const names = new Map();
  for (const { name, joining = 'one thread only.' } of engines) {
    names.set(joining, [...(names.get(joining) ?? []), name]);
  }
  const texts = [...names].map(([joining, ofThose]) => `${ofThose.join('; ')}: ${joining}`);
  return [...lines, 'How another thread joins:', ...texts];
}

/** Engines whose native part is missing are left out. */
async function loadEngines() {
  const wanted = given.engines?.split(',');
  const engines = [];
  const notes = [];
  for (const file of engineFiles) {
    try {
      const module = import.meta.resolve(`./engines/${file}.js`);
      const found = await import(module);
      engines.push(...found.engines.map((engine) => ({ ...engine, module })));
    } catch (error) {
      notes.push(`Left out: ${file}, which can't be loaded (${error.message.split('\n')[0]}).`);
    }
  }
  return {
    engines: engines.filter(
      ({ name }) => name === BASELINE || (wanted?.some((part) => name.includes(part)) ?? true),
    ),
    notes,
  };
}

/**
 * One in flight can't be shared out, and one in each thread would be another load: fewer callers than threads are no cell.
 *
 * @returns {import('./measured-run.js').Cell[]}
 */
function cellsOf() {
  return numbers(given.values).flatMap((valueSize) =>
    threadCounts.flatMap((threadCount) =>
      numbers(given['in-flight'])
        .filter((inFlight) => inFlight >= threadCount)
        .map((inFlight) => {
          const count = countOf(inFlight, valueSize);
          return { valueSize, threadCount, inFlight, count };
        }),
    ),
  );
}

function numbers(text) {
  return text.split(',').map(Number);
}

/** From a quarter of a second to a few seconds, depending on the engine; a third of that in a quick run. */
function countOf(inFlight, valueSize) {
  const full = Math.min(250_000, 3_000 * inFlight ** 0.75);
  const share = (given.quick ? 1 / 3 : 1) * (valueSize > 500 ? 1 / 2 : 1);
  return Math.max(Math.round(full * share), inFlight * 8);
}

/** @returns {Promise<import('./report.js').Results>} */
async function measureAll(engines, cells) {
  const results = new Map();
  for (const cell of cells) {
    const usable = engines.filter(({ join: canJoin }) => cell.threadCount === 1 || canJoin);
    const ofCell = new Map(usable.map(({ name }) => [name, []]));
    results.set(cell, ofCell);
    for (let round = 0; round < rounds; round += 1) {
      for (const engine of usable) {
        const options = { parent: given.directory, isChecked: round === 0 };
        const result = await measureRun(engine, cell, options);
        ofCell.get(engine.name).push(result);
        process.stderr.write(
          `${cell.valueSize} B, ${cell.threadCount} threads, ${cell.inFlight} in flight, round ${round + 1}: ${engine.name} ${Math.round(result.rate)}/s\n`,
        );
      }
    }
  }
  return results;
}

function save(lines) {
  const date = new Date().toISOString().slice(0, 10);
  const folder = join(import.meta.dirname, '..', 'results');
  const path = join(folder, `durable-append-${date}.md`);
  mkdirSync(folder, { recursive: true });
  const title = `# Durable appends, ${date}`;
  const command = `\`node compare/durable-append.js ${process.argv.slice(2).join(' ')}\``;
  writeFileSync(path, [title, '', command, '', '```', ...lines, '```', ''].join('\n'));
  console.log(`Saved to ${path}.`);
}
