import { rmdirSync } from 'node:fs';
import { systemCode } from '../base/errors.ts';

/** Removes a folder that has nothing in it; any other, and one that isn't there, is left alone. */
export function removeFolderIfEmpty(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    const code = systemCode(error);
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST' && code !== 'ENOENT') {
      throw error;
    }
  }
}
