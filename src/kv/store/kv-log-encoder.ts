import type { FrameBody, FrameEncoder, SegmentSummary } from '../../journal/encoder.ts';
import { FRAME_TRAILER_SIZE } from '../../journal/format.ts';
import type { OffsetTable } from '../../journal/offset-table.ts';
import {
  BATCH_SIZE_MAX,
  decodeOperations,
  type OperationVisitor,
  positionAfter,
  sequenceAt,
} from './format.ts';

/** A checksum of so much takes about as long as a sync. With less, large batches that wait together would each be synced alone. */
const MEANWHILE_SIZE_MAX = 1024 * 1024;

/** The log of a key-value store in the journal's eyes: nothing needs to be added to a body but the checksums that every frame has. */
export class KvLogEncoder implements FrameEncoder {
  readonly meanwhileSizeMax: number = MEANWHILE_SIZE_MAX;
  readonly bodySizeMax: number = BATCH_SIZE_MAX;
  readonly #visit: OperationVisitor | undefined;
  readonly #coveredSequence: number;
  readonly #ended: ((position: number, mark: Uint8Array) => void) | undefined;

  /**
   * `visit` sees the operations of frames read back, but for those with no sequence above `coveredSequence`; `ended` hears where each
   * such frame ends, and its mark.
   */
  constructor(
    visit?: OperationVisitor,
    coveredSequence = 0,
    ended?: (position: number, mark: Uint8Array) => void,
  ) {
    this.#visit = visit;
    this.#coveredSequence = coveredSequence;
    this.#ended = ended;
  }

  complete(body: FrameBody, offsets: OffsetTable): void {
    noteOffsets(body, offsets);
  }

  replay(body: FrameBody, offsets: OffsetTable): string | undefined {
    noteOffsets(body, offsets);
    if (body.firstPosition + body.count <= positionAfter(this.#coveredSequence)) {
      // Its checksums have been looked at, and tables hold what it says: most of a log that was closed is like this.
      return undefined;
    }
    const visit = this.#visit ?? ((): void => {});
    const problem = decodeOperations(body, sequenceAt(body.firstPosition), visit);
    if (problem === undefined) {
      this.#ended?.(body.firstPosition + body.count, this.markOf(body));
    }
    return problem;
  }

  /** The frame's body CRC. */
  markOf({ bytes, start, size }: FrameBody): Uint8Array {
    return new Uint8Array(bytes.subarray(start + size, start + size + FRAME_TRAILER_SIZE));
  }

  sealSegment(): SegmentSummary {
    return { digest: new Uint8Array(32), minStamp: 0, maxStamp: 0 };
  }
}

/** Operations are never looked up one by one: each is where its batch begins. */
function noteOffsets(body: FrameBody, offsets: OffsetTable): void {
  offsets.pushEqual(body.fileOffset, body.count);
}
