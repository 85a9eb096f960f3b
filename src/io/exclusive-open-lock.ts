import { closeSync, constants, fstatSync, openSync, statSync } from 'node:fs';
import { systemCode } from '../base/errors.ts';
import { identityAt, identityOf } from './directory-identity.ts';
import type { DirectoryLock } from './file-system.ts';
import { holderFileName, readHolder, writeHolder } from './lock-holder.ts';
import { contendedError, heldError, unlockableError } from './lock-refusal.ts';
import { signOf } from './lock-sign.ts';
import { joinPath } from './path.ts';
import { removeNameIfPossible } from './remove-name.ts';

/**
 * Locks a directory with a file that only one can have open: macOS and the BSDs take a kernel lock as part of `open`
 * (`O_EXLOCK`), Windows opens without sharing. Either ends with the process and refuses a second open of the same
 * process. Read in the systems' and libuv's sources, not run: the project's machines are Linux.
 */
export function lockByExclusiveOpen(directory: string): DirectoryLock {
  const path = joinPath(directory, fileName);
  const holderPath = joinPath(directory, holderFileName);
  const descriptor = openExclusively(directory, path, holderPath);
  let identity: string;
  try {
    identity = identityOf(statSync(directory, { bigint: true }));
    writeHolder(holderPath, fileName, identity);
  } catch (error) {
    unlock(path, descriptor);
    throw error;
  }
  let isHeld = true;
  return {
    held: {
      path: directory,
      anchor: directory,
      identity,
      names: [fileName],
      sign: signOf(descriptor),
    },
    release: async () => {
      if (isHeld) {
        isHeld = false;
        if (isNamed(descriptor, path)) {
          removeNameIfPossible(holderPath);
        }
        unlock(path, descriptor);
      }
    },
  };
}

/** Throws `LOCKED` if the file is held. Opens it for reading at most, and only if it is there. */
export function checkUnlockedByExclusiveOpen(directory: string): void {
  const path = joinPath(directory, fileName);
  if (statSync(path, { throwIfNoEntry: false }) === undefined) {
    return;
  }
  try {
    closeSync(openSync(path, checkFlags));
  } catch (error) {
    if (heldCodes.has(systemCode(error))) {
      throw heldError(directory, readHolder(joinPath(directory, holderFileName), fileName));
    }
    if (systemCode(error) !== 'ENOENT') {
      throw error;
    }
  }
}

const fileName = '.lock-exclusive';

/** <fcntl.h> of macOS and the BSDs. */
const O_EXLOCK = 0x20;
/** libuv's `UV_FS_O_EXLOCK`: opens with share mode 0. */
const UV_FS_O_EXLOCK = 0x10000000;

const isWindows = process.platform === 'win32';
const flags =
  constants.O_RDWR |
  constants.O_CREAT |
  (isWindows ? UV_FS_O_EXLOCK : O_EXLOCK | constants.O_NONBLOCK);

/** `O_EXLOCK` refuses beside a holder; a holder on Windows lets nobody open it. */
const checkFlags =
  constants.O_RDONLY | (isWindows ? UV_FS_O_EXLOCK : O_EXLOCK | constants.O_NONBLOCK);

const attemptCountMax = 100;
const heldCodes: ReadonlySet<string | undefined> = new Set(['EAGAIN', 'EWOULDBLOCK', 'EBUSY']);
const unsupportedCodes: ReadonlySet<string | undefined> = new Set(['ENOTSUP', 'EOPNOTSUPP']);

function openExclusively(directory: string, path: string, holderPath: string): number {
  for (let attempt = 1; attempt <= attemptCountMax; attempt += 1) {
    let descriptor: number;
    try {
      descriptor = openSync(path, flags, 0o666);
    } catch (error) {
      if (heldCodes.has(systemCode(error))) {
        throw heldError(directory, readHolder(holderPath, fileName));
      }
      if (unsupportedCodes.has(systemCode(error))) {
        throw unlockableError(directory, 'its file system has no locks', error);
      }
      throw error;
    }
    if (isWindows || isNamed(descriptor, path)) {
      return descriptor;
    }
    // Opened just before a holder removed the name and locked just after: a lock that nobody else would meet.
    closeSync(descriptor);
  }
  throw contendedError(directory);
}

function isNamed(descriptor: number, path: string): boolean {
  return identityAt(path) === identityOf(fstatSync(descriptor, { bigint: true }));
}

function unlock(path: string, descriptor: number): void {
  if (isWindows) {
    // Order: an open file without sharing can't be removed. If somebody has opened it since, removing fails, rightly.
    closeSync(descriptor);
    removeNameIfPossible(path);
  } else {
    // Order: the name goes while the lock is held, or it would be the next holder's name. Where the directory was moved away, or the name
    // removed, another's is there.
    if (isNamed(descriptor, path)) {
      removeNameIfPossible(path);
    }
    closeSync(descriptor);
  }
}
