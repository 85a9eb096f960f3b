/** A data block in memory, as it is stored but decompressed, and how an entry is found in it. */
import { CorruptionError } from '../../base/errors.ts';
import { EntryKind, type Found } from '../entries/cursor.ts';
import { restartCountOf } from './block-builder.ts';
import { BLOCK_TAIL_SIZE, readUint32, RESTART_SIZE } from './format.ts';
import { headOf } from './key-head.ts';
import { readVarint, varintSize } from './varint.ts';

/** An entry is three varints at least. */
const ENTRY_SIZE_MIN = 3;
const TWO_32 = 2 ** 32;
const nothing = new Uint8Array(0);
const noHeads = new Uint32Array(0);

/** One block after the other: what a reader needs to find its way in the one at hand. */
export class Block {
  bytes: Uint8Array = nothing;
  /** All of it is `bytes`. */
  buffer: ArrayBufferLike = nothing.buffer;
  restartsStart = 0;
  restartCount = 0;
  restartInterval = 0;
  entriesStart = 0;
  /** Where the entries end and the sequences begin. */
  entriesEnd = 0;
  /** The entries begin where the values end. */
  valuesStart = 0;
  sequenceWidth = 0;
  baseSequence = 0;
  count = 0;
  /** Which one of its table's. */
  index = 0;
  /**
   * Four bytes of each restart's key as numbers, from `headWords[headsAt]` on, where the block has them; the size of the prefix they
   * follow comes first. -1 if it doesn't.
   */
  headsAt = -1;
  headWords: Uint32Array = noHeads;
  readonly #file: string;
  readonly #offsets: Float64Array;

  /** `offsets`: where the table's blocks begin in its file. */
  constructor(file: string, offsets: Float64Array) {
    this.#file = file;
    this.#offsets = offsets;
  }

  /** Where the payload ends. */
  get end(): number {
    return this.restartsStart + this.restartCount * RESTART_SIZE + BLOCK_TAIL_SIZE;
  }

  /** Makes this the block whose payload is `bytes[start, end)`, where `bytes` are all of their buffer. Throws `CORRUPT` if it can't be a block's. */
  take(bytes: Uint8Array, start: number, end: number, index: number): void {
    this.index = index;
    const tail = end - BLOCK_TAIL_SIZE;
    if (tail < start) {
      throw this.damage('a block is too short');
    }
    this.pointTo(bytes, bytes.buffer, start, end, index);
    const valuesSize = this.entriesStart - start;
    if (
      this.count < 1 ||
      this.restartInterval < 1 ||
      this.sequenceWidth > 7 ||
      !Number.isSafeInteger(this.baseSequence) ||
      bytes[tail + 18] !== 0 ||
      bytes[tail + 19] !== 0 ||
      this.entriesEnd - this.entriesStart < this.count * ENTRY_SIZE_MIN ||
      !this.#restartsAscend(valuesSize)
    ) {
      throw this.damage('a block is not laid out as blocks are');
    }
  }

  /** The same for a payload that was found in order before; `buffer` is that of `bytes`. */
  pointTo(
    bytes: Uint8Array,
    buffer: ArrayBufferLike,
    start: number,
    end: number,
    index: number,
  ): void {
    this.bytes = bytes;
    this.buffer = buffer;
    this.headsAt = -1;
    this.index = index;
    const tail = end - BLOCK_TAIL_SIZE;
    const count = readUint32(bytes, tail + 8);
    const interval = bytes[tail + 17]!;
    const sequenceWidth = bytes[tail + 16]!;
    const restartCount = restartCountOf(count, interval > 0 ? interval : 1);
    const restartsStart = tail - restartCount * RESTART_SIZE;
    this.count = count;
    this.restartInterval = interval;
    this.restartCount = restartCount;
    this.restartsStart = restartsStart;
    this.sequenceWidth = sequenceWidth;
    this.entriesStart = start + readUint32(bytes, tail + 12);
    this.entriesEnd = restartsStart - count * sequenceWidth;
    this.valuesStart = start;
    this.baseSequence = readUint32(bytes, tail + 4) * TWO_32 + readUint32(bytes, tail);
  }

