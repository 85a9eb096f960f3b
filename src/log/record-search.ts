/**
 * Finding one record in a segment. Of a segment that is being written every offset is in memory, of a sealed one every 16th: the span from
 * that one to the next is read at once and walked, record by record.
 *
 *   offset in memory                                 the next one in memory
 *   | record | record | CRC | frame header | record wanted | record | … |
 *
 * Sizes in the span may lie: what is found must say the position that is asked for. Where that fails, the segment's own offset table is
 * asked, so that one damaged record doesn't make its neighbours unreadable.
 */
import { CorruptionError } from '../base/errors.ts';
import { align8, readUint48, viewOf } from '../base/integers.ts';
import { limits } from '../base/limits.ts';
import { FRAME_HEADER_SIZE, FRAME_TRAILER_SIZE } from '../journal/format.ts';
import type { OffsetTable } from '../journal/offset-table.ts';
import { SPARSE_STEP, type SparseOffsets } from '../journal/sparse-offsets.ts';
import { HEADER_FIXED_SIZE, HeaderAt, RECORD_PREFIX_SIZE, recordSizeAt } from './format.ts';
import { checkCrc, checkDigest } from './log-encoder.ts';
import type { RecordView } from './record-view.ts';

/** One read that a search asks for: it is answered with the number of bytes. */
export interface SearchRead {
  readonly target: Uint8Array;
  readonly offset: number;
}

export interface SearchedSegment {
  readonly path: string;
  readonly firstPosition: number;
  readonly offsets: OffsetTable | SparseOffsets;
}

/** Memory that records are read into. */
export class ReadBuffer {
  bytes: Buffer = Buffer.alloc(0);
  view: DataView = viewOf(this.bytes);

  /** Room for `size` bytes, from the beginning of `bytes` on. What was there is gone. */
  room(size: number): Buffer {
    if (size > this.bytes.length) {
      this.bytes = Buffer.allocUnsafe(size);
      this.view = viewOf(this.bytes);
    }
    return this.bytes.subarray(0, size);
  }
}

/** What is read where only the beginning of a record is known: most records are smaller. */
const READ_SIZE_FIRST = 4 * 1024;
/** A span of larger records isn't worth reading: their offsets are looked up. */
const SPAN_SIZE_MAX = 64 * 1024;

/** Points a record to the one at `position`, checked: place, header CRC and, if `checksDigest`, payload digest. Throws `CORRUPT`. */
export class RecordSearch {
  readonly #segment: SearchedSegment;
  /** Where the segment's offset table begins in its file; -1 if it has none. */
  readonly #tableAt: number;
  readonly #buffer: ReadBuffer;
  readonly #record: RecordView;
  readonly #position: number;
  readonly #checksDigest: boolean;

  constructor(
    segment: SearchedSegment,
    tableAt: number,
    buffer: ReadBuffer,
    record: RecordView,
    { position, checksDigest }: { readonly position: number; readonly checksDigest: boolean },
  ) {
    this.#segment = segment;
    this.#tableAt = tableAt;
    this.#buffer = buffer;
    this.#record = record;
    this.#position = position;
    this.#checksDigest = checksDigest;
  }

  *run(): Generator<SearchRead, void, number> {
    const { offsets, firstPosition } = this.#segment;
    const index = this.#position - firstPosition;
    if (!('startOf' in offsets)) {
      yield* this.#readAt(offsets.at(index));
      return;
    }
    const skipped = index % SPARSE_STEP;
    const start = offsets.startOf(index);
    if (skipped === 0) {
      yield* this.#readAt(start);
      return;
    }
    const size = (offsets.endOf(index) ?? this.#tableAt) - start;
    if (size > 0 && size <= SPAN_SIZE_MAX) {
      const filled = yield { target: this.#buffer.room(size), offset: start };
      const at = this.#walk(start, filled, skipped);
      if (at !== undefined && this.#problemAt(at, filled) === undefined) {
        this.#take(start + at);
        return;
      }
    }
    yield* this.#readAt(yield* this.#lookUp(index));
  }

  /** Where the record begins that follows `skipped` others; undefined if the bytes are not what they should be. */
  #walk(start: number, filled: number, skipped: number): number | undefined {
    const { view } = this.#buffer;
    const first = this.#position - skipped;
    let at = 0;
    for (let index = 0; index < skipped; index += 1) {
      const header = at + RECORD_PREFIX_SIZE;
      if (
        header + HEADER_FIXED_SIZE > filled ||
        readUint48(view, header + HeaderAt.position) !== first + index
      ) {
        return undefined;
      }
      at += recordSizeAt(view, at);
      if (at > filled) {
        return undefined;
      }
      const commitIndex = view.getUint16(header + HeaderAt.commitIndex, true);
      if (commitIndex + 1 === view.getUint16(header + HeaderAt.commitCount, true)) {
        at = align8(start + at + FRAME_TRAILER_SIZE) + FRAME_HEADER_SIZE - start;
      }
    }
    return at;
  }

  *#lookUp(index: number): Generator<SearchRead, number, number> {
    const at = this.#tableAt + index * 4;
    const filled = yield { target: this.#buffer.room(4), offset: at };
    if (filled !== 4) {
      throw this.#damageAt(at, 'the offset table is cut short');
    }
    return this.#buffer.view.getUint32(0, true);
  }

  *#readAt(offset: number): Generator<SearchRead, void, number> {
    const buffer = this.#buffer;
    let filled = yield { target: buffer.room(READ_SIZE_FIRST), offset };
    const size = filled >= READ_SIZE_FIRST ? recordSizeAt(buffer.view, 0) : 0;
    if (size > filled && size <= limits.frameSizeMax) {
      filled = yield { target: buffer.room(size), offset };
    }
    const problem = this.#problemAt(0, filled);
    if (problem !== undefined) {
      throw this.#damageAt(offset, problem);
    }
    this.#take(offset);
  }

  #problemAt(at: number, filled: number): string | undefined {
    const record = this.#record;
    const { bytes, view } = this.#buffer;
    return (
      record.open(bytes, view, at, filled) ??
      checkCrc(record) ??
      checkPosition(record, this.#position)
    );
  }

  /** The record is the one that was asked for. */
  #take(offset: number): void {
    const record = this.#record;
    const problem = this.#checksDigest ? checkDigest(record) : undefined;
    if (problem !== undefined) {
      throw this.#damageAt(offset, problem);
    }
    record.file = this.#segment.path;
    record.fileOffset = offset;
  }

  #damageAt(offset: number, reason: string): CorruptionError {
    return new CorruptionError(this.#segment.path, offset, reason, undefined, this.#position);
  }
}

function checkPosition(record: RecordView, position: number): string | undefined {
  return record.position === position
    ? undefined
    : `the event at position ${record.position} stands where position ${position} belongs`;
}
