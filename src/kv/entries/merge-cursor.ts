/**
 * Several sources as one. The sources that are valid stand in order of their entries; the first one is shown. As long as it
 * stays ahead of the second one, moving costs a single comparison.
 *
 *   forward    [ shown, runner-up, … ]   all others stand at their first entry behind the shown one
 *   backward   [ shown, runner-up, … ]   all others stand at their last entry before it
 *
 * After a recovery two sources may hold the same entry. Whichever is compared with its double steps over it.
 */
import { compareBytes } from '../../base/compare-bytes.ts';
import { type Cursor, EntryKind, NO_BYTES } from './cursor.ts';

/** All entries of all sources in internal order. The order of the sources doesn't matter; moving the result moves them. */
export function mergeCursors(sources: readonly Cursor[]): Cursor {
  return sources.length === 1 ? sources[0]! : new MergeCursor(sources);
}

class MergeCursor implements Cursor {
  isValid = false;
  keyBytes: Uint8Array = NO_BYTES;
  keyStart = 0;
  keyEnd = 0;
  sequence = 0;
  kind: EntryKind = EntryKind.delete;
  valueBytes: Uint8Array = NO_BYTES;
  valueStart = 0;
  valueEnd = 0;
  readonly #sources: readonly Cursor[];
  /** The first `#count` are the valid sources, in order. */
  readonly #order: Cursor[];
  #count = 0;
  #isBackward = false;

  constructor(sources: readonly Cursor[]) {
    this.#sources = sources;
    this.#order = [...sources];
  }

  seekFirst(): void {
    this.#begin(false);
    for (const source of this.#sources) {
      source.seekFirst();
      this.#enter(source);
    }
    this.#show();
  }

  seekLast(): void {
    this.#begin(true);
    for (const source of this.#sources) {
      source.seekLast();
      this.#enter(source);
    }
    this.#show();
  }

  seek(key: Uint8Array, sequence: number): void {
    this.#begin(false);
    for (const source of this.#sources) {
      source.seek(key, sequence);
      this.#enter(source);
    }
    this.#show();
  }

  seekBefore(key: Uint8Array): void {
    this.#begin(true);
    for (const source of this.#sources) {
      source.seekBefore(key);
      this.#enter(source);
    }
    this.#show();
  }

  next(): void {
    if (this.#isBackward) {
      this.#turn(false);
    }
    const first = this.#order[0]!;
    this.isValid = false;
    first.next();
    if (!first.isValid || this.#count === 1) {
      this.#reenterFirst(first, 0);
      return;
    }
    const comparison = compareEntries(first, this.#order[1]!);
    if (comparison < 0) {
      this.#copy(first);
    } else {
      this.#reenterFirst(first, comparison === 0 ? 0 : 1);
    }
  }

  previous(): void {
    if (!this.#isBackward) {
      this.#turn(true);
    }
    const first = this.#order[0]!;
    this.isValid = false;
    first.previous();
    if (!first.isValid || this.#count === 1) {
      this.#reenterFirst(first, 0);
      return;
    }
    const comparison = compareEntries(first, this.#order[1]!);
    if (comparison > 0) {
      this.#copy(first);
    } else {
      this.#reenterFirst(first, comparison === 0 ? 0 : 1);
    }
  }

  #begin(isBackward: boolean): void {
    this.isValid = false;
    this.#isBackward = isBackward;
    this.#count = 0;
  }

  /** Has all others stand on the other side of the shown entry. */
  #turn(isBackward: boolean): void {
    const shown = this.#order[0]!;
    this.#begin(isBackward);
    for (const source of this.#sources) {
      if (source !== shown) {
        stepAcross(source, shown, isBackward);
        this.#enter(source);
      }
    }
    // The shown entry comes first either way.
    const order = this.#order;
    for (let index = this.#count; index > 0; index -= 1) {
      order[index] = order[index - 1]!;
    }
    order[0] = shown;
    this.#count += 1;
  }

  /** The first source has moved: behind the `passed` sources after it at least, or to its end. */
  #reenterFirst(first: Cursor, passed: number): void {
    const order = this.#order;
    const last = this.#count - 1;
    for (let index = 0; index < last; index += 1) {
      order[index] = order[index + 1]!;
    }
    this.#count = last;
    this.#enter(first, passed);
    this.#show();
  }

  /** Puts a source in its place, which is not before `from`, if it is valid. */
  #enter(source: Cursor, from: number = 0): void {
    const order = this.#order;
    let low = from;
    let high = this.#count;
    // The nearest place first: a source that falls back rarely falls far.
    let middle = from;
    while (low < high && source.isValid) {
      const comparison = compareEntries(source, order[middle]!);
      if (comparison === 0) {
        this.#step(source);
        low = middle + 1;
        high = this.#count;
      } else if (comparison < 0 === this.#isBackward) {
        low = middle + 1;
      } else {
        high = middle;
      }
      middle = (low + high) >>> 1;
    }
    if (!source.isValid) {
      return;
    }
    for (let place = this.#count; place > low; place -= 1) {
      order[place] = order[place - 1]!;
    }
    order[low] = source;
    this.#count += 1;
  }

  #step(source: Cursor): void {
    if (this.#isBackward) {
      source.previous();
    } else {
      source.next();
    }
  }

  #show(): void {
    if (this.#count > 0) {
      this.#copy(this.#order[0]!);
    }
  }

  #copy(source: Cursor): void {
    this.keyBytes = source.keyBytes;
    this.keyStart = source.keyStart;
    this.keyEnd = source.keyEnd;
    this.sequence = source.sequence;
    this.kind = source.kind;
    this.valueBytes = source.valueBytes;
    this.valueStart = source.valueStart;
    this.valueEnd = source.valueEnd;
    this.isValid = true;
  }
}

/** Moves a source, which stands next to the shown entry on one side, to where it is next to it on the other. */
function stepAcross(source: Cursor, shown: Cursor, isBackward: boolean): void {
  if (isBackward) {
    if (source.isValid) {
      source.previous();
    } else {
      source.seekLast();
    }
    while (source.isValid && compareEntries(source, shown) >= 0) {
      source.previous();
    }
    return;
  }
  if (source.isValid) {
    source.next();
  } else {
    source.seekFirst();
  }
  while (source.isValid && compareEntries(source, shown) <= 0) {
    source.next();
  }
}

function compareEntries(left: Cursor, right: Cursor): number {
  const comparison = compareBytes(
    left.keyBytes,
    left.keyStart,
    left.keyEnd,
    right.keyBytes,
    right.keyStart,
    right.keyEnd,
  );
  return comparison === 0 ? right.sequence - left.sequence : comparison;
}
