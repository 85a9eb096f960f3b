/** The tree of derived data: one incarnation of it, in the folder `derived` of a store. */
import { assert } from '../base/assert.ts';
import { CorruptionError } from '../base/errors.ts';
import { isRefusal } from '../base/refusal.ts';
import { makeFound } from '../kv/entries/cursor.ts';
import type { JobResult } from '../kv/compaction/job.ts';
import type { Tree } from '../kv/tree/tree.ts';
import {
  Axis,
  type Counts,
  decodeChunk,
  decodeCounts,
  decodeHead,
  decodeOwnerData,
  firstRevisionBefore,
  HASH_KEY_SIZE,
  HASH_PREFIX_SIZE,
  type Head,
  NAME_END,
  nameKey,
  NO_COUNTS,
  positionAt,
  POSTING_SUFFIX_SIZE,
  postingKey,
  REVISION_MAX,
  putHashPrefix,
} from './format.ts';
import type { RunRequest } from './run-source.ts';
import { sumOf } from './tail.ts';
import { SecretHash, type TextHash } from './text-hash.ts';

/** How much of the log is in the tree: the position behind it, and the leaf hash of the event before that. */
export interface Coverage {
  readonly position: number;
  readonly mark: Uint8Array;
}

/** A stretch of a stream's revisions and where they are. */
export interface Chunk {
  readonly firstRevision: number;
  /** Ascending. */
  readonly positions: Float64Array;
}

export class IndexTree {
  readonly tree: Tree;
  readonly secret: Uint8Array;
  readonly #makeHash: (secret: Uint8Array) => TextHash;
  #counts: Counts | undefined;
  readonly #found = makeFound();
  readonly #prefix = new Uint8Array(HASH_PREFIX_SIZE);
  #into: number[] | undefined;
  readonly #take = (bytes: Uint8Array, _start: number, end: number): void => {
    (this.#into ??= []).push(positionAt(bytes, end - 6));
  };

  /** `tree` is open, and its owner's bytes are those of this store. */
  constructor(
    tree: Tree,
    makeHash: (secret: Uint8Array) => TextHash = (secret) => new SecretHash(secret),
  ) {
    const data = decodeOwnerData(tree.state.ownerData);
    assert(!isRefusal(data), 'the tree was looked at before');
    this.tree = tree;
    this.secret = data.secret;
    this.#makeHash = makeHash;
  }

  /** The hash of its keys and ids, for one user: it keeps what it took last. */
  newHash(): TextHash {
    return this.#makeHash(this.secret);
  }

  /** Positions below it are in the tree. */
  get covered(): number {
    return this.tree.state.flushedPosition;
  }

  /** Tables of runs that are not merged yet. */
  get unmergedCount(): number {
    return this.tree.state.levels.countOf(0);
  }

  get isEmpty(): boolean {
    return this.covered === 0;
  }

  /** Counts of what is in it. Throws `CORRUPT`. */
  get counts(): Counts {
    this.#counts ??= this.#readCounts();
    return this.#counts;
  }

  // For decisions: nothing is read here.

