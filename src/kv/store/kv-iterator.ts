/** The iterators that callers hold. */
import { VarveError } from '../../base/errors.ts';
import type { Clock } from '../../io/clock.ts';
import type { KvAsyncIterator, KvBytes, KvIterator } from './contract.ts';
import type { EntryIterator } from '../tree/entry-iterator.ts';
import type { OpenIterators } from '../tree/open-iterators.ts';
import { CopySlab, SCAN_SLAB_SIZE } from './copy-slab.ts';
import { keyBytesOf, type ValueCodec, viewOfBytes } from './kv-bytes.ts';
import type { Pace } from './pace.ts';

/** Makes of the entry that the iterator stands on what its caller wants. */
export type ItemOf<Item> = (entries: EntryIterator) => Item;

/** The items that a store's scans give. Their copies lie side by side, those of all scans: a short one fills no slab. */
export class ScanItems<Value> {
  readonly #copiedKeys = new CopySlab(SCAN_SLAB_SIZE);
  readonly #copiedValues = new CopySlab(SCAN_SLAB_SIZE);
  readonly #codec: ValueCodec<Value>;

  constructor(codec: ValueCodec<Value>) {
    this.#codec = codec;
  }

  readonly borrowedKey: ItemOf<Uint8Array> = (entries) =>
    viewOfBytes(entries.keyBytes, entries.keyStart, entries.keyEnd);

  readonly key: ItemOf<Uint8Array> = (entries) =>
    this.#copiedKeys.copy(entries.keyBytes, entries.keyStart, entries.keyEnd);

  readonly borrowedPair: ItemOf<[Uint8Array, Value]> = (entries) => [
    viewOfBytes(entries.keyBytes, entries.keyStart, entries.keyEnd),
    this.#codec.borrow(entries.valueBytes, entries.valueStart, entries.valueEnd),
  ];

  readonly pair: ItemOf<[Uint8Array, Value]> = (entries) => [
    this.#copiedKeys.copy(entries.keyBytes, entries.keyStart, entries.keyEnd),
    this.#codec.copy(this.#copiedValues, entries.valueBytes, entries.valueStart, entries.valueEnd),
  ];
}

export class SyncIterator<Item> implements KvIterator<Item> {
  readonly #entries: EntryIterator | undefined;
  readonly #open: OpenIterators;
  readonly #itemOf: ItemOf<Item>;
  readonly #staysOpen: boolean;
  #left: number;
  #hasEnded = false;
  /** Why it ended too early: told again, so that nobody takes what is missing for the end. */
  #failure: { readonly error: unknown } | undefined;

  /** `entries`: undefined if the range is empty. */
  constructor(
    entries: EntryIterator | undefined,
    open: OpenIterators,
    itemOf: ItemOf<Item>,
    limit: number,
    staysOpen = false,
  ) {
    this.#staysOpen = staysOpen;
    this.#entries = entries;
    this.#open = open;
    this.#itemOf = itemOf;
    this.#left = limit;
    if (entries !== undefined) {
      open.add(entries);
    }
  }

  next(): IteratorResult<Item> {
    const entries = this.#entries;
    if (entries === undefined || this.#hasEnded) {
      this.#checkFailure();
      return { done: true, value: undefined };
    }
    this.#checkOpen(entries);
    try {
      if (this.#left > 0 && entries.next()) {
        this.#left -= 1;
        return { done: false, value: this.#itemOf(entries) };
      }
    } catch (error) {
      this.#fail(error);
    }
    return this.#staysOpen ? { done: true, value: undefined } : this.return();
  }

  seek(key: KvBytes): void {
    const bytes = keyBytesOf(key);
    this.#checkFailure();
    if (this.#entries !== undefined && !this.#hasEnded) {
      this.#checkOpen(this.#entries);
      try {
        this.#entries.seek(bytes);
      } catch (error) {
        this.#fail(error);
      }
    }
  }

  close(): void {
    this.#hasEnded = true;
    if (this.#entries !== undefined) {
      this.#open.close(this.#entries);
    }
  }

  return(): IteratorResult<Item> {
    this.close();
    return { done: true, value: undefined };
  }

  [Symbol.iterator](): this {
    return this;
  }

  /** Some of its sources may have moved, others not: it can't go on. Whoever loops doesn't close an iterator that throws. */
  #fail(error: unknown): never {
    this.#failure = { error };
    this.close();
    throw error;
  }

  #checkFailure(): void {
    if (this.#failure !== undefined) {
      throw this.#failure.error;
    }
  }

  #checkOpen(entries: EntryIterator): void {
    if (entries.isClosed) {
      throw new VarveError('CLOSED', 'The store has been closed, and the iterator with it.');
    }
  }
}

/** Entries that are taken in one turn of the event loop, unless that takes long. */
const TURN_COUNT = 1_000;

/** The same, letting others run now and then. */
export class AsyncIterator<Item> implements KvAsyncIterator<Item> {
  readonly #inner: KvIterator<Item>;
  readonly #clock: Clock;
  readonly #pace: Pace;
  #count = 0;
  /** While others run: whoever asks meanwhile waits for the same, and is answered in turn. */
  #paused: Promise<void> | undefined;

  constructor(inner: KvIterator<Item>, clock: Clock, pace: Pace) {
    this.#inner = inner;
    this.#clock = clock;
    this.#pace = pace;
  }

  async next(): Promise<IteratorResult<Item>> {
    this.#count += 1;
    if (this.#count % TURN_COUNT === 0) {
      this.#paused ??= this.#clock.pause();
    } else if (this.#pace.isDue()) {
      this.#paused ??= this.#pace.pause();
    }
    const paused = this.#paused;
    if (paused !== undefined) {
      await paused;
      this.#paused = this.#paused === paused ? undefined : this.#paused;
    }
    return this.#inner.next();
  }

  seek(key: KvBytes): void {
    this.#inner.seek(key);
  }

  async close(): Promise<void> {
    this.#inner.close();
  }

  async return(): Promise<IteratorResult<Item>> {
    return this.#inner.return();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
