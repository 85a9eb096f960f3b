import { crc32 } from '../base/crc32.ts';
import type { File } from '../io/file-system.ts';
import { type Work, writeAll } from '../io/steps.ts';
import type { SegmentSummary } from './encoder.ts';
import { encodeSegmentFooter, SEGMENT_FOOTER_SIZE } from './format.ts';
import type { OffsetTable } from './offset-table.ts';

/** A segment that no frame will be added to. */
export interface SealableSegment {
  readonly file: File;
  readonly salt: Uint8Array;
  readonly firstPosition: number;
  readonly frameCount: number;
  readonly offsets: OffsetTable;
  readonly framesEnd: number;
  readonly lastLink: number;
  readonly summary: SegmentSummary;
}

/**
 * Writes offset table and footer behind the frames and cuts the file there. Stopping anywhere is harmless: a segment
 * without a footer is walked at open and sealed then.
 */
export function* sealSegment(segment: SealableSegment): Work<void> {
  const table = segment.offsets.toBytes();
  const footer = encodeSegmentFooter({
    salt: segment.salt,
    firstPosition: segment.firstPosition,
    count: segment.offsets.count,
    frameCount: segment.frameCount,
    framesEnd: segment.framesEnd,
    lastLink: segment.lastLink,
    offsetsCrc: crc32(table, 0, table.length),
    minStamp: segment.summary.minStamp,
    maxStamp: segment.summary.maxStamp,
    digest: segment.summary.digest,
  });
  const end = segment.framesEnd + table.length;
  // Order: one sync for both. A footer that is torn or has zeros behind it is no footer, and is made again.
  yield* writeAll(segment.file, Buffer.concat([table, footer]), segment.framesEnd);
  segment.file.truncate(end + SEGMENT_FOOTER_SIZE);
  yield { operation: 'sync', file: segment.file };
}
