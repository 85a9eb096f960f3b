/**
 * Keys and values of the tree of derived data, and what its manifest keeps for it. See docs/formats/derived.md.
 *
 *   axis (1) | what is asked for | where it is
 *
 * Numbers in keys are big-endian, so that keys sort by them.
 */
import { assert } from '../base/assert.ts';
import { readUint48, viewOf, writeUint48 } from '../base/integers.ts';
import { type Refusal } from '../base/refusal.ts';

/** Kinds of entries, by the first byte of their keys. Format: persisted; never renumber. */
export const Axis = { counts: 1, key: 2, id: 3, head: 4, posting: 5 } as const;

// Format: persisted.
const OWNER_DATA_VERSION = 1;
const STORE_IDENTITY_SIZE = 16;
export const SECRET_SIZE = 8;
const OWNER_DATA_SIZE = 4 + STORE_IDENTITY_SIZE + SECRET_SIZE;

/** Bytes of a hash in a key, and of a position or the complement of a revision. */
const HASH_SIZE = 8;
const POSITION_SIZE = 6;
/** An axis and a hash: what all entries of one key or id begin with. */
export const HASH_PREFIX_SIZE: number = 1 + HASH_SIZE;
export const HASH_KEY_SIZE: number = HASH_PREFIX_SIZE + POSITION_SIZE;
/** Between a stream's name and what follows it: no name holds this byte, and it sorts before all that do. */
export const NAME_END = 0;
/** Bytes of a posting's key behind the name. */
export const POSTING_SUFFIX_SIZE = 7;
/** Positions of one chunk. */
export const CHUNK_COUNT_MAX = 1_024;

export const REVISION_MAX: number = 2 ** 48 - 1;
const TWO_16 = 2 ** 16;
const TWO_32 = 2 ** 32;

/** What the tree's manifest keeps beside its tables. */
export interface OwnerData {
  /** Of the store whose log it was made from. */
  readonly storeIdentity: Uint8Array;
  /** Key of the hash of keys and ids. */
  readonly secret: Uint8Array;
}

export function encodeOwnerData({ storeIdentity, secret }: OwnerData): Uint8Array {
  assert(storeIdentity.length === STORE_IDENTITY_SIZE, 'an identity has 16 bytes');
  assert(secret.length === SECRET_SIZE, 'a secret has 8 bytes');
  const bytes = new Uint8Array(OWNER_DATA_SIZE);
  viewOf(bytes).setUint32(0, OWNER_DATA_VERSION, true);
  bytes.set(storeIdentity, 4);
  bytes.set(secret, 4 + STORE_IDENTITY_SIZE);
  return bytes;
}

export function decodeOwnerData(bytes: Uint8Array): OwnerData | Refusal {
  const version = bytes.length < 4 ? undefined : viewOf(bytes).getUint32(0, true);
  if (version !== OWNER_DATA_VERSION) {
    return { reason: 'it was made by another version' };
  }
  if (bytes.length !== OWNER_DATA_SIZE) {
    return { reason: 'what its manifest keeps has another size' };
  }
  const secretAt = 4 + STORE_IDENTITY_SIZE;
  return { storeIdentity: bytes.slice(4, secretAt), secret: bytes.slice(secretAt) };
}

/** Writes axis and hash; returns where they end. */
export function putHashPrefix(bytes: Uint8Array, axis: number, low: number, high: number): number {
  bytes[0] = axis;
  putUint32(bytes, 1, high);
  putUint32(bytes, 5, low);
  return HASH_PREFIX_SIZE;
}

export function putPosition(bytes: Uint8Array, at: number, position: number): number {
  putUint16(bytes, at, Math.floor(position / TWO_32));
  putUint32(bytes, at + 2, position % TWO_32);
  return at + POSITION_SIZE;
}

export function positionAt(bytes: Uint8Array, at: number): number {
  return uint16At(bytes, at) * TWO_32 + uint32At(bytes, at + 2);
}

/** Writes what follows the name in a posting's key; returns where it ends. */
export function putPostingSuffix(bytes: Uint8Array, at: number, firstRevision: number): number {
  bytes[at] = NAME_END;
  return putPosition(bytes, at + 1, REVISION_MAX - firstRevision);
}

/** The first revision of the chunk whose key ends at `end`. */
export function firstRevisionBefore(bytes: Uint8Array, end: number): number {
  return REVISION_MAX - positionAt(bytes, end - POSITION_SIZE);
}

