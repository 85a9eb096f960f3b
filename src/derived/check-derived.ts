/**
 * Compares derived data with the log, in both directions: everything that the log asks for is in the tables, and nothing else. Two walks, one through the
 * tables and one through the log, each compute the same sums (`row-sums.ts`) over the rows that they find; where these differ, axis and stretch are
 * known. Whether a stream's head is its newest event shows in the tables alone.
 */
import { CorruptionError, isSystemError } from '../base/errors.ts';
import { sha256 } from '../base/digest.ts';
import type { Random } from '../base/random.ts';
import type { Clock } from '../io/clock.ts';
import { NO_BYTES } from '../kv/entries/cursor.ts';
import type { EntryIterator } from '../kv/tree/entry-iterator.ts';
import type { RecordView } from '../log/record-view.ts';
import {
  Axis,
  type Counts,
  decodeChunk,
  decodeCounts,
  decodeHead,
  firstRevisionBefore,
  HASH_KEY_SIZE,
  type Head,
  POSTING_SUFFIX_SIZE,
  positionAt,
} from './format.ts';
import type { DerivedProblem, DerivedReport } from './derived-report.ts';
import type { IndexTree } from './index-tree.ts';
import type { TextHash } from './text-hash.ts';
import { RowHash, RowSums, STRETCH_COUNT } from './row-sums.ts';

/** How a check shares its thread, and how it ends. */
export interface CheckTurns {
  readonly clock: Clock;
  /** Throws if the check must end. */
  readonly checkContinue: () => void;
  /** False once the tree was set aside: nothing in it may be read then. */
  readonly isCurrent: () => boolean;
}

const PROBLEM_COUNT_MAX = 1_000;
/** Entries between two turns of others: a millisecond of work. */
const TURN_COUNT = 1_024;

export class DerivedCheck {
  readonly #index: IndexTree;
  readonly #covered: number;
  readonly #hash: TextHash;
  readonly #rows: RowHash;
  readonly #inTables: Sums;
  readonly #inLog: Sums;
  readonly #problems: DerivedProblem[] = [];
  readonly #turns: CheckTurns;
  readonly #mark: Uint8Array | undefined;
  #problemCount = 0;
  #entries = 0;
  /** What the tables say of themselves. */
  #counts: Counts | undefined;
  #heads = 0;
  /** All entries were seen: what was not met is not there. */
  #isWalked = false;
  /** Streams that the log begins. */
  #newStreams = 0;
  #turn = 0;

  /** `random`: draws the key of the sums. */
  constructor(index: IndexTree, random: Random, turns: CheckTurns) {
    this.#index = index;
    this.#hash = index.newHash();
    this.#turns = turns;
    this.#covered = index.covered;
    this.#mark = index.isEmpty ? undefined : index.tree.state.flushedMark;
    this.#rows = new RowHash(random);
    this.#inTables = sumsFor(this.#covered);
    this.#inLog = sumsFor(this.#covered);
  }

  /** Reads all tables, as they are at the call, which must be in the turn in which the check was made. */
  async walkTables(): Promise<void> {
    if (this.#index.isEmpty) {
      this.#isWalked = true;
      return;
    }
    // Order: all iterators in one turn, for they are to see the same tables.
    const iterators = this.#openIterators();
    try {
      const [counts, hashes, heads, postings, others] = iterators;
      this.#walkCounts(counts!);
      await this.#walkHashes(hashes!);
      await this.#walkStreams(heads!, postings!);
      if (others!.next()) {
        this.#add({ what: 'there are entries of no known kind', entries: 'counts' });
      }
      this.#isWalked = true;
    } catch (error) {
      this.#noteFailure(error);
    } finally {
      for (const iterator of iterators) {
        iterator.close();
      }
    }
    await this.#verifyFiles();
  }

