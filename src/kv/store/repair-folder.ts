import { checkPath, rejectUnknownNames } from '../../base/arguments.ts';
import { asVarveError, VarveError } from '../../base/errors.ts';
import { resolveComponents } from '../../io/components.ts';
import type { FileSystem } from '../../io/file-system.ts';
import { holdFolder, readingFolder } from '../../io/held-folder.ts';
import { absolutePath, joinPath } from '../../io/path.ts';
import {
  type KvRepairOptions,
  type KvRepairReport,
  repairKv as repairLocked,
} from './kv-repair.ts';
import { inspectKvNames, LOG_NAME } from '../manifest/folder.ts';
import { MANIFEST_NAME, TABLES_NAME } from '../sstable/names.ts';
import type { KvComponents } from './options.ts';

/** What a repair found, and did if it was told to. */
export interface KvFolderRepairReport extends KvRepairReport {
  /** Whether the folder has a log. A repaired store is one with a log if so. */
  readonly hasLog: boolean;
}

const componentNames: ReadonlySet<string> = new Set(['fileSystem']);
const optionNames: ReadonlySet<string> = new Set(['apply', 'setAsideUndecided', 'evenIfIntact']);

/**
 * Makes the manifest of a store that can't be opened anew, from its tables; without `apply` it only says what it would do. Deletes
 * nothing: what can't be used is moved to the folder's `quarantine`. The store must not be open.
 *
 * Throws `LOCKED`, `NOT_A_STORE`, `FOREIGN_FILE`, `UNSUPPORTED_FORMAT`, `CORRUPT`, `INVALID_ARGUMENT`, `UNAVAILABLE`.
 */
export async function repairKv(
  directory: string,
  options: KvRepairOptions = {},
  components: Pick<KvComponents, 'fileSystem'> = {},
): Promise<KvFolderRepairReport> {
  rejectUnknownNames(options, optionNames, 'option');
  checkPath(directory, 'Give the folder of the store.');
  const { fileSystem } = await resolveComponents(components, componentNames);
  const path = absolutePath(directory);
  try {
    // Order: looked at before the lock leaves a file in a folder that is not ours.
    inspectFolder(fileSystem, path);
    if (options.apply !== true) {
      return await readingFolder(fileSystem, path, async (folder) => {
        const report = repairWith(folder.fileSystem, path, options);
        await folder.release();
        return report;
      });
    }
    const lock = await holdFolder(fileSystem, path);
    try {
      return repairWith(lock.fileSystem, path, options);
    } finally {
      await lock.release();
    }
  } catch (error) {
    throw asVarveError(error, `The store in ${path} can't be repaired`);
  }
}

function repairWith(
  fileSystem: FileSystem,
  directory: string,
  options: KvRepairOptions,
): KvFolderRepairReport {
  const hasLog = fileSystem.stat(joinPath(directory, LOG_NAME)) !== undefined;
  return { ...repairLocked(fileSystem, directory, options), hasLog };
}

function inspectFolder(fileSystem: FileSystem, directory: string): void {
  if (fileSystem.stat(directory)?.kind === 'directory') {
    inspectKvNames(fileSystem, directory);
    const holdsAny = [MANIFEST_NAME, TABLES_NAME, LOG_NAME].some(
      (name) => fileSystem.stat(joinPath(directory, name)) !== undefined,
    );
    if (holdsAny) {
      return;
    }
  }
  throw new VarveError('NOT_A_STORE', `There is no store in ${directory}.`, {
    details: { directory },
  });
}
