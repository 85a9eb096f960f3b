/**
 * A picture of one segment file, damaged or not, for people and for tools that look into one. It judges nothing: it says
 * what stands where, what is recognizable, and which checks each piece passes. `auditLog` says whether a log is whole.
 *
 * Where no frame header stands, it looks for the next offset that holds one. A frame header is bound to its segment and
 * its offset by a tag, so an image of a frame inside a payload can't be taken for one. Records in between, whose frame
 * header is lost, are found by their own checksums.
 */
import { crc32 } from '../base/crc32.ts';
import { sha256 } from '../base/digest.ts';
import { firstNonZero, viewOf } from '../base/integers.ts';
import { limits } from '../base/limits.ts';
import type { File, FileSystem } from '../io/file-system.ts';
import { NodeFileSystem } from '../io/node-file-system.ts';
import { readInto } from '../io/read-into.ts';
import {
  blankFrameHeader,
  decodeFrameHeader,
  decodeSegmentFooter,
  decodeSegmentHeader,
  FRAME_HEADER_SIZE,
  frameBodyIsIntact,
  type FrameHeader,
  frameSizeOf,
  PlaceTag,
  SEGMENT_FOOTER_SIZE,
  SEGMENT_HEADER_SIZE,
  type SegmentFooter,
  segmentHeaderCrc,
} from '../journal/format.ts';
import { isRefusal } from '../base/refusal.ts';
import { sameBytes } from '../journal/segment-info.ts';
import { eventIdOf } from './event-decoder.ts';
import { ContentType } from './format.ts';
import { checkCrc } from './log-encoder.ts';
import type { RecordFields } from './record-fields.ts';
import { RecordView } from './record-view.ts';

/** One piece of a segment file, in order of offsets. `problems` is empty where every check passes. */
export type DumpRow =
  | {
      readonly kind: 'header';
      readonly offset: number;
      readonly size: number;
      readonly fileSize: number;
      /** Undefined if the header is unusable. */
      readonly store?: string;
      readonly index?: number;
      readonly firstPosition?: number;
      readonly problems: readonly string[];
    }
  | {
      readonly kind: 'frame';
      readonly offset: number;
      readonly size: number;
      readonly firstPosition: number;
      readonly count: number;
      /** Every position below it was durable when the frame was written. */
      readonly durable: number;
      /** Whether it follows the frame before it; undefined where that one is unknown. */
      readonly isLinked?: boolean;
      readonly isIntact: boolean;
      readonly problems: readonly string[];
    }
  | DumpedRecord
  /** Bytes where something else should stand. */
  | {
      readonly kind: 'damage';
      readonly offset: number;
      readonly size: number;
      readonly problems: readonly string[];
    }
  | { readonly kind: 'zeros'; readonly offset: number; readonly size: number }
  | {
      readonly kind: 'footer';
      readonly offset: number;
      readonly size: number;
      readonly firstPosition?: number;
      readonly count?: number;
      readonly frameCount?: number;
      readonly problems: readonly string[];
    };

export interface DumpedRecord extends Pick<
  RecordFields,
  'position' | 'stream' | 'revision' | 'type' | 'time' | 'payloadSize'
> {
  readonly kind: 'record';
  readonly offset: number;
  readonly size: number;
  readonly id: string;
  readonly content: 'none' | 'json' | 'bytes';
  readonly idempotencyKey?: string;
  readonly idempotencyScope?: string;
  readonly isErased?: true;
  /** The beginning of JSON that is stored plainly. */
  readonly preview?: string;
  readonly problems: readonly string[];
}

const PREVIEW_LENGTH_MAX = 160;
const SCAN_STEP = 256 * 1024;
const FRAME_ALIGNMENT = 8;
/** No record is larger. */
const WINDOW_SIZE = limits.frameSizeMax;

/** Rows of one segment file, read as they are asked for. Throws the operating system's error if it can't be read. */
export function* dumpSegment(
  path: string,
  fileSystem: FileSystem = new NodeFileSystem(),
): Generator<DumpRow, void, undefined> {
  const file = fileSystem.open(path, 'read');
  try {
    yield* new SegmentDump(file).rows();
  } finally {
    file.close();
  }
}

class SegmentDump {
  readonly #file: File;
  readonly #size: number;
  readonly #frame: FrameHeader = blankFrameHeader();
  #tag = new PlaceTag(new Uint8Array(16));
  /** What the next frame must say, as far as it is known. */
  #link: number | undefined;
  #position: number | undefined;

  constructor(file: File) {
    this.#file = file;
    this.#size = file.size();
  }

