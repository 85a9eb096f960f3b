/** What was measured of key-value engines, as text. */

/**
 * @typedef {object} KvResult One engine in one round: what each step told, and the size on disk after filling.
 * @property {any} fill
 * @property {number} diskSize
 * @property {any} [hot] Missing if only sizes and open times are measured.
 * @property {any} [cold]
 * @property {any} open
 * @property {any} crashed
 *
 * @typedef {Map<string, KvResult[]>} KvResults By engine, one result a round.
 *
 * @typedef {object} Measure
 * @property {string} name
 * @property {(result: KvResult, view: number) => number | undefined} of Undefined: this engine or view has none.
 * @property {(value: number) => string} text
 */

const NAME_WIDTH = 46;
const CELL_WIDTH = 15;

const rate = (value) => Math.round(value).toLocaleString('en');
const size = (value) => `${Math.round(value / 1e6)} MB`;
const time = (value) => `${value.toFixed(1)} ms`;
const times = (value) => value.toFixed(2);
const hotGet = ({ hot }, view) => hot?.views[view].uniform;
/** Of the whole engine, not of a way of reading. */
const own = (of) => (result, view) => (view === 0 ? of(result) : undefined);

/** @type {Measure[]} */
const measures = [
  { name: 'load, entries/s', of: own(({ fill }) => fill.load), text: rate },
  { name: 'random single puts/s', of: own(({ fill }) => fill.puts), text: rate },
  { name: 'hot get/s, uniform', of: hotGet, text: rate },
  { name: 'hot get/s, zipf', of: ({ hot }, view) => hot?.views[view].zipf, text: rate },
  { name: 'hot get/s, absent', of: ({ hot }, view) => hot?.views[view].absent, text: rate },
  { name: 'cold get/s, uniform', of: ({ cold }, view) => cold?.views[view].uniform, text: rate },
  { name: 'cold get/s, absent', of: ({ cold }, view) => cold?.views[view].absent, text: rate },
  { name: 'full scan, entries/s', of: ({ hot }, view) => hot?.views[view].scan, text: rate },
  { name: '100-entry scans/s', of: ({ hot }, view) => hot?.views[view].shortScans, text: rate },
  { name: 'listings of 10 directories/s', of: own(({ hot }) => hot?.listings), text: rate },
];

/** @type {Measure[]} */
const costs = [
  { name: 'background finished after puts', of: own(({ fill }) => fill.settleMs), text: time },
  { name: 'open after close', of: own(({ open }) => open.ms), text: time },
  { name: 'open after kill -9', of: own(({ crashed }) => crashed.ms), text: time },
  { name: 'size on disk', of: own(({ diskSize }) => diskSize), text: size },
  { name: 'peak memory while filling', of: own(({ fill }) => fill.memory.peak), text: size },
  {
    name: '  of it before the engine was opened',
    of: own(({ fill }) => fill.memory.bare),
    text: size,
  },
  { name: 'peak memory, hot reads', of: own(({ hot }) => hot?.memory), text: size },
  { name: 'peak memory, cold reads', of: own(({ cold }) => cold?.memory), text: size },
  { name: 'peak memory after opening', of: own(({ open }) => open.memory), text: size },
  amplification('write amplification, bytes of write calls', 'calls'),
  amplification('  pages made dirty (large folios count whole)', 'pages'),
  amplification('  written by the disk (others included)', 'disk'),
  amplification('  as the engine counts', 'engine'),
];

function amplification(name, of) {
  return { name, of: own(({ fill }) => fill.amplification[of]), text: times };
}

/**
 * @param {KvResults} results
 * @param {{ cell: import('./kv.js').KvCell, engines: import('./kv-engine.js').KvEngine[], rounds: number }} options
 * @returns {string[]}
 */
