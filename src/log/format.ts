/**
 * Bytes of a record: one event in the body of a frame. See docs/formats/event-log.md.
 *
 *   0   record size (4)          all of this, up to the payload's end
 *   4   header CRC (4)           of everything from 8 to the header's end
 *   8   flags (1)                1 = erased
 *   9   zero (1)
 *   10  header size (2)
 *   12  zeros (4)                the last one is the RFC 6962 leaf prefix: the leaf hash is SHA-256 of [15, 16 + header size)
 *   16  header
 *   …   salt (16) | payload      the payload digest is SHA-256 of these two
 *
 * Numbers are little-endian, strings UTF-8. The header is canonical: one event has one encoding.
 */
import { assert } from '../base/assert.ts';
import { crc32At } from '../base/crc32.ts';
import { readInt64, readUint64, writeInt64, writeUint64 } from '../base/integers.ts';
import { limits } from '../base/limits.ts';
import { putText } from '../base/put-text.ts';
import { ID_DRAW_LIMIT } from './event-id.ts';
import { putPayload } from './put-payload.ts';
import { textsProblem } from './record-texts.ts';

// Format: persisted; never renumber.
export const RECORD_FORMAT_VERSION = 1;

export const RECORD_PREFIX_SIZE = 16;
export const SALT_SIZE = 16;
export const HASH_SIZE = 32;

// Format: persisted; never renumber.
export const RecordFlag: { readonly erased: 1 } = { erased: 1 } as const;

// Format: persisted; never renumber.
export const HeaderFlag: { readonly occurredAt: 1; readonly generatedId: 2 } = {
  occurredAt: 1,
  generatedId: 2,
} as const;

// Format: persisted; never renumber.
export const ContentType: { readonly none: 0; readonly json: 1; readonly bytes: 2 } = {
  none: 0,
  json: 1,
  bytes: 2,
} as const;

const HEADER_FLAGS_MAX = 3;
const CONTENT_TYPE_MAX = 2;
/** Varve's own codecs end here; up to 63 the numbers are reserved, from 64 on they are the users'. */
const OWN_CODEC_MAX = 2;
const USER_CODEC_MIN = 64;

/** Offsets of the header's fixed part. */
const At = {
  version: 0,
  flags: 1,
  contentType: 2,
  codec: 3,
  commitIndex: 4,
  commitCount: 6,
  position: 8,
  revision: 16,
  time: 24,
  occurredAt: 32,
  payloadSize: 40,
  plainSize: 44,
  metadataSize: 48,
  keyId: 52,
  idDraw: 56,
  reserved: 60,
  previousLeaf: 64,
  digest: 96,
  streamSize: 128,
  typeSize: 130,
  idSize: 132,
  correlationSize: 134,
  causationSize: 136,
  scopeSize: 138,
  keySize: 140,
  tagCount: 142,
  strings: 144,
} as const;

export const HEADER_FIXED_SIZE: number = At.strings;
export const PREVIOUS_LEAF_AT: number = RECORD_PREFIX_SIZE + At.previousLeaf;
export const DIGEST_AT: number = RECORD_PREFIX_SIZE + At.digest;

/** Everything a record holds but the hashes and the salt, which are filled in on the way to the disk. */
export interface RecordDraft {
  readonly position: number;
  readonly revision: number;
  readonly time: number;
  readonly commitIndex: number;
  readonly commitCount: number;
  readonly content: RecordContent;
  readonly idempotencyKey: string;
  readonly idempotencyKeySize: number;
  /** Of a generated id; ignored if the content brings its own. */
  readonly idDraw: number;
  readonly streamNumber: number;
}

/** The caller's part of a record, measured. Sizes are bytes of UTF-8; an empty string stands for an absent one. */
export interface RecordContent {
  readonly stream: string;
  readonly streamSize: number;
  readonly type: string;
  readonly typeSize: number;
  readonly id: string;
  readonly idSize: number;
  readonly correlationId: string;
  readonly correlationSize: number;
  readonly causationId: string;
  readonly causationSize: number;
  readonly tags: readonly string[];
  readonly tagsSize: number;
  readonly occurredAt: number | undefined;
  readonly contentType: number;
  readonly codec: number;
  readonly plainSize: number;
  readonly metadataSize: number;
  readonly payload: readonly (string | Uint8Array)[];
  readonly payloadSize: number;
}

export function headerSizeOf(content: RecordContent, idempotencyKeySize: number): number {
  return (
    HEADER_FIXED_SIZE +
    content.streamSize +
    content.typeSize +
    content.idSize +
    content.correlationSize +
    content.causationSize +
    idempotencyKeySize +
    content.tagsSize +
    content.tags.length * 2
  );
}