  /** `prefixSize`, and the four bytes behind it of each restart's key but the first, where no search needs to look. */
  headsBehind(prefixSize: number): Uint32Array {
    const heads = new Uint32Array(this.restartCount);
    heads[0] = prefixSize;
    for (let index = 1; index < this.restartCount; index += 1) {
      const start = restartKey(this, index);
      const size = readVarint(this.bytes, restartEntry(this, index) + 1);
      heads[index] = headOf(this.bytes, start + prefixSize, start + size);
    }
    return heads;
  }

  damage(reason: string): CorruptionError {
    return new CorruptionError(this.#file, this.#offsets[this.index], reason);
  }

  #restartsAscend(valuesSize: number): boolean {
    const entriesSize = this.entriesEnd - this.entriesStart;
    let entry = 0;
    let value = 0;
    for (let index = 0; index < this.restartCount; index += 1) {
      const at = this.restartsStart + index * RESTART_SIZE;
      const nextEntry = readUint32(this.bytes, at);
      const nextValue = readUint32(this.bytes, at + 4);
      if (index === 0 ? nextEntry + nextValue !== 0 : nextEntry <= entry || nextValue < value) {
        return false;
      }
      entry = nextEntry;
      value = nextValue;
    }
    return entry + ENTRY_SIZE_MIN <= entriesSize && value <= valuesSize;
  }
}

/** Where the first entry behind a restart begins. */
export function restartEntry(block: Block, index: number): number {
  return block.entriesStart + readUint32(block.bytes, block.restartsStart + index * RESTART_SIZE);
}

/** Where its value begins. */
export function restartValue(block: Block, index: number): number {
  return (
    block.valuesStart + readUint32(block.bytes, block.restartsStart + index * RESTART_SIZE + 4)
  );
}

/** Sequence of the entry with this index, as the file says. */
export function sequenceOf(block: Block, index: number): number {
  const { bytes, sequenceWidth: width } = block;
  const at = block.entriesEnd + index * width;
  let low = 0;
  let high = 0;
  for (let byte = Math.min(width, 4) - 1; byte >= 0; byte -= 1) {
    low = (low << 8) | bytes[at + byte]!;
  }
  for (let byte = width - 1; byte >= 4; byte -= 1) {
    high = (high << 8) | bytes[at + byte]!;
  }
  const sequence = block.baseSequence + high * TWO_32 + (low >>> 0);
  if (sequence > Number.MAX_SAFE_INTEGER) {
    throw block.damage('a sequence is too large');
  }
  return sequence;
}

/**
 * The last restart before the place (`key`, `sequence`), or 0: from there on the place is found by going forward.
 * Versions of one key lie from the newest to the oldest.
 */
