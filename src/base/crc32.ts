import { crc32 as zlibCrc32 } from 'node:zlib';

/** CRC-32 as in IEEE 802.3 and zlib (reflected 0xEDB88320) of `bytes[start, end)`. */
export function crc32(bytes: Uint8Array, start: number, end: number): number {
  return zlibCrc32(bytes.subarray(start, end));
}
