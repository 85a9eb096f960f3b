/**
 * What derived data would take at any number of events, by simulation: runs arrive and are merged as the store's own policy says; sizes, memory
 * and what is written are added up. Nothing is written to disk.
 *
 *   npm run build && node bench/workloads/derived-sizes.js [--events 100000000] [--streams 1000000]
 */
import { importBuilt, readOptions } from '../usage.js';

const values = readOptions({
  file: import.meta.filename,
  about: 'Sizes, memory and writes of derived data at a number of events, by simulation.',
  options: {
    events: { value: 'n', default: '100000000', help: 'events, each with a key' },
    streams: { value: 'n', default: '1000000', help: 'streams, all alike' },
  },
});
const load = (name) => importBuilt(import.meta.filename, name);
const { indexSettings, treeSettings } = await load('derived/settings.js');
const { pickStretches } = await load('kv/compaction/stretch-picker.js');
const { arrived, compacted } = await load('kv/tree/levels-change.js');
const { emptyManifest } = await load('kv/manifest/format.js');

const events = Number(values.events);
const streams = Number(values.streams);
const { generationCount } = indexSettings(64 * 1024 * 1024, false);
const { compaction, tables } = treeSettings(indexSettings(64 * 1024 * 1024, false));

// Bytes of an entry in a table, as measured with workloads/derived.js: key, head, and a chunk with one position.
const KEY_SIZE = 15.5;
const HEAD_SIZE = 14;
const CHUNK_SIZE = 21;
const BLOCK_MEMORY = 40;

/** Distinct streams among so many events. */
const distinct = (count) => streams * (1 - (1 - 1 / streams) ** count);

/** Of a table that holds so many events; heads are one for each stream, chunks one for each run and stream. */
function sizeOf(count) {
  const chunks = (count / generationCount) * distinct(generationCount);
  return Math.round(count * KEY_SIZE + distinct(count) * HEAD_SIZE + chunks * CHUNK_SIZE);
}

function memoryOf(count, size) {
  const bits = Object.fromEntries(tables.filter.axes.map((axis) => [axis.axis, axis.bitsPerKey]));
  const filters = (count * bits[2] + distinct(count) * (bits[4] + bits[5])) / 8;
  return filters + (size / tables.blockSize) * BLOCK_MEMORY;
}

let number = 0;
function table(count, sequence) {
  number += 1;
  const key = new Uint8Array(1);
  return {
    number,
    count,
    size: sizeOf(count),
    minKey: key,
    maxKey: Uint8Array.of(255),
    isMaxExclusive: false,
    deleteCount: 0,
    rangeDeleteCount: 0,
    rawSize: 0,
    minSequence: 0,
    maxSequence: 0,
    ingestSequence: sequence,
    digest: new Uint8Array(32),
  };
}

let state = emptyManifest({ identity: new Uint8Array(16), hasLog: false });
let written = 0;
let most = 0;
for (let run = 1; (run - 1) * generationCount < events; run += 1) {
  const one = table(generationCount, run);
  written += one.size;
  state = arrived(state, [one], { level: 0, sequence: run, position: run * generationCount });
  for (;;) {
    const plan = pickStretches(state.levels, compaction.policy, new Set());
    if (plan === undefined) {
      break;
    }
    const inputs = plan.inputs.flat();
    const merged = plan.isTrivialMove
      ? inputs
      : [
          table(
            inputs.reduce((sum, { count }) => sum + count, 0),
            run,
          ),
        ];
    if (!plan.isTrivialMove) {
      written += merged[0].size;
    }
    state = compacted(state, plan, merged);
  }
  most = Math.max(most, [...state.levels].length);
}
const all = [...state.levels];
const size = all.reduce((sum, one) => sum + one.size, 0);
const memory = all.reduce((sum, one) => sum + memoryOf(one.count, one.size), 0);
const round = (value) => Math.round(value * 100) / 100;
console.log(
  JSON.stringify(
    {
      events,
      streams,
      runs: Math.ceil(events / generationCount),
      tablesForAKey: most,
      MiB: Math.round(size / 2 ** 20),
      bytesPerEvent: round(size / events),
      writtenPerEvent: round(written / events),
      writeAmplification: round(written / size),
      memoryMiB: Math.round(memory / 2 ** 20),
      memoryPerEvent: round(memory / events),
    },
    undefined,
    2,
  ),
);
