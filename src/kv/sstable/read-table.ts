import { asVarveError } from '../../base/errors.ts';
import type { File } from '../../io/file-system.ts';
import { readInto } from '../../io/read-into.ts';

/** Reads from a table's file. Throws `UNAVAILABLE` where the disk refuses: that says nothing about the table. */
export function readTable(file: File, target: Uint8Array, offset: number): number {
  try {
    return readInto(file, target, offset);
  } catch (error) {
    throw asVarveError(error, `${file.path} could not be read`);
  }
}
