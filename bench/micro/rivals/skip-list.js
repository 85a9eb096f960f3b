/**
 * A skip list in the same kind of arena as the radix tree. A node is: payload, key size, the first four bytes of the key
 * as a number (most comparisons end there), height links, key bytes. A quarter of the nodes reaches the next height.
 */
const HEIGHT_MAX = 12;
const LINKS = 3;

export class SkipList {
  #arena;
  #words;
  #bytes;
  #head;
  #height = 1;
  #seed = 0x9e3779b9;
  #before = new Int32Array(HEIGHT_MAX);

  constructor(arena) {
    this.#arena = arena;
    this.#words = arena.words;
    this.#bytes = arena.bytes;
    this.#head = arena.allocate((LINKS + HEIGHT_MAX) * 4) >> 2;
    this.#words.fill(0, this.#head, this.#head + LINKS + HEIGHT_MAX);
  }

  get memorySize() {
    return this.#arena.used;
  }

  insert(key, start, end, payload) {
    const node = this.#seek(key, start, end);
    const words = this.#words;
    if (node !== 0 && this.#compare(node, key, start, end) === 0) {
      words[node] = payload;
      return;
    }
    const height = this.#drawHeight();
    while (this.#height < height) {
      this.#before[this.#height] = this.#head;
      this.#height += 1;
    }
    const size = end - start;
    const added = this.#arena.allocate((LINKS + height) * 4 + size) >> 2;
    words[added] = payload;
    words[added + 1] = (size << 4) | height;
    words[added + 2] = firstWord(key, start, end);
    const target = (added + LINKS + height) << 2;
    for (let index = 0; index < size; index += 1) {
      this.#bytes[target + index] = key[start + index];
    }
    for (let level = 0; level < height; level += 1) {
      const link = this.#before[level] + LINKS + level;
      words[added + LINKS + level] = words[link];
      words[link] = added;
    }
  }

  find(key, start, end) {
    const node = this.#seek(key, start, end);
    return node !== 0 && this.#compare(node, key, start, end) === 0 ? this.#words[node] : -1;
  }

  /** Visits up to `count` entries from a key on; the sum of payloads and last key bytes. */
  sumFrom(key, start, end, count) {
    const words = this.#words;
    let node = key === undefined ? words[this.#head + LINKS] : this.#seek(key, start, end);
    let sum = 0;
    for (let visited = 0; visited < count && node !== 0; visited += 1) {
      const head = words[node + 1];
      const keyEnd = ((node + LINKS + (head & 15)) << 2) + (head >>> 4);
      sum = (sum + words[node] + this.#bytes[keyEnd - 1]) | 0;
      node = words[node + LINKS];
    }
    return sum;
  }

  freeze() {}

  /** First node whose key is not smaller; on the way notes the last smaller one of each height. */
  #seek(key, start, end) {
    const words = this.#words;
    const first = firstWord(key, start, end);
    let node = this.#head;
    let next = 0;
    for (let level = this.#height - 1; level >= 0; level -= 1) {
      next = words[node + LINKS + level];
      while (next !== 0) {
        const stored = words[next + 2];
        if (stored > first || (stored === first && this.#compare(next, key, start, end) >= 0)) {
          break;
        }
        node = next;
        next = words[node + LINKS + level];
      }
      this.#before[level] = node;
    }
    return next;
  }

  #compare(node, key, start, end) {
    const head = this.#words[node + 1];
    const stored = (node + LINKS + (head & 15)) << 2;
    const storedSize = head >>> 4;
    const size = Math.min(storedSize, end - start);
    for (let index = 0; index < size; index += 1) {
      const difference = this.#bytes[stored + index] - key[start + index];
      if (difference !== 0) {
        return difference;
      }
    }
    return storedSize - (end - start);
  }

  #drawHeight() {
    let seed = this.#seed;
    seed ^= seed << 13;
    seed ^= seed >>> 17;
    seed ^= seed << 5;
    this.#seed = seed;
    const height = 1 + (Math.clz32(seed >>> 0) >> 1);
    return height < HEIGHT_MAX ? height : HEIGHT_MAX;
  }
}

/** The first four bytes as a signed number that sorts like them; keys that are shorter are filled up with zeros. */
function firstWord(key, start, end) {
  if (end - start >= 4) {
    const word =
      (key[start] << 24) | (key[start + 1] << 16) | (key[start + 2] << 8) | key[start + 3];
    return word ^ 0x80000000;
  }
  let word = 0;
  for (let index = 0; index < 4; index += 1) {
    word = (word << 8) | (start + index < end ? key[start + index] : 0);
  }
  return word ^ 0x80000000;
}
