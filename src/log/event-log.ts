/**
 * The log as a reader sees it: where each position lies, and the record there. Finding a place is arithmetic: a binary search over segments,
 * then the offset itself in the segment being written, and in a sealed one the nearest offset that is kept, from which the read walks
 * (`record-search.ts`). Reading one event is one read.
 */
import { firstIndexWhere } from '../base/binary-search.ts';
import { assert } from '../base/assert.ts';
import { CorruptionError } from '../base/errors.ts';
import { isRefusal, refused } from '../base/refusal.ts';
import type { File, FileSystem } from '../io/file-system.ts';
import { joinPath } from '../io/path.ts';
import { readInto, readIntoAsync } from '../io/read-into.ts';
import {
  decodeSegmentHeader,
  FRAME_HEADER_SIZE,
  SEGMENT_FOOTER_SIZE,
  SEGMENT_HEADER_SIZE,
  segmentHeaderCrc,
  segmentName,
} from '../journal/format.ts';
import { FrameWalker } from '../journal/frame-walker.ts';
import { OffsetTable } from '../journal/offset-table.ts';
import type { RecoveredSegment } from '../journal/recovery.ts';
import { SparseOffsets } from '../journal/sparse-offsets.ts';
import type { LogRange } from './log-range.ts';
import { ReadBuffer, RecordSearch } from './record-search.ts';
import { RecordView } from './record-view.ts';

/** One segment as the reader knows it. */
interface SegmentEntry {
  readonly firstPosition: number;
  readonly path: string;
  /** All of them until the segment has a footer, then every 16th. */
  offsets: OffsetTable | SparseOffsets;
  /** Where a sealed segment's offset table begins, once that is known. */
  tableAt: number | undefined;
}

