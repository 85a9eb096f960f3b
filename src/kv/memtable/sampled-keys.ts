import { compareKeys } from '../../base/compare-bytes.ts';

/** What a sampled key stands for, in bytes of keys and values. */
export const SAMPLE_SIZE: number = 16 * 1024;

/** One key of every so many bytes that are added: tells about how much of it lies in a range, whatever the order of the keys. */
export class KeySample {
  readonly #keys: Uint8Array[] = [];
  #rest = SAMPLE_SIZE / 2;

  add(bytes: Uint8Array, keyStart: number, keyEnd: number, size: number): void {
    this.#rest -= size;
    if (this.#rest <= 0) {
      this.#take(bytes.slice(keyStart, keyEnd));
    }
  }

  /** Of what has been added, in [start, end); undefined: to the last key. */
  sizeIn(start: Uint8Array, end: Uint8Array | undefined): number {
    let count = 0;
    for (const key of this.#keys) {
      const isInside =
        compareKeys(start, key) <= 0 && (end === undefined || compareKeys(key, end) < 0);
      count += isInside ? 1 : 0;
    }
    return count * SAMPLE_SIZE;
  }

  /** A large entry stands for itself. */
  #take(key: Uint8Array): void {
    while (this.#rest <= 0) {
      this.#rest += SAMPLE_SIZE;
      this.#keys.push(key);
    }
  }
}
