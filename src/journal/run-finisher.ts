import { assert } from '../base/assert.ts';
import type { FrameBody, FrameEncoder } from './encoder.ts';
import {
  blankFrameHeader,
  encodeFrame,
  FRAME_HEADER_SIZE,
  type FrameHeader,
  frameSizeOf,
  PlaceTag,
} from './format.ts';
import { FrameDraft } from './frame-draft.ts';
import type { LaneConsumer } from './lane.ts';
import type { OffsetTable } from './offset-table.ts';
import type { SegmentCursor } from './segment-cursor.ts';

/** Frames that lie side by side in the lane and in the segment, finished. */
export interface Run {
  /** Where they begin in the lane. */
  readonly start: number;
  readonly size: number;
  readonly fileOffset: number;
  /** The position behind them. */
  readonly position: number;
  /** The lane's address behind them. */
  readonly address: number;
}

/** Finishes frames where they lie in the lane: has the encoder complete the bodies, and frames them, in order. */
export class RunFinisher {
  /** The position of the next frame. */
  position: number;
  /** Header CRC of the last frame, or of the segment. */
  link: number;
  frameCount: number;
  offsets: OffsetTable;
  readonly #encoder: FrameEncoder;
  readonly #lane: LaneConsumer;
  readonly #cursor: SegmentCursor;
  readonly #header: FrameHeader = blankFrameHeader();
  readonly #body: FrameBody;
  #tag: PlaceTag;

  constructor(
    encoder: FrameEncoder,
    lane: LaneConsumer,
    cursor: SegmentCursor,
    active: {
      readonly position: number;
      readonly link: number;
      readonly frameCount: number;
      readonly offsets: OffsetTable;
      readonly salt: Uint8Array;
    },
  ) {
    this.#encoder = encoder;
    this.#lane = lane;
    this.#cursor = cursor;
    this.position = active.position;
    this.link = active.link;
    this.frameCount = active.frameCount;
    this.offsets = active.offsets;
    this.#tag = new PlaceTag(active.salt);
    const { bytes, view } = lane;
    this.#body = { bytes, view, start: 0, size: 0, firstPosition: 0, count: 0, fileOffset: 0 };
  }

  /** From now on frames go to a new segment, where the cursor already is. */
  beginSegment(salt: Uint8Array, link: number, offsets: OffsetTable): void {
    this.#tag = new PlaceTag(salt);
    this.link = link;
    this.frameCount = 0;
    this.offsets = offsets;
  }

  /** Finishes what is at hand: at least one frame, and no more than `sizeMax` bytes unless it is one. */
  finish(sizeMax: number, durable: number): Run {
    const lane = this.#lane;
    const { start } = lane;
    const fileOffset = this.#cursor.offset;
    let size = 0;
    while (lane.peek() && lane.start === start + size) {
      if (size > 0 && (size + lane.size > sizeMax || this.#cursor.rotatesFor(lane.size))) {
        break;
      }
      this.#finishFrame(lane, durable);
      size += lane.size;
      lane.advance();
    }
    return { start, size, fileOffset, position: this.position, address: lane.next };
  }

  #finishFrame({ bytes, view, start, size }: LaneConsumer, durable: number): void {
    const bodySize = view.getUint32(start + FrameDraft.bodySizeAt, true);
    const count = view.getUint32(start + FrameDraft.countAt, true);
    assert(frameSizeOf(bodySize) === size, 'a frame fills its record');
    const fileOffset = this.#cursor.offset;
    const body = this.#body;
    body.start = start + FRAME_HEADER_SIZE;
    body.size = bodySize;
    body.firstPosition = this.position;
    body.count = count;
    body.fileOffset = fileOffset + FRAME_HEADER_SIZE;
    this.#encoder.complete(body, this.offsets);
    const header = this.#header;
    header.bodySize = bodySize;
    header.count = count;
    header.firstPosition = this.position;
    header.durable = durable;
    header.link = this.link;
    this.#tag.compute(fileOffset);
    this.link = encodeFrame(bytes, view, start, header, this.#tag);
    this.#cursor.advance(size);
    this.position += count;
    this.frameCount += 1;
  }
}
