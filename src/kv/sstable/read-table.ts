import { asVarveError, type VarveError } from '../../base/errors.ts';
import type { File } from '../../io/file-system.ts';
import { readInto, readIntoAsync } from '../../io/read-into.ts';

/** Reads from a table's file. Throws `UNAVAILABLE` where the disk refuses: that says nothing about the table. */
export function readTable(file: File, target: Uint8Array, offset: number): number {
  try {
    return readInto(file, target, offset);
  } catch (error) {
    throw unreadable(file, error);
  }
}

/** Does what `readTable` does without blocking. */
export async function readTableAsync(
  file: File,
  target: Uint8Array,
  offset: number,
): Promise<number> {
  try {
    return await readIntoAsync(file, target, offset);
  } catch (error) {
    throw unreadable(file, error);
  }
}

function unreadable(file: File, cause: unknown): VarveError {
  return asVarveError(cause, `${file.path} could not be read`);
}
