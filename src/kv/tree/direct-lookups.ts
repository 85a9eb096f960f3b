/**
 * Lookups for an owner who decides in an event loop. Asked directly, a question is answered from filters, indexes and cached blocks, or is
 * *cold*: a block would have to be read. The same question in its asynchronous form reads what it needs, all tables at once, and
 * answers by what it has read, so it needs no room in the cache and never has to be asked twice.
 *
 *   find, collect            'cold' ──▶ findAsync, collectAsync ──▶ the answer, and which version of the tables it is of
 *
 * Nothing here looks at memtables or deletions: derived data has neither.
 */
import { assert } from '../../base/assert.ts';
import { compareKeys } from '../../base/compare-bytes.ts';
import { closedError } from '../../base/errors.ts';
import { successorOfPrefix } from '../../radix/path.ts';
import type { Found } from '../entries/cursor.ts';
import type { TableMeta } from '../sstable/table-meta.ts';
import type { Block } from '../sstable/block.ts';
import { SoughtHash } from '../sstable/filter-part.ts';
import { KeyScratch, type KeyVisitor, visitKeys } from '../sstable/prefix-scan.ts';
import type { BlockRange, TableReader } from '../sstable/table-reader.ts';
import type { ReadState } from './read-state.ts';
import type { TableHandle, TableSet, TableView } from './table-set.ts';

/** Answer to a question that reads nothing. `cold`: only a read can tell. */
export type FindOutcome = 'found' | 'absent' | 'cold';

/** Tables that an asynchronous answer is of: those that were there when it was asked for. */
export interface AnswerVersion {
  /** `TableSet.version` of that moment. If another one is current, tables have been installed meanwhile. */
  readonly version: number;
}

/** Blocks of a table, in order, in memory of their own. */
interface ReadBlocks {
  readonly reader: TableReader;
  readonly blocks: readonly Block[];
}

/** Blocks that are all in the cache. */
interface CachedBlocks {
  readonly reader: TableReader;
  readonly range: BlockRange;
}

export class DirectLookups {
  readonly #reads: ReadState;
  readonly #tables: TableSet;
  readonly #hash = new SoughtHash();
  readonly #wanted = { prefixSize: 0, keySize: 0 };
  readonly #steps = new LookupSteps();
  readonly #scratch = new KeyScratch();
  readonly #cached: CachedBlocks[] = [];
  readonly #underWay = new Set<Promise<unknown>>();
  #isClosed = false;

  constructor(reads: ReadState, tables: TableSet) {
    this.#reads = reads;
    this.#tables = tables;
  }

  /**
   * Looks for the newest value of a key and reads nothing. `found` stays until the tree is asked for something else. Throws `CORRUPT` where a
   * cached block is not what it should be.
   */
  find(key: Uint8Array, found: Found): FindOutcome {
    const view = this.#view();
    const steps = this.#steps.of(view, key);
    this.#hash.begin(key);
    for (let index = 0; index < steps.length; index += 1) {
      const step = steps[index]!;
      const handle =
        step.handle === undefined
          ? tableOf(view, step.level, key)
          : step.coversAll || mayHoldKey(step.handle.meta, key)
            ? step.handle
            : undefined;
      const outcome = handle === undefined ? 'absent' : this.#findIn(handle, key, found);
      if (outcome !== 'absent') {
        return outcome;
      }
    }
    return 'absent';
  }

