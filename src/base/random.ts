/** Source of unpredictable bytes; the operating system's in production, seeded in tests. */
export interface Random {
  /** Overwrites all of `target`. */
  fill(target: Uint8Array): void;
}

/**
 * Repeatable numbers for tests: the same seed gives the same sequence on every machine.
 * Algorithm: sfc32, Chris Doty-Humphrey's PractRand.
 */
export class SeededRandom implements Random {
  #a: number;
  #b: number;
  #c: number;
  #counter: number;

  constructor(seed: number) {
    this.#a = 0x9e3779b9;
    this.#b = 0x243f6a88;
    this.#c = seed | 0;
    this.#counter = 1;
    for (let round = 0; round < 12; round += 1) {
      this.uint32();
    }
  }

  uint32(): number {
    const result = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + result;
    this.#c |= 0;
    return result >>> 0;
  }

  /** A whole number in [0, limit). */
  below(limit: number): number {
    return Math.floor((this.uint32() / 2 ** 32) * limit);
  }

  /** True with the given probability. */
  chance(probability: number): boolean {
    return this.uint32() / 2 ** 32 < probability;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T;
  }

  fill(target: Uint8Array): void {
    for (let index = 0; index < target.length; index += 1) {
      target[index] = this.uint32() & 0xff;
    }
  }
}
