/**
 * The way of frames from the owner to the writer, here within one thread: the owner encodes frames into an arena while
 * the writer has another one on the disk. Taking is swapping; nothing is copied.
 */
import { assert } from '../base/assert.ts';
import { viewOf } from '../base/integers.ts';

const ARENA_SIZE_FIRST = 64 * 1024;
const SPARE_COUNT_MAX = 2;

/** Frames in order, side by side, as they will stand in the segment. */
export class Arena {
  bytes: Buffer;
  view: DataView;
  used = 0;

  constructor(size: number) {
    this.bytes = Buffer.allocUnsafe(size);
    this.view = viewOf(this.bytes);
  }

  grow(size: number): void {
    const grown = Buffer.allocUnsafe(size);
    this.bytes.copy(grown, 0, 0, this.used);
    this.bytes = grown;
    this.view = viewOf(grown);
  }
}

export class Lane {
  readonly #batchSizeMax: number;
  readonly #full: Arena[] = [];
  readonly #spare: Arena[] = [];
  #gathering = new Arena(ARENA_SIZE_FIRST);
  /** Bytes of frames reserved and not yet released. */
  #pendingSize = 0;

  constructor(batchSizeMax: number) {
    this.#batchSizeMax = batchSizeMax;
  }

  get pendingSize(): number {
    return this.#pendingSize;
  }

  /** An arena with room for the frame at `arena.used`. The caller fills it, then calls `publish`. */
  reserve(frameSize: number): Arena {
    let arena = this.#gathering;
    const needed = arena.used + frameSize;
    if (needed > this.#batchSizeMax && arena.used > 0) {
      this.#full.push(arena);
      arena = this.#spare.pop() ?? new Arena(ARENA_SIZE_FIRST);
      this.#gathering = arena;
    }
    if (arena.used + frameSize > arena.bytes.length) {
      arena.grow(Math.max(arena.used + frameSize, arena.bytes.length * 2));
    }
    return arena;
  }

  publish(arena: Arena, frameSize: number): void {
    assert(arena === this.#gathering, 'frames are published in the order they were reserved');
    arena.used += frameSize;
    this.#pendingSize += frameSize;
  }

  /** The oldest frames that wait, or undefined. They stay readable until `release`. */
  take(): Arena | undefined {
    const full = this.#full.shift();
    if (full !== undefined) {
      return full;
    }
    if (this.#gathering.used === 0) {
      return undefined;
    }
    const taken = this.#gathering;
    this.#gathering = this.#spare.pop() ?? new Arena(ARENA_SIZE_FIRST);
    return taken;
  }

  release(arena: Arena): void {
    this.#pendingSize -= arena.used;
    arena.used = 0;
    // A burst's arena may be large; what is kept for reuse is bounded.
    if (this.#spare.length < SPARE_COUNT_MAX && arena.bytes.length <= this.#batchSizeMax) {
      this.#spare.push(arena);
    }
  }
}
