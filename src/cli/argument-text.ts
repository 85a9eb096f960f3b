/**
 * Node puts U+FFFD in place of bytes of an argument that are not UTF-8: a key, a stream or a folder would be another one than
 * was named. The bytes can still be read on Linux; elsewhere the character is refused whoever typed it.
 */
import { readFileSync } from 'node:fs';
import { decodeText } from './exact-text.ts';
import { CommandError } from './exit-code.ts';
import { TextProblem } from './text-problem.ts';

const REPLACEMENT = '\uFFFD';
const NUL = 0;

/** Throws `CommandError` for an argument that is not what was given. `args` are the last ones of the process. */
export function checkArguments(
  args: readonly string[],
  readBytes: () => readonly Uint8Array[] | undefined = readArgumentBytes,
): void {
  if (!args.some((arg) => arg.includes(REPLACEMENT))) {
    return;
  }
  const all = readBytes();
  const given = all?.slice(all.length - args.length);
  for (const [index, arg] of args.entries()) {
    if (arg.includes(REPLACEMENT) && !isText(given?.[index], arg)) {
      throw new CommandError(`The argument ${JSON.stringify(arg)} is not UTF-8.`, {
        advice:
          'Data are taken from a file (--data @file), keys of a key-value store in hex (--hex).',
      });
    }
  }
}

function isText(bytes: Uint8Array | undefined, arg: string): boolean {
  if (bytes === undefined) {
    return false;
  }
  try {
    return decodeText(bytes) === arg;
  } catch (error) {
    if (error instanceof TextProblem) {
      return false;
    }
    throw error;
  }
}

/** What the process was started with; undefined where that can't be read. */
function readArgumentBytes(): Uint8Array[] | undefined {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync('/proc/self/cmdline');
  } catch {
    // Not Linux, or no /proc: then nothing is known of the bytes, and the character is refused.
    return undefined;
  }
  const parts: Uint8Array[] = [];
  let start = 0;
  for (let end = bytes.indexOf(NUL); end >= 0; end = bytes.indexOf(NUL, start)) {
    parts.push(bytes.subarray(start, end));
    start = end + 1;
  }
  return parts;
}
