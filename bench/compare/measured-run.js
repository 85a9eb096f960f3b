/** One run: a fresh store, a warm-up, callers that append one after the other, and a look at what is stored. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const WARM_COUNT = 20_000;
const WARM_IN_FLIGHT = 1_024;
const VALUE_VARIANTS = 1_024;

/**
 * @typedef {object} Cell
 * @property {number} valueSize
 * @property {number} inFlight In each thread.
 * @property {number} threadCount
 * @property {number} count Appends that are measured.
 *
 * @typedef {object} RunResult
 * @property {number} rate Appends per second.
 * @property {{ p50: number, p99: number, p999: number }} latency In ms.
 * @property {number | undefined} flushCount Cache flushes of all disks per append; undefined where that can't be told.
 */

/**
 * Measures one engine once. With `isChecked` the store is opened again and must hold every value.
 *
 * @param {import('./engine.js').Engine} engine
 * @param {Cell} cell
 * @param {{ parent: string, isChecked: boolean }} options
 * @returns {Promise<RunResult>}
 */
export async function measureRun(engine, cell, { parent, isChecked }) {
  if (cell.threadCount !== 1) {
    throw new Error('Only one thread can be measured yet.');
  }
  const { valueSize, count } = cell;
  const plan = { count: WARM_COUNT + count, valueSize };
  const directory = mkdtempSync(join(parent, 'varve-compare-'));
  try {
    const store = await engine.open(directory, plan);
    const values = valuesOf(valueSize);
    await applyLoad(store, values, { count: WARM_COUNT, inFlight: WARM_IN_FLIGHT });
    globalThis.gc?.();
    const flushesBefore = flushCount();
    const { seconds, latencies } = await applyLoad(store, values, cell);
    const flushesAfter = flushCount();
    await store.close();
    if (isChecked) {
      await checkStored(engine, directory, plan);
    }
    return {
      rate: count / seconds,
      latency: quantilesOf(latencies),
      flushCount: flushesBefore === undefined ? undefined : (flushesAfter - flushesBefore) / count,
    };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Random bytes, so that no engine gains by compressing them. */
function valuesOf(size) {
  const bytes = randomBytes(size * VALUE_VARIANTS);
  return Array.from({ length: VALUE_VARIANTS }, (_, index) =>
    bytes.subarray(index * size, (index + 1) * size),
  );
}

async function applyLoad(store, values, { count, inFlight }) {
  const latencies = new Float64Array(count);
  let next = 0;
  async function caller() {
    while (next < count) {
      const mine = next;
      next += 1;
      const start = performance.now();
      await store.append(values[mine % VALUE_VARIANTS]);
      latencies[mine] = performance.now() - start;
    }
  }
  const start = performance.now();
  await Promise.all(Array.from({ length: inFlight }, () => caller()));
  return { seconds: (performance.now() - start) / 1e3, latencies };
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
