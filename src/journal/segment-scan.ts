import { CorruptionError } from '../base/errors.ts';
import { refused, isRefusal, type Refusal } from '../base/refusal.ts';
import type { File, FileSystem } from '../io/file-system.ts';
import { joinPath } from '../io/path.ts';
import { readInto } from '../io/read-into.ts';
import type { FrameBody, FrameEncoder } from './encoder.ts';
import {
  blankFrameHeader,
  decodeFrameHeader,
  decodeSegmentHeader,
  FRAME_HEADER_SIZE,
  type FrameHeader,
  PlaceTag,
  SEGMENT_HEADER_SIZE,
  type SegmentHeader,
  segmentHeaderCrc,
  segmentName,
} from './format.ts';
import { FrameWalker, type WalkStart } from './frame-walker.ts';
import type { KnownCheck } from './known-position.ts';
import { OffsetTable } from './offset-table.ts';
import { type FoundFooter, sameBytes } from './segment-info.ts';
import { viewOf } from '../base/integers.ts';

/** What walking one segment has shown. */
export interface SegmentScan {
  readonly path: string;
  readonly header: SegmentHeader;
  /** Of a segment that was passed over: of the frames that were walked. */
  readonly offsets: OffsetTable;
  readonly frameCount: number;
  /** Where the last good frame ends. */
  readonly end: number;
  /** The position behind it. */
  readonly position: number;
  /** Its header CRC. */
  readonly link: number;
  /** Greatest `durable` of the good frames. */
  readonly durable: number;
  /** Why the walk ended. */
  readonly stop: string;
}

/** Reads and checks a segment's header against what must stand there. */
export function readSegmentHeader(
  fileSystem: FileSystem,
  directory: string,
  firstPosition: number,
  identity: Uint8Array,
): SegmentHeader {
  const path = joinPath(directory, segmentName(firstPosition));
  const bytes = new Uint8Array(SEGMENT_HEADER_SIZE);
  const file = fileSystem.open(path, 'read');
  let size: number;
  try {
    size = readInto(file, bytes, 0);
  } finally {
    file.close();
  }
  const header = decodeSegmentHeader(bytes.subarray(0, size));
  if (isRefusal(header)) {
    throw refused(path, 0, header, firstPosition);
  }
  if (!sameBytes(header.identity, identity)) {
    const reason = 'the segment belongs to another store';
    throw new CorruptionError(path, 8, reason, undefined, firstPosition);
  }
  if (header.firstPosition !== firstPosition) {
    const reason = `the segment holds positions from ${header.firstPosition} on, not from ${firstPosition} as its name says`;
    throw new CorruptionError(path, 48, reason, undefined, firstPosition);
  }
  return header;
}

/** Walks every frame of a segment; the encoder checks each. */
export function scanSegment(
  file: File,
  header: SegmentHeader,
  encoder: FrameEncoder,
  known: KnownCheck | undefined,
): SegmentScan {
  return walk(file, header, encoder, known, {
    offset: SEGMENT_HEADER_SIZE,
    position: header.firstPosition,
    link: segmentHeaderCrc(header),
    bodySizeMax: encoder.bodySizeMax,
  });
}

/** What it depends on whether a full segment's frames are walked. */
interface PassRules {
  readonly encoder: FrameEncoder;
  readonly passesSealed?: boolean;
}

/**
 * Takes from the footer what is known of a full segment. Walked are only the frame that ends at a known position and, unless the owner reads
 * them itself, those after it. Undefined if the segment must be walked: its frames are asked for, or footer and frames don't tell enough.
 */
export function passSegment(
  file: File,
  header: SegmentHeader,
  { footer, table }: FoundFooter,
  { encoder, passesSealed = false }: PassRules,
  known: KnownCheck | undefined,
): SegmentScan | undefined {
  const { framesEnd: end, frameCount, lastLink: link } = footer;
  const { firstPosition } = header;
  const position = firstPosition + footer.count;
  const whole = { path: file.path, header, frameCount, end, position, link, stop: 'end' };
  const passed = { ...whole, offsets: new OffsetTable(), durable: 0 };
  if (known === undefined || known.position <= firstPosition) {
    return passesSealed ? passed : undefined;
  }
  if (position < known.position) {
    return passed;
  }
  const start = findFrame(file, header, table, known.position - 1, encoder.bodySizeMax);
  if (start === undefined) {
    return undefined;
  }
  const { bodySizeMax } = encoder;
  const from = {
    offset: start.offset,
    position: start.firstPosition,
    link: undefined,
    bodySizeMax,
  };
  if (passesSealed) {
    const walker = new FrameWalker(file, header.salt, from);
    const isKnown = walker.next() && known.covers(bodyOf(walker), file.path, walker.frameOffset);
    return isKnown ? passed : undefined;
  }
  const scan = walk(file, header, encoder, known, from);
  if (scan.frameCount === 0) {
    return undefined;
  }
  // What the encoder would tell of the segment is a part of it.
  encoder.sealSegment();
  const walked = table.subarray((start.firstPosition - firstPosition) * 4);
  const agrees =
    scan.end === end && scan.link === link && sameBytes(walked, scan.offsets.toBytes());
  if (scan.position === position && !agrees) {
    throw new CorruptionError(file.path, scan.end, 'the footer contradicts the frames');
  }
  return { ...scan, frameCount };
}