  /** Takes in a record of the log. In any order; those that are not covered count for nothing. */
  addRecord(record: RecordView): void {
    const { position } = record;
    if (position >= this.#covered) {
      return;
    }
    const rows = this.#rows;
    const { keys, ids, events } = this.#inLog;
    const hash = this.#hash;
    const key = record.idempotencyKey;
    if (key !== '') {
      hash.take(record.idempotencyScope, key);
      rows.takeRow(hash.low, hash.high, Axis.key, position);
      keys.add(position, rows);
    }
    const id = record.suppliedId;
    if (id !== '') {
      hash.take('', id);
      rows.takeRow(hash.low, hash.high, Axis.id, position);
      ids.add(position, rows);
    }
    rows.takeBytes(record.bytes, record.streamStart, record.streamSize);
    rows.takeRow(rows.low, rows.high, record.revision, position);
    events.add(position, rows);
    this.#newStreams += record.revision === 0 ? 1 : 0;
    if (position === this.#covered - 1) {
      this.#checkMark(record);
    }
  }

  /** Compares what both walks have found. */
  report(): DerivedReport {
    const lost = this.#stretchesLostInLog();
    if (this.#isWalked) {
      for (const entries of ['keys', 'ids', 'events'] as const) {
        this.#compare(entries, lost);
      }
      if (lost.size === 0 && this.#newStreams !== this.#heads) {
        const what = `there are heads of ${this.#heads} streams, and the log has ${this.#newStreams}`;
        this.#add({ what, entries: 'heads' });
      }
    }
    return {
      ok: this.#problemCount === 0,
      covered: this.#covered,
      entries: this.#entries,
      problems: this.#problems,
      problemCount: this.#problemCount,
    };
  }

