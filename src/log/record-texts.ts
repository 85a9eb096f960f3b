/**
 * What the texts of a record must be, looked at as bytes: within their limits, UTF-8, without control characters, the
 * stream's name a path, and a UUID stored as one. These are the rules that `store/names.ts` has for a caller's strings, so that
 * whatever stands in a log can be asked for by its name.
 */
import { isUtf8 } from 'node:buffer';
import { limits } from '../base/limits.ts';
import { isUuidAt, UUID_SIZE } from '../base/uuid.ts';
import type { TextField } from './record-fields.ts';

/** In the order in which they stand. */
const nameOf: Readonly<Record<TextField, string>> = {
  stream: 'stream',
  type: 'type',
  suppliedId: 'id',
  correlationId: 'correlation id',
  causationId: 'causation id',
  subject: 'subject',
  idempotencyScope: 'idempotency scope',
  idempotencyKey: 'idempotency key',
};
export const textFields: readonly TextField[] = Object.keys(nameOf) as TextField[];
const names: readonly string[] = Object.values(nameOf);
const { streamSizeMax, idSizeMax, idempotencyScopeSizeMax, idempotencyKeySizeMax } = limits;

const UUID_TEXT_SIZE = 36;

const SPACE = 0x20;
const DOT = 0x2e;
const SLASH = 0x2f;
const DELETE = 0x7f;
/** First byte of U+0080 to U+00BF. */
const C1_LEAD = 0xc2;
const C1_LAST = 0x9f;

const CONTRADICTION = 'the strings of a record contradict its size';

/** Where the tags of the record at hand begin and end. */
const tagStarts = new Int32Array(limits.tagCountMax);
const tagEnds = new Int32Array(limits.tagCountMax);

/** What stands in the sizes of a record, from the first one on. */
const SizeAt = { stream: 0, key: 2, type: 4, subject: 8, scope: 9, tagCount: 10 } as const;
export const TEXT_SIZES_SIZE = 11;
const KEY = 7;

/** The flag that says of the text with this index that it is a UUID, stored as its 16 bytes. Stream and type never are. */
export function uuidFlagOf(index: number): number {
  return 1 << (index + 6);
}

/** Bytes of a text in the record. `sizesAt`: where the sizes stand. */
export function textSizeAt(bytes: Uint8Array, sizesAt: number, index: number): number {
  if (index <= 1) {
    // A type has at least one byte: its size is stored less that one, as a tag's.
    return index === 0 ? uint16At(bytes, sizesAt) : bytes[sizesAt + SizeAt.type]! + 1;
  }
  return index === KEY ? uint16At(bytes, sizesAt + SizeAt.key) : bytes[sizesAt + 3 + index]!;
}

/**
 * What is wrong with the texts in `bytes[start, end)`, if anything is. `sizesAt`: where their sizes stand, and the number of tags;
 * `uuids`: the flags of those that are UUIDs. Every record that is read goes through this: nearly all are printable ASCII,
 * which one loop over all of them tells.
 */
export function textsProblem(
  bytes: Buffer,
  sizesAt: number,
  uuids: number,
  start: number,
  end: number,
): string | undefined {
  const streamSize = uint16At(bytes, sizesAt);
  const keySize = uint16At(bytes, sizesAt + SizeAt.key);
  const idSize = bytes[sizesAt + 5]!;
  const correlationSize = bytes[sizesAt + 6]!;
  const causationSize = bytes[sizesAt + 7]!;
  const scopeSize = bytes[sizesAt + SizeAt.scope]!;
  if (
    streamSize === 0 ||
    streamSize > streamSizeMax ||
    idSize > idSizeMax ||
    correlationSize > idSizeMax ||
    causationSize > idSizeMax ||
    // Nothing makes a subject yet.
    bytes[sizesAt + SizeAt.subject]! > 0 ||
    scopeSize > idempotencyScopeSizeMax ||
    keySize > idempotencyKeySizeMax
  ) {
    return 'a text of a record is missing, or longer than it may be';
  }
  const typeSize = bytes[sizesAt + SizeAt.type]! + 1;
  const idsSize = idSize + correlationSize + causationSize;
  const textsEnd = start + streamSize + typeSize + idsSize + scopeSize + keySize;
  if (textsEnd > end) {
    return CONTRADICTION;
  }
  const problem =
    uuids === 0 && isPrintableAscii(bytes, start, textsEnd) && !mayHoldUuid(bytes, sizesAt)
      ? undefined
      : eachTextProblem(bytes, sizesAt, uuids, start);
  if (problem !== undefined) {
    return problem;
  }
  if (!isPath(bytes, start, start + streamSize)) {
    return 'the stream of a record has a name that no stream has';
  }
  const tagCount = bytes[sizesAt + SizeAt.tagCount]!;
  if (tagCount === 0) {
    return textsEnd === end ? undefined : CONTRADICTION;
  }
  return tagsProblem(bytes, textsEnd, end, tagCount);
}

