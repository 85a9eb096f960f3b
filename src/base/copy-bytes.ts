/** Bytes, and a view of the same ones. */
export interface ViewedBytes {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** From here on a native copy is faster than a loop, though it takes an object for what is copied. */
const NATIVE_COPY_SIZE = 256;

/** Copies `source[start, end)` to where `at` is in `target`, which is other memory. */
export function copyBytes(
  target: ViewedBytes,
  at: number,
  source: ViewedBytes,
  start: number,
  end: number,
): void {
  const size = end - start;
  if (size >= NATIVE_COPY_SIZE) {
    target.bytes.set(source.bytes.subarray(start, end), at);
    return;
  }
  const shift = at - start;
  const from = source.view;
  const to = target.view;
  const last = end - 7;
  let index = start;
  for (; index < last; index += 8) {
    to.setInt32(index + shift, from.getInt32(index, true), true);
    to.setInt32(index + shift + 4, from.getInt32(index + 4, true), true);
  }
  for (; index < end; index += 1) {
    to.setUint8(index + shift, from.getUint8(index));
  }
}

/** From here on a native copy of a plain array is faster than a loop, in spite of the view that it makes. */
const NATIVE_RANGE_SIZE = 160;

/** Copies `source[start, end)` to where `at` is in `target`, where there is no view of either. Returns where the copy ends. */
export function copyRange(
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  at: number,
): number {
  const size = end - start;
  if (size >= NATIVE_RANGE_SIZE) {
    target.set(source.subarray(start, end), at);
  } else {
    for (let index = 0; index < size; index += 1) {
      target[at + index] = source[start + index]!;
    }
  }
  return at + size;
}
