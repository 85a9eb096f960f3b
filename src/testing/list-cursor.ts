/** The plainest source of entries: a sorted list. Models of cursors are made of it. */
import { assert } from '../base/assert.ts';
import { type Cursor, EntryKind } from '../kv/entries/cursor.ts';

/** An entry as tests write it down; each character of key and value is a byte. */
export interface ListEntry {
  readonly key: string;
  readonly sequence: number;
  readonly kind: EntryKind;
  readonly value: string;
}

export class ListCursor implements Cursor {
  keyBytes: Uint8Array = new Uint8Array(0);
  keyStart = 0;
  keyEnd = 0;
  sequence = 0;
  kind: EntryKind = EntryKind.delete;
  valueBytes: Uint8Array = new Uint8Array(0);
  valueStart = 0;
  valueEnd = 0;
  /** Thrown by the next move, if it is set. */
  failure: Error | undefined;
  moveCount = 0;
  readonly #entries: readonly ListEntry[];
  #index = -1;

  constructor(entries: readonly ListEntry[]) {
    this.#entries = inOrder(entries);
  }

  get isValid(): boolean {
    return this.#entries[this.#index] !== undefined;
  }

  seekFirst(): void {
    this.#move(0);
  }

  seekLast(): void {
    this.#move(this.#entries.length - 1);
  }

  seek(key: Uint8Array, sequence: number): void {
    const sought = { key: textOf(key, 0, key.length), sequence };
    const index = this.#entries.findIndex((entry) => compareEntries(entry, sought) >= 0);
    this.#move(index === -1 ? this.#entries.length : index);
  }

  seekBefore(key: Uint8Array): void {
    const bound = textOf(key, 0, key.length);
    this.#move(this.#entries.findLastIndex((entry) => entry.key < bound));
  }

  next(): void {
    assert(this.isValid, 'only a valid cursor moves on');
    this.#move(this.#index + 1);
  }

  previous(): void {
    assert(this.isValid, 'only a valid cursor moves back');
    this.#move(this.#index - 1);
  }

  #move(index: number): void {
    this.moveCount += 1;
    // What it showed before is not to be used any more.
    this.keyBytes.fill(0xee);
    this.valueBytes.fill(0xee);
    this.#index = -1;
    if (this.failure !== undefined) {
      throw this.failure;
    }
    this.#index = index;
    const entry = this.#entries[index];
    if (entry !== undefined) {
      this.keyBytes = Uint8Array.from(Buffer.from(`<${entry.key}>`, 'latin1'));
      this.keyStart = 1;
      this.keyEnd = this.keyBytes.length - 1;
      this.sequence = entry.sequence;
      this.kind = entry.kind;
      this.valueBytes = Uint8Array.from(Buffer.from(`(${entry.value})`, 'latin1'));
      this.valueStart = 1;
      this.valueEnd = this.valueBytes.length - 1;
    }
  }
}

/** What a valid cursor shows. */
export function shownEntry(cursor: Cursor): ListEntry {
  return {
    key: textOf(cursor.keyBytes, cursor.keyStart, cursor.keyEnd),
    sequence: cursor.sequence,
    kind: cursor.kind,
    value: textOf(cursor.valueBytes, cursor.valueStart, cursor.valueEnd),
  };
}

/** All that a cursor shows, from its first entry on. */
export function allEntries(cursor: Cursor): ListEntry[] {
  const entries: ListEntry[] = [];
  for (cursor.seekFirst(); cursor.isValid; cursor.next()) {
    entries.push(shownEntry(cursor));
  }
  return entries;
}

export function inOrder(entries: readonly ListEntry[]): ListEntry[] {
  return entries.toSorted(compareEntries);
}

function compareEntries(
  left: Pick<ListEntry, 'key' | 'sequence'>,
  right: Pick<ListEntry, 'key' | 'sequence'>,
): number {
  if (left.key === right.key) {
    return right.sequence - left.sequence;
  }
  return left.key < right.key ? -1 : 1;
}

function textOf(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.subarray(start, end)).toString('latin1');
}