/** A file of the log that is kept open. */
interface OpenSegment {
  readonly file: File;
  /** Asynchronous reads that have not ended: the file is closed after the last. */
  readerCount: number;
  isReleased: boolean;
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

export class EventLog {
  readonly directory: string;
  readonly #identity: Uint8Array;
  readonly #fileSystem: FileSystem;
  readonly #openFilesMax: number;
  readonly #segments: SegmentEntry[];
  #newestOffsets: OffsetTable | undefined;
  /** Handles for reading single records, least recently used first. */
  readonly #files = new Map<SegmentEntry, OpenSegment>();
  #isClosed = false;
  readonly #buffer = new ReadBuffer();

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
    this.#segments = segments.map(({ header, path, offsets, isSealed, framesEnd }) => ({
      firstPosition: header.firstPosition,
      path,
      offsets,
      tableAt: isSealed ? framesEnd : undefined,
    }));
    const newest = segments.at(-1)?.offsets;
    this.#newestOffsets = newest instanceof OffsetTable ? newest : undefined;
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
    const { offsets } = segment;
    assert(offsets instanceof OffsetTable, 'offsets of what is in flight are in memory');
    return offsets.at(position - segment.firstPosition);
  }

  /** The segment's footer is on disk and holds all offsets: few of them stay in memory. */
  sealed(firstPosition: number): void {
    const segment = this.#segments.find((entry) => entry.firstPosition === firstPosition);
    assert(segment !== undefined, 'a sealed segment is known');
    const { offsets } = segment;
    assert(offsets instanceof OffsetTable, 'a segment is sealed once');
    segment.offsets = SparseOffsets.fromTable(offsets);
  }

  /** True if this segment has a footer. */
  isSealed(firstPosition: number): boolean {
    const segment = this.#segments.find((entry) => entry.firstPosition === firstPosition);
    return segment?.offsets instanceof SparseOffsets;
  }

  /**
   * Points `record` to the record at a durable position, checked: place, header CRC and, unless told otherwise, payload digest. It is valid
   * until the next call.
   */
  readRecord(position: number, record: RecordView, checksDigest = true): void {
    const segment = this.#segmentOf(position);
    const { file } = this.#fileOf(segment);
    const what = { position, checksDigest };
    const tableAt = this.#tableOf(segment, file);
    const search = new RecordSearch(segment, tableAt, this.#buffer, record, what).run();
    let step = search.next(0);
    while (step.done !== true) {
      step = search.next(readInto(file, step.value.target, step.value.offset));
    }
  }

  /** Does what `readRecord` does without blocking. The record stays valid as long as `buffer`, which is nobody else's, is left alone. */
  async readRecordAsync(
    position: number,
    record: RecordView,
    checksDigest = true,
    buffer: ReadBuffer = new ReadBuffer(),
  ): Promise<void> {
    const segment = this.#segmentOf(position);
    const open = this.#fileOf(segment);
    const { file } = open;
    const what = { position, checksDigest };
    const tableAt = this.#tableOf(segment, file);
    open.readerCount += 1;
    try {
      const search = new RecordSearch(segment, tableAt, buffer, record, what).run();
      let step = search.next(0);
      while (step.done !== true) {
        step = search.next(await readIntoAsync(file, step.value.target, step.value.offset));
      }
    } finally {
      open.readerCount -= 1;
      closeIfUnused(open);
    }
  }

  /** Frames in order, beginning with the one that holds `position`, which must be durable. */
  framesFrom(position: number): FrameSource {
    const record = new RecordView();
    // Only where its commit begins is of interest: who goes through the frames checks what is in them.
    this.readRecord(position, record, false);
    const first = position - record.commitIndex;
    if (first !== position) {
      this.readRecord(first, record, false);
    }
    const offset = record.fileOffset - FRAME_HEADER_SIZE;
    const walk = this.#walk(this.#segmentOf(first), { offset, position: first, link: undefined });
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
        isSealed: segment.offsets instanceof SparseOffsets,
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
    for (const open of this.#files.values()) {
      open.isReleased = true;
      closeIfUnused(open);
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
      size: () => this.#fileOf(segment).file.size(),
      read: (target: Uint8Array, offset: number) => this.#fileOf(segment).file.read(target, offset),
    };
    const bytes = new Uint8Array(SEGMENT_HEADER_SIZE);
    const header = decodeSegmentHeader(bytes.subarray(0, readInto(file, bytes, 0)));
    if (isRefusal(header)) {
      throw refused(path, 0, header, start.position);
    }
    const link = 'link' in start ? undefined : segmentHeaderCrc(header);
    return { path, walker: new FrameWalker(file, header.salt, { ...start, link }) };
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

  /** Where the offset table of a sealed segment begins: it ends where the footer begins, at the end of the file. -1 if there is none. */
  #tableOf(segment: SegmentEntry, file: File): number {
    if (segment.tableAt !== undefined || segment.offsets instanceof OffsetTable) {
      return segment.tableAt ?? -1;
    }
    const successor = this.#segments[this.#segments.indexOf(segment) + 1];
    assert(successor !== undefined, 'a sealed segment has a successor');
    const count = successor.firstPosition - segment.firstPosition;
    const size = file.size();
    const at = size - SEGMENT_FOOTER_SIZE - count * 4;
    if (at < SEGMENT_HEADER_SIZE) {
      throw new CorruptionError(segment.path, size, 'the offset table is cut short');
    }
    segment.tableAt = at;
    return at;
  }

  #fileOf(segment: SegmentEntry): OpenSegment {
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
    const open = { file, readerCount: 0, isReleased: false };
    this.#files.set(segment, open);
    if (this.#files.size > this.#openFilesMax) {
      const [oldest] = this.#files;
      this.#files.delete(oldest![0]);
      oldest![1].isReleased = true;
      closeIfUnused(oldest![1]);
    }
    return open;
  }
}

function closeIfUnused(open: OpenSegment): void {
  if (open.isReleased && open.readerCount === 0) {
    open.file.close();
  }
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
