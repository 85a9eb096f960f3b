import { compareKeys } from '../../base/compare-bytes.ts';
import { assert } from '../../base/assert.ts';
import type { ViewedBytes } from '../../base/copy-bytes.ts';
import { Arena } from '../../radix/arena.ts';
import type { EntryKind } from '../entries/cursor.ts';
import { Memtable } from '../memtable/memtable.ts';
import type { ReadState } from './read-state.ts';

/** Full memtables that may wait to be flushed before writes wait for them. */
const FROZEN_COUNT_MAX = 2;
/** What an arena has beyond the size at which its memtable is full: the last entry may be this large without one of its own. */
const ARENA_SLACK_MAX = 1024 * 1024;
/** What an arena of its own has beside the entry it was made for. */
const FIRST_SLACK = 4 * 1024;
/** Arenas kept for the next memtables: touched pages are dear. */
const SPARE_COUNT_MAX = 2;

/** Takes what is written: the memtable that takes entries, and those that wait to become tables. Entries go from it to nowhere else. */
export class MemtableQueue {
  readonly #state: ReadState;
  readonly #sizeTarget: number;
  readonly #isShared: boolean;
  readonly #onFrozen: () => void;
  readonly #readers: () => readonly number[];
  readonly #spares: Arena[] = [];
  #active: Memtable;
  /** Oldest first. */
  #frozen: Memtable[] = [];
  /** First sequence of the batch that is being inserted and must be flushed as a whole. */
  #batchStart = Infinity;

  /**
   * `onFrozen` hears of every memtable that is to be flushed. `readers` gives the sequences, ascending, at which somebody reads besides the
   * newest.
   */
  constructor(
    state: ReadState,
    options: { readonly sizeTarget: number; readonly isShared: boolean },
    onFrozen: () => void,
    readers: () => readonly number[] = () => [],
  ) {
    this.#state = state;
    this.#sizeTarget = options.sizeTarget;
    this.#isShared = options.isShared;
    this.#onFrozen = onFrozen;
    this.#readers = readers;
    this.#active = this.#make(0);
    this.#show();
  }

  get active(): Memtable {
    return this.#active;
  }

  get frozenCount(): number {
    return this.#frozen.length;
  }

  /** Adds a version of the key in `source[keyStart, valueStart)`, with its value from there to `end`. Sequences only grow. */
  insertFrom(
    source: ViewedBytes,
    keyStart: number,
    valueStart: number,
    end: number,
    sequence: number,
    kind: EntryKind,
  ): void {
    const memtable = this.memtableFor(valueStart - keyStart, end - valueStart);
    memtable.insertFrom(source, keyStart, valueStart, end, sequence, kind);
  }

  /** Deletes every key in [start, end) that was written before. The bytes are copied. */
  insertRange(start: Uint8Array, end: Uint8Array, sequence: number): void {
    const memtable = this.memtableFor(start.length, end.length);
    if (compareKeys(start, end) < 0) {
      const range = { start: new Uint8Array(start), end: new Uint8Array(end), sequence };
      memtable.insertRange(range, this.#readers());
    } else {
      memtable.skip(sequence);
    }
  }

  /** A sequence that changes nothing. */
  skip(sequence: number): void {
    this.memtableFor(0, 0).skip(sequence);
  }

  /** What is inserted from here to `endBatch` shows as a whole or not at all, after a crash, too. Where a log brings back the rest, that needs no saying. */
  beginBatch(firstSequence: number): void {
    this.#batchStart = firstSequence;
  }

  /**
   * `position`: how far the owner's log is covered by everything so far, if that has changed. `place`: what the owner makes the position's
   * mark from when everything so far is in tables.
   */
  endBatch(position: number | undefined, place?: unknown): void {
    this.#batchStart = Infinity;
    if (position !== undefined) {
      this.#active.position = position;
      this.#active.place = place;
    }
  }

  /** Those to be flushed next, together: from the oldest on to the first that ends where a batch does. */
  oldestGroup(): readonly Memtable[] {
    const last = this.#frozen.findIndex(({ endsAmidBatch }) => !endsAmidBatch);
    if (last >= 0 || this.#frozen.length === 0) {
      return this.#frozen.slice(0, last + 1);
    }
    this.freeze();
    // A copy: more are frozen while these are flushed.
    return this.#frozen.slice();
  }

  get size(): number {
    return this.#frozen.reduce((sum, { size }) => sum + size, this.#active.size);
  }

  /** False if whoever wants to write should wait for a flush. */
  get hasRoom(): boolean {
    // A batch that filled one has begun the next: then it is frozen already and waits, too.
    const fullCount = this.#frozen.length + (this.#active.size < this.#sizeTarget ? 0 : 1);
    return fullCount <= FROZEN_COUNT_MAX;
  }

  /** The memtable that takes an entry of this size: a new one if the active one is full. */
  memtableFor(keySize: number, valueSize: number): Memtable {
    if (!this.#active.hasRoom(keySize, valueSize)) {
      this.freeze();
      if (!this.#active.hasRoom(keySize, valueSize)) {
        // An entry that fits no ordinary arena gets one of its own.
        this.#active = this.#make(this.#active.sizeFor(keySize, valueSize));
        this.#show();
      }
    }
    return this.#active;
  }

  /** Closes the active memtable, if there is anything in it, so that it gets flushed. */
  freeze(): void {
    if (this.#active.isEmpty) {
      return;
    }
    const { position, place, maxSequence } = this.#active;
    this.#active.endsAmidBatch = maxSequence >= this.#batchStart;
    this.#frozen.push(this.#active);
    this.#active = this.#make(0);
    this.#active.position = position;
    this.#active.place = place;
    this.#active.maxSequence = maxSequence;
    this.#show();
    this.#onFrozen();
  }

  /** The oldest frozen memtables are in tables: reads don't look at them any more. */
  dropOldest(count: number): void {
    assert(count <= this.#frozen.length, 'memtables that were flushed were frozen');
    const dropped = this.#frozen.slice(0, count);
    this.#frozen = this.#frozen.slice(count);
    this.#show();
    for (const { arena, pinCount } of dropped) {
      // Whoever still reads it keeps it; then it is not used again.
      if (
        pinCount === 0 &&
        arena.size === this.#arenaSize &&
        this.#spares.length < SPARE_COUNT_MAX
      ) {
        this.#spares.push(arena);
      }
    }
  }

  get #arenaSize(): number {
    return this.#sizeTarget + Math.min(this.#sizeTarget, ARENA_SLACK_MAX);
  }

  #make(extraSize: number): Memtable {
    const size = this.#arenaSize;
    const spare = extraSize === 0 ? this.#spares.pop() : undefined;
    if (spare !== undefined) {
      spare.reset();
      return Memtable.create(spare, this.#sizeTarget);
    }
    const needed = Math.max(size, extraSize + FIRST_SLACK);
    return Memtable.create(Arena.create(needed, this.#isShared), this.#sizeTarget);
  }

  #show(): void {
    this.#state.memtables = [this.#active, ...this.#frozen.toReversed()];
  }
}
