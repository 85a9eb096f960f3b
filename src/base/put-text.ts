/** Short ASCII text is copied faster by a loop than by a call into native code. */
const LOOP_SIZE_MAX = 24;

/** What `write` calls in the end, at twice the cost for short text. */
type NativeBuffer = Buffer & { latin1Write(text: string, at: number, size: number): number };

/**
 * Writes text as UTF-8 at `at`; returns where it ends. `size`: its bytes in UTF-8. Where they are as many as its units, it is
 * ASCII.
 */
export function putText(bytes: Buffer, at: number, text: string, size: number): number {
  if (size !== text.length) {
    return at + bytes.write(text, at, 'utf8');
  }
  if (size > LOOP_SIZE_MAX) {
    return at + (bytes as NativeBuffer).latin1Write(text, at, size);
  }
  for (let index = 0; index < size; index += 1) {
    bytes[at + index] = text.charCodeAt(index);
  }
  return at + size;
}