  /**
   * Looks for the newest value of a key, and reads blocks without blocking. `found` is filled in if there is one, with bytes of its own. Rejects
   * with `CORRUPT` where what is read is not what was written, with `UNAVAILABLE` where the disk refuses, with `CLOSED`.
   */
  findAsync(key: Uint8Array, found: Found): Promise<AnswerVersion & { readonly isFound: boolean }> {
    const sought = key.slice();
    return this.#answer(async (view, version) => {
      const hash = new SoughtHash();
      hash.begin(sought);
      const read = await this.#read(tablesOfKey(view, sought), (reader) => {
        const block = reader.blockOf(sought, hash);
        return block === undefined ? undefined : { first: block, end: block + 1 };
      });
      const isFound = read.some(({ reader, blocks }) => reader.findIn(blocks[0]!, sought, found));
      return { isFound, version };
    });
  }

  /**
   * Visits every key of `keySize` bytes that begins with `prefix`, in any order, and reads nothing; a key that lies in several tables is visited
   * for each. `visit` must not ask the tree for anything. If the question is cold, nothing is visited.
   */
  collect(prefix: Uint8Array, keySize: number, visit: KeyVisitor): 'done' | 'cold' {
    const cached = this.#cached;
    cached.length = 0;
    if (!this.#gather(prefix, keySize, cached)) {
      return 'cold';
    }
    for (const { reader, range } of cached) {
      for (let index = range.first; index < range.end; index += 1) {
        const block = reader.cachedBlock(index);
        assert(block !== undefined, 'the cache stays as it is while keys are visited');
        visitKeys(block, prefix, keySize, this.#scratch, visit);
      }
    }
    // Closed tables need not stay in memory until the next question.
    cached.length = 0;
    return 'done';
  }

  /** Visits the same keys, and reads blocks in place. For reads, which may block. */
  collectInPlace(prefix: Uint8Array, keySize: number, visit: KeyVisitor): void {
    const tables = this.#tables;
    this.#wanted.prefixSize = prefix.length;
    this.#wanted.keySize = keySize;
    this.#hash.begin(prefix);
    for (const handle of this.#tablesOfPrefix(this.#view(), prefix)) {
      const reader = tables.reader(handle);
      if (reader.mayHoldWanted(prefix, this.#wanted, this.#hash)) {
        const { first, end } = reader.blocksOf(prefix, successorOfPrefix(prefix));
        for (let index = first; index < end; index += 1) {
          visitKeys(reader.block(index), prefix, keySize, this.#scratch, visit);
        }
      }
    }
  }

  /** Visits the same keys, all of them in one turn, having read blocks without blocking. Rejects as `findAsync` does. */
  collectAsync(prefix: Uint8Array, keySize: number, visit: KeyVisitor): Promise<AnswerVersion> {
    const sought = prefix.slice();
    return this.#answer(async (view, version) => {
      const hash = new SoughtHash();
      hash.begin(sought);
      const wanted = { prefixSize: sought.length, keySize };
      const end = successorOfPrefix(sought);
      const read = await this.#read(this.#tablesOfPrefix(view, sought), (reader) =>
        reader.mayHoldWanted(sought, wanted, hash) ? reader.blocksOf(sought, end) : undefined,
      );
      for (const { blocks } of read) {
        for (const block of blocks) {
          visitKeys(block, sought, keySize, this.#scratch, visit);
        }
      }
      return { version };
    });
  }

  /** Answers what was asked, then nothing more. Resolves when no file is being read. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#underWay);
  }

  /** Those that are now. */
  #view(): TableView {
    const view = this.#tables.current;
    assert(!view.hasDeletions, 'direct lookups are for trees in which nothing is deleted');
    const { memtables } = this.#reads;
    for (let index = 0; index < memtables.length; index += 1) {
      assert(memtables[index]!.isEmpty, 'direct lookups are for trees that have all in tables');
    }
    return view;
  }

  #findIn(handle: TableHandle, key: Uint8Array, found: Found): FindOutcome {
    const reader = this.#tables.readerInMemory(handle);
    if (reader === undefined) {
      return 'cold';
    }
    const index = reader.blockOf(key, this.#hash);
    if (index === undefined) {
      return 'absent';
    }
    const block = reader.cachedBlock(index);
    if (block === undefined) {
      return 'cold';
    }
    return reader.findIn(block, key, found) ? 'found' : 'absent';
  }

  /** The blocks that hold what is to be collected. False if one of them is not in memory. */
  #gather(prefix: Uint8Array, keySize: number, into: CachedBlocks[]): boolean {
    const view = this.#view();
    const steps = this.#steps.of(view, prefix);
    this.#wanted.prefixSize = prefix.length;
    this.#wanted.keySize = keySize;
    this.#hash.begin(prefix);
    for (let index = 0; index < steps.length; index += 1) {
      const { handle, coversAll, level } = steps[index]!;
      if (handle === undefined) {
        if (!this.#gatherInLevel(view, level, prefix, into)) {
          return false;
        }
      } else if (
        (coversAll || mayHoldPrefix(handle.meta, prefix)) &&
        !this.#gatherIn(handle, prefix, into)
      ) {
        return false;
      }
    }
    return true;
  }

  #tablesOfPrefix(view: TableView, prefix: Uint8Array): readonly TableHandle[] {
    const found: TableHandle[] = [];
    for (const { handle, coversAll, level } of this.#steps.of(view, prefix)) {
      if (handle === undefined) {
        const ofLevel = view.handles[level]!;
        let index = view.levels.firstAtOrBehind(level, prefix);
        for (; index < ofLevel.length && mayHoldPrefix(ofLevel[index]!.meta, prefix); index += 1) {
          found.push(ofLevel[index]!);
        }
      } else if (coversAll || mayHoldPrefix(handle.meta, prefix)) {
        found.push(handle);
      }
    }
    return found;
  }

  #gatherInLevel(
    { levels, handles }: TableView,
    level: number,
    prefix: Uint8Array,
    into: CachedBlocks[],
  ): boolean {
    const ofLevel = handles[level]!;
    for (let index = levels.firstAtOrBehind(level, prefix); index < ofLevel.length; index += 1) {
      const handle = ofLevel[index]!;
      if (!mayHoldPrefix(handle.meta, prefix)) {
        break;
      }
      if (!this.#gatherIn(handle, prefix, into)) {
        return false;
      }
    }
    return true;
  }

  #gatherIn(handle: TableHandle, prefix: Uint8Array, into: CachedBlocks[]): boolean {
    const reader = this.#tables.readerInMemory(handle);
    if (reader === undefined) {
      return false;
    }
    if (reader.mayHoldWanted(prefix, this.#wanted, this.#hash)) {
      const range = reader.blocksOf(prefix, successorOfPrefix(prefix));
      if (!isAllCached(reader, range)) {
        return false;
      }
      into.push({ reader, range });
    }
    return true;
  }

  /** Gives an answer about the tables that are there now; they stay until it is given. */
  async #answer<Answer>(
    work: (view: TableView, version: number) => Promise<Answer>,
  ): Promise<Answer> {
    if (this.#isClosed) {
      throw closedError();
    }
    const tables = this.#tables;
    const view = tables.pin(this.#view());
    const answer = work(view, tables.version).finally(() => tables.unpin(view));
    this.#underWay.add(answer);
    try {
      return await answer;
    } finally {
      this.#underWay.delete(answer);
    }
  }

  /** Blocks of tables of a pinned view, in the order of the tables. `locate` says which, in one turn for all tables. */
  async #read(
    handles: readonly TableHandle[],
    locate: (reader: TableReader) => BlockRange | undefined,
  ): Promise<readonly ReadBlocks[]> {
    const tables = this.#tables;
    for (const handle of handles) {
      handle.cursorCount += 1;
    }
    try {
      await allDone(handles.map((handle) => tables.openAhead(handle)));
      const located = handles.flatMap((handle) => {
        const reader = tables.readerInMemory(handle);
        assert(reader !== undefined, 'a table stays open for those who count as cursors on it');
        const range = locate(reader);
        return range === undefined ? [] : { reader, range };
      });
      return await allDone(
        located.map(async ({ reader, range: { first, end } }) => {
          const indexes = Array.from({ length: end - first }, (_, at) => first + at);
          const blocks = await allDone(indexes.map((index) => reader.blockAsync(index)));
          return { reader, blocks };
        }),
      );
    } finally {
      for (const handle of handles) {
        handle.cursorCount -= 1;
      }
    }
  }
}

