/**
 * HalfSipHash with a 64-bit key and a 64-bit result (Aumasson and Bernstein, https://github.com/veorq/SipHash): a keyed
 * hash made of 32-bit additions, rotations and xors, so cheap in JavaScript. Results are left in `low` and `high`:
 * returning two numbers would allocate.
 */
export class HalfSipHash {
  low = 0;
  high = 0;

  readonly #rounds: number;
  /** The state that every message begins with. */
  #first0: number;
  #first1: number;
  #first2: number;
  #first3: number;
  #v0 = 0;
  #v1 = 0;
  #v2 = 0;
  #v3 = 0;

  /** `rounds`: compression rounds a word; finalization takes twice as many (2-4 is the reference, 1-3 the fast form). */
  constructor(key0: number, key1: number, rounds: 1 | 2) {
    this.#rounds = rounds;
    this.#first0 = key0 | 0;
    this.#first1 = key1 ^ 0xee;
    this.#first2 = 0x6c796765 ^ key0;
    this.#first3 = 0x74656462 ^ key1;
  }

  start(): void {
    this.#v0 = this.#first0;
    this.#v1 = this.#first1;
    this.#v2 = this.#first2;
    this.#v3 = this.#first3;
  }

  /** From now on every message begins with the words added since `start`, at no cost. `finish` must count their size. */
  keepPrefix(): void {
    this.#first0 = this.#v0;
    this.#first1 = this.#v1;
    this.#first2 = this.#v2;
    this.#first3 = this.#v3;
  }

  addWord(word: number): void {
    this.#v3 ^= word;
    this.#mix(this.#rounds);
    this.#v0 ^= word;
  }

  /** `size`: length of the message in bytes; `rest`: its last `size % 4` bytes, little-endian. */
  finish(size: number, rest: number): void {
    this.addWord((size << 24) | rest);
    const rounds = this.#rounds === 2 ? 4 : 3;
    this.#v2 ^= 0xee;
    this.#mix(rounds);
    this.low = (this.#v1 ^ this.#v3) >>> 0;
    this.#v1 ^= 0xdd;
    this.#mix(rounds);
    this.high = (this.#v1 ^ this.#v3) >>> 0;
  }

  /**
   * Hashes two strings as one name, by their UTF-16 code units, two to a word. The scope's length goes first, so ("a", "bc") and ("ab", "c")
   * are two.
   */
  hashScoped(scope: string, text: string): void {
    this.start();
    this.addWord(scope.length);
    const scopePairsEnd = this.#addPairs(scope);
    if (scopePairsEnd < scope.length) {
      this.addWord(scope.charCodeAt(scopePairsEnd));
    }
    const pairsEnd = this.#addPairs(text);
    const wordCount = 1 + ((scope.length + 1) >>> 1);
    const rest = pairsEnd < text.length ? text.charCodeAt(pairsEnd) : 0;
    this.finish(wordCount * 4 + text.length * 2, rest);
  }

  /** Returns where the pairs of code units end. */
  #addPairs(text: string): number {
    const pairsEnd = text.length & ~1;
    for (let index = 0; index < pairsEnd; index += 2) {
      this.addWord(text.charCodeAt(index) | (text.charCodeAt(index + 1) << 16));
    }
    return pairsEnd;
  }

  #mix(rounds: number): void {
    let v0 = this.#v0;
    let v1 = this.#v1;
    let v2 = this.#v2;
    let v3 = this.#v3;
    for (let round = 0; round < rounds; round += 1) {
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
    }
    this.#v0 = v0;
    this.#v1 = v1;
    this.#v2 = v2;
    this.#v3 = v3;
  }
}
