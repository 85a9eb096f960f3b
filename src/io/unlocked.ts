import type { FileSystem } from './file-system.ts';

/** Throws `LOCKED` if somebody holds the directory. Changes nothing where the file system can tell without. */
export async function checkUnlocked(fileSystem: FileSystem, directory: string): Promise<void> {
  if (fileSystem.checkUnlocked !== undefined) {
    await fileSystem.checkUnlocked(directory);
    return;
  }
  const lock = await fileSystem.lockDirectory(directory);
  await lock.release();
}
