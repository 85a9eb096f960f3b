/**
 * The rows of one run: what a stretch of the log adds to the tree, gathered record by record and given out as sorted entries. All in typed
 * arrays: a run is made at the cost of two or three numbers an event.
 */
import { HashRows } from './hash-rows.ts';
import { StreamRows } from './stream-rows.ts';
import { sortBytes } from '../collections/sort-bytes.ts';
import type { RecordView } from '../log/record-view.ts';
import {
  Axis,
  CHUNK_COUNT_MAX,
  CHUNK_SIZE_MAX,
  type Counts,
  encodeCounts,
  HASH_KEY_SIZE,
  HEAD_VALUE_SIZE_MAX,
  POSTING_SUFFIX_SIZE,
  putHashPrefix,
  putHead,
  putPosition,
  putPostingSuffix,
  putVarint,
} from './format.ts';
import type { TextHash } from './text-hash.ts';
import { limits } from '../base/limits.ts';

/** A key and its value; the bytes stay until the next one is asked for. */
export type Row = readonly [key: Uint8Array, value: Uint8Array];

const NOTHING = new Uint8Array(0);

export class RunRows {
  readonly #from: number;
  readonly #before: Counts;
  readonly #hash: TextHash;
  readonly #keys = new HashRows();
  readonly #ids = new HashRows();
  readonly #streams: StreamRows;
  #newStreams = 0;
  #count = 0;
  readonly #nameKey: Uint8Array = new Uint8Array(1 + limits.streamSizeMax + POSTING_SUFFIX_SIZE);

  /** `from`: position of the first record that will be added. `before`: counts of everything below it. */
  constructor(from: number, before: Counts, hash: TextHash) {
    this.#from = from;
    this.#before = before;
    this.#hash = hash;
    hash.take('', '');
    this.#streams = new StreamRows(hash.low);
  }

  /** Records come in order, without a gap. Returns what is wrong with one, if that shows here. */
  add(record: RecordView): string | undefined {
    const index = this.#count;
    this.#count += 1;
    const key = record.idempotencyKey;
    if (key !== '') {
      this.#hash.take(record.idempotencyScope, key);
      this.#keys.add(this.#hash.low, this.#hash.high, index);
    }
    const id = record.suppliedId;
    if (id !== '') {
      this.#hash.take('', id);
      this.#ids.add(this.#hash.low, this.#hash.high, index);
    }
    const { revision, streamStart } = record;
    this.#newStreams += revision === 0 ? 1 : 0;
    return this.#streams.add(record.bytes, streamStart, record.streamSize, revision)
      ? undefined
      : `the event at position ${record.position} has revision ${revision}, which does not follow the one before it in its stream`;
  }

  /** Ascending by key. Undefined lets others go first. */
  *sorted(): Generator<Row | undefined, void, undefined> {
    const { streams, keys, ids } = this.#before;
    const counts = {
      streams: streams + this.#newStreams,
      keys: keys + this.#keys.count,
      ids: ids + this.#ids.count,
    };
    yield [Uint8Array.of(Axis.counts), encodeCounts(counts)];
    yield* this.#hashRows(Axis.key, this.#keys);
    yield* this.#hashRows(Axis.id, this.#ids);
    const { names, starts, sizes, count } = this.#streams;
    const order = new Uint32Array(count);
    for (let index = 0; index < count; index += 1) {
      order[index] = index;
    }
    yield undefined;
    sortBytes(order, names, starts, sizes);
    yield undefined;
    yield* this.#heads(order);
    yield* this.#postings(order);
  }

  *#hashRows(axis: number, rows: HashRows): Generator<Row | undefined, void, undefined> {
    const order = rows.order();
    yield undefined;
    const key = new Uint8Array(HASH_KEY_SIZE);
    const row: Row = [key, NOTHING];
    for (const entry of order) {
      const at = putHashPrefix(key, axis, rows.lowAt(entry), rows.highAt(entry));
      putPosition(key, at, this.#from + rows.indexAt(entry));
      yield row;
    }
  }

  *#heads(order: Uint32Array): Generator<Row, void, undefined> {
    const streams = this.#streams;
    const value = new Uint8Array(HEAD_VALUE_SIZE_MAX);
    for (const stream of order) {
      const revision = streams.lastRevisionOf(stream);
      const size = putHead(value, revision, this.#from + streams.lastEventOf(stream));
      yield [this.#keyOf(Axis.head, stream, 0), value.subarray(0, size)];
    }
  }

  *#postings(order: Uint32Array): Generator<Row, void, undefined> {
    const streams = this.#streams;
    const value = new Uint8Array(CHUNK_SIZE_MAX);
    for (const stream of order) {
      const firstRevision = streams.firstRevisionOf(stream);
      const events = streams.eventsOf(stream);
      const key = this.#keyOf(Axis.posting, stream, POSTING_SUFFIX_SIZE);
      // The newest chunk has the smallest key.
      for (let end = events.length; end > 0;) {
        const start = end - 1 - ((end - 1) % CHUNK_COUNT_MAX);
        const size = this.#putChunk(value, events, start, end);
        putPostingSuffix(key, key.length - POSTING_SUFFIX_SIZE, firstRevision + start);
        yield [key, value.subarray(0, size)];
        end = start;
      }
    }
  }

  #putChunk(value: Uint8Array, events: Uint32Array, start: number, end: number): number {
    let at = putVarint(value, 0, end - start);
    at = putVarint(value, at, this.#from + events[start]!);
    for (let index = start + 1; index < end; index += 1) {
      at = putVarint(value, at, events[index]! - events[index - 1]! - 1);
    }
    return at;
  }

  #keyOf(axis: number, stream: number, suffixSize: number): Uint8Array {
    const { names, starts, sizes } = this.#streams;
    const start = starts[stream]!;
    const size = sizes[stream]!;
    const key = this.#nameKey;
    key[0] = axis;
    for (let index = 0; index < size; index += 1) {
      key[1 + index] = names[start + index]!;
    }
    return key.subarray(0, 1 + size + suffixSize);
  }
}
