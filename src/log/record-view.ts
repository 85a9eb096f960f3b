import { assert } from '../base/assert.ts';
import { readInt64, readUint48, readUint64 } from '../base/integers.ts';
import { limits } from '../base/limits.ts';
import { uuidAt } from '../base/uuid.ts';
import { ID_DRAW_LIMIT } from './event-id.ts';
import {
  CONTENT_TYPE_MASK,
  ContentType,
  DRAFT_LINK_AT,
  HASH_SIZE,
  HEADER_FIXED_SIZE,
  HeaderAt,
  HeaderFlag,
  KNOWN_FLAGS,
  RECORD_FORMAT_VERSION,
  RECORD_PREFIX_SIZE,
  RecordFlag,
  recordSizeAt,
  SALT_SIZE,
  UUID_FLAGS,
} from './format.ts';
import type { RecordFields } from './record-fields.ts';
import { textFields, textSizeAt, textsProblem, uuidFlagOf } from './record-texts.ts';

const CONTENT_TYPE_MAX = 2;
/** Varve's own codecs end here; up to 63 the numbers are reserved, from 64 on they are the users'. */
const OWN_CODEC_MAX = 2;
const USER_CODEC_MIN = 64;
const SCOPE_INDEX = textFields.indexOf('idempotencyScope');
const KEY_INDEX = textFields.indexOf('idempotencyKey');

/**
 * A record as it lies in memory: field access without decoding more than is asked for. Reused for many records;
 * `open` first.
 */
