import { putText } from '../base/put-text.ts';

/** Writes the pieces of a payload at `at`; returns where they end. `size`: bytes of all of them. */
export function putPayload(
  bytes: Buffer,
  at: number,
  pieces: readonly (string | Uint8Array)[],
  size: number,
): number {
  const [first] = pieces;
  if (pieces.length === 1 && typeof first === 'string') {
    return putText(bytes, at, first, size);
  }
  let end = at;
  for (const piece of pieces) {
    if (typeof piece === 'string') {
      end += bytes.write(piece, end, 'utf8');
    } else {
      bytes.set(piece, end);
      end += piece.length;
    }
  }
  return end;
}
