import type { File } from '../io/file-system.ts';
import { readInto } from '../io/read-into.ts';
import { crc32 } from '../base/crc32.ts';
import {
  decodeSegmentFooter,
  isRefusal,
  SEGMENT_FOOTER_SIZE,
  SEGMENT_HEADER_SIZE,
  type SegmentFooter,
  type SegmentHeader,
} from './format.ts';

/** What is known of one segment that holds no more than it will ever hold, or of the active one as far as it is durable. */
export interface SegmentInfo {
  readonly path: string;
  readonly header: SegmentHeader;
  /** Positions that it holds. */
  readonly count: number;
  /** Where its last frame ends. */
  readonly framesEnd: number;
  readonly isSealed: boolean;
}

export interface FoundFooter {
  readonly footer: SegmentFooter;
  /** The bytes of the offset table. */
  readonly table: Uint8Array;
}

/**
 * The footer at the end of a segment file with its offset table, if both are whole and belong to this segment;
 * otherwise why not.
 */
export function readFooter(file: File, header: SegmentHeader): FoundFooter | string {
  const size = file.size();
  if (size < SEGMENT_HEADER_SIZE + SEGMENT_FOOTER_SIZE) {
    return 'the file is too short for a footer';
  }
  const bytes = new Uint8Array(SEGMENT_FOOTER_SIZE);
  readInto(file, bytes, size - SEGMENT_FOOTER_SIZE);
  const footer = decodeSegmentFooter(bytes);
  if (isRefusal(footer)) {
    return footer.reason;
  }
  if (
    !sameBytes(footer.salt, header.salt) ||
    footer.firstPosition !== header.firstPosition ||
    footer.framesEnd + footer.count * 4 + SEGMENT_FOOTER_SIZE !== size
  ) {
    return 'the footer belongs to another segment';
  }
  const table = new Uint8Array(footer.count * 4);
  readInto(file, table, footer.framesEnd);
  if (crc32(table, 0, table.length) !== footer.offsetsCrc) {
    return 'the offset table does not match its checksum';
  }
  return { footer, table };
}

export function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}