export function recordSizeOf(content: RecordContent, idempotencyKeySize: number): number {
  return (
    RECORD_PREFIX_SIZE + headerSizeOf(content, idempotencyKeySize) + SALT_SIZE + content.payloadSize
  );
}

/**
 * Writes a record without its hashes at `start`; returns where it ends. The stream's number is left where the hash of
 * its previous event will be.
 */
export function encodeDraft(
  bytes: Buffer,
  view: DataView,
  start: number,
  draft: RecordDraft,
  salt: Uint8Array,
): number {
  const { content } = draft;
  const headerSize = headerSizeOf(content, draft.idempotencyKeySize);
  const recordSize = recordSizeOf(content, draft.idempotencyKeySize);
  assert(headerSize <= limits.headerSizeMax, 'a header fits its 16-bit size');
  view.setUint32(start, recordSize, true);
  view.setUint32(start + 4, 0, true);
  view.setUint32(start + 8, headerSize << 16, true);
  view.setUint32(start + 12, 0, true);
  const header = start + RECORD_PREFIX_SIZE;
  encodeFixedPart(view, header, draft);
  let at = header + At.strings;
  at = putText(bytes, at, content.stream, content.streamSize);
  at = putText(bytes, at, content.type, content.typeSize);
  at = putText(bytes, at, content.id, content.idSize);
  at = putText(bytes, at, content.correlationId, content.correlationSize);
  at = putText(bytes, at, content.causationId, content.causationSize);
  at = putText(bytes, at, draft.idempotencyKey, draft.idempotencyKeySize);
  for (const tag of content.tags) {
    const size = bytes.write(tag, at + 2, 'utf8');
    view.setUint16(at, size, true);
    at += 2 + size;
  }
  assert(at === header + headerSize, 'the header has the size that was measured');
  // A loop: `set` is a call into native code.
  for (let index = 0; index < SALT_SIZE; index += 1) {
    bytes[at + index] = salt[index]!;
  }
  at += SALT_SIZE;
  at = putPayload(bytes, at, content.payload, content.payloadSize);
  assert(at === start + recordSize, 'the payload has the size that was measured');
  return at;
}

function encodeFixedPart(view: DataView, header: number, draft: RecordDraft): void {
  const { content } = draft;
  assert(draft.time <= limits.timeMax, 'a recorded time is within its limit');
  const isGenerated = content.idSize === 0;
  const flags =
    (content.occurredAt === undefined ? 0 : HeaderFlag.occurredAt) |
    (isGenerated ? HeaderFlag.generatedId : 0);
  view.setUint8(header + At.version, RECORD_FORMAT_VERSION);
  view.setUint8(header + At.flags, flags);
  view.setUint8(header + At.contentType, content.contentType);
  view.setUint8(header + At.codec, content.codec);
  view.setUint16(header + At.commitIndex, draft.commitIndex, true);
  view.setUint16(header + At.commitCount, draft.commitCount, true);
  writeUint64(view, header + At.position, draft.position);
  writeUint64(view, header + At.revision, draft.revision);
  writeUint64(view, header + At.time, draft.time);
  writeInt64(view, header + At.occurredAt, content.occurredAt ?? 0);
  view.setUint32(header + At.payloadSize, content.payloadSize, true);
  view.setUint32(header + At.plainSize, content.plainSize, true);
  view.setUint32(header + At.metadataSize, content.metadataSize, true);
  view.setUint32(header + At.keyId, 0, true);
  view.setUint32(header + At.idDraw, isGenerated ? draft.idDraw : 0, true);
  view.setUint32(header + At.reserved, 0, true);
  view.setUint32(header + At.previousLeaf, draft.streamNumber, true);
  view.setUint16(header + At.streamSize, content.streamSize, true);
  view.setUint16(header + At.typeSize, content.typeSize, true);
  view.setUint16(header + At.idSize, content.idSize, true);
  view.setUint16(header + At.correlationSize, content.correlationSize, true);
  view.setUint16(header + At.causationSize, content.causationSize, true);
  view.setUint16(header + At.scopeSize, 0, true);
  view.setUint16(header + At.keySize, draft.idempotencyKeySize, true);
  view.setUint16(header + At.tagCount, content.tags.length, true);
}

/** CRC of a record's prefix and header, as it must stand at offset 4. */
export function recordHeaderCrc(view: DataView, start: number, headerSize: number): number {
  return crc32At(view, start + 8, start + RECORD_PREFIX_SIZE + headerSize);
}

/**
 * A record as it lies in memory: field access without decoding more than is asked for. Reused for many records;
 * `open` first.
 */
