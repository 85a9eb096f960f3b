/**
 * The payload of one data block. See docs/formats/table.md.
 *
 *   values | entries | sequences (count × width) | restarts (8 each) | tail (20)
 *   entry     shared | unshared | value size × 4 + kind | last `unshared` bytes of the key
 *
 * A key's first `shared` bytes are those of the key before it; at a restart they are none, so a reader can begin there.
 * Values stand apart, so that a search walks over keys that lie close together: most of what a point read costs is
 * waiting for memory. Sequences stand apart, as differences to the smallest, all of one width: most are never looked at.
 */
import { copyRange } from '../../base/copy-bytes.ts';
import { assert } from '../../base/assert.ts';
import { viewOf, writeUint64 } from '../../base/integers.ts';
import { EntryKind } from '../entries/cursor.ts';
import {
  BLOCK_TAIL_SIZE,
  KEY_SIZE_MAX,
  RESTART_SIZE,
  TRAILER_SIZE,
  VALUE_SIZE_MAX,
  writeUint32,
} from './format.ts';
import { varintSize, writeVarint } from './varint.ts';

/** Entries from restart to restart. Measured: reads with 8, 16 and 32 cannot be told apart; fewer restarts store less. */
export const RESTART_INTERVAL = 16;

/** Three varints. */
const ENTRY_HEAD_SIZE_MAX = 15;

export class BlockBuilder {
  /** The payload from 0 on, once finished, and room for a trailer behind it; until then the values. */
  bytes: Uint8Array<ArrayBuffer>;
  count = 0;

  #valuesSize = 0;
  #entries = new Uint8Array(1_024);
  #entriesSize = 0;
  #sequences = new Float64Array(64);
  #minSequence = 0;
  #maxSequence = 0;
  /** Two numbers each, as they are stored. */
  #restarts = new Uint32Array(16);

  constructor(blockSize: number) {
    this.bytes = new Uint8Array(blockSize + TRAILER_SIZE);
  }

