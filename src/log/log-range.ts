/**
 * A stretch of the log, to be read where its owner isn't: on a background thread, which reads the files itself. Both ends are borders of
 * commits, and all of it is durable. Segments may be sealed and new ones begun meanwhile: no frame moves by that.
 */
import { CorruptionError, type VarveError } from '../base/errors.ts';
import { refused } from '../base/refusal.ts';
import type { File, FileSystem } from '../io/file-system.ts';
import { joinPath } from '../io/path.ts';
import {
  FRAME_HEADER_SIZE,
  SEGMENT_HEADER_SIZE,
  type SegmentHeader,
  segmentHeaderCrc,
  segmentName,
} from '../journal/format.ts';
import { FrameWalker } from '../journal/frame-walker.ts';
import { readSegmentHeader } from '../journal/segment-scan.ts';
import { checkCrc, checkPlace } from './log-encoder.ts';
import { RecordView } from './record-view.ts';

/** Plain data that can be cloned. */
export interface LogRange {
  /** The log's. */
  readonly directory: string;
  /** Of the store, 16 bytes. */
  readonly identity: Uint8Array;
  /** First position of the segment that holds `from`. */
  readonly segment: number;
  /** Where the frame that begins with `from` lies in it. */
  readonly offset: number;
  /** The first position. */
  readonly from: number;
  /** The position after the last one. */
  readonly to: number;
}

/** Bytes of records between two turns of others. */
const TURN_SIZE = 256 * 1024;
const READ_SIZE = 512 * 1024;

/**
 * Every record of a range in order, checked as an open checks them, but for what only all records before them tell: segment headers, places,
 * links, checksums, structure, times; not payload digests. The one view is reused. Undefined lets others go first. Ends exactly at the range's
 * end, or throws: `CORRUPT` with file, offset and position for damage.
 */
export function* recordsOf(
  fileSystem: FileSystem,
  range: LogRange,
): Generator<RecordView | undefined, void, undefined> {
  const reader = new RangeReader(fileSystem, range);
  let turnSize = 0;
  try {
    while (reader.next()) {
      const { record } = reader;
      turnSize += record.end - record.start;
      yield record;
      if (turnSize >= TURN_SIZE) {
        turnSize = 0;
        yield undefined;
      }
    }
  } finally {
    reader.close();
  }
}

/** The segment that is being read. */
interface OpenSegment {
  readonly file: File;
  readonly header: SegmentHeader;
  readonly walker: FrameWalker;
}

class RangeReader {
  readonly record = new RecordView();
  readonly #fileSystem: FileSystem;
  readonly #range: LogRange;
  #segment: OpenSegment | undefined;
  #position: number;
  /** In the walker's bytes: where the next record of the frame begins, and where the frame's body ends. */
  #at = 0;
  #end = 0;
  /** Records of the frame that were given, and how many it holds. */
  #index = 0;
  #count = 0;
  #lastTime = 0;

  constructor(fileSystem: FileSystem, range: LogRange) {
    this.#fileSystem = fileSystem;
    this.#range = range;
    this.#position = range.from;
  }

  /** Points `record` to the next one. False after the last. */
  next(): boolean {
    if (this.#index === this.#count) {
      if (this.#position >= this.#range.to) {
        return false;
      }
      this.#nextFrame();
    }
    const { record } = this;
    const { walker } = this.#segment!;
    const at = this.#at;
    const problem =
      record.open(walker.bytes, walker.view, at, this.#end) ??
      checkPlace(record, walker.frame, this.#index) ??
      checkCrc(record) ??
      this.#timeProblem();
    if (problem !== undefined) {
      throw this.#damageAt(walker.frameOffset + at - walker.at, problem);
    }
    record.fileOffset = walker.frameOffset + at - walker.at;
    this.#lastTime = record.time;
    this.#at = record.end;
    this.#index += 1;
    if (this.#index === this.#count && this.#at !== this.#end) {
      throw this.#damageAt(walker.frameOffset, 'the frame holds more than its records');
    }
    this.#position += 1;
    return true;
  }

  close(): void {
    this.#segment?.file.close();
    this.#segment = undefined;
  }

  #timeProblem(): string | undefined {
    const { time } = this.record;
    if (time < this.#lastTime) {
      return 'the event was recorded before the one in front of it';
    }
    return this.#index > 0 && time !== this.#lastTime
      ? 'the event has another time than its commit'
      : undefined;
  }

  #nextFrame(): void {
    this.#segment ??= this.#openFirst();
    while (!this.#segment.walker.next()) {
      const { walker } = this.#segment;
      if (walker.refusal !== undefined) {
        throw refused(this.#segment.file.path, walker.end, walker.refusal, walker.position);
      }
      this.#segment = this.#openNext(this.#segment);
    }
    const { walker } = this.#segment;
    const { frame } = walker;
    if (this.#position + frame.count > this.#range.to) {
      const reason = `no commit ends at position ${this.#range.to}`;
      throw this.#damageAt(walker.frameOffset, reason);
    }
    this.record.file = this.#segment.file.path;
    this.#at = walker.at + FRAME_HEADER_SIZE;
    this.#end = this.#at + frame.bodySize;
    this.#index = 0;
    this.#count = frame.count;
  }

  #openFirst(): OpenSegment {
    const { segment, offset, from } = this.#range;
    const path = this.#pathOf(segment);
    if (this.#fileSystem.stat(path) === undefined) {
      throw new CorruptionError(path, undefined, 'the segment is missing', undefined, from);
    }
    return this.#open(segment, offset);
  }

  /** The segment after the one that ended. Throws if none follows: the frame that should stand there is damaged. */
  #openNext({ file, header, walker }: OpenSegment): OpenSegment {
    const { position } = walker;
    const path = this.#pathOf(position);
    // A segment holds a frame, so none is its own successor.
    const isEmpty = position === header.firstPosition;
    if (isEmpty || this.#fileSystem.stat(path) === undefined) {
      throw this.#damageAt(walker.end, walker.stop);
    }
    const link = walker.link;
    file.close();
    this.#segment = undefined;
    const next = this.#open(position, SEGMENT_HEADER_SIZE);
    if (next.header.index !== header.index + 1 || next.header.link !== link) {
      next.file.close();
      const reason = 'the segment does not follow the one before it';
      throw new CorruptionError(path, 40, reason, undefined, position);
    }
    return next;
  }

  #open(firstPosition: number, offset: number): OpenSegment {
    const { directory, identity } = this.#range;
    const header = readSegmentHeader(this.#fileSystem, directory, firstPosition, identity);
    const file = this.#fileSystem.open(this.#pathOf(firstPosition), 'read');
    const link = offset === SEGMENT_HEADER_SIZE ? segmentHeaderCrc(header) : undefined;
    const start = { offset, position: this.#position, link };
    return { file, header, walker: new FrameWalker(file, header.salt, start, READ_SIZE) };
  }

  #pathOf(firstPosition: number): string {
    return joinPath(this.#range.directory, segmentName(firstPosition));
  }

  #damageAt(offset: number, reason: string): VarveError {
    return new CorruptionError(this.#segment!.file.path, offset, reason, undefined, this.#position);
  }
}
