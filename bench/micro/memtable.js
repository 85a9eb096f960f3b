/**
 * What could hold a memtable's keys: the radix tree, a skip list in the same arena, a Map of strings sorted when it is
 * frozen, a B+-tree of strings. All take bytes and must give the same sums. Rounds are interleaved; the figure is the
 * least time of a structure, and beside it its ratio to the radix tree's (above 1: slower than it).
 *
 *   npm run build && node --expose-gc bench/micro/memtable.js [--count 300000] [--size 16] [--shape random] [--rounds 5]
 *
 * Shapes: random bytes, `path` (text with long shared beginnings, in random order), `sequential` (8-byte numbers, ascending).
 * At last, how dear it is to look up a chunk at each access instead of having one buffer.
 */
import { cpus, loadavg } from 'node:os';
import { importBuilt, readOptions } from '../usage.js';
import { StringMap } from './rivals/string-map.js';
import { SkipList } from './rivals/skip-list.js';
import { StringTree } from './rivals/string-tree.js';

const file = import.meta.filename;
const options = readOptions({
  file,
  about:
    "What could hold a memtable's keys: the radix tree beside a skip list, a sorted Map of strings and a B+-tree of strings.",
  options: {
    count: { value: 'n', default: '300000', help: 'keys' },
    size: { value: 'n', default: '16', help: 'bytes of a key, where the shape leaves that open' },
    shape: {
      value: 'name',
      choices: ['random', 'path', 'sequential'],
      default: 'random',
      help: 'of the keys',
    },
    rounds: { value: 'n', default: '5', help: 'rounds, structures in turn within each' },
    only: { value: 'name', help: 'only the structure of this name' },
    dist: {
      value: 'url',
      default: new URL('../../dist/', import.meta.url).href,
      help: 'build to measure',
    },
  },
});
const { Arena } = await importBuilt(file, 'radix/arena.js', options.dist);
const { RadixTree } = await importBuilt(file, 'radix/radix-tree.js', options.dist);
const { RadixCursor } = await importBuilt(file, 'radix/radix-cursor.js', options.dist);
const { SeededRandom } = await importBuilt(file, 'base/random.js', options.dist);

const ARENA_SIZE = 256 * 1024 * 1024;
const SEEK_COUNT = 20_000;
const RUN_COUNT = 100;

class Radix {
  #tree = new RadixTree(Arena.create(ARENA_SIZE, true));
  #cursor = new RadixCursor(this.#tree);

  get memorySize() {
    return this.#tree.arena.used;
  }

  insert(key, start, end, payload) {
    this.#tree.setPayload(this.#tree.upsert(key, start, end), payload);
  }

  find(key, start, end) {
    const leaf = this.#tree.find(key, start, end);
    return leaf === 0 ? -1 : this.#tree.payloadOf(leaf);
  }

  freeze() {}

  sumFrom(key, start, end, count) {
    const tree = this.#tree;
    const cursor = this.#cursor;
    const { bytes } = tree.arena;
    if (key === undefined) {
      cursor.seekFirst();
    } else {
      cursor.seek(key, start, end);
    }
    let sum = 0;
    for (let visited = 0; visited < count && cursor.isValid; visited += 1) {
      const { leaf } = cursor;
      const last = bytes[tree.keyStartOf(leaf) + tree.keySizeOf(leaf) - 1];
      sum = (sum + tree.payloadOf(leaf) + last) | 0;
      cursor.next();
    }
    return sum;
  }
}

const structures = [
  { name: 'radix tree', make: () => new Radix() },
  { name: 'skip list', make: () => new SkipList(Arena.create(ARENA_SIZE, true)) },
  { name: 'Map + sort', make: () => new StringMap() },
  { name: 'B+-tree of strings', make: () => new StringTree() },
].filter(({ name }) => options.only === undefined || name === options.only);
const works = ['insert', 'freeze', 'get hit', 'get miss', 'scan', `seek + ${RUN_COUNT} next`];

// One of each lives on: when the last instance of a class is collected, so is the machine code made for it.
const kept = structures.map(({ make }) => make());

