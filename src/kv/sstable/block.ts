/** A data block in memory, as it is stored but decompressed, and how an entry is found in it. */
import { CorruptionError } from '../../base/errors.ts';
import { EntryKind, type Found } from '../cursor.ts';
import { restartCountOf } from './block-builder.ts';
import type { BlockPlaces } from './block-cache.ts';
import { BLOCK_TAIL_SIZE, readUint32, RESTART_SIZE } from './format.ts';
import { readVarint, varintSize } from './varint.ts';

/** An entry is three varints at least. */
const ENTRY_SIZE_MIN = 3;
const TWO_32 = 2 ** 32;

export class Block {
  bytes: Uint8Array;
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
  /** Where the block came from, for whoever finds damage in it. */
  readonly file: string;
  offset: number;

  // What follows belongs to the cache.
  /** Place in its ring; -1 while it doesn't hold the block. */
  ringIndex = -1;
  holder: BlockPlaces | undefined = undefined;
  holderIndex = 0;

  /** Where the payload ends. */
  get end(): number {
    return this.restartsStart + this.restartCount * RESTART_SIZE + BLOCK_TAIL_SIZE;
  }

  /** `bytes[start, end)` is a payload. Throws `CORRUPT` if it can't be a block's. */
  constructor(bytes: Uint8Array, start: number, end: number, file: string, offset: number) {
    const tail = end - BLOCK_TAIL_SIZE;
    if (tail < start) {
      throw new CorruptionError(file, offset, 'a block is too short');
    }
    this.bytes = bytes;
    this.file = file;
    this.offset = offset;
    this.#layOut(bytes, start, end);
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
      throw new CorruptionError(file, offset, 'a block is not laid out as blocks are');
    }
  }

  /** Makes this the block whose payload `bytes` is, which a block of its own was made of before and found in order. */
  pointTo(bytes: Uint8Array, offset: number): void {
    this.bytes = bytes;
    this.offset = offset;
    this.#layOut(bytes, 0, bytes.length);
  }

  #layOut(bytes: Uint8Array, start: number, end: number): void {
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
    throw blockDamage(block, 'a sequence is too large');
  }
  return sequence;
}

/**
 * The last restart before the place (`key`, `sequence`), or 0: from there on the place is found by going forward.
 * Versions of one key lie from the newest to the oldest.
 */
export function restartBefore(block: Block, key: Uint8Array, sequence: number): number {
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

function restartIsBefore(block: Block, index: number, key: Uint8Array, sequence: number): boolean {
  const { bytes } = block;
  let at = restartEntry(block, index);
  // A restart shares nothing with the key before it.
  if (bytes[at] !== 0) {
    throw blockDamage(block, 'a restart has a prefix');
  }
  const size = readVarint(bytes, at + 1);
  at += 1 + varintSize(size);
  at += varintSize(readVarint(bytes, at));
  if (at + size > block.entriesEnd) {
    throw blockDamage(block, 'a key does not fit its block');
  }
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
      throw blockDamage(block, 'an entry does not fit its block');
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
    throw blockDamage(block, 'an entry is of no known kind');
  }
  return EntryKind.delete;
}

export function blockDamage(block: Block, reason: string): CorruptionError {
  return new CorruptionError(block.file, block.offset, reason);
}
