/** Finds the keys of one block that have a beginning and a size. */
import { copyRange } from '../../base/copy-bytes.ts';
import { type Block, kindOf, restartBefore, restartEntry, restartValue } from './block.ts';
import { KEY_SIZE_MAX } from './format.ts';
import { readVarint, varintSize } from './varint.ts';

/** Is given a key, `bytes[start, end)`, which stays only during the call. */
export type KeyVisitor = (bytes: Uint8Array, start: number, end: number) => void;

/** Memory that a scan puts keys together in: one scan at a time. */
export class KeyScratch {
  bytes: Uint8Array = new Uint8Array(256);

  reserve(size: number): void {
    if (size > this.bytes.length) {
      const grown = new Uint8Array(size * 2);
      grown.set(this.bytes);
      this.bytes = grown;
    }
  }
}

/** Visits all keys of `keySize` bytes in the block that begin with `prefix`, in order, each of their versions. Throws `CORRUPT`. */
export function visitKeys(
  block: Block,
  prefix: Uint8Array,
  keySize: number,
  scratch: KeyScratch,
  visit: KeyVisitor,
): void {
  const { bytes, entriesStart, entriesEnd, count } = block;
  const restart = restartBefore(block, prefix, Number.MAX_SAFE_INTEGER);
  let at = restartEntry(block, restart);
  let valueEnd = restartValue(block, restart);
  let size = 0;
  for (let index = restart * block.restartInterval; index < count; index += 1) {
    const shared = readVarint(bytes, at);
    at += varintSize(shared);
    const unshared = readVarint(bytes, at);
    at += varintSize(unshared);
    const tag = readVarint(bytes, at);
    at += varintSize(tag);
    const end = at + unshared;
    valueEnd += tag >>> 2;
    if (
      shared > size ||
      shared + unshared > KEY_SIZE_MAX ||
      end > entriesEnd ||
      valueEnd > entriesStart
    ) {
      throw block.damage('an entry does not fit its block');
    }
    size = shared + unshared;
    scratch.reserve(size);
    copyRange(bytes, at, end, scratch.bytes, shared);
    at = end;
    const order = orderOfBeginning(scratch.bytes, size, prefix);
    if (order > 0) {
      return;
    }
    kindOf(block, tag);
    if (order === 0 && size === keySize) {
      visit(scratch.bytes, 0, size);
    }
  }
  if (at !== entriesEnd || valueEnd !== entriesStart) {
    throw block.damage('a block has more entries than it says');
  }
}

/** 0 if `key[0, size)` begins with `prefix`; else negative if it comes before such keys, positive if behind. */
function orderOfBeginning(key: Uint8Array, size: number, prefix: Uint8Array): number {
  for (let at = 0; at < prefix.length; at += 1) {
    if (at === size) {
      return -1;
    }
    const difference = key[at]! - prefix[at]!;
    if (difference !== 0) {
      return difference;
    }
  }
  return 0;
}