main();

function main() {
  const count = Number(options.count);
  const keys = makeKeys(count * 2, options.shape, Number(options.size));
  const hits = inOrder(keys, shuffled(count));
  const misses = inOrder(
    keys,
    shuffled(count).map((index) => index + count),
  );
  console.log(`${cpus().length} × ${cpus()[0].model.trim()}, Node ${process.version}`);
  console.log(`load ${loadavg()[0].toFixed(2)}, ${count} keys of ${keys.size} B, ${options.shape}`);
  for (const structure of kept) {
    structure.insert(keys.bytes, 0, keys.size, 0);
    structure.sumFrom(undefined, 0, 0, 1);
  }
  const best = structures.map(() => works.map(() => Infinity));
  const memory = structures.map(() => 0);
  for (let round = 0; round < Number(options.rounds); round += 1) {
    const sums = new Set();
    for (const [index, { make }] of structures.entries()) {
      const { times, sum, memorySize } = measure(make, { keys, hits, misses }, count);
      times.forEach((time, work) => (best[index][work] = Math.min(best[index][work], time)));
      memory[index] = memorySize;
      sums.add(sum);
    }
    if (sums.size !== 1) {
      throw new Error(`The structures disagree: ${[...sums].join(', ')}.`);
    }
  }
  report(best, memory);
  measureChunks();
  kept.length = 0;
}

/** Keys asked for lie in the order they are asked for: a caller has just made them. */
function measure(make, { keys, hits, misses }, count) {
  globalThis.gc?.();
  const heapBefore = process.memoryUsage().heapUsed;
  const structure = make();
  const { bytes, size } = keys;
  const times = [];
  let sum = 0;
  let start = performance.now();
  const lap = (operations) => {
    times.push(((performance.now() - start) * 1e6) / operations);
    start = performance.now();
  };
  for (let index = 0; index < count; index += 1) {
    structure.insert(bytes, index * size, (index + 1) * size, index);
  }
  lap(count);
  structure.freeze();
  lap(count);
  for (let index = 0; index < count; index += 1) {
    sum = (sum + structure.find(hits, index * size, (index + 1) * size)) | 0;
  }
  lap(count);
  for (let index = 0; index < count; index += 1) {
    sum = (sum + structure.find(misses, index * size, (index + 1) * size)) | 0;
  }
  lap(count);
  sum = (sum + structure.sumFrom(undefined, 0, 0, count)) | 0;
  lap(count);
  for (let index = 0; index < SEEK_COUNT; index += 1) {
    const at = (index % count) * size;
    sum = (sum + structure.sumFrom(misses, at, at + size, RUN_COUNT)) | 0;
  }
  lap(SEEK_COUNT);
  globalThis.gc?.();
  const heap = process.memoryUsage().heapUsed - heapBefore;
  return { times, sum, memorySize: (structure.memorySize ?? heap) / count };
}

function report(best, memory) {
  const rows = structures.map(({ name }, index) => {
    const cells = best[index].map((time, work) => cell(time, best[0][work]));
    return [name, ...cells, `${memory[index].toFixed(1)} B`];
  });
  const table = [['ns', ...works, 'per entry'], ...rows];
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
  for (const row of table) {
    console.log(row.map((text, column) => text.padEnd(widths[column])).join('  '));
  }
  if (globalThis.gc === undefined) {
    console.log('Memory on the JavaScript heap counts garbage: run with --expose-gc.');
  }
}

function cell(time, reference) {
  return `${time.toFixed(time < 100 ? 1 : 0)} (${(time / reference).toFixed(2)})`;
}

