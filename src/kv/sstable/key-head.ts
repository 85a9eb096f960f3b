/** Four bytes from `start` on as a number that orders like them; zeros stand for bytes behind `end`. */
export function headOf(bytes: Uint8Array, start: number, end: number): number {
  if (start + 4 <= end) {
    return (
      ((bytes[start]! << 24) |
        (bytes[start + 1]! << 16) |
        (bytes[start + 2]! << 8) |
        bytes[start + 3]!) >>>
      0
    );
  }
  let head = 0;
  for (let at = start; at < start + 4; at += 1) {
    head = (head << 8) | (at < end ? bytes[at]! : 0);
  }
  return head >>> 0;
}
