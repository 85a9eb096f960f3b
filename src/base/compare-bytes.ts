/**
 * Order of two byte ranges: negative if the left one comes first, positive if the right one does, 0 if they are equal.
 * A range that is a prefix of the other comes first. A loop, because a native compare costs more than it on short keys.
 */
export function compareBytes(
  left: Uint8Array,
  leftStart: number,
  leftEnd: number,
  right: Uint8Array,
  rightStart: number,
  rightEnd: number,
): number {
  const leftSize = leftEnd - leftStart;
  const rightSize = rightEnd - rightStart;
  const size = leftSize < rightSize ? leftSize : rightSize;
  for (let index = 0; index < size; index += 1) {
    const difference = left[leftStart + index]! - right[rightStart + index]!;
    if (difference !== 0) {
      return difference;
    }
  }
  return leftSize - rightSize;
}

/** Compares two whole keys, as `compareBytes` does parts of them. */
export function compareKeys(left: Uint8Array, right: Uint8Array): number {
  return compareBytes(left, 0, left.length, right, 0, right.length);
}

/** How many bytes two ranges share from their starts on. */
export function commonPrefixSize(
  left: Uint8Array,
  leftStart: number,
  leftEnd: number,
  right: Uint8Array,
  rightStart: number,
  rightEnd: number,
): number {
  const leftSize = leftEnd - leftStart;
  const rightSize = rightEnd - rightStart;
  const size = leftSize < rightSize ? leftSize : rightSize;
  let index = 0;
  while (index < size && left[leftStart + index] === right[rightStart + index]) {
    index += 1;
  }
  return index;
}
