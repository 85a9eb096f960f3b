/**
 * The log as a reader sees it: where each position lies, and the record there. Finding a place is arithmetic: a binary
 * search over segments, then one entry of the segment's offset table, in memory while the segment is being written and in
 * its footer afterwards. Reading one event reads that event.
 */
import { firstIndexWhere } from '../base/binary-search.ts';
import { assert } from '../base/assert.ts';
import { CorruptionError } from '../base/errors.ts';
import { viewOf } from '../base/integers.ts';
import { limits } from '../base/limits.ts';
import type { File, FileSystem } from '../io/file-system.ts';
import { joinPath } from '../io/path.ts';
import { readInto } from '../io/read-into.ts';
import {
  decodeSegmentHeader,
  FRAME_HEADER_SIZE,
  SEGMENT_FOOTER_SIZE,
  SEGMENT_HEADER_SIZE,
  segmentHeaderCrc,
  segmentName,
} from '../journal/format.ts';
import { isRefusal, refused } from '../base/refusal.ts';
import { FrameWalker } from '../journal/frame-walker.ts';
import { OffsetTable } from '../journal/offset-table.ts';
import type { RecoveredSegment } from '../journal/recovery.ts';
import { recordSizeAt } from './format.ts';
import { checkCrc, checkDigest } from './log-encoder.ts';
import type { LogRange } from './log-range.ts';
import { RecordView } from './record-view.ts';

/** One segment as the reader knows it. */
interface SegmentEntry {
  readonly firstPosition: number;
  readonly path: string;
  /** In memory until the footer holds them. */
  offsets: OffsetTable | undefined;
  /** Where they are in the file, once it has been looked up. */
  tableAt: number | undefined;
}

export interface SegmentSummaryInfo {
  readonly path: string;
  readonly firstPosition: number;
  /** Durable events in it. */
  readonly count: number;
  readonly isSealed: boolean;
  /** Bytes of the file, zeros ahead of the tail included. */
  readonly size: number;
}

const READ_SIZE_FIRST = 4 * 1024;

export class EventLog {
  readonly directory: string;
  readonly #identity: Uint8Array;
  readonly #fileSystem: FileSystem;
  readonly #openFilesMax: number;
  readonly #segments: SegmentEntry[];
  #newestOffsets: OffsetTable | undefined;
  /** Handles for reading single records, least recently used first. */
  readonly #files = new Map<SegmentEntry, File>();
  #isClosed = false;
  #buffer = Buffer.allocUnsafe(READ_SIZE_FIRST);
  #view = viewOf(this.#buffer);
  readonly #word = Buffer.allocUnsafe(4);

