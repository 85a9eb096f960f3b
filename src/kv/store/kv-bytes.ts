/** What callers give as keys, values and ranges, as bytes. */
import { isUtf8 } from 'node:buffer';
import { compareKeys } from '../../base/compare-bytes.ts';
import { rejectUnknownNames } from '../../base/arguments.ts';
import { VarveError } from '../../base/errors.ts';
import { jsonTextOf } from '../../base/json-text.ts';
import { successorOfPrefix } from '../../radix/path.ts';
import type { KvBytes, KvInput, KvRange } from './contract.ts';
import type { CopySlab } from './copy-slab.ts';
import { rangeNames } from './option-names.ts';
import { NO_BYTES, type Found } from '../entries/cursor.ts';
import { type EntryBounds, successorOf } from '../tree/entry-iterator.ts';

export const KEY_SIZE_MAX = 65_535;

/** Behind every key: where a range ends that has no end. */
export const KEYS_END: Uint8Array = new Uint8Array(KEY_SIZE_MAX + 1).fill(0xff);

// With the u flag only a surrogate without its partner is a code point of this kind.
const loneSurrogate = /\p{Cs}/u;

/** A key's bytes: the caller's own array, or the UTF-8 of a string. */
export function keyBytesOf(key: KvBytes): Uint8Array {
  return checkedKey(bytesOf(key, 'A key'));
}

/** The same, to be copied from before the caller goes on: a `Buffer` will do as it is. */
export function keyToCopyOf(key: KvBytes): Uint8Array {
  return checkedKey(bytesToCopyOf(key, 'A key'));
}

function checkedKey(bytes: Uint8Array): Uint8Array {
  if (bytes.length > KEY_SIZE_MAX) {
    throw new VarveError(
      'LIMIT_EXCEEDED',
      `A key has ${KEY_SIZE_MAX} bytes at most, not ${bytes.length}.`,
    );
  }
  return bytes;
}

/** Up to this size a key's own array is used again and again. */
const SOUGHT_SIZE_MAX = 64;

/**
 * Keys of reads that end with the call. What would need a new array to be one of the plain kind, a string or a `Buffer`, is
 * written to one that is used again if it is short.
 */
export class SoughtKeys {
  /** By size. */
  readonly #arrays = Array.from({ length: SOUGHT_SIZE_MAX + 1 }, (_, size) => new Uint8Array(size));

  /** The key's bytes, until the next call. Never changed by the receiver. */
  bytesOf(key: KvBytes): Uint8Array {
    if (typeof key !== 'string' && !isOfPlainClass(key)) {
      return keyBytesOf(key);
    }
    const size = key.length;
    if (!(size <= SOUGHT_SIZE_MAX)) {
      return keyBytesOf(key);
    }
    const bytes = this.#arrays[size]!;
    if (typeof key === 'string') {
      return writeAscii(key, bytes) ? bytes : keyBytesOf(key);
    }
    for (let at = 0; at < size; at += 1) {
      bytes[at] = key[at]!;
    }
    return bytes;
  }
}

/** An array of a class of its own may say anything of its length. */
function isOfPlainClass(key: unknown): boolean {
  return (
    key instanceof Uint8Array && (key.constructor === Uint8Array || key.constructor === Buffer)
  );
}

/** False if the text has other characters: their bytes are more than one. */
function writeAscii(text: string, bytes: Uint8Array): boolean {
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code > 0x7f) {
      return false;
    }
    bytes[at] = code;
  }
  return true;
}

function bytesOf(given: KvBytes, what: string): Uint8Array {
  const bytes = bytesToCopyOf(given, what);
  return bytes.constructor === Buffer ? plainBytes(bytes) : bytes;
}

function bytesToCopyOf(given: KvBytes, what: string): Uint8Array {
  if (typeof given === 'string') {
    if (loneSurrogate.test(given)) {
      throw new VarveError(
        'INVALID_ARGUMENT',
        `${what} holds half of a surrogate pair, which has no UTF-8: give bytes.`,
      );
    }
    return Buffer.from(given, 'utf8');
  }
  if (given instanceof Uint8Array || isForeignBytes(given)) {
    const { constructor } = given;
    return constructor === Uint8Array || constructor === Buffer ? given : plainBytes(given);
  }
  throw new VarveError('INVALID_ARGUMENT', `${what} must be a Uint8Array or a string.`);
}

/** The same bytes as an array of the plain kind: a `Buffer` has a `slice` that doesn't copy, another realm's has another class. */
function plainBytes(given: Uint8Array): Uint8Array {
  return new Uint8Array(given.buffer, given.byteOffset, given.byteLength);
}

/** An array of another realm. */
function isForeignBytes(given: unknown): given is Uint8Array<ArrayBuffer> {
  return (
    ArrayBuffer.isView(given) && Object.prototype.toString.call(given) === '[object Uint8Array]'
  );
}

