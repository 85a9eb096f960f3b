import { makeLastingMemory } from '../../io/thread.ts';

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
  /** Where the last piece came from. Pieces come from the same place many times in a row, and asking for a buffer is slow. */
  #source: Uint8Array = this.#bytes;
  #sourceBuffer: ArrayBufferLike = this.#buffer;
  #sourceOffset = 0;

  /** Slabs grow to `sizeMax` bytes: what one piece may keep from being reclaimed. */
  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax;
    this.#nextSize = Math.min(SIZE_FIRST, sizeMax);
  }

  copy(source: Uint8Array, start: number, end: number): Uint8Array {
    const size = end - start;
    if (size <= LOOP_SIZE_MAX) {
      const at = this.#reserve(size);
      const bytes = this.#bytes;
      for (let index = 0; index < size; index += 1) {
        bytes[at + index] = source[start + index]!;
      }
      return new Uint8Array(this.#buffer, at, size);
    }
    if (source !== this.#source) {
      this.#source = source;
      this.#sourceBuffer = source.buffer;
      this.#sourceOffset = source.byteOffset;
    }
    return this.copyOf(this.#sourceBuffer, this.#sourceOffset + start, size);
  }

  /** The same for `size` bytes of a buffer, from `start` on. */
  copyOf(buffer: ArrayBufferLike, start: number, size: number): Uint8Array {
    const piece = new Uint8Array(buffer, start, size);
    if (size * 4 > this.#sizeMax) {
      return new Uint8Array(piece);
    }
    const at = this.#reserve(size);
    this.#bytes.set(piece, at);
    return new Uint8Array(this.#buffer, at, size);
  }

  /** Where `size` bytes go, which are at most a slab. */
  #reserve(size: number): number {
    const at = this.#used;
    if (at + size <= this.#bytes.length) {
      this.#used = at + size;
      return at;
    }
    this.#buffer = makeLastingMemory(Math.max(this.#nextSize, size));
    this.#bytes = new Uint8Array(this.#buffer);
    this.#nextSize = Math.min(this.#sizeMax, this.#nextSize * 4);
    this.#used = size;
    return 0;
  }
}