/** The frame that holds a position, by the segment's offset table; undefined if it can't be told which one does. */
function findFrame(
  file: File,
  header: SegmentHeader,
  table: Uint8Array,
  position: number,
  bodySizeMax: number | undefined,
): { readonly offset: number; readonly firstPosition: number } | undefined {
  const offsets = viewOf(table);
  const tag = new PlaceTag(header.salt);
  const frame = blankFrameHeader();
  const bytes = Buffer.alloc(FRAME_HEADER_SIZE);
  const view = viewOf(bytes);
  // A frame begins before the first of its items, which are at most as many as a commit holds.
  for (let index = position - header.firstPosition; index >= 0; index -= 1) {
    const offset = offsets.getUint32(index * 4, true) - FRAME_HEADER_SIZE;
    tag.compute(offset);
    if (
      offset >= SEGMENT_HEADER_SIZE &&
      readInto(file, bytes, offset) === FRAME_HEADER_SIZE &&
      decodeFrameHeader(bytes, view, 0, tag, frame, bodySizeMax)
    ) {
      const { firstPosition, count } = frame;
      const holds = firstPosition <= position && position < firstPosition + count;
      return holds ? { offset, firstPosition } : undefined;
    }
  }
  return undefined;
}

function walk(
  file: File,
  header: SegmentHeader,
  encoder: FrameEncoder,
  known: KnownCheck | undefined,
  start: WalkStart,
): SegmentScan {
  const offsets = new OffsetTable();
  const walker = new FrameWalker(file, header.salt, start);
  let frameCount = 0;
  let durable = 0;
  while (walker.next()) {
    const body = bodyOf(walker);
    // Order: what is known is held against the frame before anything rests on it.
    const isKnown = known?.covers(body, file.path, walker.frameOffset) === true;
    const goodBefore = offsets.count;
    const problem = encoder.replay(body, offsets, isKnown);
    if (problem !== undefined) {
      const good = offsets.count - goodBefore;
      const position = body.firstPosition + (good < body.count ? good : 0);
      throw new CorruptionError(file.path, walker.frameOffset, problem, undefined, position);
    }
    frameCount += 1;
    durable = Math.max(durable, walker.frame.durable);
  }
  if (walker.refusal !== undefined) {
    throw refused(file.path, walker.end, walker.refusal, walker.position);
  }
  return {
    path: file.path,
    header,
    offsets,
    frameCount,
    end: walker.end,
    position: walker.position,
    link: walker.link ?? 0,
    durable,
    stop: walker.stop,
  };
}

export function bodyOf(walker: FrameWalker): FrameBody {
  return {
    bytes: walker.bytes,
    view: walker.view,
    start: walker.at + FRAME_HEADER_SIZE,
    size: walker.frame.bodySize,
    firstPosition: walker.frame.firstPosition,
    count: walker.frame.count,
    fileOffset: walker.frameOffset + FRAME_HEADER_SIZE,
  };
}

/** What lies behind the last good frame. */
export interface Rest {
  /** Offset behind the last byte that isn't zero; `offset` if there is none. */
  readonly end: number;
  /** Greatest `durable` of any frame header of its place; 0 if there is none. */
  readonly durable: number;
  /** Offsets of those headers. */
  readonly frames: readonly number[];
  /** The first header of its place that can't be believed: it was written like this, so it is no part of a torn write. */
  readonly refused: { readonly offset: number; readonly refusal: Refusal } | undefined;
}

const REST_STEP = 256 * 1024;

/** Looks through everything from `offset` to the end of the file for frame headers that were once written there. */
export function scanRest(file: File, salt: Uint8Array, offset: number, bodySizeMax?: number): Rest {
  const tag = new PlaceTag(salt);
  const header: FrameHeader = blankFrameHeader();
  const bytes = Buffer.allocUnsafe(REST_STEP + FRAME_HEADER_SIZE);
  const zeros = Buffer.alloc(bytes.length);
  const frames: number[] = [];
  let end = offset;
  let durable = 0;
  let firstRefused: Rest['refused'];
  for (let start = offset; ; start += REST_STEP) {
    const filled = readInto(file, bytes, start);
    const found = bytes.subarray(0, filled);
    const view = viewOf(found);
    // Most of what was prepared for frames to come is zeros still: one comparison passes over a step of them.
    const contentSize = found.equals(zeros.subarray(0, filled)) ? 0 : endOfContent(found);
    if (contentSize > 0) {
      end = start + contentSize;
    }
    for (let at = 0; at < Math.min(contentSize, REST_STEP); at += 8) {
      if (at + 4 > filled || view.getUint32(at, true) === 0) {
        continue;
      }
      tag.compute(start + at);
      if (decodeFrameHeader(found, view, at, tag, header, bodySizeMax)) {
        frames.push(start + at);
        durable = Math.max(durable, header.durable);
      } else if (header.refusal !== undefined) {
        firstRefused ??= { offset: start + at, refusal: header.refusal };
      }
    }
    if (filled < bytes.length) {
      return { end, durable, frames, refused: firstRefused };
    }
  }
}

function endOfContent(bytes: Uint8Array): number {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) {
    end -= 1;
  }
  return end;
}