/** A key of the axis for a name, with `suffixSize` zeros behind it. */
export function nameKey(axis: number, name: string, suffixSize: number = 0): Uint8Array {
  const size = Buffer.byteLength(name, 'utf8');
  const key = Buffer.allocUnsafe(1 + size + suffixSize);
  key[0] = axis;
  key.write(name, 1, 'utf8');
  key.fill(0, 1 + size);
  return key;
}

/** Key of the chunk of a stream that begins with a revision. */
export function postingKey(name: string, firstRevision: number): Uint8Array {
  const key = nameKey(Axis.posting, name, POSTING_SUFFIX_SIZE);
  putPostingSuffix(key, key.length - POSTING_SUFFIX_SIZE, firstRevision);
  return key;
}

/** A stream's newest event, and by it how many there are. */
export interface Head {
  revision: number;
  position: number;
}

export const HEAD_VALUE_SIZE_MAX = 16;

export function putHead(bytes: Uint8Array, revision: number, position: number): number {
  return putVarint(bytes, putVarint(bytes, 0, revision), position);
}

/** Undefined if the bytes are no head. */
export function decodeHead(bytes: Uint8Array, start: number, end: number): Head | undefined {
  const reader = new VarintReader(bytes, start, end);
  const revision = reader.next();
  const position = reader.next();
  return reader.isAtEnd && revision <= position ? { revision, position } : undefined;
}

export const CHUNK_SIZE_MAX: number = 8 * (CHUNK_COUNT_MAX + 2);

/** Reads a chunk: positions ascending. Undefined if the bytes are none. */
export function decodeChunk(
  bytes: Uint8Array,
  start: number,
  end: number,
): Float64Array | undefined {
  const reader = new VarintReader(bytes, start, end);
  const count = reader.next();
  if (!(count >= 1 && count <= CHUNK_COUNT_MAX)) {
    return undefined;
  }
  const positions = new Float64Array(count);
  let position = reader.next();
  positions[0] = position;
  for (let index = 1; index < count; index += 1) {
    position += 1 + reader.next();
    positions[index] = position;
  }
  return reader.isAtEnd && Number.isSafeInteger(position) ? positions : undefined;
}

/** How many there are of what the tree holds, up to its coverage. */
export interface Counts {
  readonly streams: number;
  readonly keys: number;
  readonly ids: number;
}

export const NO_COUNTS: Counts = { streams: 0, keys: 0, ids: 0 };
const COUNTS_SIZE = 18;

export function encodeCounts({ streams, keys, ids }: Counts): Uint8Array {
  const bytes = new Uint8Array(COUNTS_SIZE);
  const view = viewOf(bytes);
  writeUint48(view, 0, streams);
  writeUint48(view, 6, keys);
  writeUint48(view, 12, ids);
  return bytes;
}

export function decodeCounts(bytes: Uint8Array): Counts | undefined {
  if (bytes.length !== COUNTS_SIZE) {
    return undefined;
  }
  const view = viewOf(bytes);
  return { streams: readUint48(view, 0), keys: readUint48(view, 6), ids: readUint48(view, 12) };
}

/** Writes 7 bits a byte, the lowest first; returns where they end. */
export function putVarint(bytes: Uint8Array, at: number, value: number): number {
  let rest = value;
  let index = at;
  while (rest >= 0x80) {
    bytes[index] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
    index += 1;
  }
  bytes[index] = rest;
  return index + 1;
}

class VarintReader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at: number;
  #isBroken = false;

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  /** Everything was read, and nothing else than numbers. */
  get isAtEnd(): boolean {
    return !this.#isBroken && this.#at === this.#end;
  }

  /** 0 behind the end. */
  next(): number {
    let value = 0;
    let unit = 1;
    while (this.#at < this.#end) {
      const byte = this.#bytes[this.#at]!;
      this.#at += 1;
      value += (byte & 0x7f) * unit;
      if (byte < 0x80) {
        this.#isBroken ||= !Number.isSafeInteger(value);
        return value;
      }
      unit *= 0x80;
    }
    this.#isBroken = true;
    return 0;
  }
}

function putUint16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

function putUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

function uint16At(bytes: Uint8Array, at: number): number {
  return bytes[at]! * 0x100 + bytes[at + 1]!;
}

function uint32At(bytes: Uint8Array, at: number): number {
  return uint16At(bytes, at) * TWO_16 + uint16At(bytes, at + 2);
}
