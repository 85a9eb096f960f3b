import { FILTER_BITS_PER_KEY_MAX } from '../../collections/bloom-filter.ts';

/**
 * Which part of a key the filters of a tree's tables cover, and how many bits it gets. Plain data: it goes to the background, and stands in each
 * table, which is read by the rule that it was made by.
 */
export interface FilterRule {
  /** Of keys that no axis names, which are covered from the first byte to the last. 0: they are not in the filter. */
  readonly bitsPerKey: number;
  /** Kinds of keys, by their first byte, ascending. */
  readonly axes: readonly FilterAxis[];
}

export interface FilterAxis {
  /** The first byte of such keys. */
  readonly axis: number;
  /** For each distinct covered part. 0: they are not in the filter. */
  readonly bitsPerKey: number;
  /** How many of a key's last bytes are not covered. Its first one always is. */
  readonly uncovered: number;
}

/** A search for keys that have a size and a beginning: those in its bounds that have not may be passed over. */
export interface WantedKeys {
  /** So many first bytes are those of the bounds' start. */
  readonly prefixSize: number;
  readonly keySize: number;
}

// Format: persisted. Axes are counted in 2 bytes, `uncovered` takes 2.
export const AXIS_COUNT_MAX = 256;
export const UNCOVERED_MAX = 0xffff;

/** All of each key, whatever it begins with. */
export function wholeKeys(bitsPerKey: number): FilterRule {
  return { bitsPerKey, axes: [] };
}

export function isPossibleRule({ bitsPerKey, axes }: FilterRule): boolean {
  return (
    isPossibleCount(bitsPerKey, FILTER_BITS_PER_KEY_MAX) &&
    axes.every(
      (axis, index) =>
        isPossibleCount(axis.axis, 0xff) &&
        isPossibleCount(axis.bitsPerKey, FILTER_BITS_PER_KEY_MAX) &&
        isPossibleCount(axis.uncovered, UNCOVERED_MAX) &&
        (index === 0 || axes[index - 1]!.axis < axis.axis),
    )
  );
}

function isPossibleCount(count: number, max: number): boolean {
  return Number.isInteger(count) && count >= 0 && count <= max;
}

/** The axis of the key `bytes[start, end)`; undefined if the rule names none. */
export function axisOf(
  { axes }: FilterRule,
  bytes: Uint8Array,
  start: number,
  end: number,
): FilterAxis | undefined {
  if (axes.length > 0 && start < end) {
    const first = bytes[start]!;
    for (let index = 0; index < axes.length; index += 1) {
      if (axes[index]!.axis === first) {
        return axes[index];
      }
    }
  }
  return undefined;
}

/** How many first bytes of a key are covered. */
export function coveredSize(axis: FilterAxis | undefined, keySize: number): number {
  return axis === undefined ? keySize : Math.max(1, keySize - axis.uncovered);
}
