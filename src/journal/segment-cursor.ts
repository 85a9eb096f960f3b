/**
 * Where the next frame lies. A pure function of the sizes of the frames before it, so that whoever decides (the owner)
 * and whoever writes (the writer) each run a cursor of their own and always agree.
 */
import { limits } from '../base/limits.ts';
import { SEGMENT_HEADER_SIZE } from './format.ts';

export class SegmentCursor {
  /** The size the current segment is meant to reach: 1 MiB for the first, doubling, up to the option. */
  capacity: number;
  /** Where the next frame goes, if it fits. */
  offset: number;
  readonly #segmentSizeMax: number;
  #index: number;

  constructor(index: number, offset: number, segmentSizeMax: number) {
    this.#index = index;
    this.offset = offset;
    this.#segmentSizeMax = segmentSizeMax;
    this.capacity = segmentCapacity(index, segmentSizeMax);
  }

  /** Number of segments before the current one. */
  get index(): number {
    return this.#index;
  }

  /** True if a frame of this size opens the next segment. An empty segment takes any frame. */
  rotatesFor(frameSize: number): boolean {
    return this.offset + frameSize > this.capacity && this.offset > SEGMENT_HEADER_SIZE;
  }

  advance(frameSize: number): void {
    if (this.rotatesFor(frameSize)) {
      this.rotate();
    }
    this.offset += frameSize;
  }

  /** Moves to the beginning of the next segment. */
  rotate(): void {
    this.#index += 1;
    this.offset = SEGMENT_HEADER_SIZE;
    this.capacity = segmentCapacity(this.#index, this.#segmentSizeMax);
  }
}

export function segmentCapacity(index: number, segmentSizeMax: number): number {
  const doublings = Math.min(index, 20);
  return Math.min(segmentSizeMax, limits.segmentSizeFirst * 2 ** doublings);
}
