import type { File } from '../io/file-system.ts';
import { readInto } from '../io/read-into.ts';
import { crc32 } from '../base/crc32.ts';
import {
  decodeSegmentFooter,
  FOOTER_SALT_AT,
  SEGMENT_FOOTER_SIZE,
  SEGMENT_HEADER_SIZE,
  type SegmentFooter,
  type SegmentHeader,
} from './format.ts';
import { isRefusal, type Refusal } from '../base/refusal.ts';

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

/** A footer of this very segment with the right checksum that can't be believed: it was written like this. */
export interface RefusedFooter {
  readonly offset: number;
  readonly refusal: Refusal;
}

/**
 * The footer at the end of a segment file with its offset table, if both are whole and belong to this segment; why there is
 * none that could be used, and may be written anew; or what is wrong with one that was written as it stands.
 *
 * Order: the salt is compared before anything else is believed. A payload may hold the image of a footer, but its maker
 * can't know the salt.
 */
export function readFooter(
  file: File,
  header: SegmentHeader,
): FoundFooter | RefusedFooter | string {
  const size = file.size();
  if (size < SEGMENT_HEADER_SIZE + SEGMENT_FOOTER_SIZE) {
    return 'the file is too short for a footer';
  }
  const offset = size - SEGMENT_FOOTER_SIZE;
  const bytes = new Uint8Array(SEGMENT_FOOTER_SIZE);
  readInto(file, bytes, offset);
  const footer = decodeSegmentFooter(bytes);
  if (isRefusal(footer) && footer.isIntact !== true) {
    return footer.reason;
  }
  if (!sameBytes(bytes.subarray(FOOTER_SALT_AT, FOOTER_SALT_AT + 16), header.salt)) {
    return 'the footer belongs to another segment';
  }
  if (isRefusal(footer)) {
    return { offset, refusal: footer };
  }
  if (
    footer.firstPosition !== header.firstPosition ||
    footer.framesEnd + footer.count * 4 !== offset
  ) {
    return { offset, refusal: { reason: 'the footer contradicts its segment', isIntact: true } };
  }
  const table = new Uint8Array(footer.count * 4);
  readInto(file, table, footer.framesEnd);
  if (crc32(table, 0, table.length) !== footer.offsetsCrc) {
    return 'the offset table does not match its checksum';
  }
  return { footer, table };
}

export function isRefusedFooter(
  found: FoundFooter | RefusedFooter | string,
): found is RefusedFooter {
  return typeof found === 'object' && 'refusal' in found;
}

export function isWhole(found: FoundFooter | RefusedFooter | string): found is FoundFooter {
  return typeof found === 'object' && 'footer' in found;
}

export function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}
