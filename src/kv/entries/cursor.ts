/**
 * What every source of entries (memtable, table, level, merge of them) looks like to a reader. Entries are in internal
 * order: keys ascending byte by byte, versions of one key from the newest to the oldest.
 */

export const NO_BYTES: Uint8Array = new Uint8Array(0);

// Format: persisted; never renumber.
export const EntryKind = { delete: 0, put: 1 } as const;
export type EntryKind = (typeof EntryKind)[keyof typeof EntryKind];

/**
 * A place in a source. Fields are plain properties, for they are read once per entry: they describe the entry while
 * `isValid`, and the bytes they point to stay as they are until the cursor moves. Receivers never change them.
 * Moving may throw `CORRUPT`; the cursor is not valid then.
 */
export interface Cursor {
  readonly isValid: boolean;
  readonly keyBytes: Uint8Array;
  readonly keyStart: number;
  readonly keyEnd: number;
  readonly sequence: number;
  readonly kind: EntryKind;
  readonly valueBytes: Uint8Array;
  readonly valueStart: number;
  readonly valueEnd: number;

  seekFirst(): void;
  seekLast(): void;
  /** To the first entry at or behind (`key`, `sequence`): the newest version of `key` that is not newer, or what follows. */
  seek(key: Uint8Array, sequence: number): void;
  /** To the last entry of the last key that is smaller than `key`, which is that key's oldest version. */
  seekBefore(key: Uint8Array): void;
  /** Only while valid. */
  next(): void;
  /** Only while valid. */
  previous(): void;
}

/** What a point read found in one source. Reused from read to read; bytes stay as they are until the next one. */
export interface Found {
  kind: EntryKind;
  sequence: number;
  bytes: Uint8Array;
  /** That `bytes` covers, from its start on: asking `bytes` for it costs more than the rest of a copy. */
  buffer: ArrayBufferLike;
  start: number;
  end: number;
}

export function makeFound(): Found {
  const bytes = new Uint8Array(0);
  return { kind: EntryKind.delete, sequence: 0, bytes, buffer: bytes.buffer, start: 0, end: 0 };
}
