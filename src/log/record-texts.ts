/**
 * What the texts of a record must be, looked at as bytes: within their limits, UTF-8, without control characters, and the
 * stream's name a path. These are the rules that `store/names.ts` has for a caller's strings, so that whatever stands in a log
 * can be asked for by its name.
 */
import { isUtf8 } from 'node:buffer';
import { limits } from '../base/limits.ts';

/** In the order in which they stand. */
const names = [
  'stream',
  'type',
  'id',
  'correlation id',
  'causation id',
  'idempotency scope',
  'idempotency key',
] as const;
const { streamSizeMax, typeSizeMax, idSizeMax, idempotencyKeySizeMax } = limits;

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

/**
 * What is wrong with the texts in `bytes[start, end)`, if anything is. `sizesAt`: where the sizes of the seven texts stand, and
 * the number of tags behind them. Every record that is read goes through this: nearly all are printable ASCII, which one loop
 * over all of them tells.
 */
export function textsProblem(
  bytes: Uint8Array,
  sizesAt: number,
  start: number,
  end: number,
): string | undefined {
  const streamSize = uint16At(bytes, sizesAt);
  const typeSize = uint16At(bytes, sizesAt + 2);
  const idSize = uint16At(bytes, sizesAt + 4);
  const correlationSize = uint16At(bytes, sizesAt + 6);
  const causationSize = uint16At(bytes, sizesAt + 8);
  const scopeSize = uint16At(bytes, sizesAt + 10);
  const keySize = uint16At(bytes, sizesAt + 12);
  if (
    streamSize === 0 ||
    typeSize === 0 ||
    streamSize > streamSizeMax ||
    typeSize > typeSizeMax ||
    idSize > idSizeMax ||
    correlationSize > idSizeMax ||
    causationSize > idSizeMax ||
    scopeSize > 0 ||
    keySize > idempotencyKeySizeMax
  ) {
    return 'a text of a record is missing, or longer than it may be';
  }
  const textsEnd =
    start + streamSize + typeSize + idSize + correlationSize + causationSize + keySize;
  if (textsEnd > end) {
    return CONTRADICTION;
  }
  if (!isPrintableAscii(bytes, start, textsEnd)) {
    const problem = unusualTextsProblem(bytes, sizesAt, start);
    if (problem !== undefined) {
      return problem;
    }
  }
  if (!isPath(bytes, start, start + streamSize)) {
    return 'the stream of a record has a name that no stream has';
  }
  const tagCount = uint16At(bytes, sizesAt + 14);
  if (tagCount === 0) {
    return textsEnd === end ? undefined : CONTRADICTION;
  }
  return tagsProblem(bytes, textsEnd, end, tagCount);
}

function uint16At(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8);
}

/** Each text by itself: a character must not be split between two. */
function unusualTextsProblem(
  bytes: Uint8Array,
  sizesAt: number,
  start: number,
): string | undefined {
  let at = start;
  for (const [index, name] of names.entries()) {
    const size = uint16At(bytes, sizesAt + index * 2);
    if (!isText(bytes, at, at + size)) {
      return `the ${name} of a record is not text`;
    }
    at += size;
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
    const size = at + 2 > end ? 0 : uint16At(bytes, at);
    at += 2;
    if (at + size > end) {
      return CONTRADICTION;
    }
    if (size === 0 || size > limits.tagSizeMax || !isText(bytes, at, at + size)) {
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
