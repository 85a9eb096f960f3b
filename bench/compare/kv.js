/**
 * Varve's key-value engine beside the ones people pick today: 16 B random keys in ten directories, values of 100 B and 1 KiB.
 * Each step of each engine runs in a process of its own, engines in turn within each round:
 *
 *   fill    batches of 1,000 keys, 16 in flight, then single puts over them, 1,024 in flight; nobody waits for a sync. Then
 *           the engine is let finish its work in the background and closed: bytes written, disk size, peak memory.
 *   hot     a cache larger than the data; all of it scanned and got once before, and the engine let finish what that has set off: gets, scans,
 *           listings.
 *   cold    a cache of 8 MiB, nothing in it; the files are in the system's page cache.
 *   open    after a clean close, until a first value is read; and after kill -9 behind acknowledged puts, all of which must
 *           be there.
 *
 * Every get has to find its value and every scan all entries; the sums of what scans gave are compared between engines.
 *
 *   npm run build && cd bench && npm ci && node compare/kv.js
 *       [--quick] [--save] [--rounds 3] [--engines varve,lmdb] [--values 100,1024] [--count 1000000] [--large]
 *       [--write-buffer 32] [--directory /tmp]
 *
 * `--large` adds 10 M keys of 100 B: size and open time only. `--write-buffer`: MiB for classic-level, whose default is 4.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { directoryOption, readOptions } from '../usage.js';
import { describeEnvironment, loadText, watchOthers } from './environment.js';
import { KEY_SIZE } from './kv-data.js';
import { describeKvResults, describeBudgets } from './kv-report.js';
import { childrenSeconds } from './process-counters.js';

const given = readOptions({
  file: import.meta.filename,
  about:
    "Varve's key-value engine beside others: filling, reading with a hot and with a cold cache, opening. Engines that are not installed (cd bench && npm ci) are left out.",
  options: {
    quick: { help: 'fewer rounds, a fifth of the keys' },
    save: { help: 'write the report to bench/results' },
    large: { help: 'also 10 million keys of 100 B: size and open time only' },
    rounds: { value: 'n', help: 'rounds, engines in turn within each (default: 3, quick: 2)' },
    engines: { value: 'names', help: 'only engines with one of these in their names' },
    values: { value: 'n,…', default: '100,1024', help: 'bytes of a value' },
    count: { value: 'n', help: 'keys (default: 1000000, quick: 200000)' },
    'write-buffer': { value: 'n', help: 'MiB for classic-level, whose own default is 4' },
    directory: directoryOption,
  },
});

const MiB = 2 ** 20;
const LARGE_COUNT = 10_000_000;
const COLD_CACHE = 8 * MiB;
const FILL_CACHE = 64 * MiB;
const engineFiles = ['varve', 'lmdb', 'classic-level', 'rocksdb'];
const rounds = Number(given.rounds ?? (given.quick ? 2 : 3));
const count = Number(given.count ?? (given.quick ? 200_000 : 1_000_000));

await main();

async function main() {
  const { engines, notes } = await loadEngines();
  const cells = cellsOf();
  const lines = [...describeEnvironment(given.directory), ...describeSetting(cells), ''];
  lines.push(...engines.map(({ name, settings }) => `${name}: ${settings}`), ...notes);
  console.log(lines.join('\n'));
  const others = watchOthers();
  const start = { ms: performance.now(), children: childrenSeconds() };
  const report = [];
  for (const cell of cells) {
    const results = await measureCell(engines, cell);
    const text = [
      ...describeKvResults(results, { cell, engines, rounds }),
      ...describeBudgets(results),
    ];
    console.log(text.join('\n'));
    report.push(...text);
  }
  const own = ((childrenSeconds() - start.children) / (performance.now() - start.ms)) * 1e3;
  const busy = Math.max(0, others() - own);
  const last = [
    '',
    'Every get found its value, every scan all entries; engines gave the same.',
    `Busy besides these processes (kernel included): ${busy.toFixed(2)} CPUs; load average at end ${loadText()}.`,
  ];
  console.log(last.join('\n'));
  if (given.save) {
    save([...lines, ...report, ...last]);
  }
}

function describeSetting(cells) {
  const lines = [
    `${rounds} rounds, engines in turn within each, each step in a fresh process; writes are not synced`,
    `block cache, the same for all that have one: ${FILL_CACHE / MiB} MiB while filling and opening, ${COLD_CACHE / MiB} MiB cold (page cache warm)`,
  ];
  for (const { valueSize, isLarge, hotCache } of cells) {
    if (!isLarge) {
      lines.push(`  and hot, at ${valueSize} B: ${hotCache / MiB} MiB, more than the data`);
    }
  }
  const buffer = given['write-buffer'];
  return buffer === undefined ? lines : [...lines, `write buffer of classic-level: ${buffer} MiB`];
}

/** Engines whose native part is missing are left out. */
async function loadEngines() {
  const wanted = given.engines?.split(',');
  const engines = [];
  const notes = [];
  for (const file of engineFiles) {
    try {
      const { engine } = await import(`./kv-engines/${file}.js`);
      engines.push({ ...engine, file });
    } catch (error) {
      notes.push(`Left out: ${file}, which can't be loaded (${error.message.split('\n')[0]}).`);
    }
  }
  return {
    engines: engines.filter(({ name }) => wanted?.some((part) => name.includes(part)) ?? true),
    notes,
  };
}

