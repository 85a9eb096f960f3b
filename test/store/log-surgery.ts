/**
 * Takes a segment apart and puts it together again with every checksum, link and place tag right: what an attacker can do
 * who has the files and our code, and does not recompute hashes (`putTogether`), or does (`rehash`).
 */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import {
  decodeSegmentHeader,
  encodeFrame,
  encodeTail,
  frameSizeOf,
  PlaceTag,
  type SegmentHeader,
  segmentHeaderCrc,
} from '../../src/journal/format.ts';
import { isRefusal } from '../../src/base/refusal.ts';

const SEGMENT_HEADER_SIZE = 128;
const FRAME_HEADER_SIZE = 48;
const PREFIX_SIZE = 16;
/** Offsets in a record. */
export const RecordAt: Readonly<Record<RecordField, number>> = {
  flags: 8,
  commitIndex: PREFIX_SIZE + 4,
  commitCount: PREFIX_SIZE + 6,
  position: PREFIX_SIZE + 8,
  revision: PREFIX_SIZE + 16,
  time: PREFIX_SIZE + 24,
  previousLeaf: PREFIX_SIZE + 64,
  digest: PREFIX_SIZE + 96,
  sizes: PREFIX_SIZE + 128,
  strings: PREFIX_SIZE + 144,
};
type RecordField =
  | 'flags'
  | 'commitIndex'
  | 'commitCount'
  | 'position'
  | 'revision'
  | 'time'
  | 'previousLeaf'
  | 'digest'
  | 'sizes'
  | 'strings';
/** Offsets of further fields of a record's header. */
export const HeaderAt: Readonly<Record<HeaderField, number>> = {
  version: PREFIX_SIZE,
  flags: PREFIX_SIZE + 1,
  contentType: PREFIX_SIZE + 2,
  codec: PREFIX_SIZE + 3,
  occurredAt: PREFIX_SIZE + 32,
  payloadSize: PREFIX_SIZE + 40,
  plainSize: PREFIX_SIZE + 44,
  metadataSize: PREFIX_SIZE + 48,
  keyId: PREFIX_SIZE + 52,
  idDraw: PREFIX_SIZE + 56,
  reserved: PREFIX_SIZE + 60,
};
type HeaderField =
  | 'version'
  | 'flags'
  | 'contentType'
  | 'codec'
  | 'occurredAt'
  | 'payloadSize'
  | 'plainSize'
  | 'metadataSize'
  | 'keyId'
  | 'idDraw'
  | 'reserved';
/** Strings of a record in their order. */
export const TextOf: Readonly<Record<'stream' | 'type' | 'id' | 'key', number>> = {
  stream: 0,
  type: 1,
  id: 2,
  key: 6,
};

export interface Surgery {
  readonly header: SegmentHeader;
  /** Records of each frame. */
  frames: Buffer[][];
  /** `durable` of each frame's header. */
  durables: number[];
}

export function takeApart(bytes: Uint8Array): Surgery {
  const header = decodeSegmentHeader(bytes);
  if (isRefusal(header)) {
    throw new Error(header.reason);
  }
  const all = Buffer.from(bytes);
  const frames: Buffer[][] = [];
  const durables: number[] = [];
  for (let at = SEGMENT_HEADER_SIZE; all.toString('latin1', at, at + 4) === 'VFRM';) {
    const bodySize = all.readUInt32LE(at + 8);
    const records: Buffer[] = [];
    const end = at + FRAME_HEADER_SIZE + bodySize;
    for (let start = at + FRAME_HEADER_SIZE; start < end; start += all.readUInt32LE(start)) {
      records.push(Buffer.from(all.subarray(start, start + all.readUInt32LE(start))));
    }
    frames.push(records);
    durables.push(Number(all.readBigUInt64LE(at + 24)));
    at += frameSizeOf(bodySize);
  }
  return { header, frames, durables };
}

/** Everything that is a checksum is right afterwards; records keep what they say. */
export function putTogether({ header, frames, durables }: Surgery): Buffer {
  const pieces: Buffer[] = [];
  const tag = new PlaceTag(header.salt);
  let firstPosition = header.firstPosition;
  let link = segmentHeaderCrc(header);
  let offset = SEGMENT_HEADER_SIZE;
  for (const [index, records] of frames.entries()) {
    for (const record of records) {
      const end = PREFIX_SIZE + record.readUInt16LE(10);
      record.writeUInt32LE(crc32(record.subarray(8, end)), 4);
    }
    const body = Buffer.concat(records);
    const frame = Buffer.alloc(frameSizeOf(body.length));
    body.copy(frame, FRAME_HEADER_SIZE);
    tag.compute(offset);
    const count = records.length;
    const durable = Math.min(durables[index] ?? firstPosition, firstPosition);
    const frameHeader = { bodySize: body.length, count, firstPosition, durable, link, crc: 0 };
    const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
    link = encodeFrame(frame, view, 0, frameHeader, tag);
    pieces.push(frame);
    offset += frame.length;
    firstPosition += count;
  }
  return Buffer.concat(pieces);
}

/** Position behind the last event. */
export function endOf({ header, frames }: Surgery): number {
  return header.firstPosition + frames.reduce((sum, records) => sum + records.length, 0);
}

