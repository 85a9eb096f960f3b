/** UUIDs as text, in the form 8-4-4-4-12 with small letters and no other, and as the 16 bytes that they stand for. */
export const UUID_SIZE = 16;

const TEXT_LENGTH = 36;
const DASH = 0x2d;
const NO_DIGIT = 16;
/** Values of hexadecimal digits by their character; capital letters are none. */
const digits = new Uint8Array(256).fill(NO_DIGIT);
/** Index in the text of the first digit of each byte. */
const places = Uint8Array.of(0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34);
for (let value = 0; value < 16; value += 1) {
  digits[value.toString(16).charCodeAt(0)] = value;
}

export function isUuid(text: string): boolean {
  return (
    text.length === TEXT_LENGTH &&
    text.charCodeAt(8) === DASH &&
    text.charCodeAt(13) === DASH &&
    text.charCodeAt(18) === DASH &&
    text.charCodeAt(23) === DASH &&
    haveDigits(text)
  );
}

/** True if the text in `bytes[start, end)` is that of a UUID. */
export function isUuidAt(bytes: Buffer, start: number, end: number): boolean {
  return end - start === TEXT_LENGTH && isUuid(bytes.toString('latin1', start, end));
}

/** Writes the bytes of a UUID at `at`; returns where they end. */
export function putUuid(bytes: Uint8Array, at: number, text: string): number {
  for (let byte = 0; byte < UUID_SIZE; byte += 1) {
    const place = places[byte]!;
    bytes[at + byte] = (digits[text.charCodeAt(place)]! << 4) | digits[text.charCodeAt(place + 1)]!;
  }
  return at + UUID_SIZE;
}

/** The text of the UUID whose bytes stand at `at`. */
export function uuidAt(bytes: Buffer, at: number): string {
  const hex = bytes.toString('hex', at, at + UUID_SIZE);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

function haveDigits(text: string): boolean {
  // One test for all: each digit is below 16, each other character is not, and none is cut to a digit.
  let all = 0;
  for (let byte = 0; byte < UUID_SIZE; byte += 1) {
    const first = text.charCodeAt(places[byte]!);
    const second = text.charCodeAt(places[byte]! + 1);
    all |= digits[first & 0xff]! | digits[second & 0xff]! | (((first | second) >>> 8) << 4);
  }
  return all < NO_DIGIT;
}
