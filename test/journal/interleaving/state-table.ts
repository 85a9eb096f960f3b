/** A number for each of millions of states: a hash table with open addressing. A map of strings takes thrice the memory. */

const FIRST_SLOT_COUNT = 1 << 16;

export class StateTable {
  readonly #wordCount: number;
  readonly #packed: Int32Array;
  readonly #packedBytes: Uint8Array;
  /** States as they came, packed. */
  #states: Int32Array;
  #values: Float64Array;
  /** Index of the state, plus 1. */
  #slots = new Int32Array(FIRST_SLOT_COUNT);
  #count = 0;

  constructor(size: number) {
    this.#wordCount = Math.ceil(size / 4);
    this.#packed = new Int32Array(this.#wordCount);
    this.#packedBytes = new Uint8Array(this.#packed.buffer);
    this.#states = new Int32Array((FIRST_SLOT_COUNT / 2) * this.#wordCount);
    this.#values = new Float64Array(FIRST_SLOT_COUNT / 2);
  }

  get count(): number {
    return this.#count;
  }

  /** Where to write the bytes of a state before `find`. */
  get key(): Uint8Array {
    return this.#packedBytes;
  }

  /** Index of the state in `key`; a new one has the value NaN. */
  find(): number {
    if (this.#count * 2 === this.#slots.length) {
      this.#grow();
    }
    const mask = this.#slots.length - 1;
    let slot = hashOf(this.#packed, 0, this.#wordCount) & mask;
    for (; this.#slots[slot] !== 0; slot = (slot + 1) & mask) {
      const index = this.#slots[slot]! - 1;
      if (this.#isAt(index)) {
        return index;
      }
    }
    const index = this.#count;
    this.#count += 1;
    this.#slots[slot] = this.#count;
    this.#states.set(this.#packed, index * this.#wordCount);
    this.#values[index] = Number.NaN;
    return index;
  }

  get(index: number): number {
    return this.#values[index]!;
  }

  set(index: number, value: number): void {
    this.#values[index] = value;
  }

  #isAt(index: number): boolean {
    const start = index * this.#wordCount;
    for (let word = 0; word < this.#wordCount; word += 1) {
      if (this.#states[start + word] !== this.#packed[word]) {
        return false;
      }
    }
    return true;
  }

  #grow(): void {
    const states = new Int32Array(this.#states.length * 2);
    states.set(this.#states);
    this.#states = states;
    const values = new Float64Array(this.#values.length * 2);
    values.set(this.#values);
    this.#values = values;
    const slots = new Int32Array(this.#slots.length * 2);
    for (let index = 0; index < this.#count; index += 1) {
      let slot = hashOf(states, index * this.#wordCount, this.#wordCount) & (slots.length - 1);
      while (slots[slot] !== 0) {
        slot = (slot + 1) & (slots.length - 1);
      }
      slots[slot] = index + 1;
    }
    this.#slots = slots;
  }
}

function hashOf(words: Int32Array, start: number, count: number): number {
  let hash = 0x811c9dc5;
  for (let index = start; index < start + count; index += 1) {
    hash = Math.imul(hash ^ words[index]!, 0x01000193);
    hash ^= hash >>> 15;
  }
  hash = Math.imul(hash, 0x2c1b3c6d);
  return hash ^ (hash >>> 16);
}
