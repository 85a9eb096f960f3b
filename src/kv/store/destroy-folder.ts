/** Removes a store from the disk. */
import { asVarveError, VarveError } from '../../base/errors.ts';
import { joinPath, absolutePath } from '../../io/path.ts';
import type { FileSystem } from '../../io/file-system.ts';
import { holdFolder } from '../../io/held-folder.ts';
import { NodeFileSystem } from '../../io/node-file-system.ts';
import { removeFolderIfEmpty } from '../../io/remove-folder.ts';
import { positionOfSegmentName } from '../../journal/format.ts';
import { SPARE_NAME, TAIL_NAME } from '../../journal/names.ts';
import { LOG_NAME, QUARANTINE_NAME } from '../manifest/folder.ts';
import { MANIFEST_COPY_NAME, MANIFEST_NAME, tableNumberOf, TABLES_NAME } from '../sstable/names.ts';

/** Of an event store, whose folder has a log and a quarantine, too. */
const FOREIGN_IDENTITY = 'store.json';

/**
 * Removes a key-value store: its files, and the folders that are empty then. What isn't the store's stays. Does nothing where nothing is.
 * Throws `LOCKED` while it is open, `NOT_A_STORE` for a folder that holds something else.
 */
export async function destroyFolder(directory: string): Promise<void> {
  const fileSystem = new NodeFileSystem();
  const path = absolutePath(directory);
  try {
    if (fileSystem.stat(path) === undefined) {
      return;
    }
    if (fileSystem.list(path).length > 0) {
      // Order: looked at before the lock leaves a file in a folder that is not ours.
      checkIsStore(fileSystem, path);
      const lock = await holdFolder(fileSystem, path);
      try {
        checkIsStore(lock.fileSystem, path);
        removeStore(lock.fileSystem, path);
      } finally {
        await lock.release();
      }
    }
    removeFolderIfEmpty(path);
  } catch (error) {
    throw asVarveError(error, `The store in ${path} can't be removed`);
  }
}

function checkIsStore(fileSystem: FileSystem, directory: string): void {
  const names = new Set(fileSystem.list(directory).map(({ name }) => name));
  const isStore = names.has(MANIFEST_NAME) || names.has(TABLES_NAME);
  if (!isStore || names.has(FOREIGN_IDENTITY)) {
    throw new VarveError(
      'NOT_A_STORE',
      `There is no key-value store in ${directory}: nothing was removed.`,
      { details: { directory } },
    );
  }
}

const besideManifest: ReadonlySet<string> = new Set([
  `${MANIFEST_NAME}.tmp`,
  MANIFEST_COPY_NAME,
  `${MANIFEST_COPY_NAME}.tmp`,
]);

/** The manifest last: as long as something is left, what is there is known for a store, and can be removed. */
function removeStore(fileSystem: FileSystem, directory: string): void {
  removeFiles(fileSystem, joinPath(directory, LOG_NAME), isOfLog);
  removeFiles(fileSystem, joinPath(directory, QUARANTINE_NAME), () => true);
  removeFiles(
    fileSystem,
    joinPath(directory, TABLES_NAME),
    (name) => tableNumberOf(name) !== undefined,
  );
  removeFiles(fileSystem, directory, (name) => besideManifest.has(name));
  fileSystem.syncDirectory(directory);
  for (const name of [LOG_NAME, QUARANTINE_NAME, TABLES_NAME]) {
    removeFolderIfEmpty(joinPath(directory, name));
  }
  removeFiles(fileSystem, directory, (name) => name === MANIFEST_NAME);
  fileSystem.syncDirectory(directory);
}

function removeFiles(
  fileSystem: FileSystem,
  directory: string,
  isOurs: (name: string) => boolean,
): void {
  if (fileSystem.stat(directory)?.kind !== 'directory') {
    return;
  }
  for (const { name, kind } of fileSystem.list(directory)) {
    if (kind === 'file' && isOurs(name)) {
      fileSystem.remove(joinPath(directory, name));
    }
  }
}

function isOfLog(name: string): boolean {
  const stem = name.endsWith('.tmp') ? name.slice(0, -'.tmp'.length) : name;
  return stem === SPARE_NAME || stem === TAIL_NAME || positionOfSegmentName(stem) !== undefined;
}
