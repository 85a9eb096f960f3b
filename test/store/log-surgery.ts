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
const PREFIX_SIZE = 8;
/** Offsets in a record. */
export const RecordAt = {
  flags: 6,
  commitIndex: 12,
  commitCount: 14,
  position: 16,
  revision: 22,
  time: 28,
  previousLeaf: 40,
  digest: 72,
  streamSize: 104,
  keySize: 106,
  typeSize: 108,
  idSize: 109,
  tagCount: 114,
  optional: 116,
} as const;
/** Offsets of further fields of a record's header. */
export const HeaderAt = {
  version: 8,
  idDraw: 9,
  flags: 34,
  payloadSize: 36,
  codec: 115,
} as const;
/** Flags of a header. */
export const Has = {
  occurredAt: 4,
  metadata: 8,
  keyId: 16,
  schemaVersion: 32,
  uuids: 0x3f00,
} as const;
/** Strings of a record in their order. */
export const TextOf = {
  stream: 0,
  type: 1,
  id: 2,
  correlation: 3,
  causation: 4,
  subject: 5,
  scope: 6,
  key: 7,
} as const;

/** Where an optional number of the record stands, if its flag is set. */
export function optionalAt(
  record: Buffer,
  field: 'plainSize' | 'metadataSize' | 'occurredAt' | 'texts',
): number {
  const flags = record.readUInt16LE(HeaderAt.flags);
  const metadataSize = RecordAt.optional + (record[HeaderAt.codec] === 0 ? 0 : 4);
  const occurredAt = metadataSize + ((flags & Has.metadata) === 0 ? 0 : 4);
  const texts = occurredAt + ((flags & Has.occurredAt) === 0 ? 0 : 8);
  return { plainSize: RecordAt.optional, metadataSize, occurredAt, texts }[field];
}

export function headerSizeOf(record: Buffer): number {
  return record.readUInt16LE(4);
}

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
    const end = Math.min(at + FRAME_HEADER_SIZE + bodySize, all.length - RecordAt.optional);
    for (let start = at + FRAME_HEADER_SIZE; start < end; start += records.at(-1)!.length) {
      const saltAt = start + PREFIX_SIZE + all.readUInt16LE(start + 4);
      const size = saltAt + 16 + all.readUInt32LE(start + HeaderAt.payloadSize) - start;
      records.push(Buffer.from(all.subarray(start, start + size)));
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
      const end = PREFIX_SIZE + headerSizeOf(record);
      record.writeUInt32LE(crc32(record.subarray(4, end)), 0);
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

/** The record with another text, all sizes right as far as they have room for it. */
export function withText(record: Buffer, index: number, text: string | Buffer): Buffer {
  const { start, size } = placeOf(record, index);
  const bytes = Buffer.from(text as string);
  const changed = Buffer.concat([record.subarray(0, start), bytes, record.subarray(start + size)]);
  if (index === TextOf.stream || index === TextOf.key) {
    const at = index === TextOf.stream ? RecordAt.streamSize : RecordAt.keySize;
    changed.writeUInt16LE(bytes.length, at);
  } else {
    const stored = index === TextOf.type ? bytes.length - 1 : bytes.length;
    changed[RecordAt.typeSize + index - TextOf.type] = stored;
  }
  changed.writeUInt16LE(headerSizeOf(record) + bytes.length - size, 4);
  return changed;
}

/** The record with other tags, all sizes right as far as they have room for it. */
export function withTags(record: Buffer, tags: readonly (string | Buffer)[]): Buffer {
  const { start, size } = placeOf(record, TextOf.key);
  const headerEnd = PREFIX_SIZE + headerSizeOf(record);
  const pieces = tags
    .map((tag) => Buffer.from(tag as string))
    .flatMap((bytes) => [Buffer.of(bytes.length - 1), bytes]);
  const before = record.subarray(0, start + size);
  const changed = Buffer.concat([before, ...pieces, record.subarray(headerEnd)]);
  changed[RecordAt.tagCount] = tags.length;
  changed.writeUInt16LE(headerSizeOf(record) + changed.length - record.length, 4);
  return changed;
}

/** The record with another stored payload, the sizes of both right. */
export function withPayload(
  record: Buffer,
  stored: Buffer,
  says: { readonly codec: number; readonly plainSize: number; readonly metadataSize: number },
): Buffer {
  const { codec, plainSize, metadataSize } = says;
  const occurredAt = record.subarray(optionalAt(record, 'occurredAt'), optionalAt(record, 'texts'));
  const texts = record.subarray(optionalAt(record, 'texts'), PREFIX_SIZE + headerSizeOf(record));
  const salt = record.subarray(PREFIX_SIZE + headerSizeOf(record)).subarray(0, 16);
  const sizes = [
    ...(codec === 0 ? [] : [plainSize]),
    ...(metadataSize === 0 ? [] : [metadataSize]),
  ];
  const optional = [...sizes.map(uint32Bytes), occurredAt];
  const fixed = record.subarray(0, RecordAt.optional);
  const header = Buffer.concat([fixed, ...optional, texts]);
  header.writeUInt16LE(header.length - PREFIX_SIZE, 4);
  const flags = header.readUInt16LE(HeaderAt.flags) & ~Has.metadata;
  header.writeUInt16LE(flags | (metadataSize === 0 ? 0 : Has.metadata), HeaderAt.flags);
  header.writeUInt8(codec, HeaderAt.codec);
  header.writeUInt32LE(stored.length, HeaderAt.payloadSize);
  return Buffer.concat([header, salt, stored]);
}

function uint32Bytes(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
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
  const sizes = [
    record.readUInt16LE(RecordAt.streamSize),
    record[RecordAt.typeSize]! + 1,
    ...record.subarray(RecordAt.idSize, RecordAt.tagCount),
    record.readUInt16LE(RecordAt.keySize),
  ];
  let start = optionalAt(record, 'texts');
  for (let earlier = 0; earlier < index; earlier += 1) {
    start += sizes[earlier]!;
  }
  return { start, size: sizes[index]! };
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
      record.writeUIntLE(position, RecordAt.position, 6);
      record.writeUIntLE(revision, RecordAt.revision, 6);
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
  const salted = record.subarray(PREFIX_SIZE + headerSizeOf(record));
  createHash('sha256').update(salted).digest().copy(record, RecordAt.digest);
}

function leafOf(record: Buffer): Buffer {
  const header = record.subarray(PREFIX_SIZE, PREFIX_SIZE + headerSizeOf(record));
  return createHash('sha256')
    .update(Buffer.from([0]))
    .update(header)
    .digest();
}
