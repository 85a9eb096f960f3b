/**
 * Numbers below 2^32 in 1 to 5 bytes, seven bits to a byte, low ones first; the high bit says that more follow (LEB128).
 */

export function varintSize(value: number): number {
  if (value < 0x80) {
    return 1;
  }
  if (value < 0x4000) {
    return 2;
  }
  if (value < 0x20_0000) {
    return 3;
  }
  return value < 0x1000_0000 ? 4 : 5;
}

/** Returns where the number ends. */
export function writeVarint(bytes: Uint8Array, start: number, value: number): number {
  let at = start;
  let rest = value;
  while (rest >= 0x80) {
    bytes[at] = rest | 0x80;
    rest >>>= 7;
    at += 1;
  }
  bytes[at] = rest;
  return at + 1;
}

/**
 * The number at `at`. Behind the end of `bytes` lie zeros, as far as this is concerned, and no more than five bytes count:
 * callers add `varintSize` and check where that leads. A number written with more bytes than it needs is thus misread,
 * which our writer never does and a check of bounds or order finds.
 */
export function readVarint(bytes: Uint8Array, at: number): number {
  let result = bytes[at]! & 0x7f;
  let index = at;
  for (let shift = 7; shift < 35 && (bytes[index]! & 0x80) !== 0; shift += 7) {
    index += 1;
    result |= (bytes[index]! & 0x7f) << shift;
  }
  return result >>> 0;
}
