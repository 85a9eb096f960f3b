/**
 * Bytes of the journal: segment header, frames, segment footer, tail file. See docs/formats/journal.md.
 *
 *   segment   header (128) | frame | frame | … | zeros                     while it is written
 *             header (128) | frame | frame | … | offset table | footer (128)  when sealed
 *   frame     header (48) | body | CRC of the body (4) | zeros to a multiple of 8
 *
 * All numbers are little-endian. A 64-bit number is always a safe integer.
 */
import { assert } from '../base/assert.ts';
import { crc32At } from '../base/crc32.ts';
import { HalfSipHash } from '../base/half-sip-hash.ts';
import { align8, firstNonZero, readUint64, viewOf, writeUint64 } from '../base/integers.ts';
import { limits } from '../base/limits.ts';
import type { Refusal } from '../base/refusal.ts';

// Format: persisted; never renumber.
export const JOURNAL_FORMAT_VERSION = 1;

export const SEGMENT_HEADER_SIZE = 128;
export const SEGMENT_FOOTER_SIZE = 128;
export const FRAME_HEADER_SIZE = 48;
export const FRAME_TRAILER_SIZE = 4;
export const TAIL_SIZE = 64;
/** Where a footer has the salt of its segment. */
export const FOOTER_SALT_AT = 8;

// Format: persisted. Read as little-endian ASCII: 'VSEG', 'VFRM', 'VEND', 'VTAL'.
const SEGMENT_MAGIC = 0x47455356;
const FRAME_MAGIC = 0x4d524656;
const FOOTER_MAGIC = 0x444e4556;
const TAIL_MAGIC = 0x4c415456;

export interface SegmentHeader {
  /** 16 bytes: the store this segment belongs to. */
  readonly identity: Uint8Array;
  /** 16 random bytes that bind frames to this segment. */
  readonly salt: Uint8Array;
  /** Number of segments before this one. */
  readonly index: number;
  readonly firstPosition: number;
  /** Header CRC of the last frame before this segment; 0 in the first one. */
  readonly link: number;
}

export function encodeSegmentHeader(header: SegmentHeader): Uint8Array {
  assert(header.identity.length === 16, 'a store identity has 16 bytes');
  assert(header.salt.length === 16, 'a segment salt has 16 bytes');
  const bytes = new Uint8Array(SEGMENT_HEADER_SIZE);
  const view = viewOf(bytes);
  view.setUint32(0, SEGMENT_MAGIC, true);
  view.setUint32(4, JOURNAL_FORMAT_VERSION, true);
  bytes.set(header.identity, 8);
  bytes.set(header.salt, 24);
  view.setUint32(40, header.index, true);
  view.setUint32(44, header.link, true);
  writeUint64(view, 48, header.firstPosition);
  view.setUint32(124, crc32At(view, 0, 124), true);
  return bytes;
}

export function decodeSegmentHeader(bytes: Uint8Array): SegmentHeader | Refusal {
  if (bytes.length < SEGMENT_HEADER_SIZE) {
    return {
      reason: `the segment header needs ${SEGMENT_HEADER_SIZE} bytes, ${bytes.length} are there`,
    };
  }
  const view = viewOf(bytes);
  const refusal = refuseBlock(bytes, SEGMENT_MAGIC, 'segment header', {
    crcAt: 124,
    numbersAt: [48],
    reserved: [[56, 124]],
  });
  if (refusal !== undefined) {
    return refusal;
  }
  return {
    identity: bytes.slice(8, 24),
    salt: bytes.slice(24, 40),
    index: view.getUint32(40, true),
    link: view.getUint32(44, true),
    firstPosition: readUint64(view, 48),
  };
}

/** CRC of the segment header: what the first frame's `link` must be. */
export function segmentHeaderCrc(header: SegmentHeader): number {
  return viewOf(encodeSegmentHeader(header)).getUint32(124, true);
}