export function restartBefore(block: Block, key: Uint8Array, sequence: number): number {
  if (block.headsAt >= 0) {
    return restartBeforeByHeads(block, key, sequence);
  }
  let low = 0;
  let high = block.restartCount - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (restartIsBefore(block, middle, key, sequence)) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

/** The same where the heads decide, which lie side by side: entries are looked at only where heads are the same. */
function restartBeforeByHeads(block: Block, key: Uint8Array, sequence: number): number {
  const { headWords, headsAt } = block;
  const sought = headOf(key, headWords[headsAt]!, key.length);
  let low = 0;
  let high = block.restartCount - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    const head = headWords[headsAt + middle]!;
    if (head < sought || (head === sought && restartIsBefore(block, middle, key, sequence))) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

/** Where the key of a restart's entry begins. */
function restartKey(block: Block, index: number): number {
  const { bytes } = block;
  let at = restartEntry(block, index);
  // A restart shares nothing with the key before it.
  if (bytes[at] !== 0) {
    throw block.damage('a restart has a prefix');
  }
  const size = readVarint(bytes, at + 1);
  at += 1 + varintSize(size);
  at += varintSize(readVarint(bytes, at));
  if (at + size > block.entriesEnd) {
    throw block.damage('a key does not fit its block');
  }
  return at;
}

function restartIsBefore(block: Block, index: number, key: Uint8Array, sequence: number): boolean {
  const { bytes } = block;
  const at = restartKey(block, index);
  const size = readVarint(bytes, restartEntry(block, index) + 1);
  const common = size < key.length ? size : key.length;
  for (let offset = 0; offset < common; offset += 1) {
    const difference = bytes[at + offset]! - key[offset]!;
    if (difference !== 0) {
      return difference < 0;
    }
  }
  if (size !== key.length) {
    return size < key.length;
  }
  return sequenceOf(block, index * block.restartInterval) > sequence;
}

/**
 * Finds the newest version of `key` that is not newer than `sequence`, if it is in the block. Keys are not put together:
 * it is enough to know how many bytes the entry before has in common with `key`, because that entry is smaller.
 */
export function findInBlock(
  block: Block,
  key: Uint8Array,
  sequence: number,
  found: Found,
): boolean {
  const { bytes, entriesStart, entriesEnd } = block;
  const keySize = key.length;
  const restart = restartBefore(block, key, sequence);
  let at = restartEntry(block, restart);
  let valueEnd = restartValue(block, restart);
  let index = restart * block.restartInterval;
  let matched = 0;
  let nextRestart = index + block.restartInterval;
  while (at < entriesEnd) {
    if (index === nextRestart) {
      // Nothing is shared with the key before, however much they have in common.
      matched = 0;
      nextRestart += block.restartInterval;
    }
    let shared = bytes[at++]!;
    if (shared >= 0x80) {
      shared = readVarint(bytes, at - 1);
      at += varintSize(shared) - 1;
    }
    let unshared = bytes[at++]!;
    if (unshared >= 0x80) {
      unshared = readVarint(bytes, at - 1);
      at += varintSize(unshared) - 1;
    }
    let tag = bytes[at++]!;
    if (tag >= 0x80) {
      tag = readVarint(bytes, at - 1);
      at += varintSize(tag) - 1;
    }
    const valueStart = valueEnd;
    valueEnd += tag >>> 2;
    if (at + unshared > entriesEnd || valueEnd > entriesStart) {
      throw block.damage('an entry does not fit its block');
    }
    if (shared < matched) {
      return false;
    }
    if (shared === matched) {
      const common = unshared < keySize - matched ? unshared : keySize - matched;
      let same = 0;
      while (same < common && bytes[at + same] === key[matched + same]) {
        same += 1;
      }
      matched += same;
      if (same < unshared && (matched === keySize || bytes[at + same]! > key[matched]!)) {
        return false;
      }
      if (same === unshared && matched === keySize && sequenceOf(block, index) <= sequence) {
        fillFound(block, index, tag, valueStart, valueEnd, found);
        return true;
      }
    }
    at += unshared;
    index += 1;
  }
  return false;
}

/**
 * How many of the entries from a restart on have a key before `key`. The restart is that of `restartBefore`, so the next one hasn't. As above,
 * keys are not put together.
 */
export function countBefore(block: Block, restart: number, key: Uint8Array): number {
  const { bytes, entriesEnd, restartInterval } = block;
  const keySize = key.length;
  let at = restartEntry(block, restart);
  let count = 0;
  let matched = 0;
  for (; count < restartInterval && at < entriesEnd; count += 1) {
    const shared = readVarint(bytes, at);
    at += varintSize(shared);
    const unshared = readVarint(bytes, at);
    at += varintSize(unshared);
    at += varintSize(readVarint(bytes, at));
    if (at + unshared > entriesEnd) {
      throw block.damage('an entry does not fit its block');
    }
    if (shared < matched) {
      break;
    }
    if (shared === matched) {
      const common = unshared < keySize - matched ? unshared : keySize - matched;
      let same = 0;
      while (same < common && bytes[at + same] === key[matched + same]) {
        same += 1;
      }
      matched += same;
      if (matched === keySize || (same < unshared && bytes[at + same]! > key[matched]!)) {
        break;
      }
    }
    at += unshared;
  }
  return count;
}

function fillFound(
  block: Block,
  index: number,
  tag: number,
  valueStart: number,
  valueEnd: number,
  found: Found,
): void {
  found.kind = kindOf(block, tag);
  found.sequence = sequenceOf(block, index);
  found.bytes = block.bytes;
  found.buffer = block.buffer;
  found.start = valueStart;
  found.end = valueEnd;
}

/** The kind in an entry's third number. */
export function kindOf(block: Block, tag: number): EntryKind {
  const kind = tag & 3;
  if (kind === EntryKind.put) {
    return EntryKind.put;
  }
  if (kind !== EntryKind.delete || tag >>> 2 !== 0) {
    throw block.damage('an entry is of no known kind');
  }
  return EntryKind.delete;
}
