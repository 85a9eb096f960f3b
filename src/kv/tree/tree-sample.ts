/** A tree as derived data has it, for tests: runs of sorted entries, tables of stretches, small blocks. */
import { SeededRandom } from '../../base/random.ts';
import { makeFolders } from '../../io/folders.ts';
import type { Clock } from '../../io/clock.ts';
import { nodeClock } from '../../io/node-clock.ts';
import type { FileSystem } from '../../io/file-system.ts';
import { compactionSettings } from '../compaction/compaction-settings.ts';
import type { IngestEntry } from '../compaction/ingest-pieces.ts';
import type { TreeOwner } from './maintenance-parts.ts';
import { openTree, type Tree, type TreeSettings } from './tree.ts';
import type { TreeFolderOptions } from './tree-folder.ts';

export const DIRECTORY = '/store/derived';
/** Hashes of keys, each with a position, and names, each with a value that later runs replace. */
const HASH = 1;
const NAME = 2;
const PREFIX_SIZE = 3;
export const KEY_SIZE = 7;
export const settings: TreeSettings = {
  readOnly: false,
  blockCacheSize: 1024 * 1024,
  openCountMax: Infinity,
  tables: {
    blockSize: 128,
    tableSizeMax: 1_024,
    filter: {
      bitsPerKey: 14,
      axes: [{ axis: HASH, bitsPerKey: 14, uncovered: KEY_SIZE - PREFIX_SIZE }],
    },
    compression: 'none',
  },
  compaction: compactionSettings({
    policy: { kind: 'stretches', runCountMax: 4, runSize: 1_500 },
    memtableSize: 4_096,
    tableSizeMax: 1_024,
  }),
};

/** Nothing is tried again by itself. */
const clock: Clock = {
  now: () => 0,
  pause: () => nodeClock.pause(),
  schedule: () => ({ cancel: () => {} }),
};

/** Each incarnation of a tree draws another identity. */
let openedCount = 0;

/** Opens the tree in `DIRECTORY`, and starts it. Its background makes tables of the entries that it is given. */
export function openSampleTree(
  fileSystem: FileSystem,
  changed: Partial<TreeSettings> = {},
  owner: Partial<TreeOwner> = {},
  options: Omit<TreeFolderOptions, 'readOnly'> = { create: true },
): Tree {
  if (fileSystem.stat(DIRECTORY) === undefined) {
    makeFolders(fileSystem, DIRECTORY);
  }
  openedCount += 1;
  const parts = {
    fileSystem,
    held: undefined,
    clock,
    random: new SeededRandom(openedCount),
    logger: () => {},
    source: {
      inline: { entries: (request: unknown) => request as IngestEntry[] },
      worker: undefined,
    },
    threads: { usesThreads: false, goInline: undefined, workers: {}, namedFileSystem: undefined },
  };
  const silent: TreeOwner = {
    whenLogged: async () => true,
    flushed: () => {},
    progress: () => {},
    lost: () => {},
  };
  const given = { ...settings, ...changed };
  const tree = openTree(parts, DIRECTORY, given, { ...silent, ...owner }, options);
  tree.start();
  return tree;
}

/** So few hashes that some have postings in many blocks and tables. */
export function hashKey(hash: number, position = 0): Uint8Array {
  const key = new Uint8Array(KEY_SIZE);
  const view = new DataView(key.buffer);
  key[0] = HASH;
  view.setUint16(1, hash);
  view.setUint32(3, position);
  return key;
}

export const prefixOf = (hash: number): Uint8Array => hashKey(hash).subarray(0, PREFIX_SIZE);

export function nameKey(name: number): Uint8Array {
  return Uint8Array.of(NAME, ...Buffer.from(`name ${name}`));
}

export const positionIn = (bytes: Uint8Array, start: number): number =>
  new DataView(bytes.buffer, bytes.byteOffset).getUint32(start + 3);

/** What the tables hold: hashes with postings, in many blocks and tables some of them, and names whose values later runs replace. */
export class Model {
  readonly positions: Map<number, number[]> = new Map();
  readonly values: Map<number, number> = new Map();
  #position = 0;

  get position(): number {
    return this.#position;
  }

  /** Sorted entries of one more run, which are in the model when `shown` is called. */
  draw(random: SeededRandom, count: number): { run: IngestEntry[]; shown: () => void } {
    const drawn: [hash: number, position: number][] = [];
    const named = new Map<number, number>();
    const run: IngestEntry[] = [];
    for (let index = 0; index < count; index += 1) {
      const position = this.#position + index;
      const hash = random.below(3) === 0 ? 5 : random.below(60);
      drawn.push([hash, position]);
      run.push([hashKey(hash, position), new Uint8Array(0)]);
      named.set(random.below(40), position);
    }
    // Longer and shorter keys between the others are not collected.
    run.push([Uint8Array.of(...hashKey(5, this.#position), 0), Uint8Array.of(1)]);
    run.push([Uint8Array.of(...prefixOf(5), this.#position & 0xff, 9), Uint8Array.of(1)]);
    for (const [name, position] of named) {
      run.push([nameKey(name), Uint8Array.from(Buffer.from(String(position)))]);
    }
    const shown = (): void => {
      this.#position += count;
      for (const [hash, position] of drawn) {
        this.positions.set(hash, [...(this.positions.get(hash) ?? []), position]);
      }
      for (const [name, position] of named) {
        this.values.set(name, position);
      }
    };
    return { run: run.toSorted(([left], [right]) => Buffer.compare(left, right)), shown };
  }
}

export async function addRun(
  tree: Tree,
  model: Model,
  random: SeededRandom,
  count = 24,
): Promise<void> {
  const { run, shown } = model.draw(random, count);
  const made = await tree.maintenance.makeBuilt(run);
  const { lastSequence } = tree.state;
  await tree.maintenance.addIngested(made, lastSequence + 1, model.position + count, shown);
}
