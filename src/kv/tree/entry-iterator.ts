/**
 * What a reader sees of internal entries: of each key the newest version that its sequence allows, unless that is a deletion or lies in a
 * range deleted later. Both directions, within [start, end).
 */
import { copyRange } from '../../base/copy-bytes.ts';
import { compareBytes, compareKeys } from '../../base/compare-bytes.ts';
import { type Cursor, EntryKind, NO_BYTES } from '../entries/cursor.ts';
import type { RangeTombstones } from '../entries/range-tombstones.ts';
import type { WantedKeys } from '../sstable/filter-rule.ts';
import type { Stretch } from '../sstable/table-meta.ts';
import type { PinnedSources, ReadState } from './read-state.ts';

/** Older versions of a key that are stepped over one by one before it is cheaper to seek. */
const STEPS_MAX = 8;

export interface EntryBounds {
  /** First key that may be given; the NO_BYTES key if there is none smaller. */
  readonly start: Uint8Array;
  /** First key that may not be given; undefined: all may. */
  readonly end: Uint8Array | undefined;
  /** Others in these bounds may be left out: so tables are passed over whose filters rule out every key that is wanted. */
  readonly wanted?: WantedKeys;
  /**
   * Entries from other positions of the caller's log may be left out: so tables are passed over whose stretch is another. What such a table has
   * replaced or deleted of older ones may be given.
   */
  readonly positions?: Stretch;
}

export class EntryIterator {
  /** The entry, after a `next` that returned true. Its bytes stay as they are until the next move. */
  keyBytes: Uint8Array = NO_BYTES;
  keyStart = 0;
  keyEnd = 0;
  valueBytes: Uint8Array = NO_BYTES;
  valueStart = 0;
  valueEnd = 0;
  sequence = 0;

  readonly #sources: PinnedSources;
  readonly #cursor: Cursor;
  readonly #ranges: readonly RangeTombstones[];
  readonly #bounds: EntryBounds;
  readonly #sequence: number;
  readonly #isReverse: boolean;
  /** Where the next `next` begins: nowhere yet, behind an entry that was given, or at the end. */
  #state: 'start' | 'given' | 'ended' = 'start';
  /** The key in hand, while the cursor moves. */
  #key: Uint8Array = new Uint8Array(64);
  #keySize = 0;
  #value: Uint8Array = NO_BYTES;
  #isClosed = false;

  constructor(
    state: ReadState,
    bounds: EntryBounds,
    options: {
      readonly sequence: number;
      readonly isReverse: boolean;
      readonly fillCache: boolean;
    },
  ) {
    this.#bounds = bounds;
    this.#sequence = options.sequence;
    this.#isReverse = options.isReverse;
    this.#sources = state.pin(options.fillCache);
    try {
      this.#ranges = this.#sources.rangeTombstones();
      this.#cursor = this.#sources.cursor(this.#ranges, options.sequence, bounds);
    } catch (error) {
      this.#sources.release();
      throw error;
    }
  }

  /** Nobody may go on with it. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Nothing newer is seen. */
  get readSequence(): number {
    return this.#sequence;
  }

  /** Moves to the next entry. False at the end. */
  next(): boolean {
    if (this.#state === 'given') {
      if (this.#isReverse) {
        return this.#findBackward();
      }
      this.#skipKey();
      return this.#findForward();
    }
    if (this.#state === 'ended') {
      return false;
    }
    return this.#isReverse ? this.#startBackward() : this.#startForward();
  }

  /**
   * The next `next` gives the entry at `key`, or the one that follows in the iterator's direction; nothing if `key` is out of its
   * bounds. Works at the end, too.
   */
  seek(key: Uint8Array): void {
    const { start, end } = this.#bounds;
    if (compareKeys(key, start) < 0 || (end !== undefined && compareKeys(key, end) >= 0)) {
      this.#state = 'ended';
      return;
    }
    this.#state = 'given';
    if (this.#isReverse) {
      // Everything before the first key behind it.
      this.#cursor.seekBefore(successorOf(key));
      return;
    }
    this.#cursor.seek(key, Number.MAX_SAFE_INTEGER);
    // Nothing is in hand to be skipped.
    this.#keySize = -1;
  }

  /** Nothing more is given. */
  finish(): void {
    this.#state = 'ended';
  }

  close(): void {
    this.#isClosed = true;
    this.finish();
    this.#sources.release();
  }