export function describeKvResults(results, { cell, engines, rounds }) {
  checkSums(results);
  const columns = engines.flatMap(({ name, views }) =>
    views.map((title, view) => ({ title, view, runs: results.get(name) })),
  );
  const title = `${cell.count.toLocaleString('en')} keys, values of ${cell.valueSize} B`;
  const [baseline] = columns;
  const others = baseline.title === 'varve' ? columns.slice(1) : [];
  const ratios = table([...measures, ...costs], others, (measure, column) =>
    ratioText(measure, baseline, column),
  );
  return [
    '',
    `${title}: more is better, median of ${rounds}`,
    ...table(measures, columns, medianText),
    '',
    `${title}: less is better, median of ${rounds}`,
    ...table(costs, columns, medianText),
    ...(ratios.length === 1
      ? []
      : [
          '',
          `${title}: varve (copies) ÷ the other, median of the rounds' ratios; from the costs on, below 1 is better`,
          ...ratios,
        ]),
  ];
}

/** Rows in which nothing was measured are left out. */
function table(rows, columns, textOf) {
  const head = columns.map(({ title }) => title.padStart(CELL_WIDTH)).join('');
  const lines = [`${''.padEnd(NAME_WIDTH)}${head}`];
  for (const measure of rows) {
    const texts = columns.map((column) => textOf(measure, column));
    if (texts.some((text) => text !== '')) {
      const cells = texts.map((text) => text.padStart(CELL_WIDTH)).join('');
      lines.push(`${measure.name.padEnd(NAME_WIDTH)}${cells}`);
    }
  }
  return lines;
}

function medianText({ of, text }, { runs, view }) {
  const found = runs.map((run) => of(run, view));
  return isMeasured(found) ? text(median(found)) : '';
}

function ratioText({ of }, baseline, { runs, view }) {
  const ratio = ratioOf(of, baseline, { runs, view });
  return ratio === undefined ? '' : times(ratio);
}

/** Median over the rounds of the ratios within each. Where the other view has none, nothing. */
function ratioOf(of, base, other) {
  const ratios = base.runs.map(
    (run, round) => of(run, base.view) / of(other.runs[round], other.view),
  );
  return isMeasured(ratios) ? median(ratios) : undefined;
}

function isMeasured(found) {
  return found.every((value) => Number.isFinite(value));
}

/** @param {KvResults} results */
function checkSums(results) {
  let expected;
  for (const [name, runs] of results) {
    for (const { sums } of runs.flatMap(({ hot }) => hot?.views ?? [])) {
      const text = sums === undefined ? expected : JSON.stringify(sums);
      expected ??= text;
      if (text !== expected) {
        throw new Error(`${name} has read ${text}, another engine ${expected}.`);
      }
    }
  }
}

/**
 * What was promised of Varve, and whether it holds here. Only what was measured.
 *
 * @param {KvResults} results
 * @returns {string[]}
 */
export function describeBudgets(results) {
  const varve = results.get('varve');
  if (varve === undefined) {
    return [];
  }
  const base = { runs: varve, view: 0 };
  const budgets = [
    { name: 'hot get, copies ÷ classic-level', peer: 'classic-level', of: hotGet, least: 2 },
    { name: 'hot get, copies ÷ lmdb getBinary', peer: 'lmdb', of: hotGet, least: 1 },
    {
      name: 'full scan ÷ lmdb',
      peer: 'lmdb',
      of: ({ hot }, view) => hot?.views[view].scan,
      least: 3,
    },
    {
      name: '100-entry scans ÷ lmdb',
      peer: 'lmdb',
      of: ({ hot }, view) => hot?.views[view].shortScans,
      least: 3,
    },
    { name: 'load ÷ classic-level', peer: 'classic-level', of: ({ fill }) => fill.load, least: 1 },
  ];
  const lines = [];
  for (const { name, peer, of, least } of budgets) {
    const runs = results.get(peer);
    const ratio = runs === undefined ? undefined : ratioOf(of, base, { runs, view: 0 });
    if (ratio !== undefined) {
      lines.push(
        `  ${name}: ${times(ratio)}, at least ${least}: ${ratio >= least ? 'met' : 'MISSED'}`,
      );
    }
  }
  const written = median(varve.map(({ fill }) => fill.amplification.calls));
  lines.push(
    `  write amplification: ${times(written)}, below 15: ${written < 15 ? 'met' : 'MISSED'}`,
  );
  return ['', 'Budgets:', ...lines];
}

/** @param {number[]} numbers */
function median(numbers) {
  const sorted = numbers.toSorted((one, other) => one - other);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
