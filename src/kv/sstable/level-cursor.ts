import { firstIndexWhere } from '../../base/binary-search.ts';
import { compareKeys } from '../../base/compare-bytes.ts';
import { type Cursor, EntryKind } from '../entries/cursor.ts';
import type { TableMeta } from './table-meta.ts';

const noBytes = new Uint8Array(0);

/** The entries of sorted tables that share no key, as one source. A table's own cursor is opened when it is reached. */
export class LevelCursor implements Cursor {
  isValid = false;
  keyBytes: Uint8Array = noBytes;
  keyStart = 0;
  keyEnd = 0;
  sequence = 0;
  kind: EntryKind = EntryKind.delete;
  valueBytes: Uint8Array = noBytes;
  valueStart = 0;
  valueEnd = 0;
  readonly #tables: readonly TableMeta[];
  readonly #open: (table: TableMeta) => Cursor;
  /** The table that `#cursor` belongs to, while there is one. */
  #index = -1;
  #cursor: Cursor | undefined;

  /** `open` is called again when a table is reached again after another one. */
  constructor(tables: readonly TableMeta[], open: (table: TableMeta) => Cursor) {
    this.#tables = tables;
    this.#open = open;
  }

  seekFirst(): void {
    this.isValid = false;
    this.#goOnFrom(0);
  }

  seekLast(): void {
    this.isValid = false;
    this.#goBackFrom(this.#tables.length - 1);
  }

  seek(key: Uint8Array, sequence: number): void {
    this.isValid = false;
    const index = this.#firstReaching(key);
    if (index === this.#tables.length) {
      return;
    }
    const cursor = this.#enter(index);
    cursor.seek(key, sequence);
    if (cursor.isValid) {
      this.#copy(cursor);
    } else {
      this.#goOnFrom(index + 1);
    }
  }

  seekBefore(key: Uint8Array): void {
    this.isValid = false;
    const index = this.#firstStartingAt(key) - 1;
    if (index < 0) {
      return;
    }
    const cursor = this.#enter(index);
    cursor.seekBefore(key);
    if (cursor.isValid) {
      this.#copy(cursor);
    } else {
      this.#goBackFrom(index - 1);
    }
  }

  next(): void {
    const cursor = this.#cursor!;
    this.isValid = false;
    cursor.next();
    if (cursor.isValid) {
      this.#copy(cursor);
    } else {
      this.#goOnFrom(this.#index + 1);
    }
  }

  previous(): void {
    const cursor = this.#cursor!;
    this.isValid = false;
    cursor.previous();
    if (cursor.isValid) {
      this.#copy(cursor);
    } else {
      this.#goBackFrom(this.#index - 1);
    }
  }

  /** To the first entry of the tables from `first` on. A table may hold nothing but deleted ranges. */
  #goOnFrom(first: number): void {
    for (let index = first; index < this.#tables.length; index += 1) {
      const cursor = this.#enter(index);
      cursor.seekFirst();
      if (cursor.isValid) {
        this.#copy(cursor);
        return;
      }
    }
  }

  #goBackFrom(last: number): void {
    for (let index = last; index >= 0; index -= 1) {
      const cursor = this.#enter(index);
      cursor.seekLast();
      if (cursor.isValid) {
        this.#copy(cursor);
        return;
      }
    }
  }

  #enter(index: number): Cursor {
    if (this.#cursor === undefined || this.#index !== index) {
      this.#cursor = undefined;
      this.#cursor = this.#open(this.#tables[index]!);
      this.#index = index;
    }
    return this.#cursor;
  }

  #firstReaching(key: Uint8Array): number {
    return firstIndexWhere(this.#tables.length, (index) => {
      const { maxKey, isMaxExclusive } = this.#tables[index]!;
      const comparison = compareKeys(maxKey, key);
      return comparison > 0 || (comparison === 0 && !isMaxExclusive);
    });
  }

  #firstStartingAt(key: Uint8Array): number {
    const tables = this.#tables;
    return firstIndexWhere(tables.length, (index) => compareKeys(tables[index]!.minKey, key) >= 0);
  }

  #copy(cursor: Cursor): void {
    this.keyBytes = cursor.keyBytes;
    this.keyStart = cursor.keyStart;
    this.keyEnd = cursor.keyEnd;
    this.sequence = cursor.sequence;
    this.kind = cursor.kind;
    this.valueBytes = cursor.valueBytes;
    this.valueStart = cursor.valueStart;
    this.valueEnd = cursor.valueEnd;
    this.isValid = true;
  }
}