  #openIterators(): EntryIterator[] {
    const { tree } = this.#index;
    const borders = [
      NO_BYTES,
      Uint8Array.of(Axis.key),
      Uint8Array.of(Axis.head),
      Uint8Array.of(Axis.posting),
      Uint8Array.of(Axis.posting + 1),
    ];
    const iterators: EntryIterator[] = [];
    try {
      for (const [index, start] of borders.entries()) {
        const bounds = { start, end: borders[index + 1] };
        iterators.push(tree.entries(bounds, Number.MAX_SAFE_INTEGER, false, false));
      }
    } catch (error) {
      for (const iterator of iterators) {
        iterator.close();
      }
      throw error;
    }
    return iterators;
  }

  #walkCounts(counts: EntryIterator): void {
    while (counts.next()) {
      const { keyBytes, keyStart, keyEnd, valueBytes, valueStart, valueEnd } = counts;
      this.#entries += 1;
      if (keyEnd - keyStart === 1 && keyBytes[keyStart] === Axis.counts) {
        this.#counts = decodeCounts(valueBytes.subarray(valueStart, valueEnd));
      } else {
        this.#add({ what: 'there are entries of no known kind', entries: 'counts' });
      }
    }
  }

  async #walkHashes(hashes: EntryIterator): Promise<void> {
    const rows = this.#rows;
    while (hashes.next()) {
      const { keyBytes, keyStart, keyEnd, valueStart, valueEnd } = hashes;
      const axis = keyBytes[keyStart]!;
      const entries = axis === Axis.key ? 'keys' : 'ids';
      const position = positionAt(keyBytes, keyEnd - 6);
      const isRow = keyEnd - keyStart === HASH_KEY_SIZE && valueStart === valueEnd;
      if (!isRow || position >= this.#covered) {
        this.#add({ what: 'an entry can not be what was written', entries });
      } else {
        const high = uint32At(keyBytes, keyStart + 1);
        rows.takeRow(uint32At(keyBytes, keyStart + 5), high, axis, position);
        this.#inTables[entries].add(position, rows);
      }
      await this.#next();
    }
  }

  /** Heads and chunks come in the order of names, and a stream's newest chunk before its others. */
  async #walkStreams(heads: EntryIterator, postings: EntryIterator): Promise<void> {
    const walk = new HeadWalk(heads, (stream, what) =>
      this.#add({ what, entries: 'heads', stream }),
    );
    let name: Buffer = Buffer.alloc(0);
    const stream = { low: 0, high: 0 };
    while (postings.next()) {
      const { keyBytes, keyStart, keyEnd, valueBytes, valueStart, valueEnd } = postings;
      const nameEnd = Math.max(keyStart + 1, keyEnd - POSTING_SUFFIX_SIZE);
      const chunk = decodeChunk(valueBytes, valueStart, valueEnd);
      if (chunk === undefined || chunk.at(-1)! >= this.#covered) {
        const text = Buffer.from(keyBytes.subarray(keyStart + 1, nameEnd)).toString('utf8');
        const what = 'an entry can not be what was written';
        this.#add({ what, entries: 'events', stream: text });
        await this.#next();
        continue;
      }
      const revision = firstRevisionBefore(keyBytes, keyEnd);
      if (name.compare(keyBytes, keyStart + 1, nameEnd) !== 0) {
        name = Buffer.from(keyBytes.subarray(keyStart + 1, nameEnd));
        this.#rows.takeBytes(name, 0, name.length);
        stream.low = this.#rows.low;
        stream.high = this.#rows.high;
        walk.expect(name, { revision: revision + chunk.length - 1, position: chunk.at(-1)! });
      }
      this.#addChunk(stream, revision, chunk);
      await this.#next();
    }
    walk.expectEnd();
    this.#heads = walk.count;
    this.#entries += walk.count;
    this.#compareCounts(walk.count);
  }

  #addChunk(
    stream: { readonly low: number; readonly high: number },
    revision: number,
    positions: Float64Array,
  ): void {
    const rows = this.#rows;
    for (let index = 0; index < positions.length; index += 1) {
      rows.takeRow(stream.low, stream.high, revision + index, positions[index]!);
      this.#inTables.events.add(positions[index]!, rows);
    }
  }

  #compareCounts(streams: number): void {
    const counts = this.#counts;
    if (counts === undefined) {
      this.#add({ what: 'the counts are missing', entries: 'counts' });
      return;
    }
    const found = {
      streams,
      keys: this.#inTables.keys.count,
      ids: this.#inTables.ids.count,
    };
    for (const name of ['streams', 'keys', 'ids'] as const) {
      if (counts[name] !== found[name]) {
        const what = `the counts say ${counts[name]} ${name}, and there are ${found[name]}`;
        this.#add({ what, entries: 'counts' });
      }
    }
  }

  async #next(): Promise<void> {
    this.#entries += 1;
    this.#turn += 1;
    if (this.#turn >= TURN_COUNT) {
      this.#turn = 0;
      await this.#turns.clock.pause();
      this.#checkContinue();
    }
  }

  readonly #checkContinue = (): void => {
    this.#turns.checkContinue();
    if (!this.#turns.isCurrent()) {
      throw this.#replaced();
    }
  };

  #replaced(): CorruptionError {
    const { directory } = this.#index.tree.folder;
    return new CorruptionError(
      directory,
      undefined,
      'it was found damaged meanwhile and is made again',
    );
  }

  /** Filters answer most questions alone, and no walk looks at them; a digest covers what entries don't show. */
  async #verifyFiles(): Promise<void> {
    try {
      this.#checkContinue();
      const { problems } = await this.#index.tree.verify({ onProgress: this.#checkContinue });
      for (const { file, offset, reason } of problems) {
        this.#addDamage(new CorruptionError(file, offset, reason));
      }
    } catch (error) {
      this.#noteFailure(this.#turns.isCurrent() ? error : this.#replaced());
    }
  }

  #noteFailure(error: unknown): void {
    if (error instanceof CorruptionError) {
      this.#addDamage(error);
    } else if (!isSystemError(error)) {
      throw error;
    } else {
      // The log can be verified all the same.
      const what = `it can not be read: ${String(error)}`;
      this.#add({ what, entries: 'unread', file: this.#index.tree.folder.directory });
    }
  }

  #checkMark(record: RecordView): void {
    const leaf = sha256(record.leafInput);
    if (this.#mark?.every((byte, index) => byte === leaf[index]) !== true) {
      const what = 'the last event that is covered is another one in the log';
      this.#add({
        what,
        entries: 'log',
        firstPosition: record.position,
        lastPosition: record.position,
      });
    }
  }

  /** Stretches of which the log doesn't show all events. */
  #stretchesLostInLog(): ReadonlySet<number> {
    const lost = new Set<number>();
    for (let stretch = 0; stretch * STRETCH_COUNT < this.#covered; stretch += 1) {
      const places = this.#placesOf(stretch);
      const wanted = places.lastPosition - places.firstPosition + 1;
      const found = this.#inLog.events.countIn(stretch);
      if (found !== wanted) {
        lost.add(stretch);
        const what = `the log shows ${found} of ${wanted} events: the rest can not be compared`;
        this.#add({ what, entries: 'log', ...places });
      }
    }
    return lost;
  }

  #compare(entries: keyof Sums, lost: ReadonlySet<number>): void {
    for (const { stretch, count, otherCount } of this.#inLog[entries].differences(
      this.#inTables[entries],
    )) {
      if (!lost.has(stretch)) {
        const what =
          count === otherCount
            ? `of ${count} entries at least one is another than the log says`
            : `there are ${otherCount} entries, and the log has ${count}`;
        this.#add({ what, entries, ...this.#placesOf(stretch) });
      }
    }
  }

  #placesOf(stretch: number): { readonly firstPosition: number; readonly lastPosition: number } {
    const firstPosition = stretch * STRETCH_COUNT;
    return {
      firstPosition,
      lastPosition: Math.min(firstPosition + STRETCH_COUNT, this.#covered) - 1,
    };
  }

  #addDamage({ file, offset, reason }: CorruptionError): void {
    const place = offset === undefined ? {} : { offset };
    // One file may be met by both walks.
    if (!this.#problems.some((problem) => problem.file === file)) {
      this.#add({ what: reason, entries: 'tables', file, ...place });
    }
  }

  #add(problem: DerivedProblem): void {
    this.#problemCount += 1;
    if (this.#problems.length < PROBLEM_COUNT_MAX) {
      this.#problems.push(problem);
    }
  }
}