/** Keys that follow one another in one buffer: the first half is stored, the second asked for. */
function makeKeys(count, shape, size) {
  const random = new SeededRandom(1);
  if (shape === 'random') {
    const bytes = Buffer.alloc(count * size);
    random.fill(bytes);
    return { bytes, size };
  }
  if (shape === 'path') {
    const regions = ['eu-central', 'eu-west', 'us-east'];
    const texts = Array.from({ length: count }, (_, index) => {
      const number = String(index).padStart(8, '0');
      const tail = String(random.below(1e6)).padStart(6, '0');
      return `tenants/${regions[index % 3]}/orders/${number}/${tail}`.padEnd(40, '-');
    });
    const half = count / 2;
    const orders = shuffled(half);
    const bytes = Buffer.alloc(count * 40);
    for (let index = 0; index < half; index += 1) {
      bytes.latin1Write(texts[orders[index] * 2], index * 40);
      bytes.latin1Write(texts[orders[index] * 2 + 1], (half + index) * 40);
    }
    return { bytes, size: 40 };
  }
  const bytes = Buffer.alloc(count * 8);
  for (let index = 0; index < count; index += 1) {
    const isStored = index < count / 2;
    bytes.writeDoubleBE(isStored ? index + 1 : index - count / 2 + 1.5, index * 8);
  }
  return { bytes, size: 8 };
}

function inOrder({ bytes, size }, order) {
  const result = Buffer.alloc(order.length * size);
  order.forEach((from, index) => bytes.copy(result, index * size, from * size, (from + 1) * size));
  return result;
}

function shuffled(count) {
  const random = new SeededRandom(2);
  const order = Uint32Array.from({ length: count }, (_, index) => index);
  for (let index = count - 1; index > 0; index -= 1) {
    const other = random.below(index + 1);
    [order[index], order[other]] = [order[other], order[index]];
  }
  return order;
}

/** The same dependent walk over 16 MiB, in one buffer and in chunks of 1 MiB. */
function measureChunks() {
  const wordCount = 4 * 1024 * 1024;
  const chunkWordBits = 18;
  const stride = 8;
  const places = shuffled(wordCount / stride);
  const whole = new Int32Array(new SharedArrayBuffer(wordCount * 4));
  for (let index = 0; index < places.length; index += 1) {
    whole[places[index] * stride] = places[(index + 1) % places.length] * stride;
  }
  const chunks = [];
  for (let at = 0; at < wordCount; at += 1 << chunkWordBits) {
    const chunk = new Int32Array(new SharedArrayBuffer(4 << chunkWordBits));
    chunk.set(whole.subarray(at, at + (1 << chunkWordBits)));
    chunks.push(chunk);
  }
  const times = [Infinity, Infinity, Infinity, Infinity];
  for (let round = 0; round < 7; round += 1) {
    for (const [index, steps] of [2_000, 500_000].entries()) {
      times[index * 2] = Math.min(times[index * 2], timeOf(() => walkWhole(whole, steps)) / 5e5);
      const chunked = timeOf(() => walkChunks(chunks, chunkWordBits, steps)) / 5e5;
      times[index * 2 + 1] = Math.min(times[index * 2 + 1], chunked);
    }
  }
  const [hot, hotChunked, cold, coldChunked] = times;
  console.log(
    `one buffer ${hot.toFixed(1)} ns an access, chunks ${hotChunked.toFixed(1)} ` +
      `(${(hotChunked / hot).toFixed(2)}), cached; ${cold.toFixed(1)} and ${coldChunked.toFixed(1)} ` +
      `(${(coldChunked / cold).toFixed(2)}) all over 16 MiB`,
  );
}

function timeOf(work) {
  const start = performance.now();
  work();
  return (performance.now() - start) * 1e6;
}

/** 500,000 steps, from the start again after each `steps`. */
function walkWhole(words, steps) {
  let sum = 0;
  for (let done = 0; done < 500_000; done += steps) {
    let at = 0;
    for (let step = 0; step < steps; step += 1) {
      at = words[at];
      sum = (sum + at) | 0;
    }
  }
  return sum;
}

function walkChunks(chunks, bits, steps) {
  const mask = (1 << bits) - 1;
  let sum = 0;
  for (let done = 0; done < 500_000; done += steps) {
    let at = 0;
    for (let step = 0; step < steps; step += 1) {
      at = chunks[at >>> bits][at & mask];
      sum = (sum + at) | 0;
    }
  }
  return sum;
}
