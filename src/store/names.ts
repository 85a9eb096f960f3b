/** Rules for names that callers choose: streams, types, tags, ids, keys. */
import { rejectUnknownNames } from '../base/arguments.ts';
import { VarveError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import type { CommitKey } from './contract.ts';

const DOLLAR = 0x24;
const DOT = 0x2e;

/** Bytes of UTF-8 of a valid stream name; throws otherwise. */
export function checkStreamName(stream: string): number {
  const size = checkText('stream', stream, limits.streamSizeMax);
  let start = 0;
  for (let end = stream.indexOf('/'); start <= stream.length; end = stream.indexOf('/', start)) {
    const stop = end === -1 ? stream.length : end;
    if (isForbiddenPart(stream, start, stop)) {
      throw new VarveError(
        'INVALID_ARGUMENT',
        `The stream ${JSON.stringify(stream)} has an empty, "." or ".." part: name streams like "orders/eu/42".`,
      );
    }
    start = stop + 1;
  }
  return size;
}

function isForbiddenPart(stream: string, start: number, end: number): boolean {
  const isDots = stream.charCodeAt(start) === DOT && stream.charCodeAt(end - 1) === DOT;
  return end === start || (isDots && end - start <= 2);
}

/** As `checkStreamName`, for a stream that is to be written. */
export function checkWritableStream(stream: string): number {
  const size = checkStreamName(stream);
  if (!isWritable(stream)) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `The stream ${JSON.stringify(stream)} begins with "$", which is reserved for the store: choose another name.`,
    );
  }
  return size;
}

/** True if callers may write a stream of this name, which must be a valid one. */
export function isWritable(stream: string): boolean {
  return stream.charCodeAt(0) !== DOLLAR;
}

const commitKeyNames = new Set(['idempotencyKey', 'idempotencyScope']);

/** A copy of what was given. Throws `INVALID_ARGUMENT` or `LIMIT_EXCEEDED`. */
export function checkCommitKey(given: CommitKey): CommitKey {
  rejectUnknownNames(given, commitKeyNames, 'field of a commit to find');
  const { idempotencyKey, idempotencyScope } = given;
  checkText('idempotency key', idempotencyKey, limits.idempotencyKeySizeMax);
  if (idempotencyScope === undefined) {
    return { idempotencyKey };
  }
  checkText('idempotency scope', idempotencyScope, limits.idempotencyScopeSizeMax);
  return { idempotencyKey, idempotencyScope };
}

/** Bytes of UTF-8 of a non-empty text without control characters and lone surrogates; throws otherwise. */
export function checkText(what: string, text: unknown, sizeMax: number): number {
  if (typeof text !== 'string') {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `The ${what} must be a string, not ${typeName(text)}.`,
    );
  }
  let isPlain = text.length <= sizeMax;
  for (let index = 0; isPlain && index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    isPlain = unit >= 0x20 && unit < 0x7f;
  }
  const size = isPlain ? text.length : checkUnusualText(what, text);
  if (size === 0 || size > sizeMax) {
    throw new VarveError(
      size === 0 ? 'INVALID_ARGUMENT' : 'LIMIT_EXCEEDED',
      `The ${what} must have 1 to ${sizeMax} bytes of UTF-8, not ${size}.`,
    );
  }
  return size;
}

// The C0 and C1 control characters.
const controlCharacter = /\p{Cc}/u;
// With the u flag only a surrogate without its partner is a code point of this kind.
const loneSurrogate = /\p{Cs}/u;

function checkUnusualText(what: string, text: string): number {
  if (controlCharacter.test(text)) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `The ${what} ${JSON.stringify(text)} holds a control character.`,
    );
  }
  if (loneSurrogate.test(text)) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `The ${what} ${JSON.stringify(text)} holds half of a surrogate pair, which is no text.`,
    );
  }
  return Buffer.byteLength(text, 'utf8');
}

export function typeName(value: unknown): string {
  return value === null ? 'null' : typeof value;
}
