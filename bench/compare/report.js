/** What was measured, as text. */

/**
 * @typedef {import('./measured-run.js').Cell} Cell
 * @typedef {import('./measured-run.js').RunResult} RunResult
 * @typedef {Map<Cell, Map<string, RunResult[]>>} Results By cell and engine, one result a round.
 */

const NAME_WIDTH = 24;
const CELL_WIDTH = 19;

/**
 * Two tables for each value size and thread count: rates and latencies. Several threads have a third one, which shows
 * whether one of them was kept waiting.
 *
 * @param {Results} results
 * @param {{ baseline: string, rounds: number }} options `baseline`: name of the engine that ratios are taken against.
 * @returns {string[]}
 */
export function describeResults(results, { baseline, rounds }) {
  const groups = groupCells([...results.keys()]);
  const lines = [];
  for (const [name, cells] of groups) {
    lines.push(
      '',
      `${name}: durable appends per second, median of ${rounds}; behind it the median ratio to "${baseline}" of the same round`,
      ...table(results, cells, rateText, baseline),
      '',
      `${name}: latency in ms, p50 p99 p999, medians of ${rounds}`,
      ...table(results, cells, latencyText, baseline),
    );
    const [{ threadCount }] = cells;
    if (threadCount > 1) {
      lines.push(
        '',
        `${name}: share of the thread that appended least, median of ${rounds}; ${percent(1 / threadCount)} is even`,
        ...table(results, cells, leastShareText, baseline),
      );
    }
  }
  return lines;
}

function groupName({ valueSize, threadCount }) {
  return `${valueSize} B, ${threadCount === 1 ? 'one thread' : `${threadCount} threads`}`;
}

function groupCells(cells) {
  const groups = new Map();
  for (const cell of cells) {
    const name = groupName(cell);
    groups.set(name, [...(groups.get(name) ?? []), cell]);
  }
  return groups;
}

function table(results, cells, textOf, baseline) {
  const names = [...results.get(cells[0]).keys()];
  const head = ['in flight'.padEnd(NAME_WIDTH)];
  for (const { inFlight } of cells) {
    head.push(inFlight.toLocaleString('en').padStart(CELL_WIDTH));
  }
  const rows = names.map((name) => {
    const texts = cells.map((cell) => {
      const ofCell = results.get(cell);
      return textOf(ofCell.get(name), ofCell.get(baseline)).padStart(CELL_WIDTH);
    });
    return name.padEnd(NAME_WIDTH) + texts.join('');
  });
  return [head.join(''), ...rows];
}

function rateText(runs, bare) {
  const rate = Math.round(median(runs.map((run) => run.rate))).toLocaleString('en');
  if (bare === undefined) {
    return rate;
  }
  const ratio = median(runs.map((run, round) => run.rate / bare[round].rate));
  return `${rate} ${ratio.toFixed(2).padStart(6)}`;
}

function latencyText(runs) {
  return ['p50', 'p99', 'p999']
    .map((name) => milliseconds(median(runs.map((run) => run.latency[name]))).padStart(6))
    .join('');
}

function leastShareText(runs) {
  return percent(median(runs.map(({ shares }) => Math.min(...shares))));
}

function percent(share) {
  return `${Math.round(share * 100)} %`;
}

function milliseconds(value) {
  if (value < 9.995) {
    return value.toFixed(2);
  }
  return value.toFixed(value < 999.5 ? 1 : 0);
}

/**
 * How many cache flushes of the disk an append has caused where nobody could share one: fewer than one means that
 * somebody was told "durable" without a sync.
 *
 * @param {Results} results
 * @returns {string[]}
 */
export function describeFlushes(results) {
  const alone = [...results.keys()].find(({ inFlight }) => inFlight === 1);
  if (alone === undefined) {
    return [];
  }
  const texts = [];
  for (const [name, runs] of results.get(alone)) {
    const counts = runs.map(({ metered }) => metered).filter((count) => count !== undefined);
    if (counts.length > 0) {
      texts.push(`${name} ${median(counts).toFixed(2)}`);
    }
  }
  return texts.length === 0
    ? []
    : ['', `Disk flushes per append, 1 in flight: ${texts.join(', ')}.`];
}

/** @param {number[]} numbers */
function median(numbers) {
  const sorted = numbers.toSorted((one, other) => one - other);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