  /** 'cold': the answer is in a block that is not in memory. */
  headInMemory(name: string): Head | 'absent' | 'cold' {
    const key = nameKey(Axis.head, name);
    const outcome = this.tree.lookups.find(key, this.#found);
    return outcome === 'found' ? this.#foundHead(name) : outcome;
  }

  /** Adds positions where a key or id with this hash may stand to `into` or a new list. Undefined: 'cold', as above. */
  positionsInMemory(
    axis: number,
    low: number,
    high: number,
    into: number[] | undefined,
  ): readonly number[] | 'cold' {
    putHashPrefix(this.#prefix, axis, low, high);
    this.#into = into;
    const outcome = this.tree.lookups.collect(this.#prefix, HASH_KEY_SIZE, this.#take);
    const found = this.#into;
    this.#into = undefined;
    return outcome === 'cold' ? 'cold' : (found ?? NONE);
  }

  async readHead(name: string): Promise<Head | undefined> {
    const found = makeFound();
    const { isFound } = await this.tree.lookups.findAsync(nameKey(Axis.head, name), found);
    return isFound ? this.#headOf(name, found) : undefined;
  }

  async readPositions(axis: number, low: number, high: number): Promise<readonly number[]> {
    const prefix = new Uint8Array(HASH_PREFIX_SIZE);
    putHashPrefix(prefix, axis, low, high);
    const positions: number[] = [];
    await this.tree.lookups.collectAsync(prefix, HASH_KEY_SIZE, (bytes, _start, end) => {
      positions.push(positionAt(bytes, end - 6));
    });
    return positions;
  }

  // For reads, which read in place.

  positionsInPlace(axis: number, low: number, high: number): readonly number[] {
    putHashPrefix(this.#prefix, axis, low, high);
    this.#into = undefined;
    this.tree.lookups.collectInPlace(this.#prefix, HASH_KEY_SIZE, this.#take);
    const found = this.#into ?? NONE;
    this.#into = undefined;
    return found;
  }

  /** The chunks of a stream from the one that holds `revision` on, in either direction, until the caller has enough. */
  *chunksFrom(
    name: string,
    revision: number,
    isBackwards: boolean,
  ): Generator<Chunk, void, undefined> {
    // Later chunks have smaller keys.
    const older = this.#chunks(name, postingKey(name, revision), endOfPostings(name), false);
    if (isBackwards) {
      yield* older;
      return;
    }
    let first: Chunk | undefined;
    for (first of older) {
      break;
    }
    if (first !== undefined) {
      yield first;
      const end = postingKey(name, first.firstRevision);
      yield* this.#chunks(name, postingKey(name, REVISION_MAX), end, true);
    }
  }

  *#chunks(
    name: string,
    start: Uint8Array,
    end: Uint8Array,
    isReverse: boolean,
  ): Generator<Chunk, void, undefined> {
    const keySize = start.length;
    const wanted = { prefixSize: keySize - POSTING_SUFFIX_SIZE + 1, keySize };
    const entries = this.tree.entries({ start, end, wanted }, Number.MAX_SAFE_INTEGER, isReverse);
    try {
      while (entries.next()) {
        const { keyBytes, keyEnd, valueBytes, valueStart, valueEnd } = entries;
        const positions = decodeChunk(valueBytes, valueStart, valueEnd);
        if (positions === undefined || positions.at(-1)! >= this.covered) {
          throw this.#damaged(`where events of the stream ${JSON.stringify(name)} are`);
        }
        yield { firstRevision: firstRevisionBefore(keyBytes, keyEnd), positions };
      }
    } finally {
      entries.close();
    }
  }

  /** Names of streams in order, from a place on: at a name, behind it, or behind all that begin with it. */
  *namesFrom(
    text: string,
    place: 'at' | 'behind' | 'behind all with it',
  ): Generator<string, undefined, undefined> {
    const start = nameKey(Axis.head, text, place === 'behind' ? 1 : 0);
    if (place === 'behind all with it') {
      // The last byte of UTF-8 text is never the greatest one.
      start[start.length - 1]! += 1;
    }
    const bounds = { start, end: Uint8Array.of(Axis.head + 1) };
    const entries = this.tree.entries(bounds, Number.MAX_SAFE_INTEGER);
    try {
      while (entries.next()) {
        const { keyBytes, keyStart, keyEnd } = entries;
        const bytes = Buffer.from(keyBytes.buffer, keyBytes.byteOffset, keyBytes.length);
        yield bytes.toString('utf8', keyStart + 1, keyEnd);
      }
    } finally {
      entries.close();
    }
    return undefined;
  }

  // For the indexer.

  /** Has the background make a run of a stretch of the log. Nobody sees it yet. */
  makeRun(range: RunRequest['range']): Promise<JobResult> {
    const request: RunRequest = { range, secret: this.secret, before: this.counts };
    return this.tree.maintenance.makeBuilt(request);
  }

  /** The run becomes part of the tree, durably. `installed` is called in the turn in which it shows. `added`: counts of the run, if they are known. */
  async addRun(
    made: JobResult,
    { position, mark }: Coverage,
    installed: () => void,
    added: Counts | undefined,
  ): Promise<void> {
    await this.tree.maintenance.addIngested(
      made,
      position,
      position,
      () => {
        // Known without a read, whoever asks for them next.
        this.#counts = added && sumOf(this.counts, added);
        installed();
      },
      mark,
    );
  }

  #readCounts(): Counts {
    if (this.isEmpty) {
      return NO_COUNTS;
    }
    const found = this.#found;
    const isFound = this.tree.get(Uint8Array.of(Axis.counts), Number.MAX_SAFE_INTEGER, found);
    const counts = isFound ? decodeCounts(found.bytes.subarray(found.start, found.end)) : undefined;
    if (counts === undefined) {
      throw this.#damaged('the counts');
    }
    return counts;
  }

  #foundHead(name: string): Head {
    return this.#headOf(name, this.#found);
  }

  #headOf(name: string, { bytes, start, end }: ReturnType<typeof makeFound>): Head {
    const head = decodeHead(bytes, start, end);
    if (head === undefined || head.position >= this.covered) {
      throw this.#damaged(`the head of the stream ${JSON.stringify(name)}`);
    }
    return head;
  }

  #damaged(what: string): CorruptionError {
    return new CorruptionError(
      this.tree.folder.directory,
      undefined,
      `${what} can not be what was written`,
    );
  }
}

const NONE: readonly number[] = [];

/** Behind the key of a stream's oldest chunk. */
function endOfPostings(name: string): Uint8Array {
  const end = nameKey(Axis.posting, name, 1);
  end[end.length - 1] = NAME_END + 1;
  return end;
}
