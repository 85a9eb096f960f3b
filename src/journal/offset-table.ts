import { assert } from '../base/assert.ts';
import { viewOf } from '../base/integers.ts';

/** Offsets of consecutive positions in one segment: 32-bit numbers that only grow in count. */
export class OffsetTable {
  #offsets = new Uint32Array(256);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  push(offset: number): void {
    if (this.#count === this.#offsets.length) {
      this.#grow(this.#count + 1);
    }
    this.#offsets[this.#count] = offset;
    this.#count += 1;
  }

  /** The same offset for the next `count` positions. */
  pushEqual(offset: number, count: number): void {
    const end = this.#count + count;
    if (end > this.#offsets.length) {
      this.#grow(end);
    }
    this.#offsets.fill(offset, this.#count, end);
    this.#count = end;
  }

  /** The table that `toBytes` gave. */
  static fromBytes(bytes: Uint8Array): OffsetTable {
    const table = new OffsetTable();
    const view = viewOf(bytes);
    for (let at = 0; at < bytes.length; at += 4) {
      table.push(view.getUint32(at, true));
    }
    return table;
  }

  clone(): OffsetTable {
    const copy = new OffsetTable();
    copy.#offsets = this.#offsets.slice();
    copy.#count = this.#count;
    return copy;
  }

  at(index: number): number {
    assert(index < this.#count, 'an offset is looked up only for a position that is there');
    return this.#offsets[index]!;
  }

  #grow(needed: number): void {
    const grown = new Uint32Array(Math.max(needed, this.#offsets.length * 2));
    grown.set(this.#offsets);
    this.#offsets = grown;
  }

  /** The table's bytes, little-endian, as a footer holds them. */
  toBytes(): Uint8Array {
    const bytes = new Uint8Array(this.#count * 4);
    const view = new DataView(bytes.buffer);
    for (let index = 0; index < this.#count; index += 1) {
      view.setUint32(index * 4, this.#offsets[index]!, true);
    }
    return bytes;
  }
}
