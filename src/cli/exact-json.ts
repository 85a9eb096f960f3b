/**
 * JSON that is taken only if it is kept as it stands. `JSON.parse` rounds numbers and drops all but the last of repeated
 * keys, without a word. What it has parsed is scanned once more, from the left to the right: no recursion, nothing is looked at
 * twice, so neither the length of a text nor its depth matters.
 */
import { beginsNumber, endOfNumber, isExactNumber } from './exact-number.ts';
import { hasByteOrderMark } from './exact-text.ts';
import { quoted, TextProblem } from './text-problem.ts';

const QUOTE = 0x22;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const OBJECT_START = 0x7b;
const OBJECT_END = 0x7d;
const ARRAY_START = 0x5b;
const ARRAY_END = 0x5d;

/** Throws `TextProblem`. */
export function parseExactJson(text: string): unknown {
  if (hasByteOrderMark(text)) {
    throw new TextProblem('begins with a byte order mark: leave it out');
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TextProblem(`is not JSON (${reason})`, { isForm: true, cause });
  }
  if (scan(text) !== countKeys(parsed)) {
    throw new TextProblem(
      `holds the key ${quoted(findRepeatedKey(text) ?? '')} twice in one object: only one of the two could be kept`,
    );
  }
  return parsed;
}

/** The number of keys in a text that is JSON. Throws `TextProblem` for the first number that isn't kept exactly. */
function scan(json: string): number {
  let keyCount = 0;
  let at = 0;
  while (at < json.length) {
    const unit = json.charCodeAt(at);
    if (unit === QUOTE) {
      at = endOfString(json, at);
    } else if (beginsNumber(unit)) {
      const end = endOfNumber(json, at);
      checkNumber(json.slice(at, end));
      at = end;
    } else {
      keyCount += unit === COLON ? 1 : 0;
      at += 1;
    }
  }
  return keyCount;
}

const SHOWN_DIGITS_MAX = 40;

function checkNumber(token: string): void {
  if (!isExactNumber(token)) {
    const shown = token.length <= SHOWN_DIGITS_MAX ? token : `${token.slice(0, SHOWN_DIGITS_MAX)}…`;
    throw new TextProblem(
      `holds the number ${shown}, which can't be kept exactly: write it as a string`,
    );
  }
}

/** The offset after the string that begins at `start`. */
function endOfString(json: string, start: number): number {
  let end = json.indexOf('"', start + 1);
  while (isEscaped(json, end)) {
    end = json.indexOf('"', end + 1);
  }
  return end + 1;
}

function isEscaped(json: string, at: number): boolean {
  let start = at;
  while (json.charCodeAt(start - 1) === BACKSLASH) {
    start -= 1;
  }
  return (at - start) % 2 === 1;
}

/** Keys of all objects in a value that was parsed. */
function countKeys(value: unknown): number {
  const pending: unknown[] = [value];
  let count = 0;
  while (pending.length > 0) {
    const one = pending.pop();
    if (typeof one !== 'object' || one === null) {
      continue;
    }
    const isArray = Array.isArray(one);
    const inner: readonly unknown[] = isArray ? one : Object.values(one);
    count += isArray ? 0 : inner.length;
    for (const each of inner) {
      if (typeof each === 'object' && each !== null) {
        pending.push(each);
      }
    }
  }
  return count;
}

/** Only called when there is one, so it may take its time. */
function findRepeatedKey(json: string): string | undefined {
  // One for each object or array around the place, with the keys of an object.
  const around: Set<string>[] = [];
  let at = 0;
  while (at < json.length) {
    const unit = json.charCodeAt(at);
    if (unit !== QUOTE) {
      if (unit === OBJECT_START || unit === ARRAY_START) {
        around.push(new Set());
      } else if (unit === OBJECT_END || unit === ARRAY_END) {
        around.pop();
      }
      at += 1;
      continue;
    }
    const end = endOfString(json, at);
    if (isKey(json, end)) {
      const key = JSON.parse(json.slice(at, end)) as string;
      const keys = around.at(-1)!;
      if (keys.has(key)) {
        return key;
      }
      keys.add(key);
    }
    at = end;
  }
  return undefined;
}

/** True if the string that ends here is a key. */
function isKey(json: string, end: number): boolean {
  let at = end;
  // Space, tab and line ends; all of them are below the other characters that JSON has outside of strings.
  while (json.charCodeAt(at) <= 0x20) {
    at += 1;
  }
  return json.charCodeAt(at) === COLON;
}