export class RecordView {
  bytes: Buffer = Buffer.alloc(0);
  view: DataView = new DataView(new ArrayBuffer(0));
  /** Where the record begins in `bytes`. */
  start = 0;
  /** Where it ends. */
  end = 0;
  headerSize = 0;
  /** Where it came from, for whoever finds it damaged; set by who read it. */
  file = '';
  fileOffset = 0;
  #header = 0;
  /** Of `bytes`: asking it for its buffer costs more than remembering it. */
  #buffer: ArrayBufferLike = this.bytes.buffer;
  #bufferOffset = 0;

  /**
   * Points to the record at `start` and checks all that can be told from the record alone: sizes, limits, text, reserved bytes,
   * and that the encoding is canonical; says what is wrong otherwise. Checks no hash and no CRC, and does not decompress.
   */
  open(bytes: Buffer, view: DataView, start: number, limit: number): string | undefined {
    if (start + RECORD_PREFIX_SIZE + HEADER_FIXED_SIZE + SALT_SIZE > limit) {
      return 'a record is cut short';
    }
    this.#pointTo(bytes, view, start);
    if (!this.#sizesAgree(limit)) {
      return 'the sizes in a record contradict each other';
    }
    if (bytes[start + 8]! > 1 || bytes[start + 9] !== 0 || view.getUint32(start + 12, true) !== 0) {
      return 'reserved bytes of a record are not zero';
    }
    return this.#checkHeader();
  }

  /** Points to the record at `start`, which this process has just encoded: only its sizes are looked at. */
  openDraft(bytes: Buffer, view: DataView, start: number, limit: number): void {
    this.#pointTo(bytes, view, start);
    assert(this.#sizesAgree(limit), 'the owner encodes well-formed records');
  }

  #pointTo(bytes: Buffer, view: DataView, start: number): void {
    if (bytes !== this.bytes) {
      this.bytes = bytes;
      this.#buffer = bytes.buffer;
      this.#bufferOffset = bytes.byteOffset;
    }
    this.view = view;
    this.start = start;
    this.end = start + view.getUint32(start, true);
    this.headerSize = view.getUint16(start + 10, true);
    this.#header = start + RECORD_PREFIX_SIZE;
  }

