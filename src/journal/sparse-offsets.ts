import { viewOf } from '../base/integers.ts';
import type { OffsetTable } from './offset-table.ts';

/** Of so many offsets one is kept. */
export const SPARSE_STEP = 16;

/** Every 16th offset of a sealed segment: a quarter of a byte for each position. The others are found by walking from one that is here. */
export class SparseOffsets {
  readonly #offsets: Uint32Array;

  private constructor(offsets: Uint32Array) {
    this.#offsets = offsets;
  }

  /** From the bytes of a segment's offset table. */
  static fromBytes(table: Uint8Array): SparseOffsets {
    const view = viewOf(table);
    return SparseOffsets.#of(table.length / 4, (index) => view.getUint32(index * 4, true));
  }

  static fromTable(table: OffsetTable): SparseOffsets {
    return SparseOffsets.#of(table.count, (index) => table.at(index));
  }

  static #of(count: number, offsetAt: (index: number) => number): SparseOffsets {
    const offsets = new Uint32Array(Math.ceil(count / SPARSE_STEP));
    for (let at = 0; at < offsets.length; at += 1) {
      offsets[at] = offsetAt(at * SPARSE_STEP);
    }
    return new SparseOffsets(offsets);
  }

  /** The nearest offset that is kept, of the item at `index` or one before it. */
  startOf(index: number): number {
    return this.#offsets[Math.floor(index / SPARSE_STEP)]!;
  }

  /** The next offset that is kept, of an item after the one at `index`; undefined if none is. */
  endOf(index: number): number | undefined {
    return this.#offsets[Math.floor(index / SPARSE_STEP) + 1];
  }
}