/** What a store's values are, and what their bytes are. */
export interface ValueCodec<Value> {
  /** To be copied from before the caller goes on. */
  encode(value: KvInput<Value>): Uint8Array;
  /** The value in `bytes[start, end)`. */
  decode(bytes: Uint8Array, start: number, end: number): Value;
  /** The same without a copy, where that is possible. */
  borrow(bytes: Uint8Array, start: number, end: number): Value;
  /** The same with copies in `slab`. */
  copy(slab: CopySlab, bytes: Uint8Array, start: number, end: number): Value;
  copyFound(slab: CopySlab, found: Found): Value;
}

export const bytesCodec: ValueCodec<Uint8Array> = {
  encode: (value) => bytesToCopyOf(value, 'A value'),
  decode: (bytes, start, end) => copyOf(bytes, start, end),
  borrow: (bytes, start, end) => viewOfBytes(bytes, start, end),
  copy: (slab, bytes, start, end) => slab.copy(bytes, start, end),
  copyFound: (slab, { buffer, start, end }) => slab.copyOf(buffer, start, end - start),
};

export const jsonCodec: ValueCodec<unknown> = {
  // What the value's own code throws is its owner's.
  encode: (value) => Buffer.from(jsonTextOf(value, 'value'), 'utf8'),
  decode: parse,
  borrow: parse,
  copy: (_slab, bytes, start, end) => parse(bytes, start, end),
  copyFound: (_slab, { bytes, start, end }) => parse(bytes, start, end),
};

function parse(bytes: Uint8Array, start: number, end: number): unknown {
  const stored = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start);
  const text = stored.toString('utf8');
  try {
    // The character may be the value's own, or stand for bytes that are no text.
    if (text.includes('\uFFFD') && !isUtf8(stored)) {
      throw new SyntaxError('The bytes are not UTF-8.');
    }
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      'This value is not JSON: the store was written with another setting of the option values.',
      { cause },
    );
  }
}

/** A copy in memory of its own. */
export function copyOf(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const copy = new Uint8Array(end - start);
  if (end - start > 24) {
    copy.set(new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start));
  } else {
    for (let at = start; at < end; at += 1) {
      copy[at - start] = bytes[at]!;
    }
  }
  return copy;
}

/** Of all of an array. */
export function ownCopyOf(bytes: Uint8Array): Uint8Array {
  return copyOf(bytes, 0, bytes.length);
}

export function viewOfBytes(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start);
}

const boundNames: ReadonlySet<string> = new Set(rangeNames);

/** What is no range must not pass as the range of all keys. */
export function checkRangeObject(range: KvRange): void {
  rejectUnknownNames(range, boundNames, 'bound');
  if (Array.isArray(range) || ArrayBuffer.isView(range)) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      'A range is an object with gte, gt, lte, lt or prefix.',
    );
  }
}

/** A range as its first key and the first key behind it. Undefined: no key is in it. */
export function boundsOf(range: KvRange): EntryBounds | undefined {
  let start: Uint8Array = NO_BYTES;
  let end: Uint8Array | undefined;
  if (range.prefix !== undefined) {
    start = boundOf(range.prefix);
    end = successorOfPrefix(start);
  }
  if (range.gte !== undefined) {
    start = later(start, boundOf(range.gte));
  }
  if (range.gt !== undefined) {
    start = later(start, successorOf(boundOf(range.gt)));
  }
  if (range.lte !== undefined) {
    end = earlier(end, successorOf(boundOf(range.lte)));
  }
  if (range.lt !== undefined) {
    end = earlier(end, boundOf(range.lt));
  }
  return withinKeys(start, end);
}

/** The same range with bounds that keys could be: no key is longer, so longer bounds say no more. */
function withinKeys(first: Uint8Array, behind: Uint8Array | undefined): EntryBounds | undefined {
  const start =
    first.length > KEY_SIZE_MAX ? successorOfPrefix(first.subarray(0, KEY_SIZE_MAX)) : first;
  const end =
    behind !== undefined && behind.length > KEY_SIZE_MAX
      ? successorOfPrefix(behind.subarray(0, KEY_SIZE_MAX))
      : behind;
  const isEmpty = start === undefined || (end !== undefined && compareKeys(start, end) >= 0);
  return isEmpty ? undefined : { start, end };
}

/** A bound is the caller's for the time of the call only. */
function boundOf(given: KvBytes): Uint8Array {
  const bytes = bytesOf(given, 'A bound');
  return typeof given === 'string' ? bytes : ownCopyOf(bytes);
}

function later(left: Uint8Array, right: Uint8Array): Uint8Array {
  return compareKeys(left, right) < 0 ? right : left;
}

function earlier(left: Uint8Array | undefined, right: Uint8Array): Uint8Array {
  return left === undefined || compareKeys(right, left) < 0 ? right : left;
}

/** Nothing in them is the caller's. What is no key is left to be refused. */
export function ownKeysOf(keys: readonly KvBytes[]): KvBytes[] {
  return keys.map((key) => (key instanceof Uint8Array ? new Uint8Array(key) : key));
}
