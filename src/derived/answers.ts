import type { Head } from './format.ts';

/**
 * Answers that were read for one decision, which waits for them. They count as long as `epoch` is the index's: until then everything that came
 * later is found in memory first.
 */
export class Answers {
  readonly epoch: number;
  /** Heads in the tree; undefined for a stream that it doesn't know. */
  readonly heads: Map<string, Head | undefined> = new Map();
  readonly #positions = new Map<string, readonly number[]>();
  /** Leaf hashes of events, by position. */
  readonly leaves: Map<number, Uint8Array> = new Map();

  constructor(epoch: number) {
    this.epoch = epoch;
  }

  /** Positions in the tree where a key or id with this hash may stand. */
  positionsOf(axis: number, low: number, high: number): readonly number[] | undefined {
    return this.#positions.get(`${axis}/${low}/${high}`);
  }

  setPositions(axis: number, low: number, high: number, positions: readonly number[]): void {
    this.#positions.set(`${axis}/${low}/${high}`, positions);
  }
}
