/**
 * The first index below `count` for which `holds` is true, or `count`. It is false up to some index and true from there on.
 * For lists that are searched now and then: loops that run for every read are written out where they are.
 */
export function firstIndexWhere(count: number, holds: (index: number) => boolean): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (holds(middle)) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}
