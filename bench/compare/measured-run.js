/** One run: a fresh store, a warm-up, callers that append one after the other, and a look at what is stored. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Crew } from './crew.js';

const WARM_COUNT = 20_000;
const WARM_IN_FLIGHT = 1_024;
const VALUE_VARIANTS = 1_024;

/**
 * @typedef {object} Cell
 * @property {number} valueSize
 * @property {number} inFlight In all threads together, shared out evenly.
 * @property {number} threadCount
 * @property {number} count Appends that are measured.
 *
 * @typedef {object} RunResult
 * @property {number} rate Appends per second, from the common start to the last acknowledgement.
 * @property {{ p50: number, p99: number, p999: number }} latency In ms, of all threads.
 * @property {number[]} shares Of each thread in all appends, 0 to 1.
 * @property {number | undefined} metered What the meter has counted per append; undefined where it can't tell.
 *
 * @typedef {object} RunOptions
 * @property {string} parent Directory in which the store's is made.
 * @property {boolean} isChecked The store is opened again and must hold every value.
 * @property {() => number | undefined} [readMeter] Read before and after. Default: flushes of all disks.
 */

/**
 * Measures one engine once.
 *
 * @param {import('./engine.js').Engine & import('./engine.js').LoadableEngine} engine
 * @param {Cell} cell
 * @param {RunOptions} options
 * @returns {Promise<RunResult>}
 */
export async function measureRun(engine, cell, { parent, isChecked, readMeter = flushCount }) {
  const { valueSize, threadCount, count } = cell;
  const plan = { count: WARM_COUNT + count, valueSize, threadCount, thread: 0 };
  const directory = mkdtempSync(join(parent, 'varve-compare-'));
  let crew;
  try {
    // Random, so that no engine gains by compressing them.
    const bytes = randomBytes(valueSize * VALUE_VARIANTS);
    crew = await Crew.open(engine, directory, { plan, bytes });
    await crew.prepare({ count: WARM_COUNT, inFlight: WARM_IN_FLIGHT });
    await crew.run();
    await crew.prepare(cell);
    const before = readMeter();
    const { seconds, latencies, counts } = await crew.run();
    const after = readMeter();
    await crew.close();
    if (isChecked) {
      await checkStored(engine, directory, plan);
    }
    return {
      rate: count / seconds,
      latency: quantilesOf(latencies),
      shares: counts.map((ofThread) => ofThread / count),
      metered: before === undefined ? undefined : (after - before) / count,
    };
  } finally {
    await crew?.terminate();
    rmSync(directory, { recursive: true });
  }
}

async function checkStored(engine, directory, plan) {
  const store = await engine.open(directory, plan);
  const { count, bytes } = await store.stored();
  await store.close();
  if (count !== plan.count || bytes !== plan.count * plan.valueSize) {
    throw new Error(
      `${engine.name} holds ${count} values of ${bytes} bytes in all instead of ${plan.count} of ${plan.valueSize} bytes each.`,
    );
  }
}

function quantilesOf(latencies) {
  latencies.sort();
  const at = (share) =>
    latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))];
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999) };
}

/** Flushes that disks have completed since the machine started: an append that is durable has caused or shared one. */
function flushCount() {
  if (process.platform !== 'linux') {
    return undefined;
  }
  const lines = readFileSync('/proc/diskstats', 'utf8').trim().split('\n');
  return lines.reduce((sum, line) => sum + Number(line.trim().split(/\s+/)[18] ?? 0), 0);
}
