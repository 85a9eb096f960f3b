/** Keys and values, which are any bytes, as people type and read them. */
import { CommandError } from './exit-code.ts';
import { printable } from './text.ts';

/** The option of all commands that take or show keys. */
export const hexOption: { readonly help: string } = {
  help: 'Keys are given in hex, and keys and values shown so',
};

const encoder = new TextEncoder();
// A byte order mark is part of a key like any other character.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export function parseBytes(text: string, isHex: boolean): Uint8Array {
  if (!isHex) {
    return encoder.encode(text);
  }
  if (text.length % 2 !== 0 || /[^0-9a-f]/i.test(text)) {
    throw new CommandError(`${JSON.stringify(text)} is not hex: two digits for each byte.`);
  }
  return new Uint8Array(Buffer.from(text, 'hex'));
}

/** On one line, without anything that could do something to a terminal. */
export function showBytes(bytes: Uint8Array, isHex: boolean): string {
  if (isHex) {
    return hexOf(bytes);
  }
  const text = textOf(bytes);
  return text === undefined ? escaped(bytes) : printable(text);
}

/** `{ name }` if the bytes are text, else `{ nameHex }`: exact in any case. */
export function bytesAsJson(
  name: string,
  bytes: Uint8Array,
  isHex: boolean,
): Readonly<Record<string, string>> {
  const text = isHex ? undefined : textOf(bytes);
  return text === undefined ? { [`${name}Hex`]: hexOf(bytes) } : { [name]: text };
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

/** Printable ASCII as it is, every other byte as \xNN. */
function escaped(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) =>
    byte >= 0x20 && byte < 0x7f
      ? String.fromCharCode(byte)
      : `\\x${byte.toString(16).padStart(2, '0')}`,
  ).join('');
}