  constructor(
    fileSystem: FileSystem,
    { directory, identity }: { readonly directory: string; readonly identity: Uint8Array },
    segments: readonly RecoveredSegment[],
    openFilesMax: number,
  ) {
    this.#fileSystem = fileSystem;
    this.directory = directory;
    this.#identity = identity;
    this.#openFilesMax = openFilesMax;
    this.#segments = segments.map(({ header, path, offsets }) => ({
      firstPosition: header.firstPosition,
      path,
      offsets,
      tableAt: undefined,
    }));
    this.#newestOffsets = this.#segments.at(-1)?.offsets;
  }

  get segmentCount(): number {
    return this.#segments.length;
  }

  /** Notes where the next record of the newest segment will lie. */
  addOffset(fileOffset: number): void {
    const offsets = this.#newestOffsets;
    assert(offsets !== undefined, 'the newest segment has its offsets in memory');
    offsets.push(fileOffset);
  }

  /** From now on records go to a new segment. */
  beginSegment(firstPosition: number): void {
    const path = joinPath(this.directory, segmentName(firstPosition));
    const offsets = new OffsetTable();
    this.#segments.push({ firstPosition, path, offsets, tableAt: undefined });
    this.#newestOffsets = offsets;
  }

  /** Where a record lies, or will lie, in a segment that is not sealed yet. */
  offsetInMemory(position: number): number {
    const segment = this.#segmentOf(position);
    assert(segment.offsets !== undefined, 'offsets of what is in flight are in memory');
    return segment.offsets.at(position - segment.firstPosition);
  }

  /** The segment's footer is on disk: its offsets are looked up there. */
  sealed(firstPosition: number): void {
    const segment = this.#segments.find((entry) => entry.firstPosition === firstPosition);
    assert(segment !== undefined, 'a sealed segment is known');
    segment.offsets = undefined;
  }

  /** True if the offsets of this segment are looked up in its footer. */
  isSealed(firstPosition: number): boolean {
    const segment = this.#segments.find((entry) => entry.firstPosition === firstPosition);
    return segment !== undefined && segment.offsets === undefined;
  }

  /** Points `record` to the record at a durable position, checked: place, header CRC and, unless told otherwise, payload digest. */
  readRecord(position: number, record: RecordView, checksDigest = true): void {
    const segment = this.#segmentOf(position);
    const file = this.#fileOf(segment);
    const offset = this.#offsetOf(segment, file, position);
    let filled = readInto(file, this.#buffer.subarray(0, READ_SIZE_FIRST), offset);
    const size = filled >= READ_SIZE_FIRST ? recordSizeAt(this.#view, 0) : 0;
    if (size > filled && size <= limits.frameSizeMax) {
      this.#grow(size);
      filled = readInto(file, this.#buffer.subarray(0, size), offset);
    }
    const problem =
      record.open(this.#buffer, this.#view, 0, filled) ??
      checkCrc(record) ??
      checkPosition(record, position) ??
      (checksDigest ? checkDigest(record) : undefined);
    if (problem !== undefined) {
      throw new CorruptionError(segment.path, offset, problem, undefined, position);
    }
    record.file = segment.path;
    record.fileOffset = offset;
  }

  /** Frames in order, beginning with the one that holds `position`, which must be durable. */
  framesFrom(position: number): FrameSource {
    const record = new RecordView();
    // Only where its commit begins is of interest: who goes through the frames checks what is in them.
    this.readRecord(position, record, false);
    const first = position - record.commitIndex;
    const index = this.#indexOf(first);
    const segment = this.#segments[index]!;
    const offset = this.#offsetOf(segment, this.#fileOf(segment), first) - FRAME_HEADER_SIZE;
    const walk = this.#walk(segment, { offset, position: first, link: undefined });
    return new FrameSource((next) => this.#openWalk(next), walk);
  }

  /** The events from `from` to below `to`, both borders of commits and all durable, for `recordsOf` to read elsewhere. */
  rangeOf(from: number, to: number): LogRange {
    assert(from < to, 'a range holds an event');
    const record = new RecordView();
    this.readRecord(from, record, false);
    assert(record.commitIndex === 0, 'a range begins with a commit');
    return {
      directory: this.directory,
      identity: this.#identity,
      segment: this.#segmentOf(from).firstPosition,
      offset: record.fileOffset - FRAME_HEADER_SIZE,
      from,
      to,
    };
  }

  /** The smallest border of a commit at or behind `position`. Everything below `position` must be durable. */
  borderAtOrBehind(position: number): number {
    if (position === 0) {
      return 0;
    }
    const record = new RecordView();
    this.readRecord(position - 1, record, false);
    return position - 1 - record.commitIndex + record.commitCount;
  }

  /** What is known of each segment, oldest first. */
  describe(durable: number): SegmentSummaryInfo[] {
    const described: SegmentSummaryInfo[] = [];
    for (const [index, segment] of this.#segments.entries()) {
      const found = this.#fileSystem.stat(segment.path);
      if (segment.firstPosition >= durable && index > 0) {
        // It may be on its way: nothing in it is durable.
        continue;
      }
      if (found === undefined) {
        const { path, firstPosition } = segment;
        const reason = 'the segment is missing';
        throw new CorruptionError(path, undefined, reason, undefined, firstPosition);
      }
      const end = Math.min(durable, this.#segments[index + 1]?.firstPosition ?? durable);
      described.push({
        path: segment.path,
        firstPosition: segment.firstPosition,
        count: end - segment.firstPosition,
        isSealed: segment.offsets === undefined,
        size: found.size,
      });
    }
    return described;
  }

  /** Offset behind the last frame below the durable position, in the segment that holds it. */
  durableEnd(durable: number): { readonly path: string; readonly end: number } {
    if (durable === 0) {
      return { path: this.#segments[0]!.path, end: SEGMENT_HEADER_SIZE };
    }
    const record = new RecordView();
    this.readRecord(durable - 1, record);
    const first = durable - 1 - record.commitIndex;
    const source = this.framesFrom(first);
    assert(source.next(), 'a durable frame is there');
    return { path: source.path, end: source.walker.end };
  }

  close(): void {
    this.#isClosed = true;
    for (const file of this.#files.values()) {
      file.close();
    }
    this.#files.clear();
  }

  #openWalk(firstPosition: number): SegmentWalk | undefined {
    const segment = this.#segments.find((entry) => entry.firstPosition === firstPosition);
    if (segment === undefined) {
      return undefined;
    }
    return this.#walk(segment, { offset: SEGMENT_HEADER_SIZE, position: firstPosition });
  }

  #walk(
    segment: SegmentEntry,
    start: { offset: number; position: number; link?: undefined },
  ): SegmentWalk {
    const { path } = segment;
    // A read may be begun and left: it has no file of its own, and finds the log's own again whenever it goes on.
    const file = {
      size: () => this.#fileOf(segment).size(),
      read: (target: Uint8Array, offset: number) => this.#fileOf(segment).read(target, offset),
    };
    const bytes = new Uint8Array(SEGMENT_HEADER_SIZE);
    const header = decodeSegmentHeader(bytes.subarray(0, readInto(file, bytes, 0)));
    if (isRefusal(header)) {
      throw refused(path, 0, header, start.position);
    }
    const link = 'link' in start ? undefined : segmentHeaderCrc(header);
    return { path, walker: new FrameWalker(file, header.salt, { ...start, link }) };
  }

  #grow(size: number): void {
    if (size > this.#buffer.length) {
      this.#buffer = Buffer.allocUnsafe(size);
      this.#view = viewOf(this.#buffer);
    }
  }

  #indexOf(position: number): number {
    const segments = this.#segments;
    const next = firstIndexWhere(
      segments.length,
      (index) => segments[index]!.firstPosition > position,
    );
    return Math.max(0, next - 1);
  }

  #segmentOf(position: number): SegmentEntry {
    return this.#segments[this.#indexOf(position)]!;
  }

  #offsetOf(segment: SegmentEntry, file: File, position: number): number {
    const index = position - segment.firstPosition;
    if (segment.offsets !== undefined) {
      return segment.offsets.at(index);
    }
    segment.tableAt ??= this.#findTable(segment, file);
    const at = segment.tableAt + index * 4;
    if (readInto(file, this.#word, at) !== 4) {
      const reason = 'the offset table is cut short';
      throw new CorruptionError(segment.path, at, reason, undefined, position);
    }
    return this.#word.readUInt32LE(0);
  }

  /** Where the offset table of a sealed segment begins: it ends where the footer begins, at the end of the file. */
  #findTable(segment: SegmentEntry, file: File): number {
    const successor = this.#segments[this.#segments.indexOf(segment) + 1];
    assert(successor !== undefined, 'a sealed segment has a successor');
    const count = successor.firstPosition - segment.firstPosition;
    const size = file.size();
    const at = size - SEGMENT_FOOTER_SIZE - count * 4;
    if (at < SEGMENT_HEADER_SIZE) {
      throw new CorruptionError(segment.path, size, 'the offset table is cut short');
    }
    return at;
  }

  #fileOf(segment: SegmentEntry): File {
    assert(!this.#isClosed, 'a closed log opens no files');
    const cached = this.#files.get(segment);
    if (cached !== undefined) {
      if (this.#files.size > 1) {
        this.#files.delete(segment);
        this.#files.set(segment, cached);
      }
      return cached;
    }
    const file = this.#fileSystem.open(segment.path, 'read');
    this.#files.set(segment, file);
    if (this.#files.size > this.#openFilesMax) {
      const [oldest] = this.#files;
      oldest![1].close();
      this.#files.delete(oldest![0]);
    }
    return file;
  }
}

