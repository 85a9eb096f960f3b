/**
 * The newest entries, in memory: a radix tree from keys to versions, all of it in one arena that another thread can read once
 * nothing is added any more.
 *
 *   leaf.payload ──▶ newest version ──older──▶ … ──older──▶ oldest version
 *                                   ◀──newer──     ◀──newer──
 *
 *   version: sequence, low 32 bits | high 21 bits, and the kind in the top bit | older | newer | value size | value
 */
import { assert } from '../../base/assert.ts';
import { compareBytes } from '../../base/compare-bytes.ts';
import { copyBytes, type ViewedBytes } from '../../base/copy-bytes.ts';
import { Arena } from '../../radix/arena.ts';
import { RadixTree } from '../../radix/radix-tree.ts';
import { EntryKind, type Found } from '../entries/cursor.ts';
import { KeySample } from './sampled-keys.ts';
import { MemtableCursor } from './memtable-cursor.ts';
import { type RangeTombstone, RangeTombstones } from '../entries/range-tombstones.ts';

/** A frozen memtable on its way to another thread: shared memory, nothing is copied. */
export interface MemtableImage {
  readonly memory: SharedArrayBuffer | ArrayBuffer;
  readonly used: number;
  readonly root: number;
  readonly keyCount: number;
}

const OLDER = 2;
const NEWER = 3;
const VALUE_SIZE = 4;
const HEADER_SIZE = 20;
const TWO_32 = 2 ** 32;
const KIND_BIT = 0x8000_0000;
/** So many entries are counted one by one, in less than a ms. */
const COUNTED_MAX = 4_096;

export class Memtable {
  readonly arena: Arena;
  readonly tree: RadixTree;
  readonly rangeTombstones: RangeTombstones = new RangeTombstones();
  /** Versions, and deleted ranges. */
  entryCount = 0;
  /** Of the newest entry; 0 if there is none. */
  maxSequence = 0;
  /** Up to where the owner's log is in here and in what is older, and what that position's mark is made from. */
  position = 0;
  place: unknown;
  /** Of a store without a log: its last batch goes on in the next memtable. */
  endsAmidBatch = false;
  /** Readers that still look at it. */
  pinCount = 0;
  readonly #sizeTarget: number;
  readonly #sample = new KeySample();
  #rangeSize = 0;

  private constructor(arena: Arena, tree: RadixTree, sizeTarget: number) {
    this.arena = arena;
    this.tree = tree;
    this.#sizeTarget = sizeTarget;
  }

  /** Takes an empty arena. `sizeTarget`: from this many bytes on it counts as full. */
  static create(arena: Arena, sizeTarget: number): Memtable {
    return new Memtable(arena, new RadixTree(arena), sizeTarget);
  }

  /** The memtable that `freeze` described. Only read. */
  static attach({ memory, used, root, keyCount }: MemtableImage): Memtable {
    const arena = Arena.attach(memory, used);
    return new Memtable(arena, RadixTree.attach(arena, root, keyCount), 0);
  }

  /** What another thread needs to read it. Nothing may be added afterwards. */
  freeze(): MemtableImage {
    const { arena, tree } = this;
    return { memory: arena.memory, used: arena.used, root: tree.root, keyCount: tree.count };
  }

  get isEmpty(): boolean {
    return this.entryCount === 0;
  }

  /** Bytes in use. */
  get size(): number {
    return this.arena.used + this.#rangeSize;
  }

  /** Room that one more entry may take. */
  sizeFor(keySize: number, valueSize: number): number {
    return this.tree.worstCaseSize(keySize) + HEADER_SIZE + valueSize + 8;
  }

  /** False if an entry should go to the next memtable. */
  hasRoom(keySize: number, valueSize: number): boolean {
    return this.size < this.#sizeTarget && this.arena.hasRoom(this.sizeFor(keySize, valueSize));
  }

  /**
   * Adds a version, newer than all that are there, of the key that lies in `source[keyStart, keyEnd)`, its value from there to `valueEnd`.
   * There must be room.
   */
  insertFrom(
    source: ViewedBytes,
    keyStart: number,
    keyEnd: number,
    valueEnd: number,
    sequence: number,
    kind: EntryKind,
  ): void {
    assert(sequence > this.maxSequence, 'sequences only grow');
    const leaf = this.tree.upsert(source.bytes, keyStart, keyEnd);
    const valueStart = this.#addVersion(leaf, sequence, kind, valueEnd - keyEnd);
    copyBytes(this.arena, valueStart, source, keyEnd, valueEnd);
    this.#sample.add(source.bytes, keyStart, keyEnd, valueEnd - keyStart);
  }

