import { compareBytes, compareKeys } from '../../base/compare-bytes.ts';
import type { TableMeta } from '../sstable/table-meta.ts';

/** Which keys may be found below the tables that are made: a deletion of one of them is still needed. */
export interface DeeperKeys {
  mayHold(key: Uint8Array, keyStart: number, keyEnd: number): boolean;
  /** True if a key in [start, end) may be there. */
  mayHoldIn(start: Uint8Array, end: Uint8Array): boolean;
}

/** Nothing is known of what lies below. */
export const anyDeeperKeys: DeeperKeys = { mayHold: () => true, mayHoldIn: () => true };

/** Keys within the bounds of any of the tables. */
export function deeperKeysOf(tables: readonly TableMeta[]): DeeperKeys {
  return new CoveredKeys(tables);
}

interface Stretch {
  readonly min: Uint8Array;
  readonly max: Uint8Array;
  readonly isMaxExclusive: boolean;
}

class CoveredKeys implements DeeperKeys {
  /** Sorted, not overlapping. */
  readonly #stretches: readonly Stretch[];

  constructor(tables: readonly TableMeta[]) {
    const sorted = tables.toSorted((left, right) => compareKeys(left.minKey, right.minKey));
    const stretches: Stretch[] = [];
    for (const { minKey: min, maxKey: max, isMaxExclusive } of sorted) {
      const stretch = { min, max, isMaxExclusive };
      const last = stretches.at(-1);
      if (last === undefined || compareKeys(last.max, min) < 0) {
        stretches.push(stretch);
      } else if (reachesFurther(stretch, last)) {
        stretches[stretches.length - 1] = { ...stretch, min: last.min };
      }
    }
    this.#stretches = stretches;
  }

  mayHold(key: Uint8Array, keyStart: number, keyEnd: number): boolean {
    const stretch = this.#stretches[this.#firstReaching(key, keyStart, keyEnd)];
    if (stretch === undefined) {
      return false;
    }
    const { min } = stretch;
    return compareBytes(min, 0, min.length, key, keyStart, keyEnd) <= 0;
  }

  mayHoldIn(start: Uint8Array, end: Uint8Array): boolean {
    const stretch = this.#stretches[this.#firstReaching(start, 0, start.length)];
    return stretch !== undefined && compareKeys(stretch.min, end) < 0;
  }

  #firstReaching(key: Uint8Array, keyStart: number, keyEnd: number): number {
    const stretches = this.#stretches;
    let low = 0;
    let high = stretches.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const { max, isMaxExclusive } = stretches[middle]!;
      const comparison = compareBytes(max, 0, max.length, key, keyStart, keyEnd);
      if (comparison > 0 || (comparison === 0 && !isMaxExclusive)) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
  }
}

function reachesFurther(stretch: Stretch, other: Stretch): boolean {
  const comparison = compareKeys(stretch.max, other.max);
  return comparison > 0 || (comparison === 0 && other.isMaxExclusive);
}
