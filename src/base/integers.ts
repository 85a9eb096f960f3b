/** Little-endian numbers of more than 32 bits that are safe integers here: read and written without BigInt. */

const TWO_32 = 2 ** 32;

export function writeUint64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value >>> 0, true);
  view.setUint32(offset + 4, Math.floor(value / TWO_32), true);
}

/** Returns a number that may not be a safe integer if the bytes are damaged: callers check. */
export function readUint64(view: DataView, offset: number): number {
  return view.getUint32(offset + 4, true) * TWO_32 + view.getUint32(offset, true);
}

/** Writes a number below 2^48. */
export function writeUint48(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value >>> 0, true);
  view.setUint16(offset + 4, Math.floor(value / TWO_32), true);
}

export function readUint48(view: DataView, offset: number): number {
  return view.getUint16(offset + 4, true) * TWO_32 + view.getUint32(offset, true);
}

export function writeInt64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value >>> 0, true);
  view.setInt32(offset + 4, Math.floor(value / TWO_32), true);
}

export function readInt64(view: DataView, offset: number): number {
  return view.getInt32(offset + 4, true) * TWO_32 + view.getUint32(offset, true);
}

/** The next multiple of 8. */
export function align8(size: number): number {
  return (size + 7) & ~7;
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Index of the first byte in [start, end) that is not zero, or `end`. */
export function firstNonZero(bytes: Uint8Array, start: number, end: number): number {
  let index = start;
  while (index < end && bytes[index] === 0) {
    index += 1;
  }
  return index;
}
