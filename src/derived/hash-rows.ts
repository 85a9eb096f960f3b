/** Hashes of 64 bits with the index of the event that they stand for, to be sorted. */
export class HashRows {
  #words = new Uint32Array(ROW_WORDS * 1_024);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(low: number, high: number, index: number): void {
    const at = this.#count * ROW_WORDS;
    if (at === this.#words.length) {
      const grown = new Uint32Array(at * 2);
      grown.set(this.#words);
      this.#words = grown;
    }
    this.#words[at] = low;
    this.#words[at + 1] = high;
    this.#words[at + 2] = index;
    this.#count += 1;
  }

  lowAt(row: number): number {
    return this.#words[row * ROW_WORDS]!;
  }

  highAt(row: number): number {
    return this.#words[row * ROW_WORDS + 1]!;
  }

  indexAt(row: number): number {
    return this.#words[row * ROW_WORDS + 2]!;
  }

  /** The rows by hash, rows of one hash by index: a radix sort. */
  order(): Uint32Array {
    const count = this.#count;
    // Few rows are not worth the long table of counts.
    const bits = count < MANY_ROWS ? 8 : 16;
    let order = new Uint32Array(count);
    for (let index = 0; index < count; index += 1) {
      order[index] = index;
    }
    let sorted = new Uint32Array(count);
    const counts = new Uint32Array(2 ** bits);
    for (let bit = 0; bit < 64; bit += bits) {
      this.#sortBy(bit, counts, order, sorted);
      [order, sorted] = [sorted, order];
    }
    return order;
  }

  /** Sorts by the bits of the hash from `bit` on, as many as `counts` has room for. */
  #sortBy(bit: number, counts: Uint32Array, order: Uint32Array, sorted: Uint32Array): void {
    const words = this.#words;
    const word = bit >>> 5;
    const shift = bit & 31;
    const mask = counts.length - 1;
    counts.fill(0);
    for (let row = 0; row < order.length; row += 1) {
      const value = (words[row * ROW_WORDS + word]! >>> shift) & mask;
      counts[value] = counts[value]! + 1;
    }
    let start = 0;
    for (let value = 0; value <= mask; value += 1) {
      const ofValue = counts[value]!;
      counts[value] = start;
      start += ofValue;
    }
    for (const row of order) {
      const value = (words[row * ROW_WORDS + word]! >>> shift) & mask;
      sorted[counts[value]!] = row;
      counts[value] = counts[value]! + 1;
    }
  }
}

const ROW_WORDS = 3;
const MANY_ROWS = 8_192;