  *rows(): Generator<DumpRow, void, undefined> {
    const bytes = this.#read(0, SEGMENT_HEADER_SIZE);
    const header = decodeSegmentHeader(bytes);
    const footer = this.#readFooter();
    const place = { kind: 'header', offset: 0, size: bytes.length, fileSize: this.#size } as const;
    // A frame that the salt fits proves it, so the salt of a damaged header is worth a try.
    let salt: Uint8Array = bytes.subarray(24, 40);
    if (isRefusal(header)) {
      salt = footer.decoded?.salt ?? salt;
      yield { ...place, problems: [header.reason] };
    } else {
      this.#link = segmentHeaderCrc(header);
      this.#position = header.firstPosition;
      const { index, firstPosition } = header;
      const store = Buffer.from(header.identity).toString('hex');
      yield { ...place, store, index, firstPosition, problems: [] };
    }
    if (salt.length < 16) {
      return;
    }
    this.#tag = new PlaceTag(salt);
    yield* this.#frames(footer.framesEnd);
    if (footer.row !== undefined) {
      yield this.#checkFooter(footer.row, footer.decoded, salt);
    }
  }

  *#frames(end: number): Generator<DumpRow, void, undefined> {
    let offset = SEGMENT_HEADER_SIZE;
    while (offset < end) {
      const header = this.#read(offset, FRAME_HEADER_SIZE);
      this.#tag.compute(offset);
      if (decodeFrameHeader(header, viewOf(header), 0, this.#tag, this.#frame)) {
        const size = Math.min(frameSizeOf(this.#frame.bodySize), end - offset);
        yield* this.#dumpFrame(offset, size);
        offset += size;
      } else {
        const refusedFor = this.#frame.refusal?.reason;
        const gap = this.#measureGap(offset, end);
        yield* this.#dumpGap(offset, gap.contentEnd, refusedFor);
        if (gap.end > gap.contentEnd) {
          yield { kind: 'zeros', offset: gap.contentEnd, size: gap.end - gap.contentEnd };
        }
        if (gap.end < end) {
          this.#link = undefined;
          this.#position = undefined;
        }
        offset = gap.end;
      }
    }
  }

  *#dumpFrame(offset: number, size: number): Generator<DumpRow, void, undefined> {
    const { bodySize, count, firstPosition, durable, link, crc } = this.#frame;
    const bytes = this.#read(offset, size);
    const view = viewOf(bytes);
    const problems: string[] = [];
    const isWhole = size === frameSizeOf(bodySize);
    const isIntact = isWhole && frameBodyIsIntact(bytes, view, 0, bodySize);
    if (!isWhole) {
      problems.push('the file ends inside the frame');
    } else if (!isIntact) {
      problems.push('the body does not match its checksum');
    }
    const isLinked = this.#link === undefined ? undefined : link === this.#link;
    if (isLinked === false) {
      problems.push('it does not follow the frame before it');
    }
    if (this.#position !== undefined && firstPosition !== this.#position) {
      problems.push(`it begins with position ${firstPosition} instead of ${this.#position}`);
    }
    const facts = { offset, size, firstPosition, count, durable, isIntact, problems };
    yield { kind: 'frame', ...facts, ...(isLinked === undefined ? {} : { isLinked }) };
    this.#link = crc;
    this.#position = firstPosition + count;
    const bodyEnd = Math.min(FRAME_HEADER_SIZE + bodySize, size);
    const range = { start: FRAME_HEADER_SIZE, startMax: bodyEnd, end: bodyEnd };
    yield* recordsIn(bytes, range, offset, true);
  }

  /** Bytes that are no frame: what they may have been, and the records that can be made out in them. */
  *#dumpGap(
    offset: number,
    contentEnd: number,
    refusedFor: string | undefined,
  ): Generator<DumpRow, void, undefined> {
    if (contentEnd === offset) {
      return;
    }
    const size = contentEnd - offset;
    const isTorn = this.#read(offset, 4).toString('latin1') === 'VFRM';
    const reason =
      refusedFor ??
      (isTorn
        ? 'a frame header that is damaged, or of another place'
        : 'no frame header stands here');
    yield { kind: 'damage', offset, size, problems: [reason] };
    // In windows, each read with room for a record that begins at its very end.
    let at = offset + FRAME_HEADER_SIZE;
    while (at < contentEnd) {
      const bytes = this.#read(at, Math.min(contentEnd - at + FRAME_ALIGNMENT, 2 * WINDOW_SIZE));
      const range = { start: 0, startMax: WINDOW_SIZE, end: bytes.length };
      at += yield* recordsIn(bytes, range, at, false);
    }
  }

  /** Where the next frame header stands behind `offset`, and where the last byte before it that isn't zero ends. */
  #measureGap(offset: number, end: number): { contentEnd: number; end: number } {
    const probe: FrameHeader = { ...this.#frame };
    let contentEnd = offset;
    for (let start = offset; start < end; start += SCAN_STEP) {
      const bytes = this.#read(start, SCAN_STEP + FRAME_HEADER_SIZE);
      const view = viewOf(bytes);
      const stop = Math.min(SCAN_STEP, end - start, bytes.length);
      for (let at = 0; at < stop; at += FRAME_ALIGNMENT) {
        const wordEnd = Math.min(at + FRAME_ALIGNMENT, bytes.length);
        if (firstNonZero(bytes, at, wordEnd) === wordEnd) {
          continue;
        }
        this.#tag.compute(start + at);
        if (
          start + at > offset &&
          at + FRAME_HEADER_SIZE <= bytes.length &&
          decodeFrameHeader(bytes, view, at, this.#tag, probe)
        ) {
          return { contentEnd, end: start + at };
        }
        contentEnd = Math.min(start + wordEnd, end);
      }
    }
    return { contentEnd, end };
  }

  /** The footer, if one stands at the end of the file, and where the frames before it end. */
  #readFooter(): {
    readonly decoded: SegmentFooter | undefined;
    readonly framesEnd: number;
    readonly row: Extract<DumpRow, { kind: 'footer' }> | undefined;
  } {
    const offset = this.#size - SEGMENT_FOOTER_SIZE;
    if (offset < SEGMENT_HEADER_SIZE) {
      return { decoded: undefined, framesEnd: this.#size, row: undefined };
    }
    const bytes = this.#read(offset, SEGMENT_FOOTER_SIZE);
    const footer = decodeSegmentFooter(bytes);
    const place = { kind: 'footer', offset, size: SEGMENT_FOOTER_SIZE } as const;
    if (!isRefusal(footer)) {
      const { firstPosition, count, frameCount } = footer;
      const row = { ...place, firstPosition, count, frameCount, problems: [] };
      return { decoded: footer, framesEnd: Math.min(footer.framesEnd, offset), row };
    }
    if (bytes.toString('latin1', 0, 4) === 'VEND') {
      const row = { ...place, problems: [footer.reason] };
      return { decoded: undefined, framesEnd: offset, row };
    }
    return { decoded: undefined, framesEnd: this.#size, row: undefined };
  }

  #checkFooter(
    row: Extract<DumpRow, { kind: 'footer' }>,
    footer: SegmentFooter | undefined,
    salt: Uint8Array,
  ): DumpRow {
    if (footer === undefined) {
      return row;
    }
    const problems: string[] = [];
    const tableSize = footer.count * 4;
    if (!sameBytes(footer.salt, salt) || footer.framesEnd + tableSize !== row.offset) {
      problems.push('it belongs to another segment');
    } else {
      const table = this.#read(footer.framesEnd, tableSize);
      if (crc32(table, 0, table.length) !== footer.offsetsCrc) {
        problems.push('the offset table does not match its checksum');
      }
    }
    if (this.#link !== undefined && footer.lastLink !== this.#link) {
      problems.push('it does not follow the last frame');
    }
    return { ...row, problems };
  }

  #read(offset: number, size: number): Buffer {
    const bytes = Buffer.alloc(Math.max(0, Math.min(size, this.#size - offset)));
    return bytes.subarray(0, readInto(this.#file, bytes, offset));
  }
}

interface RecordRange {
  readonly start: number;
  /** Records that begin here or behind are left alone. */
  readonly startMax: number;
  readonly end: number;
}

/**
 * The records of a range of `bytes`, which were read from `base` on. Behind bytes that are no record it goes on with the
 * next that its own checksum confirms; `tellsDamage` says whether those bytes get a row. Returns where it ended.
 */
function* recordsIn(
  bytes: Buffer,
  { start, startMax, end }: RecordRange,
  base: number,
  tellsDamage: boolean,
): Generator<DumpRow, number, undefined> {
  const view = viewOf(bytes);
  const record = new RecordView();
  const last = Math.min(startMax, end);
  let at = start;
  while (at < last) {
    const problem = record.open(bytes, view, at, end);
    if (problem === undefined) {
      yield recordRow(record, base + at);
      at = record.end;
      continue;
    }
    const from = at;
    at += 1;
    while (at < last && !isRecord(record, bytes, view, at, end)) {
      at += 1;
    }
    if (tellsDamage) {
      yield { kind: 'damage', offset: base + from, size: at - from, problems: [problem] };
    }
  }
  return at;
}

function isRecord(
  record: RecordView,
  bytes: Buffer,
  view: DataView,
  at: number,
  end: number,
): boolean {
  return record.open(bytes, view, at, end) === undefined && checkCrc(record) === undefined;
}

const contentNames = {
  [ContentType.none]: 'none',
  [ContentType.json]: 'json',
  [ContentType.bytes]: 'bytes',
} as const;

function recordRow(record: RecordView, offset: number): DumpedRecord {
  const crcProblem = checkCrc(record);
  const problems = crcProblem === undefined ? [] : [crcProblem];
  if (!record.isErased && !sameBytes(sha256(record.digestInput), record.digest)) {
    problems.push('the payload does not match its digest');
  }
  const { idempotencyScope, idempotencyKey, isErased } = record;
  const isPlainJson = record.contentType === ContentType.json && record.codec === 0 && !isErased;
  return {
    kind: 'record',
    offset,
    size: record.end - record.start,
    position: record.position,
    stream: record.stream,
    revision: record.revision,
    type: record.type,
    id: eventIdOf(record),
    time: record.time,
    content: contentNames[record.contentType as 0 | 1 | 2],
    payloadSize: record.payloadSize,
    ...(idempotencyKey === '' ? {} : { idempotencyKey }),
    ...(idempotencyScope === '' ? {} : { idempotencyScope }),
    ...(isErased ? { isErased: true as const } : {}),
    ...(isPlainJson ? { preview: record.payload.toString('utf8', 0, PREVIEW_LENGTH_MAX) } : {}),
    problems,
  };
}
