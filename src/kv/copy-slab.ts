import { makeLastingMemory } from '../io/thread.ts';

/** Where many pieces are read together: each keeps so much from being reclaimed at most. */
export const SCAN_SLAB_SIZE: number = 64 * 1024;

const SIZE_FIRST = 4 * 1024;
/** Up to this size a loop is faster than what the engine's own copy needs to be told. */
const LOOP_SIZE_MAX = 32;

/**
 * Copies of small pieces, side by side in memory that is given out once: one allocation for many pieces (a fresh array for each costs
 * five times as much), each of which its receiver may keep and change. A piece that is kept keeps its neighbours' memory.
 */
export class CopySlab {
  readonly #sizeMax: number;
  #bytes = new Uint8Array(0);
  #buffer: ArrayBuffer = this.#bytes.buffer;
  #used = 0;
  #nextSize: number;

  /** Slabs grow to `sizeMax` bytes: what one piece may keep from being reclaimed. */
  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax;
    this.#nextSize = Math.min(SIZE_FIRST, sizeMax);
  }

  copy(source: Uint8Array, start: number, end: number): Uint8Array {
    const size = end - start;
    const at = this.#used;
    if (at + size > this.#bytes.length) {
      return this.#copyToNew(source, start, size);
    }
    this.#used = at + size;
    const bytes = this.#bytes;
    if (size <= LOOP_SIZE_MAX) {
      for (let index = 0; index < size; index += 1) {
        bytes[at + index] = source[start + index]!;
      }
    } else {
      bytes.set(new Uint8Array(source.buffer, source.byteOffset + start, size), at);
    }
    return new Uint8Array(this.#buffer, at, size);
  }

  #copyToNew(source: Uint8Array, start: number, size: number): Uint8Array {
    if (size * 4 > this.#sizeMax) {
      const own = new Uint8Array(size);
      own.set(new Uint8Array(source.buffer, source.byteOffset + start, size));
      return own;
    }
    this.#buffer = makeLastingMemory(Math.max(this.#nextSize, size));
    this.#bytes = new Uint8Array(this.#buffer);
    this.#used = 0;
    this.#nextSize = Math.min(this.#sizeMax, this.#nextSize * 4);
    return this.copy(source, start, start + size);
  }
}
