import { statSync } from 'node:fs';
import { systemCode } from '../base/errors.ts';

/** Device and inode of what is at a path, links followed; undefined if nothing is. */
export function identityAt(path: string): string | undefined {
  try {
    const facts = statSync(path, { bigint: true, throwIfNoEntry: false });
    return facts === undefined ? undefined : identityOf(facts);
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOTDIR' || code === 'ELOOP') {
      return undefined;
    }
    throw error;
  }
}

export function identityOf({ dev, ino }: { readonly dev: bigint; readonly ino: bigint }): string {
  return `${dev}:${ino}`;
}
