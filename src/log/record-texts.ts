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
const sizesMax: readonly number[] = [
  limits.streamSizeMax,
  limits.typeSizeMax,
  limits.idSizeMax,
  limits.idSizeMax,
  limits.idSizeMax,
  0,
  limits.idempotencyKeySizeMax,
];
/** The stream and the type are never absent. */
const REQUIRED_COUNT = 2;

const SPACE = 0x20;
const DOT = 0x2e;
const SLASH = 0x2f;
const DELETE = 0x7f;
/** First byte of U+0080 to U+00BF. */
const C1_LEAD = 0xc2;
const C1_LAST = 0x9f;

/** Where the tags of the record at hand begin and end. */
const tagStarts = new Int32Array(limits.tagCountMax);
const tagEnds = new Int32Array(limits.tagCountMax);

/**
 * What is wrong with the texts in `bytes[start, end)`, if anything is. `sizesAt`: where the sizes of the seven texts stand, and
 * the number of tags behind them.
 */
export function textsProblem(
  bytes: Uint8Array,
  view: DataView,
  sizesAt: number,
  start: number,
  end: number,
): string | undefined {
  let at = start;
  for (let index = 0; index < names.length; index += 1) {
    const size = view.getUint16(sizesAt + index * 2, true);
    if (size > sizesMax[index]! || (size === 0 && index < REQUIRED_COUNT)) {
      return `the ${names[index]} of a record has ${size} bytes`;
    }
    if (at + size > end) {
      return 'the strings of a record contradict its size';
    }
    if (!isText(bytes, at, at + size)) {
      return `the ${names[index]} of a record is not text`;
    }
    if (index === 0 && !isPath(bytes, at, at + size)) {
      return 'the stream of a record has a name that no stream has';
    }
    at += size;
  }
  return tagsProblem(bytes, view, at, end, view.getUint16(sizesAt + names.length * 2, true));
}

function tagsProblem(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  end: number,
  count: number,
): string | undefined {
  if (count > limits.tagCountMax) {
    return `a record has ${count} tags`;
  }
  let at = start;
  for (let index = 0; index < count; index += 1) {
    const size = at + 2 > end ? 0 : view.getUint16(at, true);
    at += 2;
    if (at + size > end) {
      return 'the strings of a record contradict its size';
    }
    if (size === 0 || size > limits.tagSizeMax || !isText(bytes, at, at + size)) {
      return 'a tag of a record is not a tag';
    }
    tagStarts[index] = at;
    at += size;
    tagEnds[index] = at;
    if (hasTwin(bytes, index)) {
      return 'a record has the same tag twice';
    }
  }
  return at === end ? undefined : 'the strings of a record contradict its size';
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

function isText(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at]!;
    if (byte < SPACE || byte >= DELETE) {
      return isUnusualText(bytes, start, end);
    }
  }
  return true;
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
  let size = 0;
  let dots = 0;
  for (let at = start; at <= end; at += 1) {
    const byte = at === end ? SLASH : bytes[at]!;
    if (byte !== SLASH) {
      size += 1;
      dots += byte === DOT ? 1 : 0;
    } else if (size === 0 || (size <= 2 && dots === size)) {
      return false;
    } else {
      size = 0;
      dots = 0;
    }
  }
  return true;
}
