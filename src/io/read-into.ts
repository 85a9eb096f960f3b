import type { File } from './file-system.ts';

/** Fills `target` from `offset` on as far as the file reaches; returns the number of bytes. */
export function readInto(file: Pick<File, 'read'>, target: Uint8Array, offset: number): number {
  let filled = 0;
  while (filled < target.length) {
    const count = file.read(target.subarray(filled), offset + filled);
    if (count === 0) {
      break;
    }
    filled += count;
  }
  return filled;
}