/** The tail file of a store at rest with this newest segment. */
export function tailOf(surgery: Surgery): Uint8Array {
  const { identity, firstPosition } = surgery.header;
  return encodeTail({ identity, segment: firstPosition, durable: endOf(surgery) });
}

export function textOfRecord(record: Buffer, index: number): string {
  const { start, size } = placeOf(record, index);
  return record.toString('utf8', start, start + size);
}

/** The record with another text, all sizes right. */
export function withText(record: Buffer, index: number, text: string | Buffer): Buffer {
  const { start, size } = placeOf(record, index);
  const bytes = Buffer.from(text as string);
  const changed = Buffer.concat([record.subarray(0, start), bytes, record.subarray(start + size)]);
  changed.writeUInt16LE(bytes.length, RecordAt.sizes + index * 2);
  changed.writeUInt16LE(record.readUInt16LE(10) + bytes.length - size, 10);
  changed.writeUInt32LE(changed.length, 0);
  return changed;
}

/** The record with other tags, all sizes right. */
export function withTags(record: Buffer, tags: readonly (string | Buffer)[]): Buffer {
  const { start, size } = placeOf(record, TextOf.key);
  const headerEnd = PREFIX_SIZE + record.readUInt16LE(10);
  const pieces = tags
    .map((tag) => Buffer.from(tag as string))
    .flatMap((bytes) => [Buffer.of(bytes.length & 0xff, bytes.length >>> 8), bytes]);
  const before = record.subarray(0, start + size);
  const changed = Buffer.concat([before, ...pieces, record.subarray(headerEnd)]);
  const grown = changed.length - record.length;
  changed.writeUInt16LE(tags.length, RecordAt.sizes + 14);
  changed.writeUInt16LE(record.readUInt16LE(10) + grown, 10);
  changed.writeUInt32LE(changed.length, 0);
  return changed;
}

/** The record with another stored payload, the sizes of both right. */
export function withPayload(
  record: Buffer,
  stored: Buffer,
  says: { readonly codec: number; readonly plainSize: number; readonly metadataSize: number },
): Buffer {
  const saltEnd = PREFIX_SIZE + record.readUInt16LE(10) + 16;
  const changed = Buffer.concat([record.subarray(0, saltEnd), stored]);
  changed.writeUInt32LE(changed.length, 0);
  changed.writeUInt8(says.codec, HeaderAt.codec);
  changed.writeUInt32LE(stored.length, HeaderAt.payloadSize);
  changed.writeUInt32LE(says.plainSize, HeaderAt.plainSize);
  changed.writeUInt32LE(says.metadataSize, HeaderAt.metadataSize);
  return changed;
}

/** Where the frames of a segment begin, found by their magic number and sizes. */
export function frameOffsetsOf(bytes: Buffer): number[] {
  const offsets: number[] = [];
  for (let at = SEGMENT_HEADER_SIZE; at < bytes.length; at += 8) {
    if (bytes.toString('latin1', at, at + 4) === 'VFRM') {
      offsets.push(at);
    }
  }
  return offsets;
}

function placeOf(record: Buffer, index: number): { start: number; size: number } {
  let start: number = RecordAt.strings;
  for (let earlier = 0; earlier < index; earlier += 1) {
    start += record.readUInt16LE(RecordAt.sizes + earlier * 2);
  }
  return { start, size: record.readUInt16LE(RecordAt.sizes + index * 2) };
}

/** Lets every record say the place where it now stands: positions, commits, revisions. */
export function renumber({ header, frames }: Surgery): void {
  const revisions = new Map<string, number>();
  let position = header.firstPosition;
  for (const records of frames) {
    for (const [index, record] of records.entries()) {
      const stream = textOfRecord(record, TextOf.stream);
      const revision = revisions.get(stream) ?? 0;
      revisions.set(stream, revision + 1);
      record.writeUInt16LE(index, RecordAt.commitIndex);
      record.writeUInt16LE(records.length, RecordAt.commitCount);
      record.writeBigUInt64LE(BigInt(position), RecordAt.position);
      record.writeBigUInt64LE(BigInt(revision), RecordAt.revision);
      position += 1;
    }
  }
}

/** Computes digests and links of the first segment anew: afterwards only a signature could tell. */
export function rehash({ frames }: Surgery): void {
  const leaves = new Map<string, Buffer>();
  for (const record of frames.flat()) {
    const stream = textOfRecord(record, TextOf.stream);
    rehashPayload(record);
    (leaves.get(stream) ?? Buffer.alloc(32)).copy(record, RecordAt.previousLeaf);
    leaves.set(stream, leafOf(record));
  }
}

export function rehashPayload(record: Buffer): void {
  const salted = record.subarray(PREFIX_SIZE + record.readUInt16LE(10));
  createHash('sha256').update(salted).digest().copy(record, RecordAt.digest);
}

function leafOf(record: Buffer): Buffer {
  const header = record.subarray(PREFIX_SIZE, PREFIX_SIZE + record.readUInt16LE(10));
  return createHash('sha256')
    .update(Buffer.from([0]))
    .update(header)
    .digest();
}
