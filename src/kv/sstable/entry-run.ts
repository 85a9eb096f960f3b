/**
 * The entries from one restart to the next, decoded: what a cursor needs to go backwards, since keys can only be put
 * together forwards.
 */
import { type Block, restartEntry, restartValue } from './block.ts';
import { copyRange } from '../../base/copy-bytes.ts';
import { KEY_SIZE_MAX } from './format.ts';
import { readVarint, varintSize } from './varint.ts';

const none = new Uint32Array(0);

export class EntryRun {
  keys: Uint8Array = new Uint8Array(1_024);
  count = 0;
  /** Index in the block of the run's first entry. */
  firstEntry = 0;
  keyStarts: Uint32Array = none;
  keyEnds: Uint32Array = none;
  /** Value size × 4 + kind. */
  tags: Uint32Array = none;
  /** Where the entries end. */
  ends: Uint32Array = none;
  valueStarts: Uint32Array = none;
  valueEnds: Uint32Array = none;

  load(block: Block, restart: number): void {
    const { bytes, entriesStart, entriesEnd } = block;
    this.firstEntry = restart * block.restartInterval;
    this.count = Math.min(block.restartInterval, block.count - this.firstEntry);
    this.#reserveEntries(block.restartInterval);
    let at = restartEntry(block, restart);
    let valueEnd = restartValue(block, restart);
    let keyStart = 0;
    let keySize = 0;
    let used = 0;
    for (let index = 0; index < this.count; index += 1) {
      const shared = readVarint(bytes, at);
      at += varintSize(shared);
      const unshared = readVarint(bytes, at);
      at += varintSize(unshared);
      const tag = readVarint(bytes, at);
      at += varintSize(tag);
      const valueStart = valueEnd;
      valueEnd += tag >>> 2;
      if (
        at + unshared > entriesEnd ||
        valueEnd > entriesStart ||
        shared > keySize ||
        shared + unshared > KEY_SIZE_MAX
      ) {
        throw block.damage('an entry does not fit its block');
      }
      this.#reserve(used, shared + unshared);
      const { keys } = this;
      const sharedEnd = copyRange(keys, keyStart, keyStart + shared, keys, used);
      const keyEnd = copyRange(bytes, at, at + unshared, keys, sharedEnd);
      this.keyStarts[index] = used;
      this.keyEnds[index] = keyEnd;
      this.tags[index] = tag;
      this.valueStarts[index] = valueStart;
      this.valueEnds[index] = valueEnd;
      keyStart = used;
      keySize = shared + unshared;
      used = keyEnd;
      at += unshared;
      this.ends[index] = at;
    }
  }

  #reserveEntries(count: number): void {
    if (count > this.ends.length) {
      this.keyStarts = new Uint32Array(count);
      this.keyEnds = new Uint32Array(count);
      this.tags = new Uint32Array(count);
      this.ends = new Uint32Array(count);
      this.valueStarts = new Uint32Array(count);
      this.valueEnds = new Uint32Array(count);
    }
  }

  #reserve(used: number, size: number): void {
    if (used + size > this.keys.length) {
      const grown = new Uint8Array((used + size) * 2);
      grown.set(this.keys.subarray(0, used));
      this.keys = grown;
    }
  }
}
