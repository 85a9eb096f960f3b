/** A Map from keys as strings to numbers, sorted once when it is frozen: no order before that. */
export class StringMap {
  #map = new Map();
  #sorted = [];

  insert(key, start, end, payload) {
    this.#map.set(key.latin1Slice(start, end), payload);
  }

  find(key, start, end) {
    return this.#map.get(key.latin1Slice(start, end)) ?? -1;
  }

  freeze() {
    // oxlint-disable-next-line typescript/require-array-sort-compare -- the default order is that of latin1 bytes, and fast
    this.#sorted = [...this.#map.keys()].sort();
  }

  sumFrom(key, start, end, count) {
    const sorted = this.#sorted;
    const from = key === undefined ? 0 : lowerBound(sorted, key.latin1Slice(start, end));
    const stop = Math.min(sorted.length, from + count);
    let sum = 0;
    for (let index = from; index < stop; index += 1) {
      const name = sorted[index];
      sum = (sum + this.#map.get(name) + name.charCodeAt(name.length - 1)) | 0;
    }
    return sum;
  }
}

function lowerBound(sorted, name) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle] < name) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}
