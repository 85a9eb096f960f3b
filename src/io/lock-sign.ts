import { closeSync, existsSync, fstatSync, openSync } from 'node:fs';
import type { HeldDirectory } from './file-system.ts';
import { joinPath } from './path.ts';

/** What stands for a lock: a file in the locked directory, kept open, that has its names as long as nobody removes them. */
interface LockSign {
  readonly descriptor: number;
  readonly linkCount: number;
}

/** <fcntl.h> of Linux: opens what can't be read, such as a socket, to look at. */
export const O_PATH = 0o10000000;

/** Undefined where such a file can't be opened: then its names are looked for. */
export function openSign(path: string): LockSign | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(path, O_PATH);
  } catch {
    return undefined;
  }
  try {
    return signOf(descriptor);
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

export function signOf(descriptor: number): LockSign {
  return { descriptor, linkCount: fstatSync(descriptor).nlink };
}

export function isSignThere({ anchor, names, sign }: HeldDirectory): boolean {
  if (sign === undefined) {
    return names.every((name) => existsSync(joinPath(anchor, name)));
  }
  const { descriptor, linkCount } = sign as LockSign;
  return fstatSync(descriptor).nlink >= linkCount;
}