  #sizesAgree(limit: number): boolean {
    return (
      this.end <= limit &&
      this.headerSize >= HEADER_FIXED_SIZE &&
      this.end === this.#header + this.headerSize + SALT_SIZE + this.payloadSize
    );
  }

  #checkHeader(): string | undefined {
    const { view } = this;
    const header = this.#header;
    if (view.getUint8(header + At.version) !== RECORD_FORMAT_VERSION) {
      return `a record has format version ${view.getUint8(header + At.version)}`;
    }
    if (this.flags > HEADER_FLAGS_MAX || this.contentType > CONTENT_TYPE_MAX) {
      return 'a record has flags or a content type that this version does not know';
    }
    if (
      view.getUint32(header + At.reserved, true) !== 0 ||
      view.getUint32(header + At.keyId, true) !== 0
    ) {
      return 'reserved bytes of a record header are not zero';
    }
    if (
      (!this.hasOccurredAt && readInt64(view, header + At.occurredAt) !== 0) ||
      this.hasGeneratedId !== (view.getUint16(header + At.idSize, true) === 0) ||
      (this.hasGeneratedId ? this.idDraw >= ID_DRAW_LIMIT : this.idDraw !== 0) ||
      (this.commitIndex > 0 && view.getUint16(header + At.keySize, true) !== 0)
    ) {
      return 'a record header is not canonical';
    }
    return this.#checkNumbers() ?? this.#checkPayloadSizes() ?? this.#checkTexts();
  }

  #checkNumbers(): string | undefined {
    const { position, revision, commitIndex } = this;
    const isPossible =
      Number.isSafeInteger(position) &&
      revision <= position &&
      this.time <= limits.timeMax &&
      Number.isSafeInteger(readInt64(this.view, this.#header + At.occurredAt)) &&
      commitIndex < this.commitCount &&
      commitIndex <= position;
    return isPossible ? undefined : 'a record has a number out of range';
  }

  #checkPayloadSizes(): string | undefined {
    const { contentType, codec, payloadSize, plainSize, metadataSize } = this;
    if (codec > OWN_CODEC_MAX && codec < USER_CODEC_MIN) {
      return `a record has the codec ${codec}, which is reserved`;
    }
    const dataSize = plainSize - metadataSize;
    const isPossible =
      plainSize <= limits.plainSizeMax &&
      // Nothing is stored compressed that does not become smaller by it.
      (codec === 0 ? payloadSize === plainSize : payloadSize > 0 && payloadSize < plainSize) &&
      dataSize >= 0 &&
      (contentType === ContentType.none ? dataSize === 0 : true) &&
      (contentType === ContentType.json ? dataSize > 0 : true);
    return isPossible ? undefined : 'the sizes of a payload contradict each other';
  }

  #checkTexts(): string | undefined {
    const header = this.#header;
    const sizesAt = header + At.streamSize;
    const end = header + this.headerSize;
    return textsProblem(this.bytes, sizesAt, header + At.strings, end);
  }

  get isErased(): boolean {
    return (this.bytes[this.start + 8]! & RecordFlag.erased) !== 0;
  }
  get flags(): number {
    return this.view.getUint8(this.#header + At.flags);
  }
  get hasOccurredAt(): boolean {
    return (this.flags & HeaderFlag.occurredAt) !== 0;
  }
  get hasGeneratedId(): boolean {
    return (this.flags & HeaderFlag.generatedId) !== 0;
  }
  get contentType(): number {
    return this.view.getUint8(this.#header + At.contentType);
  }
  get codec(): number {
    return this.view.getUint8(this.#header + At.codec);
  }
  get commitIndex(): number {
    return this.view.getUint16(this.#header + At.commitIndex, true);
  }
  get commitCount(): number {
    return this.view.getUint16(this.#header + At.commitCount, true);
  }
  get position(): number {
    return readUint64(this.view, this.#header + At.position);
  }
  get revision(): number {
    return readUint64(this.view, this.#header + At.revision);
  }
  get time(): number {
    return readUint64(this.view, this.#header + At.time);
  }
  get occurredAt(): number | undefined {
    return this.hasOccurredAt ? readInt64(this.view, this.#header + At.occurredAt) : undefined;
  }
  get payloadSize(): number {
    return this.view.getUint32(this.#header + At.payloadSize, true);
  }
  get plainSize(): number {
    return this.view.getUint32(this.#header + At.plainSize, true);
  }
  get metadataSize(): number {
    return this.view.getUint32(this.#header + At.metadataSize, true);
  }
  get idDraw(): number {
    return this.view.getUint32(this.#header + At.idDraw, true);
  }
  get tagCount(): number {
    return this.view.getUint16(this.#header + At.tagCount, true);
  }
  /** Before the hashes are filled in: the number of the stream. */
  get streamNumber(): number {
    return this.view.getUint32(this.#header + At.previousLeaf, true);
  }

  get stream(): string {
    return this.#text(0);
  }
  get type(): string {
    return this.#text(1);
  }
  /** Empty if the id is generated. */
  get suppliedId(): string {
    return this.#text(2);
  }
  get correlationId(): string {
    return this.#text(3);
  }
  get causationId(): string {
    return this.#text(4);
  }
  get idempotencyScope(): string {
    return this.#text(5);
  }
  get idempotencyKey(): string {
    return this.#text(6);
  }

  get tags(): string[] {
    const tags: string[] = [];
    let at = this.#tagsStart();
    for (let index = 0; index < this.tagCount; index += 1) {
      const size = this.view.getUint16(at, true);
      tags.push(this.bytes.toString('utf8', at + 2, at + 2 + size));
      at += 2 + size;
    }
    return tags;
  }

  /** Copy of the leaf hash of the stream's previous event. */
  get previousLeaf(): Uint8Array {
    return this.#hash(At.previousLeaf);
  }
  get digest(): Uint8Array {
    return this.#hash(At.digest);
  }
  /** The stored payload, not copied. */
  get payload(): Buffer {
    return this.bytes.subarray(this.end - this.payloadSize, this.end);
  }
  /** What the leaf hash is taken of: a zero byte and the header. Not copied. */
  get leafInput(): Uint8Array {
    return this.#range(this.#header - 1, this.#header + this.headerSize);
  }
  /** What the payload digest is taken of: the salt and the stored payload. Not copied. */
  get digestInput(): Uint8Array {
    return this.#range(this.#header + this.headerSize, this.end);
  }

  /** A third of the cost of `subarray`. */
  #range(start: number, end: number): Uint8Array {
    return new Uint8Array(this.#buffer, this.#bufferOffset + start, end - start);
  }

  #hash(at: number): Uint8Array {
    return new Uint8Array(this.bytes.subarray(this.#header + at, this.#header + at + HASH_SIZE));
  }

  #text(index: number): string {
    const sizes = this.#header + At.streamSize;
    let at = this.#header + At.strings;
    for (let earlier = 0; earlier < index; earlier += 1) {
      at += this.view.getUint16(sizes + earlier * 2, true);
    }
    const size = this.view.getUint16(sizes + index * 2, true);
    return size === 0 ? '' : this.bytes.toString('utf8', at, at + size);
  }

  #tagsStart(): number {
    let at = this.#header + At.strings;
    for (let sizes = At.streamSize; sizes < At.tagCount; sizes += 2) {
      at += this.view.getUint16(this.#header + sizes, true);
    }
    return at;
  }
}