function checkPosition(record: RecordView, position: number): string | undefined {
  return record.position === position
    ? undefined
    : `the event at position ${record.position} stands where position ${position} belongs`;
}

interface SegmentWalk {
  readonly path: string;
  readonly walker: FrameWalker;
}

/** Frames of consecutive segments. Holds one buffer, and nothing that must be given back. */
export class FrameSource {
  readonly #open: (firstPosition: number) => SegmentWalk | undefined;
  #current: SegmentWalk;

  constructor(open: (firstPosition: number) => SegmentWalk | undefined, first: SegmentWalk) {
    this.#open = open;
    this.#current = first;
  }

  get walker(): FrameWalker {
    return this.#current.walker;
  }

  get path(): string {
    return this.#current.path;
  }

  /** Moves to the next frame. The caller knows that there is one: it is durable. */
  next(): boolean {
    if (this.walker.next()) {
      return true;
    }
    const { position, end, stop } = this.walker;
    const following = this.#open(position);
    if (following === undefined) {
      throw new CorruptionError(this.path, end, stop, undefined, position);
    }
    this.#current = following;
    if (!this.walker.next()) {
      throw new CorruptionError(
        this.path,
        this.walker.end,
        this.walker.stop,
        undefined,
        this.walker.position,
      );
    }
    return true;
  }
}