/** What a frame header says. One object is reused for many frames. */
export interface FrameHeader {
  bodySize: number;
  /** Positions that the frame holds, ≥ 1. */
  count: number;
  firstPosition: number;
  /** Every position below it was durable when the frame was written. */
  durable: number;
  /** Header CRC of the frame before, or of the segment header. */
  link: number;
  /** CRC of this header. */
  crc: number;
  /**
   * Set where a header has the right checksum and place tag and says what no header says: somebody wrote it like this, so
   * it is never the remains of a torn write.
   */
  refusal: Refusal | undefined;
}

/** A header to be filled in. */
export function blankFrameHeader(): FrameHeader {
  return {
    bodySize: 0,
    count: 0,
    firstPosition: 0,
    durable: 0,
    link: 0,
    crc: 0,
    refusal: undefined,
  };
}

/** Whole frame for a body of this size. */
export function frameSizeOf(bodySize: number): number {
  return align8(FRAME_HEADER_SIZE + bodySize + FRAME_TRAILER_SIZE);
}

/** Largest body whose frame stays within a limit. */
export function bodySizeMaxOf(frameSizeMax: number): number {
  return frameSizeMax - FRAME_HEADER_SIZE - FRAME_TRAILER_SIZE - 8;
}

/** Of a journal that doesn't say otherwise. */
export const frameBodySizeMax: number = bodySizeMaxOf(limits.frameSizeMax);

/** Binds a frame to the segment and the offset where it stands. */
export class PlaceTag {
  low = 0;
  high = 0;
  readonly #hash: HalfSipHash;

  constructor(salt: Uint8Array) {
    const view = viewOf(salt);
    this.#hash = new HalfSipHash(view.getUint32(0, true), view.getUint32(4, true), 2);
    this.#hash.start();
    this.#hash.addWord(view.getUint32(8, true));
    this.#hash.addWord(view.getUint32(12, true));
    this.#hash.keepPrefix();
  }

  compute(offset: number): void {
    const hash = this.#hash;
    hash.start();
    hash.addWord(offset);
    hash.finish(12, 0);
    this.low = hash.low;
    this.high = hash.high;
  }
}

/** Writes the header in front of a body that is in place, and the body's CRC and the padding behind it. */
export function encodeFrame(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  header: Omit<FrameHeader, 'refusal'>,
  tag: PlaceTag,
): number {
  assert(header.count >= 1, 'a frame holds a position');
  assert(header.durable <= header.firstPosition, 'a frame is not durable before it is written');
  view.setUint32(at, FRAME_MAGIC, true);
  view.setUint32(at + 4, JOURNAL_FORMAT_VERSION, true);
  view.setUint32(at + 8, header.bodySize, true);
  view.setUint32(at + 12, header.count, true);
  writeUint64(view, at + 16, header.firstPosition);
  writeUint64(view, at + 24, header.durable);
  view.setUint32(at + 32, header.link, true);
  view.setUint32(at + 36, tag.low, true);
  view.setUint32(at + 40, tag.high, true);
  const crc = crc32At(view, at, at + 44);
  view.setUint32(at + 44, crc, true);
  const bodyEnd = at + FRAME_HEADER_SIZE + header.bodySize;
  view.setUint32(bodyEnd, crc32At(view, at + FRAME_HEADER_SIZE, bodyEnd), true);
  const end = at + frameSizeOf(header.bodySize);
  for (let index = bodyEnd + FRAME_TRAILER_SIZE; index < end; index += 1) {
    bytes[index] = 0;
  }
  return crc;
}

/**
 * True if a frame header of this place stands at `at`; fills `into`. Says nothing about the body. False with `into.refusal`
 * for one that has the right checksum and place and can't be believed.
 */
