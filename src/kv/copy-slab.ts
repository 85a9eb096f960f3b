const SIZE_MIN = 1024;
const SIZE_MAX = 64 * 1024;

/**
 * Copies of small pieces, side by side in memory that is given out once: one allocation for many pieces, each of which its
 * receiver may keep and change. A piece that is kept keeps its neighbours' memory.
 */
export class CopySlab {
  #bytes = new Uint8Array(0);
  #buffer: ArrayBuffer = this.#bytes.buffer;
  #used = 0;
  #nextSize = SIZE_MIN;

  copy(source: Uint8Array, start: number, end: number): Uint8Array {
    const size = end - start;
    if (this.#used + size > this.#bytes.length) {
      if (size * 4 > SIZE_MAX) {
        const own = new Uint8Array(size);
        own.set(source.subarray(start, end));
        return own;
      }
      this.#grow(size);
    }
    const at = this.#used;
    this.#used = at + size;
    const bytes = this.#bytes;
    if (size > 48) {
      bytes.set(new Uint8Array(source.buffer, source.byteOffset + start, size), at);
    } else {
      for (let index = 0; index < size; index += 1) {
        bytes[at + index] = source[start + index]!;
      }
    }
    return new Uint8Array(this.#buffer, at, size);
  }

  #grow(size: number): void {
    this.#buffer = new ArrayBuffer(Math.max(this.#nextSize, size));
    this.#bytes = new Uint8Array(this.#buffer);
    this.#used = 0;
    this.#nextSize = Math.min(SIZE_MAX, this.#nextSize * 4);
  }
}