interface Sums {
  readonly keys: RowSums;
  readonly ids: RowSums;
  /** Streams' events: stream, revision, position. */
  readonly events: RowSums;
}

function sumsFor(covered: number): Sums {
  return { keys: new RowSums(covered), ids: new RowSums(covered), events: new RowSums(covered) };
}

/** Goes through heads beside whoever goes through the streams' events. */
class HeadWalk {
  /** Heads met. */
  count = 0;
  readonly #heads: EntryIterator;
  readonly #report: (stream: string, what: string) => void;
  #isAtHead: boolean;

  constructor(heads: EntryIterator, report: (stream: string, what: string) => void) {
    this.#heads = heads;
    this.#report = report;
    this.#isAtHead = this.#advance();
  }

  /** The next stream that has events, and its newest one. */
  expect(name: Buffer, newest: Head): void {
    while (this.#isAtHead && this.#order(name) < 0) {
      this.#reportUnexpected();
    }
    if (!this.#isAtHead || this.#order(name) !== 0) {
      this.#report(name.toString('utf8'), 'the stream has events and no head');
      return;
    }
    const { valueBytes, valueStart, valueEnd } = this.#heads;
    const head = decodeHead(valueBytes, valueStart, valueEnd);
    if (head?.revision !== newest.revision || head.position !== newest.position) {
      const says =
        head === undefined ? 'no head' : `revision ${head.revision} at position ${head.position}`;
      const what = `its head says ${says}, and its newest event has revision ${newest.revision} at position ${newest.position}`;
      this.#report(name.toString('utf8'), what);
    }
    this.#isAtHead = this.#advance();
  }

  expectEnd(): void {
    while (this.#isAtHead) {
      this.#reportUnexpected();
    }
  }

  #advance(): boolean {
    const isThere = this.#heads.next();
    this.count += isThere ? 1 : 0;
    return isThere;
  }

  #reportUnexpected(): void {
    const { keyBytes, keyStart, keyEnd } = this.#heads;
    const name = Buffer.from(keyBytes.subarray(keyStart + 1, keyEnd)).toString('utf8');
    this.#report(name, 'the stream has a head and no events');
    this.#isAtHead = this.#advance();
  }

  #order(name: Buffer): number {
    const { keyBytes, keyStart, keyEnd } = this.#heads;
    return Buffer.compare(keyBytes.subarray(keyStart + 1, keyEnd), name);
  }
}

function uint32At(bytes: Uint8Array, at: number): number {
  return bytes[at]! * 2 ** 24 + ((bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!);
}
