/**
 * Sums over rows, by stretch of positions and axis, that don't depend on the rows' order: two sets of rows are compared without sorting either, in
 * memory that grows with the number of stretches only. Each row counts with a keyed hash of 64 bits, so rows that differ don't cancel out.
 */
import { viewOf } from '../base/integers.ts';
import { HalfSipHash } from '../base/half-sip-hash.ts';
import type { Random } from '../base/random.ts';

/** Positions of one stretch. */
export const STRETCH_COUNT = 65_536;

const TWO_32 = 2 ** 32;

/** The hash that both sides of a comparison share. */
export class RowHash {
  readonly #hash: HalfSipHash;

  constructor(random: Random) {
    const key = new Uint8Array(8);
    random.fill(key);
    const view = viewOf(key);
    this.#hash = new HalfSipHash(view.getUint32(0, true), view.getUint32(4, true), 1);
  }

  get low(): number {
    return this.#hash.low;
  }

  get high(): number {
    return this.#hash.high;
  }

  takeBytes(bytes: Uint8Array, start: number, size: number): void {
    const hash = this.#hash;
    hash.start();
    const end = start + size;
    let at = start;
    for (; at + 4 <= end; at += 4) {
      hash.addWord(
        bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24),
      );
    }
    let rest = 0;
    for (let index = end - 1; index >= at; index -= 1) {
      rest = (rest << 8) | bytes[index]!;
    }
    // The length in full, for the message's own has 8 bits.
    hash.addWord(size);
    hash.finish(size, rest);
  }

  /** A row: a hash, and two numbers. */
  takeRow(low: number, high: number, one: number, other: number): void {
    const hash = this.#hash;
    hash.start();
    hash.addWord(low);
    hash.addWord(high);
    hash.addWord(one % TWO_32);
    hash.addWord(Math.floor(one / TWO_32));
    hash.addWord(other % TWO_32);
    hash.addWord(Math.floor(other / TWO_32));
    hash.finish(24, 0);
  }
}

/** How the rows of one stretch differ. */
export interface SumDifference {
  readonly stretch: number;
  /** Rows on either side. */
  readonly count: number;
  readonly otherCount: number;
}

/** Sums of the rows of one axis. */
export class RowSums {
  readonly #lows: Uint32Array;
  readonly #highs: Uint32Array;
  readonly #counts: Float64Array;
  /** All rows. */
  count = 0;

  /** `positionCount`: rows have positions below it. */
  constructor(positionCount: number) {
    const stretches = Math.ceil(positionCount / STRETCH_COUNT);
    this.#lows = new Uint32Array(stretches);
    this.#highs = new Uint32Array(stretches);
    this.#counts = new Float64Array(stretches);
  }

  add(position: number, { low, high }: RowHash): void {
    const stretch = Math.floor(position / STRETCH_COUNT);
    this.#lows[stretch] = this.#lows[stretch]! + low;
    this.#highs[stretch] = this.#highs[stretch]! + high;
    this.#counts[stretch] = this.#counts[stretch]! + 1;
    this.count += 1;
  }

  countIn(stretch: number): number {
    return this.#counts[stretch]!;
  }

  /** Stretches whose rows are others, of as many positions. */
  *differences(other: RowSums): Generator<SumDifference, void, undefined> {
    for (let stretch = 0; stretch < this.#counts.length; stretch += 1) {
      const isEqual =
        this.#lows[stretch] === other.#lows[stretch] &&
        this.#highs[stretch] === other.#highs[stretch] &&
        this.#counts[stretch] === other.#counts[stretch];
      if (!isEqual) {
        const [count, otherCount] = [this.countIn(stretch), other.countIn(stretch)];
        yield { stretch, count, otherCount };
      }
    }
  }
}