export class RecordView implements RecordFields {
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
    if (bytes[start + 6]! > 1 || bytes[start + 7] !== 0) {
      return 'reserved bytes of a record are not zero';
    }
    return this.#checkHeader();
  }

  /** Points to the record at `start`, which this process has just encoded: only its sizes are looked at. */
  openDraft(bytes: Buffer, view: DataView, start: number, limit: number): void {
    assert(
      start + RECORD_PREFIX_SIZE + HEADER_FIXED_SIZE + SALT_SIZE <= limit,
      'a record that was encoded has its fixed part',
    );
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
    this.end = start + recordSizeAt(view, start);
    this.headerSize = view.getUint16(start + 4, true);
    this.#header = start + RECORD_PREFIX_SIZE;
  }

  #sizesAgree(limit: number): boolean {
    return this.end <= limit && this.headerSize >= HEADER_FIXED_SIZE;
  }

  #checkHeader(): string | undefined {
    const { view, flags } = this;
    const header = this.#header;
    if (view.getUint8(header + HeaderAt.version) !== RECORD_FORMAT_VERSION) {
      return `a record has format version ${view.getUint8(header + HeaderAt.version)}`;
    }
    if ((flags & ~KNOWN_FLAGS) !== 0 || this.contentType > CONTENT_TYPE_MAX) {
      return 'a record has flags or a content type that this version does not know';
    }
    const hasKey = view.getUint16(header + HeaderAt.textSizes + 2, true) > 0;
    const hasScope = view.getUint8(header + HeaderAt.scopeSize) > 0;
    if (
      (this.hasGeneratedId ? this.idDraw >= ID_DRAW_LIMIT : this.idDraw !== 0) ||
      (hasKey && this.commitIndex > 0) ||
      (hasScope && !hasKey)
    ) {
      return 'a record header is not canonical';
    }
    if (this.#textsStart() > header + this.headerSize) {
      return 'the sizes in a record contradict each other';
    }
    return this.#checkNumbers() ?? this.#checkPayloadSizes() ?? this.#checkTexts();
  }

  #checkNumbers(): string | undefined {
    const { position, occurredAt, commitIndex } = this;
    const isPossible =
      this.revision <= position &&
      (occurredAt === undefined || Number.isSafeInteger(occurredAt)) &&
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
      (codec === 0 || (payloadSize > 0 && payloadSize < plainSize)) &&
      metadataSize > 0 === ((this.flags & HeaderFlag.metadata) !== 0) &&
      dataSize >= 0 &&
      (contentType === ContentType.none ? dataSize === 0 : true) &&
      (contentType === ContentType.json ? dataSize > 0 : true);
    return isPossible ? undefined : 'the sizes of a payload contradict each other';
  }

  #checkTexts(): string | undefined {
    const header = this.#header;
    const end = header + this.headerSize;
    const uuids = this.flags & UUID_FLAGS;
    return textsProblem(this.bytes, header + HeaderAt.textSizes, uuids, this.#textsStart(), end);
  }

  get isErased(): boolean {
    return (this.bytes[this.start + 6]! & RecordFlag.erased) !== 0;
  }
  get flags(): number {
    return this.view.getUint16(this.#header + HeaderAt.flags, true);
  }
  get hasGeneratedId(): boolean {
    return this.bytes[this.#header + HeaderAt.idSize] === 0;
  }
  get contentType(): number {
    return this.flags & CONTENT_TYPE_MASK;
  }
  get codec(): number {
    return this.bytes[this.#header + HeaderAt.codec]!;
  }
  get commitIndex(): number {
    return this.view.getUint16(this.#header + HeaderAt.commitIndex, true);
  }
  get commitCount(): number {
    return this.view.getUint16(this.#header + HeaderAt.commitCount, true);
  }
  get position(): number {
    return readUint48(this.view, this.#header + HeaderAt.position);
  }
  get revision(): number {
    return readUint48(this.view, this.#header + HeaderAt.revision);
  }
  get time(): number {
    return readUint48(this.view, this.#header + HeaderAt.time);
  }
  get payloadSize(): number {
    return this.view.getUint32(this.#header + HeaderAt.payloadSize, true);
  }
  get idDraw(): number {
    return this.view.getUint32(this.#header + HeaderAt.version, true) >>> 8;
  }
  get tagCount(): number {
    return this.bytes[this.#header + HeaderAt.tagCount]!;
  }

  // The optional numbers, in the order in which they stand.

  get plainSize(): number {
    return this.codec === 0
      ? this.payloadSize
      : this.view.getUint32(this.#header + HeaderAt.end, true);
  }
  get metadataSize(): number {
    return (this.flags & HeaderFlag.metadata) === 0
      ? 0
      : this.view.getUint32(this.#header + HeaderAt.end + (this.codec === 0 ? 0 : 4), true);
  }
  get occurredAt(): number | undefined {
    return (this.flags & HeaderFlag.occurredAt) === 0
      ? undefined
      : readInt64(this.view, this.#textsStart() - 8);
  }
  #textsStart(): number {
    const { flags } = this;
    return (
      this.#header +
      HeaderAt.end +
      (this.codec === 0 ? 0 : 4) +
      ((flags & HeaderFlag.metadata) === 0 ? 0 : 4) +
      ((flags & HeaderFlag.occurredAt) === 0 ? 0 : 8)
    );
  }

  /** Before the hashes are filled in: whose leaf the previous one is, or -1 if it stands in its place. */
  get linkPosition(): number {
    return readUint64(this.view, this.start + DRAFT_LINK_AT) - 1;
  }

  get stream(): string {
    return this.#text(0);
  }
  /** Where the stream's name begins in `bytes`. */
  get streamStart(): number {
    return this.#textsStart();
  }
  /** Bytes of the stream's name. */
  get streamSize(): number {
    return this.view.getUint16(this.#header + HeaderAt.textSizes, true);
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
    return this.#text(SCOPE_INDEX);
  }
  get idempotencyKey(): string {
    return this.#text(KEY_INDEX);
  }

  get tags(): string[] {
    const tags: string[] = [];
    let at = this.#textAt(textFields.length);
    for (let index = 0; index < this.tagCount; index += 1) {
      const size = this.bytes[at]! + 1;
      tags.push(this.bytes.toString('utf8', at + 1, at + 1 + size));
      at += 1 + size;
    }
    return tags;
  }

  /** Copy of the leaf hash of the stream's previous event. */
  get previousLeaf(): Uint8Array {
    return this.#hash(HeaderAt.previousLeaf);
  }
  get digest(): Uint8Array {
    return this.#hash(HeaderAt.digest);
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

  /** True if texts and tags fill the header to its end, whatever they say. */
  holdsItsTexts(): boolean {
    const end = this.#header + this.headerSize;
    let at = this.#textAt(textFields.length);
    for (let index = 0; index < this.tagCount && at < end; index += 1) {
      at += 2 + this.bytes[at]!;
    }
    return at === end;
  }

  #text(index: number): string {
    const size = textSizeAt(this.bytes, this.#header + HeaderAt.textSizes, index);
    if (size === 0) {
      return '';
    }
    const at = this.#textAt(index);
    return (this.flags & uuidFlagOf(index)) !== 0 && index > 1
      ? uuidAt(this.bytes, at)
      : this.bytes.toString('utf8', at, at + size);
  }

  /** Where a text begins, or, with the number of texts, the first tag. */
  #textAt(index: number): number {
    let at = this.#textsStart();
    for (let earlier = 0; earlier < index; earlier += 1) {
      at += textSizeAt(this.bytes, this.#header + HeaderAt.textSizes, earlier);
    }
    return at;
  }
}