export function decodeFrameHeader(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  tag: PlaceTag,
  into: FrameHeader,
  bodySizeMax: number = frameBodySizeMax,
): boolean {
  into.refusal = undefined;
  if (at + FRAME_HEADER_SIZE > bytes.length || view.getUint32(at, true) !== FRAME_MAGIC) {
    return false;
  }
  const crc = crc32At(view, at, at + 44);
  if (
    crc !== view.getUint32(at + 44, true) ||
    view.getUint32(at + 36, true) !== tag.low ||
    view.getUint32(at + 40, true) !== tag.high
  ) {
    return false;
  }
  into.bodySize = view.getUint32(at + 8, true);
  into.count = view.getUint32(at + 12, true);
  into.firstPosition = readUint64(view, at + 16);
  into.durable = readUint64(view, at + 24);
  into.link = view.getUint32(at + 32, true);
  into.crc = crc;
  const version = view.getUint32(at + 4, true);
  if (version !== JOURNAL_FORMAT_VERSION) {
    into.refusal = { reason: `a frame has format version ${version}`, version, isIntact: true };
    return false;
  }
  const isPossible =
    into.bodySize <= bodySizeMax &&
    into.count >= 1 &&
    Number.isSafeInteger(into.firstPosition + into.count) &&
    into.durable <= into.firstPosition;
  if (!isPossible) {
    into.refusal = { reason: 'a frame header says what no frame header says', isIntact: true };
  }
  return isPossible;
}

/** True if the body behind a decoded header is what was written; `bytes` holds the whole frame. */
export function frameBodyIsIntact(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  bodySize: number,
): boolean {
  const bodyEnd = at + FRAME_HEADER_SIZE + bodySize;
  const frameEnd = at + frameSizeOf(bodySize);
  return (
    crc32At(view, at + FRAME_HEADER_SIZE, bodyEnd) === view.getUint32(bodyEnd, true) &&
    firstNonZero(bytes, bodyEnd + FRAME_TRAILER_SIZE, frameEnd) === frameEnd
  );
}

/** Stands at the end of a sealed segment, behind a table with the offset of every position (32 bits each). */
export interface SegmentFooter {
  readonly salt: Uint8Array;
  readonly firstPosition: number;
  readonly count: number;
  readonly frameCount: number;
  /** Where the last frame ends and the offset table begins. */
  readonly framesEnd: number;
  /** Header CRC of the last frame: the successor's `link`. */
  readonly lastLink: number;
  readonly offsetsCrc: number;
  /** Smallest and largest stamp of the content (for events: recorded time). */
  readonly minStamp: number;
  readonly maxStamp: number;
  /** 32 bytes over the content, as the encoder defines it. */
  readonly digest: Uint8Array;
}

export function encodeSegmentFooter(footer: SegmentFooter): Uint8Array {
  assert(footer.digest.length === 32, 'a segment digest has 32 bytes');
  const bytes = new Uint8Array(SEGMENT_FOOTER_SIZE);
  const view = viewOf(bytes);
  view.setUint32(0, FOOTER_MAGIC, true);
  view.setUint32(4, JOURNAL_FORMAT_VERSION, true);
  bytes.set(footer.salt, FOOTER_SALT_AT);
  writeUint64(view, 24, footer.firstPosition);
  view.setUint32(32, footer.count, true);
  view.setUint32(36, footer.frameCount, true);
  view.setUint32(40, footer.framesEnd, true);
  view.setUint32(44, footer.lastLink, true);
  view.setUint32(48, footer.offsetsCrc, true);
  writeUint64(view, 56, footer.minStamp);
  writeUint64(view, 64, footer.maxStamp);
  bytes.set(footer.digest, 72);
  view.setUint32(124, crc32At(view, 0, 124), true);
  return bytes;
}

export function decodeSegmentFooter(bytes: Uint8Array): SegmentFooter | Refusal {
  if (bytes.length < SEGMENT_FOOTER_SIZE) {
    return { reason: 'the file is too short for a footer' };
  }
  const view = viewOf(bytes);
  const refusal = refuseBlock(bytes, FOOTER_MAGIC, 'segment footer', {
    crcAt: 124,
    numbersAt: [24, 56, 64],
    reserved: [
      [52, 56],
      [104, 124],
    ],
  });
  if (refusal !== undefined) {
    return refusal;
  }
  return {
    salt: bytes.slice(FOOTER_SALT_AT, FOOTER_SALT_AT + 16),
    firstPosition: readUint64(view, 24),
    count: view.getUint32(32, true),
    frameCount: view.getUint32(36, true),
    framesEnd: view.getUint32(40, true),
    lastLink: view.getUint32(44, true),
    offsetsCrc: view.getUint32(48, true),
    minStamp: readUint64(view, 56),
    maxStamp: readUint64(view, 64),
    digest: bytes.slice(72, 104),
  };
}

