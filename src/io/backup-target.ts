/** The folder that a backup goes to, and how files that never change get there. */
import { VarveError } from '../base/errors.ts';
import { copyContent, tryLink } from './copy-file.ts';
import type { FileSystem } from './file-system.ts';
import { isInside } from './is-inside.ts';

/** Throws `INVALID_ARGUMENT` if `target` lies in the store's own folder. */
export function checkOutside(fileSystem: FileSystem, directory: string, target: string): void {
  if (isInside(fileSystem, directory, target)) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `${target} is in the folder of the store itself: give another place.`,
    );
  }
}

/** Throws `INVALID_ARGUMENT` unless `target` is missing or an empty folder, outside of the store's own. */
export function checkBackupTarget(fileSystem: FileSystem, directory: string, target: string): void {
  checkOutside(fileSystem, directory, target);
  const found = fileSystem.stat(target);
  if (found !== undefined && (found.kind !== 'directory' || fileSystem.list(target).length > 0)) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `${target} is there already: give a new or an empty folder.`,
    );
  }
}

/** A second name for a file, or a durable copy of it where that is not possible or not wanted; `between` is awaited after each piece. */
export async function linkOrCopy(
  fileSystem: FileSystem,
  source: string,
  target: string,
  between: () => Promise<void>,
  mayLink: boolean = true,
): Promise<void> {
  if (!mayLink || !tryLink(fileSystem, source, target)) {
    await copyFile(fileSystem, source, target, undefined, between);
  }
}

/** Copies the first `size` bytes of a file, or all of it, durably; `between` is awaited after each piece. */
export async function copyFile(
  fileSystem: FileSystem,
  source: string,
  target: string,
  size: number | undefined,
  between: () => Promise<void>,
): Promise<void> {
  const from = fileSystem.open(source, 'read');
  try {
    const to = fileSystem.open(target, 'create');
    try {
      await copyContent(from, to, size ?? from.size(), between);
      await to.syncAsync();
    } finally {
      to.close();
    }
  } finally {
    from.close();
  }
}
