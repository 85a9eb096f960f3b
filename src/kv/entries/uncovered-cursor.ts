import { type Cursor, EntryKind, NO_BYTES } from './cursor.ts';
import type { RangeTombstones } from './range-tombstones.ts';

/**
 * A source without the entries that a reader can't see because a later deletion covers them: a deleted range is passed over in one
 * step, however many of the source's entries are in it.
 */
export class UncoveredCursor implements Cursor {
  isValid = false;
  keyBytes: Uint8Array = NO_BYTES;
  keyStart = 0;
  keyEnd = 0;
  sequence = 0;
  kind: EntryKind = EntryKind.delete;
  valueBytes: Uint8Array = NO_BYTES;
  valueStart = 0;
  valueEnd = 0;
  readonly #source: Cursor;
  readonly #ranges: readonly RangeTombstones[];
  readonly #readSequence: number;
  readonly #newest: number;

  /** `readSequence`: where the reader stands; `newest`: of the source's entries none that is newer can be seen from there. */
  constructor(
    source: Cursor,
    ranges: readonly RangeTombstones[],
    readSequence: number,
    newest: number,
  ) {
    this.#source = source;
    this.#ranges = ranges;
    this.#readSequence = readSequence;
    this.#newest = newest;
  }

  seekFirst(): void {
    this.isValid = false;
    this.#source.seekFirst();
    this.#goForward();
  }

  seekLast(): void {
    this.isValid = false;
    this.#source.seekLast();
    this.#goBackward();
  }

  seek(key: Uint8Array, sequence: number): void {
    this.isValid = false;
    this.#source.seek(key, sequence);
    this.#goForward();
  }

  seekBefore(key: Uint8Array): void {
    this.isValid = false;
    this.#source.seekBefore(key);
    this.#goBackward();
  }

  next(): void {
    this.isValid = false;
    this.#source.next();
    this.#goForward();
  }

  previous(): void {
    this.isValid = false;
    this.#source.previous();
    this.#goBackward();
  }

  #goForward(): void {
    const source = this.#source;
    while (source.isValid) {
      const end = this.#endOfCover(source);
      if (end === undefined) {
        this.#show(source);
        return;
      }
      source.seek(end, Number.MAX_SAFE_INTEGER);
    }
  }

  #goBackward(): void {
    const source = this.#source;
    while (source.isValid) {
      const start = this.#startOfCover(source);
      if (start === undefined) {
        this.#show(source);
        return;
      }
      source.seekBefore(start);
    }
  }

  /** Any one will do: where it ends the others are asked. */
  #endOfCover({ keyBytes, keyStart, keyEnd }: Cursor): Uint8Array | undefined {
    for (const ranges of this.#ranges) {
      const end = ranges.endOfCover(keyBytes, keyStart, keyEnd, this.#readSequence, this.#newest);
      if (end !== undefined) {
        return end;
      }
    }
    return undefined;
  }

  #startOfCover({ keyBytes, keyStart, keyEnd }: Cursor): Uint8Array | undefined {
    for (const ranges of this.#ranges) {
      const start = ranges.startOfCover(
        keyBytes,
        keyStart,
        keyEnd,
        this.#readSequence,
        this.#newest,
      );
      if (start !== undefined) {
        return start;
      }
    }
    return undefined;
  }

  #show(source: Cursor): void {
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