  /** Returns where its value goes. */
  #addVersion(leaf: number, sequence: number, kind: EntryKind, valueSize: number): number {
    const { arena, tree } = this;
    const version = arena.allocate(HEADER_SIZE + valueSize);
    const { words } = arena;
    const at = version >>> 2;
    const older = tree.wasInserted ? 0 : tree.payloadOf(leaf);
    words[at] = sequence >>> 0;
    words[at + 1] = (sequence / TWO_32) | (kind === EntryKind.put ? KIND_BIT : 0);
    words[at + OLDER] = older;
    words[at + NEWER] = 0;
    words[at + VALUE_SIZE] = valueSize;
    if (older !== 0) {
      words[(older >>> 2) + NEWER] = version;
    }
    tree.setPayload(leaf, version);
    this.maxSequence = sequence;
    this.entryCount += 1;
    return version + HEADER_SIZE;
  }

  /** Deletes every key in [start, end) that was written before. `readers`: sequences, ascending, at which somebody still reads. */
  insertRange(tombstone: RangeTombstone, readers: readonly number[]): void {
    assert(tombstone.sequence > this.maxSequence, 'sequences only grow');
    this.rangeTombstones.add(tombstone, readers);
    this.#rangeSize += 64 + tombstone.start.length + tombstone.end.length;
    this.maxSequence = tombstone.sequence;
    this.entryCount += 1;
  }

  /** A sequence that changes nothing here. */
  skip(sequence: number): void {
    assert(sequence > this.maxSequence, 'sequences only grow');
    this.maxSequence = sequence;
    this.entryCount += 1;
  }

  /** Finds the newest version of a key that is not newer than `sequence`. Deleted ranges are the caller's business. */
  get(key: Uint8Array, sequence: number, found: Found): boolean {
    const leaf = this.tree.find(key, 0, key.length);
    if (leaf === 0) {
      return false;
    }
    const version = this.versionAt(this.tree.payloadOf(leaf), sequence);
    if (version === 0) {
      return false;
    }
    const { bytes } = this.arena;
    found.kind = this.kindOf(version);
    found.sequence = this.sequenceOf(version);
    found.bytes = bytes;
    found.buffer = this.arena.memory;
    found.start = version + HEADER_SIZE;
    found.end = found.start + this.valueSizeOf(version);
    return true;
  }

  /** About how many bytes the keys in [start, end), all their versions, and their values have. */
  sizeOf(start: Uint8Array, end: Uint8Array | undefined): number {
    if (this.entryCount > COUNTED_MAX) {
      return this.#sample.sizeIn(start, end);
    }
    const cursor = this.cursor();
    let size = 0;
    for (cursor.seek(start, Number.MAX_SAFE_INTEGER); cursor.isValid; cursor.next()) {
      const { keyBytes, keyStart, keyEnd, valueStart, valueEnd } = cursor;
      if (end !== undefined && compareBytes(keyBytes, keyStart, keyEnd, end, 0, end.length) >= 0) {
        break;
      }
      size += keyEnd - keyStart + valueEnd - valueStart;
    }
    return size;
  }

  cursor(): MemtableCursor {
    return new MemtableCursor(this);
  }

  /** The first version from `version` on, towards the older ones, that is not newer than `sequence`; 0 if there is none. */
  versionAt(version: number, sequence: number): number {
    let at = version;
    while (at !== 0 && this.sequenceOf(at) > sequence) {
      at = this.olderThan(at);
    }
    return at;
  }

  oldestOf(version: number): number {
    let at = version;
    for (let older = this.olderThan(at); older !== 0; older = this.olderThan(at)) {
      at = older;
    }
    return at;
  }

  sequenceOf(version: number): number {
    const { words } = this.arena;
    const at = version >>> 2;
    return (words[at + 1]! & 0x1f_ffff) * TWO_32 + (words[at]! >>> 0);
  }

  kindOf(version: number): EntryKind {
    return this.arena.words[(version >>> 2) + 1]! >>> 31 === 1 ? EntryKind.put : EntryKind.delete;
  }

  olderThan(version: number): number {
    return this.arena.words[(version >>> 2) + OLDER]!;
  }

  newerThan(version: number): number {
    return this.arena.words[(version >>> 2) + NEWER]!;
  }

  valueSizeOf(version: number): number {
    return this.arena.words[(version >>> 2) + VALUE_SIZE]!;
  }

  valueStartOf(version: number): number {
    return version + HEADER_SIZE;
  }
}