/** What is known durable: a lower bound. */
export interface Tail {
  readonly identity: Uint8Array;
  /** First position of the newest segment. */
  readonly segment: number;
  /** Every position below it is durable. */
  readonly durable: number;
}

export function encodeTail(tail: Tail): Uint8Array {
  const bytes = new Uint8Array(TAIL_SIZE);
  const view = viewOf(bytes);
  view.setUint32(0, TAIL_MAGIC, true);
  view.setUint32(4, JOURNAL_FORMAT_VERSION, true);
  bytes.set(tail.identity, 8);
  writeUint64(view, 24, tail.segment);
  writeUint64(view, 32, tail.durable);
  view.setUint32(60, crc32At(view, 0, 60), true);
  return bytes;
}

export function decodeTail(bytes: Uint8Array): Tail | Refusal {
  if (bytes.length !== TAIL_SIZE) {
    return { reason: `the tail file has ${bytes.length} bytes instead of ${TAIL_SIZE}` };
  }
  const view = viewOf(bytes);
  const refusal = refuseBlock(bytes, TAIL_MAGIC, 'tail file', {
    crcAt: 60,
    numbersAt: [24, 32],
    reserved: [[40, 60]],
  });
  if (refusal !== undefined) {
    return refusal;
  }
  const segment = readUint64(view, 24);
  const durable = readUint64(view, 32);
  // Every frame of a segment is durable before the next segment has a name.
  return durable < segment
    ? { reason: 'the tail file contradicts itself', at: 24, isIntact: true }
    : { identity: bytes.slice(8, 24), segment, durable };
}

/** Digits of a position in a segment's file name: fixed, so that names sort as numbers. */
const NAME_DIGITS = 20;

export function segmentName(firstPosition: number): string {
  return `${String(firstPosition).padStart(NAME_DIGITS, '0')}.seg`;
}

/** First position of a segment's name, or undefined if it is not such a name. */
export function positionOfSegmentName(name: string): number | undefined {
  if (!/^\d{20}\.seg$/.test(name)) {
    return undefined;
  }
  const position = Number(name.slice(0, NAME_DIGITS));
  return Number.isSafeInteger(position) ? position : undefined;
}

/** What a block of the journal has in its places, beside its own fields. */
interface BlockLayout {
  readonly crcAt: number;
  /** Where its 64-bit numbers stand. */
  readonly numbersAt: readonly number[];
  /** Ranges of reserved bytes. */
  readonly reserved: readonly (readonly [start: number, end: number])[];
}

function refuseBlock(
  bytes: Uint8Array,
  magic: number,
  what: string,
  { crcAt, numbersAt, reserved }: BlockLayout,
): Refusal | undefined {
  const view = viewOf(bytes);
  if (view.getUint32(0, true) !== magic) {
    return { reason: `the ${what} does not begin with its magic number`, at: 0 };
  }
  if (crc32At(view, 0, crcAt) !== view.getUint32(crcAt, true)) {
    return { reason: `the ${what} does not match its checksum`, at: 0 };
  }
  const version = view.getUint32(4, true);
  if (version !== JOURNAL_FORMAT_VERSION) {
    return { reason: `the ${what} has format version ${version}`, version, at: 4, isIntact: true };
  }
  for (const [start, end] of reserved) {
    const at = firstNonZero(bytes, start, end);
    if (at !== end) {
      return { reason: `reserved bytes of the ${what} are not zero`, at, isIntact: true };
    }
  }
  for (const at of numbersAt) {
    if (!Number.isSafeInteger(readUint64(view, at))) {
      return { reason: `the ${what} holds a number out of range`, at, isIntact: true };
    }
  }
  return undefined;
}