  /** Of the payload if it were finished now. */
  get size(): number {
    const width = widthOf(this.#maxSequence - this.#minSequence);
    return this.count === 0 ? 0 : this.#sizeOf(this.count, width);
  }

  /** What the payload would have with one more entry at most. */
  sizeWith(keySize: number, valueSize: number, sequence: number): number {
    const entrySize = varintSize(keySize) * 2 + varintSize(valueSize * 4 + 3) + keySize;
    const min = this.count === 0 || sequence < this.#minSequence ? sequence : this.#minSequence;
    const max = this.count === 0 || sequence > this.#maxSequence ? sequence : this.#maxSequence;
    return this.#sizeOf(this.count + 1, widthOf(max - min)) + entrySize + valueSize;
  }

  /** `shared`: how many bytes the key has in common with the one before, if there is one. */
  add(
    shared: number,
    keyBytes: Uint8Array,
    keyStart: number,
    keyEnd: number,
    sequence: number,
    kind: EntryKind,
    valueBytes: Uint8Array,
    valueStart: number,
    valueEnd: number,
  ): void {
    const keySize = keyEnd - keyStart;
    const valueSize = valueEnd - valueStart;
    assert(keySize <= KEY_SIZE_MAX, 'a key is within its limit');
    assert(valueSize <= VALUE_SIZE_MAX, 'a value is within its limit');
    assert(kind === EntryKind.put || valueSize === 0, 'a deletion has no value');
    if (this.#entriesSize + keySize + ENTRY_HEAD_SIZE_MAX > this.#entries.length) {
      this.#entries = grown(this.#entries, this.#entriesSize + keySize + ENTRY_HEAD_SIZE_MAX);
    }
    if (this.#valuesSize + valueSize > this.bytes.length) {
      this.bytes = grown(this.bytes, this.#valuesSize + valueSize);
    }
    this.#note(sequence);
    const entries = this.#entries;
    const kept = this.count % RESTART_INTERVAL === 0 ? this.#restart() : shared;
    let at = writeVarint(entries, this.#entriesSize, kept);
    at = writeVarint(entries, at, keySize - kept);
    at = writeVarint(entries, at, valueSize * 4 + kind);
    this.#entriesSize = copyRange(keyBytes, keyStart + kept, keyEnd, entries, at);
    this.#valuesSize = copyRange(valueBytes, valueStart, valueEnd, this.bytes, this.#valuesSize);
    this.count += 1;
  }

  /** Completes the payload in `bytes` and returns its size. `clear` comes before the next entry. */
  finish(): number {
    assert(this.count > 0, 'a block has an entry');
    const { count } = this;
    const width = widthOf(this.#maxSequence - this.#minSequence);
    const size = this.#sizeOf(count, width);
    if (size + TRAILER_SIZE > this.bytes.length) {
      this.bytes = grown(this.bytes, size + TRAILER_SIZE);
    }
    const { bytes } = this;
    let at = copyRange(this.#entries, 0, this.#entriesSize, bytes, this.#valuesSize);
    for (let index = 0; index < count; index += 1) {
      at = writeSequence(bytes, at, this.#sequences[index]! - this.#minSequence, width);
    }
    for (let index = 0; index < restartCountOf(count, RESTART_INTERVAL) * 2; index += 1) {
      writeUint32(bytes, at, this.#restarts[index]!);
      at += 4;
    }
    writeUint64(viewOf(bytes), at, this.#minSequence);
    writeUint32(bytes, at + 8, count);
    writeUint32(bytes, at + 12, this.#valuesSize);
    bytes[at + 16] = width;
    bytes[at + 17] = RESTART_INTERVAL;
    bytes[at + 18] = 0;
    bytes[at + 19] = 0;
    assert(at + BLOCK_TAIL_SIZE === size, 'the payload has the size that was foreseen');
    return size;
  }

  clear(): void {
    this.count = 0;
    this.#entriesSize = 0;
    this.#valuesSize = 0;
  }

  #note(sequence: number): void {
    if (this.count === this.#sequences.length) {
      const larger = new Float64Array(this.#sequences.length * 2);
      larger.set(this.#sequences);
      this.#sequences = larger;
    }
    this.#sequences[this.count] = sequence;
    if (this.count === 0 || sequence < this.#minSequence) {
      this.#minSequence = sequence;
    }
    if (this.count === 0 || sequence > this.#maxSequence) {
      this.#maxSequence = sequence;
    }
  }

  #restart(): number {
    const index = (this.count / RESTART_INTERVAL) * 2;
    if (index === this.#restarts.length) {
      const larger = new Uint32Array(this.#restarts.length * 2);
      larger.set(this.#restarts);
      this.#restarts = larger;
    }
    this.#restarts[index] = this.#entriesSize;
    this.#restarts[index + 1] = this.#valuesSize;
    return 0;
  }

  #sizeOf(count: number, width: number): number {
    return (
      this.#valuesSize +
      this.#entriesSize +
      count * width +
      restartCountOf(count, RESTART_INTERVAL) * RESTART_SIZE +
      BLOCK_TAIL_SIZE
    );
  }
}

function grown(bytes: Uint8Array<ArrayBuffer>, size: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(Math.max(size, bytes.length * 2));
  larger.set(bytes);
  return larger;
}

export function restartCountOf(count: number, interval: number): number {
  return Math.ceil(count / interval);
}

/** Bytes that hold every number up to `range`: 0 if all sequences of a block are the same. */
function widthOf(range: number): number {
  let width = 0;
  for (let rest = range; rest >= 1; rest /= 256) {
    width += 1;
  }
  return width;
}

function writeSequence(bytes: Uint8Array, at: number, value: number, width: number): number {
  let rest = value;
  for (let index = 0; index < width; index += 1) {
    bytes[at + index] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return at + width;
}