function uint16At(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8);
}

function mayHoldUuid(bytes: Uint8Array, sizesAt: number): boolean {
  return (
    bytes[sizesAt + 5] === UUID_TEXT_SIZE ||
    bytes[sizesAt + 6] === UUID_TEXT_SIZE ||
    bytes[sizesAt + 7] === UUID_TEXT_SIZE ||
    bytes[sizesAt + SizeAt.scope] === UUID_TEXT_SIZE ||
    uint16At(bytes, sizesAt + SizeAt.key) === UUID_TEXT_SIZE
  );
}

/** Each text by itself: a character must not be split between two, and a UUID has one encoding. */
function eachTextProblem(
  bytes: Buffer,
  sizesAt: number,
  uuids: number,
  start: number,
): string | undefined {
  let at = start;
  for (let index = 0; index < names.length; index += 1) {
    const end = at + textSizeAt(bytes, sizesAt, index);
    if ((uuids & uuidFlagOf(index)) !== 0) {
      if (end - at !== UUID_SIZE) {
        return `the ${names[index]!} of a record is not the UUID that it should be`;
      }
    } else if (!isText(bytes, at, end)) {
      return `the ${names[index]!} of a record is not text`;
    } else if (index > 1 && isUuidAt(bytes, at, end)) {
      return `the ${names[index]!} of a record is a UUID and stored as text`;
    }
    at = end;
  }
  return undefined;
}

function tagsProblem(
  bytes: Uint8Array,
  start: number,
  end: number,
  count: number,
): string | undefined {
  if (count > limits.tagCountMax) {
    return `a record has ${count} tags`;
  }
  let at = start;
  for (let index = 0; index < count; index += 1) {
    const size = at < end ? bytes[at]! + 1 : 1;
    at += 1;
    if (at + size > end) {
      return CONTRADICTION;
    }
    if (!isText(bytes, at, at + size)) {
      return 'a tag of a record is not a tag';
    }
    tagStarts[index] = at;
    at += size;
    tagEnds[index] = at;
    if (index > 0 && hasTwin(bytes, index)) {
      return 'a record has the same tag twice';
    }
  }
  return at === end ? undefined : CONTRADICTION;
}

/** True if a tag before this one has the same bytes. */
function hasTwin(bytes: Uint8Array, index: number): boolean {
  const start = tagStarts[index]!;
  const size = tagEnds[index]! - start;
  for (let earlier = 0; earlier < index; earlier += 1) {
    const other = tagStarts[earlier]!;
    let shared = tagEnds[earlier]! - other === size ? 0 : -1;
    while (shared >= 0 && shared < size && bytes[other + shared] === bytes[start + shared]) {
      shared += 1;
    }
    if (shared === size) {
      return true;
    }
  }
  return false;
}

function isPrintableAscii(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at]!;
    if (byte < SPACE || byte >= DELETE) {
      return false;
    }
  }
  return true;
}

function isText(bytes: Uint8Array, start: number, end: number): boolean {
  return isPrintableAscii(bytes, start, end) || isUnusualText(bytes, start, end);
}

function isUnusualText(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at]!;
    const isC1 = byte === C1_LEAD && at + 1 < end && bytes[at + 1]! <= C1_LAST;
    if (byte < SPACE || byte === DELETE || isC1) {
      return false;
    }
  }
  return isUtf8(bytes.subarray(start, end));
}

/** True if no part between slashes is empty, "." or "..". */
function isPath(bytes: Uint8Array, start: number, end: number): boolean {
  let partStart = start;
  for (let at = start; at <= end; at += 1) {
    if (at < end && bytes[at] !== SLASH) {
      continue;
    }
    const size = at - partStart;
    const isDots = size > 0 && bytes[partStart] === DOT && bytes[at - 1] === DOT;
    if (size === 0 || (isDots && size <= 2)) {
      return false;
    }
    partStart = at + 1;
  }
  return true;
}