  #end(): false {
    this.#state = 'ended';
    return false;
  }

  #startForward(): boolean {
    this.#cursor.seek(this.#bounds.start, Number.MAX_SAFE_INTEGER);
    return this.#findForward();
  }

  #startBackward(): boolean {
    const { end } = this.#bounds;
    if (end === undefined) {
      this.#cursor.seekLast();
    } else {
      this.#cursor.seekBefore(end);
    }
    return this.#findBackward();
  }

  /** From the cursor's entry on, which is of a key not looked at yet. */
  #findForward(): boolean {
    const cursor = this.#cursor;
    const { end } = this.#bounds;
    const ranges = this.#ranges;
    while (cursor.isValid) {
      if (
        end !== undefined &&
        compareBytes(cursor.keyBytes, cursor.keyStart, cursor.keyEnd, end, 0, end.length) >= 0
      ) {
        return this.#end();
      }
      if (cursor.sequence > this.#sequence) {
        cursor.next();
        continue;
      }
      const cover = ranges.length === 0 ? 0 : this.#coverOf(cursor);
      if (cursor.kind === EntryKind.put && cursor.sequence > cover) {
        this.#give(cursor);
        return true;
      }
      this.#holdKey(cursor);
      this.#skipKey();
    }
    return this.#end();
  }

  /** Sequence of the newest deletion that covers the cursor's key; 0 if there is none. */
  #coverOf({ keyBytes, keyStart, keyEnd }: Cursor): number {
    let newest = 0;
    for (const ranges of this.#ranges) {
      const cover = ranges.newestCovering(keyBytes, keyStart, keyEnd, this.#sequence);
      newest = Math.max(newest, cover);
    }
    return newest;
  }

  /** Gives the cursor's entry where it lies. */
  #give(cursor: Cursor): void {
    this.#holdKey(cursor);
    this.keyBytes = cursor.keyBytes;
    this.keyStart = cursor.keyStart;
    this.keyEnd = cursor.keyEnd;
    this.valueBytes = cursor.valueBytes;
    this.valueStart = cursor.valueStart;
    this.valueEnd = cursor.valueEnd;
    this.sequence = cursor.sequence;
    this.#state = 'given';
  }

  #holdKey(cursor: Cursor): void {
    const { keyBytes, keyStart, keyEnd } = cursor;
    const size = keyEnd - keyStart;
    if (size > this.#key.length) {
      this.#key = new Uint8Array(size * 2);
    }
    copyRange(keyBytes, keyStart, keyEnd, this.#key, 0);
    this.#keySize = size;
  }

  /** Moves forward past all versions of the key in hand. */
  #skipKey(): void {
    if (this.#keySize < 0) {
      return;
    }
    const cursor = this.#cursor;
    for (let step = 0; step < STEPS_MAX; step += 1) {
      cursor.next();
      if (!cursor.isValid || !this.#isInHand(cursor)) {
        return;
      }
    }
    // No version has sequence 0: this is where the next key begins.
    cursor.seek(this.#key.subarray(0, this.#keySize), 0);
  }

  #isInHand(cursor: Cursor): boolean {
    return isSame(cursor.keyBytes, cursor.keyStart, cursor.keyEnd, this.#key, this.#keySize);
  }

  /** From the cursor's entry on, which is the oldest version of a key not looked at yet. */
  #findBackward(): boolean {
    const cursor = this.#cursor;
    const { start } = this.#bounds;
    while (cursor.isValid) {
      if (
        compareBytes(cursor.keyBytes, cursor.keyStart, cursor.keyEnd, start, 0, start.length) < 0
      ) {
        return this.#end();
      }
      this.#holdKey(cursor);
      if (this.#holdVisible()) {
        this.keyBytes = this.#key;
        this.keyStart = 0;
        this.keyEnd = this.#keySize;
        this.#state = 'given';
        return true;
      }
    }
    return this.#end();
  }

  /** Holds the version of the key in hand that is visible, and moves before the key. False if none is. */
  #holdVisible(): boolean {
    const cursor = this.#cursor;
    const ranges = this.#ranges;
    const cover = ranges.length === 0 ? 0 : this.#coverOf(cursor);
    let isVisible = false;
    for (let step = 0; cursor.isValid && this.#isInHand(cursor); step += 1) {
      if (step === STEPS_MAX) {
        const key = this.#key.subarray(0, this.#keySize);
        cursor.seek(key, this.#sequence);
        isVisible = cursor.isValid && this.#isInHand(cursor) && this.#holdVersion(cover);
        cursor.seekBefore(key);
        return isVisible;
      }
      if (cursor.sequence <= this.#sequence) {
        isVisible = this.#holdVersion(cover);
      }
      cursor.previous();
    }
    return isVisible;
  }

  #holdVersion(cover: number): boolean {
    const { kind, sequence, valueBytes, valueStart, valueEnd } = this.#cursor;
    if (kind !== EntryKind.put || sequence <= cover) {
      return false;
    }
    const size = valueEnd - valueStart;
    if (size > this.#value.length) {
      this.#value = new Uint8Array(Math.max(256, size * 2));
    }
    this.#value.set(valueBytes.subarray(valueStart, valueEnd), 0);
    this.valueBytes = this.#value;
    this.valueStart = 0;
    this.valueEnd = size;
    this.sequence = sequence;
    return true;
  }
}

/** The smallest key behind `key`. */
export function successorOf(key: Uint8Array): Uint8Array {
  const successor = new Uint8Array(key.length + 1);
  successor.set(key);
  return successor;
}

function isSame(
  bytes: Uint8Array,
  start: number,
  end: number,
  other: Uint8Array,
  size: number,
): boolean {
  if (end - start !== size) {
    return false;
  }
  // From the end: neighbours begin alike.
  for (let index = size - 1; index >= 0; index -= 1) {
    if (bytes[start + index] !== other[index]) {
      return false;
    }
  }
  return true;
}
