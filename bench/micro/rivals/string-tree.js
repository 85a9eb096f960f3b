/** A B+-tree of keys as strings on the JavaScript heap, 64 to a page; pages of the lowest level are chained. */
const PAGE_COUNT_MAX = 64;

export class StringTree {
  #root = makePage(true);

  insert(key, start, end, payload) {
    const split = insertBelow(this.#root, key.latin1Slice(start, end), payload);
    if (split !== undefined) {
      const root = makePage(false);
      root.names.push(split.names[0]);
      root.values.push(this.#root, split);
      if (!split.isLowest) {
        root.names[0] = split.names.shift();
      }
      this.#root = root;
    }
  }

  find(key, start, end) {
    const name = key.latin1Slice(start, end);
    const page = this.#pageOf(name);
    const index = lowerBound(page.names, name);
    return page.names[index] === name ? page.values[index] : -1;
  }

  freeze() {}

  sumFrom(key, start, end, count) {
    const name = key === undefined ? '' : key.latin1Slice(start, end);
    let page = this.#pageOf(name);
    let index = lowerBound(page.names, name);
    let sum = 0;
    for (let visited = 0; visited < count; visited += 1) {
      while (page !== undefined && index === page.names.length) {
        page = page.next;
        index = 0;
      }
      if (page === undefined) {
        return sum;
      }
      const stored = page.names[index];
      sum = (sum + page.values[index] + stored.charCodeAt(stored.length - 1)) | 0;
      index += 1;
    }
    return sum;
  }

  #pageOf(name) {
    let page = this.#root;
    while (!page.isLowest) {
      page = page.values[upperBound(page.names, name)];
    }
    return page;
  }
}

/** Inner pages hold the smallest name below each child but the first. */
function makePage(isLowest) {
  return { isLowest, names: [], values: [], next: undefined };
}

/** Returns the right half of a page that was split. A split inner page has its parent's name in front. */
function insertBelow(page, name, payload) {
  if (page.isLowest) {
    const index = lowerBound(page.names, name);
    if (page.names[index] === name) {
      page.values[index] = payload;
      return undefined;
    }
    page.names.splice(index, 0, name);
    page.values.splice(index, 0, payload);
    return page.names.length > PAGE_COUNT_MAX ? splitPage(page) : undefined;
  }
  const index = upperBound(page.names, name);
  const split = insertBelow(page.values[index], name, payload);
  if (split === undefined) {
    return undefined;
  }
  page.names.splice(index, 0, split.isLowest ? split.names[0] : split.names.shift());
  page.values.splice(index + 1, 0, split);
  return page.names.length > PAGE_COUNT_MAX ? splitPage(page) : undefined;
}

function splitPage(page) {
  const right = makePage(page.isLowest);
  const half = page.names.length >>> 1;
  right.names = page.names.splice(half);
  right.values = page.values.splice(page.isLowest ? half : half + 1);
  if (page.isLowest) {
    right.next = page.next;
    page.next = right;
  }
  return right;
}

function lowerBound(names, name) {
  let low = 0;
  let high = names.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (names[middle] < name) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

function upperBound(names, name) {
  let low = 0;
  let high = names.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (names[middle] <= name) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}
