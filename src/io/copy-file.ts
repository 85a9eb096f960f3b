import { systemCode, VarveError } from '../base/errors.ts';
import type { File, FileSystem } from './file-system.ts';
import { readInto } from './read-into.ts';

const COPY_SIZE = 1024 * 1024;

/** Gives a file that never changes a second name. False where that is not possible: its bytes have to be copied instead. */
export function tryLink(fileSystem: FileSystem, source: string, target: string): boolean {
  try {
    fileSystem.link(source, target);
    return true;
  } catch (error) {
    const code = systemCode(error);
    // Another file system, or one without hard links.
    if (code === 'EXDEV' || code === 'EPERM' || code === 'ENOTSUP' || code === 'EMLINK') {
      return false;
    }
    throw error;
  }
}

/** Copies the bytes from `start` up to `end`, in pieces; `between` is awaited after each. Not synced. */
export async function copyContent(
  source: File,
  target: File,
  end: number,
  between: () => Promise<void>,
  start: number = 0,
): Promise<void> {
  const bytes = new Uint8Array(COPY_SIZE);
  for (let offset = start; offset < end; offset += COPY_SIZE) {
    const piece = bytes.subarray(0, Math.min(COPY_SIZE, end - offset));
    const count = readInto(source, piece, offset);
    if (count !== piece.length || target.write(piece, offset) !== piece.length) {
      throw new VarveError('UNAVAILABLE', `${target.path} could not be written whole.`);
    }
    await between();
  }
}

/** Whether the first `end` bytes of two files are there and equal; `between` is awaited after each piece. */
export async function isSameContent(
  one: File,
  other: File,
  end: number,
  between: () => Promise<void>,
): Promise<boolean> {
  const [left, right] = [new Uint8Array(COPY_SIZE), new Uint8Array(COPY_SIZE)];
  for (let offset = 0; offset < end; offset += COPY_SIZE) {
    const size = Math.min(COPY_SIZE, end - offset);
    const leftPiece = left.subarray(0, size);
    const rightPiece = right.subarray(0, size);
    const isThere =
      readInto(one, leftPiece, offset) === size && readInto(other, rightPiece, offset) === size;
    if (!isThere || Buffer.compare(leftPiece, rightPiece) !== 0) {
      return false;
    }
    await between();
  }
  return true;
}
