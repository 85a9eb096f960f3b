/**
 * Checks all of a data block: that its entries, sequences and restarts lie as the format says, each number in the fewest bytes.
 * Reads rely on restarts and skip what they don't need, so a block that lies would be read in different ways.
 */
import { type Block, kindOf, restartEntry, restartValue, sequenceOf } from './block.ts';
import { KEY_SIZE_MAX, VALUE_SIZE_MAX } from './format.ts';
import { readVarint, varintSize } from './varint.ts';

/** Throws `CORRUPT` unless the block is as a writer makes it. */
export function checkBlock(block: Block): void {
  new BlockCheck(block).run();
}

class BlockCheck {
  readonly #block: Block;
  #at: number;
  #valueEnd: number;
  #keySize = 0;

  constructor(block: Block) {
    this.#block = block;
    this.#at = block.entriesStart;
    this.#valueEnd = block.valuesStart;
  }

  run(): void {
    const block = this.#block;
    for (let index = 0; index < block.count; index += 1) {
      this.#checkEntry(index);
    }
    if (this.#at !== block.entriesEnd || this.#valueEnd !== block.entriesStart) {
      throw block.damage('a block has more entries than it says');
    }
    this.#checkSequences();
  }

  #checkEntry(index: number): void {
    const block = this.#block;
    const isRestart = index % block.restartInterval === 0;
    const restart = index / block.restartInterval;
    if (
      isRestart &&
      (restartEntry(block, restart) !== this.#at || restartValue(block, restart) !== this.#valueEnd)
    ) {
      throw block.damage('a restart leads to no entry');
    }
    const shared = this.#number();
    const unshared = this.#number();
    const tag = this.#number();
    const keySize = shared + unshared;
    const valueSize = tag >>> 2;
    if (
      shared > (isRestart ? 0 : this.#keySize) ||
      keySize > KEY_SIZE_MAX ||
      valueSize > VALUE_SIZE_MAX ||
      this.#at + unshared > block.entriesEnd ||
      this.#valueEnd + valueSize > block.entriesStart
    ) {
      throw block.damage('an entry does not fit its block');
    }
    kindOf(block, tag);
    this.#keySize = keySize;
    this.#at += unshared;
    this.#valueEnd += valueSize;
  }

  #number(): number {
    const { bytes } = this.#block;
    const value = readVarint(bytes, this.#at);
    const end = this.#at + varintSize(value);
    // The last byte of a number that is written as short as can be has no high bit, and those before it have one.
    for (let at = this.#at; at < end; at += 1) {
      if (bytes[at]! >= 0x80 !== at < end - 1) {
        throw this.#block.damage('a number in a block is longer than it need be');
      }
    }
    this.#at = end;
    return value;
  }

  /** The base is the smallest of the sequences, and the width what the largest needs. */
  #checkSequences(): void {
    const block = this.#block;
    let smallest = Number.POSITIVE_INFINITY;
    let largest = 0;
    for (let index = 0; index < block.count; index += 1) {
      const sequence = sequenceOf(block, index);
      smallest = Math.min(smallest, sequence);
      largest = Math.max(largest, sequence);
    }
    const range = largest - smallest;
    const { sequenceWidth: width } = block;
    const isNarrow = range < 256 ** width && (width === 0 || range >= 256 ** (width - 1));
    if (smallest !== block.baseSequence || !isNarrow) {
      throw block.damage('the sequences of a block are not stored as sequences are');
    }
  }
}
