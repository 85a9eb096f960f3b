import { readInto } from '../io/read-into.ts';
import type { File } from '../io/file-system.ts';
import { viewOf } from '../base/integers.ts';
import {
  blankFrameHeader,
  decodeFrameHeader,
  FRAME_HEADER_SIZE,
  frameBodyIsIntact,
  type FrameHeader,
  frameSizeOf,
  PlaceTag,
} from './format.ts';
import type { Refusal } from '../base/refusal.ts';

export interface WalkStart {
  /** Offset of a frame. */
  readonly offset: number;
  /** Position that the frame must begin with, or -1 if that isn't known. */
  readonly position: number;
  /** What its `link` must be, or undefined if that isn't known. */
  readonly link: number | undefined;
  /** Of bodies in this journal. Default: `frameBodySizeMax`. */
  readonly bodySizeMax?: number | undefined;
}

/**
 * Reads the frames of one segment in order and believes nothing: each must stand in its place, follow its predecessor
 * and match both checksums. Memory is one buffer, grown for a frame that doesn't fit.
 */
export class FrameWalker {
  /** The frame that `next` has found. */
  readonly frame: FrameHeader = blankFrameHeader();
  /** Bytes that hold the whole frame, from `at` on; valid until the next call. */
  bytes: Buffer;
  view: DataView;
  at = 0;
  /** Offset of the frame in the file. */
  frameOffset: number;
  /** Why `next` returned false; 'end' where the file simply ends. */
  stop = '';
  /** Set if it did so at a header that was written as it stands and can't be believed: damage, wherever it is. */
  refusal: Refusal | undefined;

  readonly #file: Pick<File, 'read' | 'size'>;
  readonly #tag: PlaceTag;
  readonly #bodySizeMax: number | undefined;
  #filled = 0;
  #cursor = 0;
  #bufferOffset: number;
  #position: number;
  #link: number | undefined;

  constructor(
    file: Pick<File, 'read' | 'size'>,
    salt: Uint8Array,
    start: WalkStart,
    bufferSize: number = 256 * 1024,
  ) {
    this.#file = file;
    this.#tag = new PlaceTag(salt);
    this.bytes = Buffer.allocUnsafe(bufferSize);
    this.view = viewOf(this.bytes);
    this.#bufferOffset = start.offset;
    this.frameOffset = start.offset;
    this.#position = start.position;
    this.#link = start.link;
    this.#bodySizeMax = start.bodySizeMax;
  }

  /** A walker that has just read the frame at `offset`, or undefined if no whole frame stands there. */
  static at(file: File, salt: Uint8Array, offset: number): FrameWalker | undefined {
    const walker = new FrameWalker(file, salt, { offset, position: -1, link: undefined });
    return walker.next() ? walker : undefined;
  }

  /** Offset behind the last good frame. */
  get end(): number {
    return this.#bufferOffset + this.#cursor;
  }

  /** Position behind the last good frame. */
  get position(): number {
    return this.#position;
  }

  /** Header CRC of the last good frame: the next one's link. */
  get link(): number | undefined {
    return this.#link;
  }

  next(): boolean {
    const available = this.#need(FRAME_HEADER_SIZE);
    if (available < FRAME_HEADER_SIZE) {
      return this.#stopAt(available === 0 ? 'end' : 'the file ends inside a frame header');
    }
    const at = this.#cursor;
    this.#tag.compute(this.end);
    if (!decodeFrameHeader(this.bytes, this.view, at, this.#tag, this.frame, this.#bodySizeMax)) {
      this.refusal = this.frame.refusal;
      return this.#stopAt(this.refusal?.reason ?? 'no frame header of this place stands here');
    }
    return this.#takeFrame();
  }

  #takeFrame(): boolean {
    const { frame } = this;
    if (this.#link !== undefined && frame.link !== this.#link) {
      return this.#stopAt('the frame does not follow the one before it');
    }
    if (this.#position === -1) {
      this.#position = frame.firstPosition;
    }
    if (frame.firstPosition !== this.#position) {
      return this.#stopAt(
        `the frame begins with position ${frame.firstPosition} instead of ${this.#position}`,
      );
    }
    const size = frameSizeOf(frame.bodySize);
    if (this.#need(size) < size) {
      return this.#stopAt('the file ends inside a frame');
    }
    if (!frameBodyIsIntact(this.bytes, this.view, this.#cursor, frame.bodySize)) {
      return this.#stopAt('the frame body does not match its checksum');
    }
    this.at = this.#cursor;
    this.frameOffset = this.end;
    this.#cursor += size;
    this.#position += frame.count;
    this.#link = frame.crc;
    return true;
  }

  #stopAt(reason: string): false {
    this.stop = reason;
    return false;
  }

  /** Makes `size` bytes from the cursor on available, if the file has them; returns how many are. */
  #need(size: number): number {
    const available = this.#filled - this.#cursor;
    if (available >= size) {
      return available;
    }
    let target = this.bytes;
    if (size > this.bytes.length) {
      // A size that lies must not cost its memory.
      const rest = this.#file.size() - this.end;
      if (rest < size) {
        return Math.max(available, rest);
      }
      target = Buffer.allocUnsafe(size);
    }
    target.set(this.bytes.subarray(this.#cursor, this.#filled));
    if (target !== this.bytes) {
      this.bytes = target;
      this.view = viewOf(target);
    }
    this.#bufferOffset += this.#cursor;
    this.#cursor = 0;
    this.#filled = available;
    this.#filled += readInto(
      this.#file,
      this.bytes.subarray(available),
      this.#bufferOffset + available,
    );
    return this.#filled;
  }
}
