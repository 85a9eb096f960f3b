import { RadixCursor } from '../../radix/radix-cursor.ts';
import { type Cursor, EntryKind } from '../entries/cursor.ts';
import type { Memtable } from './memtable.ts';

/** The versions of a memtable in internal order. Goes on where it was when entries are added meanwhile. */
export class MemtableCursor implements Cursor {
  isValid = false;
  readonly keyBytes: Uint8Array;
  keyStart = 0;
  keyEnd = 0;
  sequence = 0;
  kind: EntryKind = EntryKind.delete;
  readonly valueBytes: Uint8Array;
  valueStart = 0;
  valueEnd = 0;
  readonly #memtable: Memtable;
  readonly #leaves: RadixCursor;
  #version = 0;

  constructor(memtable: Memtable) {
    this.#memtable = memtable;
    this.#leaves = new RadixCursor(memtable.tree);
    this.keyBytes = memtable.arena.bytes;
    this.valueBytes = memtable.arena.bytes;
  }

  seekFirst(): void {
    this.#leaves.seekFirst();
    this.#enterNewest();
  }

  seekLast(): void {
    this.#leaves.seekLast();
    this.#enterOldest();
  }

  seek(key: Uint8Array, sequence: number): void {
    const leaves = this.#leaves;
    leaves.seek(key);
    if (!leaves.isValid) {
      this.isValid = false;
      return;
    }
    const { tree } = this.#memtable;
    const isKey = isSame(
      this.keyBytes,
      tree.keyStartOf(leaves.leaf),
      tree.keySizeOf(leaves.leaf),
      key,
    );
    const newest = tree.payloadOf(leaves.leaf);
    const version = isKey ? this.#memtable.versionAt(newest, sequence) : newest;
    if (version === 0) {
      leaves.next();
      this.#enterNewest();
      return;
    }
    this.#enterLeaf();
    this.#show(version);
  }

  seekBefore(key: Uint8Array): void {
    this.#leaves.seekBefore(key);
    this.#enterOldest();
  }

  next(): void {
    const older = this.#memtable.olderThan(this.#version);
    if (older !== 0) {
      this.#show(older);
      return;
    }
    this.#leaves.next();
    this.#enterNewest();
  }

  previous(): void {
    const newer = this.#memtable.newerThan(this.#version);
    if (newer !== 0) {
      this.#show(newer);
      return;
    }
    this.#leaves.previous();
    this.#enterOldest();
  }

  #enterNewest(): void {
    this.isValid = this.#leaves.isValid;
    if (this.isValid) {
      this.#enterLeaf();
      this.#show(this.#memtable.tree.payloadOf(this.#leaves.leaf));
    }
  }

  #enterOldest(): void {
    this.isValid = this.#leaves.isValid;
    if (this.isValid) {
      this.#enterLeaf();
      const memtable = this.#memtable;
      this.#show(memtable.oldestOf(memtable.tree.payloadOf(this.#leaves.leaf)));
    }
  }

  #enterLeaf(): void {
    const { tree } = this.#memtable;
    const { leaf } = this.#leaves;
    this.isValid = true;
    this.keyStart = tree.keyStartOf(leaf);
    this.keyEnd = this.keyStart + tree.keySizeOf(leaf);
  }

  #show(version: number): void {
    const memtable = this.#memtable;
    this.#version = version;
    this.sequence = memtable.sequenceOf(version);
    this.kind = memtable.kindOf(version);
    this.valueStart = memtable.valueStartOf(version);
    this.valueEnd = this.valueStart + memtable.valueSizeOf(version);
  }
}

function isSame(bytes: Uint8Array, start: number, size: number, key: Uint8Array): boolean {
  if (size !== key.length) {
    return false;
  }
  for (let index = 0; index < size; index += 1) {
    if (bytes[start + index] !== key[index]) {
      return false;
    }
  }
  return true;
}