/** Where a lookup goes on: in one table, or in a level of so many that one is searched for. */
interface LookupStep {
  readonly handle: TableHandle | undefined;
  /** Keys that begin with that byte are all within the table's bounds. */
  readonly coversAll: boolean;
  readonly level: number;
}

/** Tables of a level that are gone through one by one. */
const FEW_TABLES = 2;

/** The tables that may hold keys with one first byte, the newest first: looked up once for each view. */
class LookupSteps {
  readonly #steps: (readonly LookupStep[] | undefined)[] = Array.from({ length: 256 });
  #view: TableView | undefined;

  of(view: TableView, key: Uint8Array): readonly LookupStep[] {
    if (view !== this.#view) {
      this.#view = view;
      this.#steps.fill(undefined);
    }
    const first = key[0] ?? 0;
    return (this.#steps[first] ??= stepsOf(view, first));
  }
}

function stepsOf({ handles, depth }: TableView, first: number): readonly LookupStep[] {
  return handles.slice(0, depth).flatMap((ofLevel, level): LookupStep[] => {
    const some = ofLevel.filter(
      ({ meta: { minKey, maxKey } }) => (minKey[0] ?? 0) <= first && first <= (maxKey[0] ?? 0),
    );
    return level > 0 && some.length > FEW_TABLES
      ? [{ handle: undefined, coversAll: false, level }]
      : some.map((handle) => {
          const { minKey, maxKey } = handle.meta;
          const coversAll = (minKey[0] ?? 0) < first && first < (maxKey[0] ?? 0);
          return { handle, coversAll, level };
        });
  });
}

function tableOf(
  { levels, handles }: TableView,
  level: number,
  key: Uint8Array,
): TableHandle | undefined {
  const index = levels.tableFor(level, key);
  return index < 0 ? undefined : handles[level]![index];
}

function mayHoldKey({ minKey, maxKey, isMaxExclusive }: TableMeta, key: Uint8Array): boolean {
  const order = compareKeys(maxKey, key);
  return compareKeys(minKey, key) <= 0 && (order > 0 || (order === 0 && !isMaxExclusive));
}

/** Waits for all, whatever becomes of each, and only then rejects: nothing is read of a table that is let go then. */
async function allDone<Result>(promises: readonly Promise<Result>[]): Promise<Result[]> {
  await Promise.allSettled(promises);
  return Promise.all(promises);
}

/** Tables that may hold a key, the newest first. */
function tablesOfKey({ levels, handles, depth }: TableView, key: Uint8Array): TableHandle[] {
  const found = handles[0]!.filter((_, index) => levels.mayHold(0, index, key));
  for (let level = 1; level < depth; level += 1) {
    const index = levels.tableFor(level, key);
    if (index >= 0) {
      found.push(handles[level]![index]!);
    }
  }
  return found;
}

/** True if a key that begins with `prefix` may lie between a table's bounds. */
function mayHoldPrefix({ minKey, maxKey }: TableMeta, prefix: Uint8Array): boolean {
  return compareKeys(maxKey, prefix) >= 0 && orderOfStart(minKey, prefix) <= 0;
}

/** Order of the first bytes of a key, as many as the prefix has, and the prefix. */
function orderOfStart(key: Uint8Array, prefix: Uint8Array): number {
  const size = key.length < prefix.length ? key.length : prefix.length;
  for (let at = 0; at < size; at += 1) {
    const difference = key[at]! - prefix[at]!;
    if (difference !== 0) {
      return difference;
    }
  }
  return size < prefix.length ? -1 : 0;
}

function isAllCached(reader: TableReader, { first, end }: BlockRange): boolean {
  for (let index = first; index < end; index += 1) {
    if (!reader.isCached(index)) {
      return false;
    }
  }
  return true;
}
