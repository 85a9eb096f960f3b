/** The store's folder: which names are ours, and how it comes into being. See DESIGN: everything derived has its own folder. */
import { CorruptionError, VarveError } from '../base/errors.ts';
import type { Random } from '../base/random.ts';
import { reached } from '../base/reached.ts';
import { readSmallFile, replaceFile } from '../io/atomic-file.ts';
import type { Clock } from '../io/clock.ts';
import type { FileSystem } from '../io/file-system.ts';
import { syncParents } from '../io/folders.ts';
import { inspectNames } from '../io/own-names.ts';
import { joinPath } from '../io/path.ts';
import { createJournal, logHoldsFrames, removeInterruptedJournal } from '../journal/new-journal.ts';
import {
  createIdentity,
  drawIdentity,
  IDENTITY_NAME,
  IDENTITY_SIZE_MAX,
  readIdentity,
  type StoreIdentity,
} from './identity.ts';

export const LOG_DIRECTORY_NAME = 'log';
export const QUARANTINE_DIRECTORY_NAME = 'quarantine';

const ownNames: ReadonlySet<string> = new Set([
  'LOCK',
  IDENTITY_NAME,
  `${IDENTITY_NAME}.tmp`,
  LOG_DIRECTORY_NAME,
  QUARANTINE_DIRECTORY_NAME,
  // Folders that later versions make.
  'derived',
  'tree',
  'checkpoints',
  'state',
  'projections',
]);

export interface FolderParts {
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * Looks at the folder before anything is done to it. Throws `NOT_A_STORE` for one that holds other things (or that is
 * missing, if it may not be made), `FOREIGN_FILE` for a store with something in it that isn't ours.
 */
export function inspectFolder(fileSystem: FileSystem, directory: string, mayCreate: boolean): void {
  const found = fileSystem.stat(directory);
  if (found !== undefined && found.kind !== 'directory') {
    throw new VarveError('NOT_A_STORE', `${directory} is not a folder.`, {
      details: { directory },
    });
  }
  if (found !== undefined) {
    inspectNames(fileSystem, directory, ownNames, [IDENTITY_NAME]);
  }
  const isStore = fileSystem.stat(joinPath(directory, IDENTITY_NAME)) !== undefined;
  if (
    !isStore &&
    !mayCreate &&
    !logHoldsFrames(fileSystem, joinPath(directory, LOG_DIRECTORY_NAME))
  ) {
    throw new VarveError('NOT_A_STORE', `There is no store in ${directory}.`, {
      details: { directory },
    });
  }
}

/** The identity of the store in a locked folder, made now if there is none. */
export function openIdentity(
  parts: FolderParts,
  directory: string,
): { readonly identity: StoreIdentity; readonly isNew: boolean } {
  const { fileSystem } = parts;
  const found = readIdentity(fileSystem, directory);
  if (found !== undefined) {
    const logDirectory = joinPath(directory, LOG_DIRECTORY_NAME);
    if (fileSystem.stat(logDirectory) === undefined) {
      throw new CorruptionError(logDirectory, undefined, 'the folder of the log is missing');
    }
    return { identity: found, isNew: false };
  }
  syncParents(fileSystem, directory);
  create(parts, directory);
  return { identity: readIdentity(fileSystem, directory)!, isNew: true };
}

/** The identity of a store that is only read. Throws `CORRUPT` if it is missing: `inspectFolder` has found events. */
export function existingIdentity(fileSystem: FileSystem, directory: string): StoreIdentity {
  const found = readIdentity(fileSystem, directory);
  const logDirectory = joinPath(directory, LOG_DIRECTORY_NAME);
  if (found !== undefined && fileSystem.stat(logDirectory) !== undefined) {
    return found;
  }
  if (found !== undefined) {
    throw new CorruptionError(logDirectory, undefined, 'the folder of the log is missing');
  }
  throw identityMissing(directory);
}

function identityMissing(directory: string): CorruptionError {
  const reason = 'the file is missing beside a log with events';
  return new CorruptionError(joinPath(directory, IDENTITY_NAME), undefined, reason);
}

/** The log first, the identity last: a folder without identity was never a store, unless its log holds events. */
function create({ fileSystem, clock, random }: FolderParts, directory: string): void {
  const logDirectory = joinPath(directory, LOG_DIRECTORY_NAME);
  if (!fileSystem.makeDirectory(logDirectory)) {
    if (logHoldsFrames(fileSystem, logDirectory)) {
      throw identityMissing(directory);
    }
    removeInterruptedJournal(fileSystem, logDirectory);
  }
  fileSystem.syncDirectory(directory);
  const bytes = drawIdentity(random);
  createJournal({ fileSystem, directory: logDirectory, identity: bytes }, random);
  createIdentity(fileSystem, directory, bytes, clock.now());
}

/**
 * Whoever made a store that is still empty may have been stopped before its names were durable, or their sync may have
 * failed, and no later sync makes up for that: the identity gets its name once more.
 */
export function renewNames(fileSystem: FileSystem, directory: string): void {
  syncParents(fileSystem, directory);
  const bytes = readSmallFile(fileSystem, joinPath(directory, IDENTITY_NAME), IDENTITY_SIZE_MAX)!;
  replaceFile(fileSystem, directory, IDENTITY_NAME, bytes);
  reached('renewed the names of an empty store');
}
