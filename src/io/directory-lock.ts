import { checkUnlockedByExclusiveOpen, lockByExclusiveOpen } from './exclusive-open-lock.ts';
import type { DirectoryLock } from './file-system.ts';
import { unlockableError } from './lock-refusal.ts';
import { checkUnlockedBySocket, lockBySocket } from './socket-lock.ts';

/**
 * Takes the exclusive lock of a directory among all processes, threads and copies of this package, or throws `LOCKED`
 * naming the holder. Never waits for a holder. The lock ends with `release()` or with its process, however that ends,
 * and does not keep the process alive. Throws `UNAVAILABLE` where the system offers nothing to lock with.
 */
export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  const lock = lockOfPlatform[process.platform];
  if (lock === undefined) {
    throw unlockableError(directory, `Varve knows no safe lock on ${process.platform}`);
  }
  return lock(directory);
}

/**
 * Throws `LOCKED` if somebody holds the directory, and makes nothing there: for reading, on media that can't be written, too. Nobody is kept from
 * taking the lock afterwards.
 */
export async function checkDirectoryUnlocked(directory: string): Promise<void> {
  await (process.platform === 'linux'
    ? checkUnlockedBySocket(directory)
    : checkUnlockedByExclusiveOpen(directory));
}

type Lock = (directory: string) => DirectoryLock | Promise<DirectoryLock>;

const lockOfPlatform: Readonly<Partial<Record<NodeJS.Platform, Lock>>> = {
  linux: lockBySocket,
  darwin: lockByExclusiveOpen,
  freebsd: lockByExclusiveOpen,
  netbsd: lockByExclusiveOpen,
  openbsd: lockByExclusiveOpen,
  win32: lockByExclusiveOpen,
};
