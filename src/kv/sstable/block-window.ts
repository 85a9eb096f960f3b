/**
 * Read-ahead for one cursor: a stretch of the file that holds several blocks. A cursor that asks for block after block gets
 * them from ever larger reads; one that jumps gets single blocks.
 */
import type { Block } from './block.ts';
import type { BlockSource } from './block-source.ts';

const READ_SIZE_FIRST = 16 * 1024;
const READ_SIZE_MAX = 256 * 1024;

export class BlockWindow {
  readonly #source: BlockSource;
  #bytes = new Uint8Array(0);
  /** The blocks [first, end) are in `#bytes`. */
  #first = 0;
  #end = 0;
  /** The block that follows the last one asked for. */
  #expected = -1;
  #readSize = 0;

  constructor(source: BlockSource) {
    this.#source = source;
  }

  /** Makes `block` one that the cache doesn't have. Its bytes are overwritten when the next one is asked for. */
  read(index: number, block: Block): void {
    this.#reach(index);
    const { offsets } = this.#source.index;
    this.#source.decode(this.#bytes, offsets[index]! - offsets[this.#first]!, index, block);
  }

  #reach(index: number): void {
    const isInOrder = index === this.#expected;
    this.#expected = index + 1;
    if (index >= this.#first && index < this.#end) {
      return;
    }
    this.#readSize = isInOrder
      ? Math.min(Math.max(this.#readSize * 2, READ_SIZE_FIRST), READ_SIZE_MAX)
      : 0;
    const { offsets, count } = this.#source.index;
    let end = index + 1;
    while (end < count && offsets[end + 1]! - offsets[index]! <= this.#readSize) {
      end += 1;
    }
    const size = offsets[end]! - offsets[index]!;
    // Until the read has succeeded the window holds nothing.
    this.#end = this.#first;
    if (this.#bytes.length < size || this.#bytes.length > READ_SIZE_MAX) {
      this.#bytes = new Uint8Array(size);
    }
    this.#source.fill(this.#bytes.subarray(0, size), offsets[index]!);
    this.#first = index;
    this.#end = end;
  }
}
