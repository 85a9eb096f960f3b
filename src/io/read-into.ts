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

/** Does what `readInto` does without blocking, as far as the file can. */
export async function readIntoAsync(
  file: Pick<File, 'read' | 'readAsync'>,
  target: Uint8Array,
  offset: number,
): Promise<number> {
  let filled = 0;
  while (filled < target.length) {
    const count = await readAsync(file, target.subarray(filled), offset + filled);
    if (count === 0) {
      break;
    }
    filled += count;
  }
  return filled;
}

/** One asynchronous read of any file: of one that has none, the blocking one. */
export async function readAsync(
  file: Pick<File, 'read' | 'readAsync'>,
  target: Uint8Array,
  offset: number,
): Promise<number> {
  return file.readAsync === undefined ? file.read(target, offset) : file.readAsync(target, offset);
}