/**
 * @typedef {object} KvCell
 * @property {number} valueSize
 * @property {number} count
 * @property {boolean} isLarge Size and open time only.
 * @property {number} hotCache
 *
 * @returns {KvCell[]}
 */
function cellsOf() {
  const cells = given.values.split(',').map((text) => cellOf(Number(text), count, false));
  return given.large ? [...cells, cellOf(100, LARGE_COUNT, true)] : cells;
}

function cellOf(valueSize, keyCount, isLarge) {
  const raw = keyCount * (KEY_SIZE + valueSize);
  const hotCache = Math.max(64, Math.ceil((1.5 * raw) / MiB)) * MiB;
  return { valueSize, count: keyCount, isLarge, hotCache };
}

/** @returns {Promise<Map<string, import('./kv-report.js').KvResult[]>>} By engine, one result a round. */
async function measureCell(engines, cell) {
  const results = new Map(engines.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const engine of engines) {
      const result = await measureEngine(engine, cell, round);
      results.get(engine.name).push(result);
    }
  }
  return results;
}

async function measureEngine({ name, file }, cell, round) {
  const directory = mkdtempSync(join(given.directory, 'varve-kv-'));
  const buffer = given['write-buffer'];
  const common = {
    engine: file,
    directory,
    valueSize: cell.valueSize,
    count: cell.count,
    putCount: cell.isLarge ? 0 : Math.ceil(cell.count / 4),
    getCount: Math.min(300_000, Math.max(20_000, Math.ceil(cell.count / 4))),
    extraCount: 0,
    cacheSize: FILL_CACHE,
    writeBufferSize: buffer === undefined ? undefined : Number(buffer) * MiB,
  };
  const step = (task) => {
    process.stderr.write(`${cell.valueSize} B, round ${round + 1}, ${name}: ${task.step}\n`);
    return runStep({ ...common, ...task });
  };
  try {
    const result = { fill: await step({ step: 'fill' }), diskSize: diskSize(directory) };
    if (!cell.isLarge) {
      result.hot = await step({ step: 'hot', cacheSize: cell.hotCache });
      result.cold = await step({ step: 'cold', cacheSize: COLD_CACHE });
    }
    result.open = await step({ step: 'open' });
    const extraCount = Math.ceil(cell.count / 10);
    await step({ step: 'crash', extraCount });
    result.crashed = await step({ step: 'open', extraCount });
    return result;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** @param {import('./kv-run.js').KvTask} task */
function runStep(task) {
  const script = join(import.meta.dirname, 'kv-run.js');
  const args = ['--expose-gc', script, JSON.stringify(task)];
  const isKilled = task.step === 'crash';
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, { encoding: 'utf8' }, (error, output, errors) => {
      if (isKilled ? error?.signal === 'SIGKILL' && output !== '' : error === null) {
        resolve(JSON.parse(output));
      } else {
        reject(new Error(`${task.engine}, ${task.step} failed: ${errors || error?.message}`));
      }
    });
  });
}

/** Bytes of all blocks that the files below have on disk. */
function diskSize(directory) {
  let size = 0;
  for (const entry of readdirSync(directory, { recursive: true })) {
    size += statSync(join(directory, entry)).blocks * 512;
  }
  return size;
}

function save(lines) {
  const date = new Date().toISOString().slice(0, 10);
  const folder = join(import.meta.dirname, '..', 'results');
  const path = join(folder, `kv-${date}.md`);
  mkdirSync(folder, { recursive: true });
  const title = `# Key-value engines, ${date}`;
  const command = `\`node compare/kv.js ${process.argv.slice(2).join(' ')}\``;
  writeFileSync(path, [title, '', command, '', '```', ...lines, '```', ''].join('\n'));
  console.log(`Saved to ${path}.`);
}
