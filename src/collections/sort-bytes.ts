/**
 * Sorts byte strings by their bytes, a shorter one before those that it begins: quicksort by one byte at a time, with three parts (Bentley,
 * Sedgewick, "Fast algorithms for sorting and searching strings", 1997). Strings that begin alike are not compared from their start again.
 *
 * `order`: numbers of the strings, which are sorted; string i is the `sizes[i]` bytes from `starts[i]` on.
 */
export function sortBytes(
  order: Uint32Array,
  bytes: Uint8Array,
  starts: Uint32Array,
  sizes: Uint16Array,
): void {
  // A part that is still to be sorted: first, end, and the byte to sort by.
  const parts: number[] = [0, order.length, 0];
  while (parts.length > 0) {
    const depth = parts.pop()!;
    const end = parts.pop()!;
    const first = parts.pop()!;
    if (end - first <= SMALL_COUNT) {
      insertionSort(order, first, end, depth, bytes, starts, sizes);
      continue;
    }
    const pivot = pivotOf(order, first, end, depth, bytes, starts, sizes);
    let less = first;
    let greater = end;
    let at = first;
    while (at < greater) {
      const string = order[at]!;
      const byte = depth < sizes[string]! ? bytes[starts[string]! + depth]! : -1;
      if (byte < pivot) {
        order[at] = order[less]!;
        order[less] = string;
        less += 1;
        at += 1;
      } else if (byte > pivot) {
        greater -= 1;
        order[at] = order[greater]!;
        order[greater] = string;
      } else {
        at += 1;
      }
    }
    parts.push(first, less, depth, greater, end, depth);
    if (pivot >= 0) {
      parts.push(less, greater, depth + 1);
    }
  }
}

const SMALL_COUNT = 12;

function pivotOf(
  order: Uint32Array,
  first: number,
  end: number,
  depth: number,
  bytes: Uint8Array,
  starts: Uint32Array,
  sizes: Uint16Array,
): number {
  const byteOf = (index: number): number => {
    const string = order[index]!;
    return depth < sizes[string]! ? bytes[starts[string]! + depth]! : -1;
  };
  const a = byteOf(first);
  const b = byteOf((first + end) >>> 1);
  const c = byteOf(end - 1);
  return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
}

function insertionSort(
  order: Uint32Array,
  first: number,
  end: number,
  depth: number,
  bytes: Uint8Array,
  starts: Uint32Array,
  sizes: Uint16Array,
): void {
  for (let index = first + 1; index < end; index += 1) {
    const string = order[index]!;
    let at = index;
    while (at > first && isBefore(string, order[at - 1]!, depth, bytes, starts, sizes)) {
      order[at] = order[at - 1]!;
      at -= 1;
    }
    order[at] = string;
  }
}

function isBefore(
  left: number,
  right: number,
  depth: number,
  bytes: Uint8Array,
  starts: Uint32Array,
  sizes: Uint16Array,
): boolean {
  const leftStart = starts[left]!;
  const rightStart = starts[right]!;
  const leftSize = sizes[left]!;
  const rightSize = sizes[right]!;
  const size = leftSize < rightSize ? leftSize : rightSize;
  for (let at = depth; at < size; at += 1) {
    const difference = bytes[leftStart + at]! - bytes[rightStart + at]!;
    if (difference !== 0) {
      return difference < 0;
    }
  }
  return leftSize < rightSize;
}
