/** The folder of a key-value store: made if there is none, else looked at and tidied up. */
import { reached } from '../../base/reached.ts';
import type { Random } from '../../base/random.ts';
import { CorruptionError, VarveError } from '../../base/errors.ts';
import { removeIfThere } from '../../io/atomic-file.ts';
import type { FileSystem } from '../../io/file-system.ts';
import { joinPath } from '../../io/path.ts';
import { logHoldsFrames } from '../../journal/holds-frames.ts';
import { createJournal, listSegments } from '../../journal/recovery.ts';
import { LOG_NAME } from '../manifest/folder.ts';
import { emptyManifest, encodeManifest, type ManifestState } from '../manifest/format.ts';
import {
  checkFolder,
  discardTables,
  type FolderCheck,
  replaceManifest,
} from '../manifest/manifest-store.ts';
import { tablePath, tablesDirectory } from '../sstable/names.ts';
import type { ResolvedKvOptions } from './options.ts';

export interface OpenedFolder {
  readonly directory: string;
  readonly state: ManifestState;
  /** Above every number that was ever in a file's name here. */
  readonly nextTableNumber: number;
  readonly isNew: boolean;
  /** Paths of tables that no manifest named, removed or set aside. */
  readonly orphans: readonly string[];
  /** The manifest's name is durable: what only an older one needs may go. */
  readonly isNameDurable: boolean;
  /** Why a store without a log was emptied. */
  readonly discarded: string | undefined;
}

interface FolderParts {
  readonly fileSystem: FileSystem;
  readonly random: Random;
}

/** The folder must be locked. */
export function openFolder(
  parts: FolderParts,
  options: ResolvedKvOptions,
  directory: string,
): OpenedFolder {
  const { fileSystem } = parts;
  const { log, readOnly } = options;
  const logHoldsWrites = (logDirectory: string): boolean =>
    logHoldsFrames(fileSystem, logDirectory);
  const check = checkFolder(fileSystem, directory, { log, readOnly, logHoldsWrites });
  if (check.outcome === 'intact') {
    return keep(fileSystem, directory, check);
  }
  if (check.outcome === 'new') {
    if (!options.create || readOnly) {
      throw new VarveError(
        'NOT_A_STORE',
        `There is no store: one in ${directory} does not exist.`,
        {
          details: { directory },
        },
      );
    }
    return create(parts, directory, options.log, undefined);
  }
  discardTables(fileSystem, directory);
  reached('discarded a store without a log');
  return create(parts, directory, options.log, check.reason.message);
}

/** A store that is whole. */
function keep(
  fileSystem: FileSystem,
  directory: string,
  check: Extract<FolderCheck, { outcome: 'intact' }>,
): OpenedFolder {
  const { state, nextTableNumber, removed, setAside, isNameDurable } = check;
  checkLog(fileSystem, directory, state);
  const orphans = [...removed, ...setAside].map((number) => tablePath(directory, number));
  const common = { directory, state, nextTableNumber, isNameDurable };
  return { ...common, isNew: false, orphans, discarded: undefined };
}

/** The manifest last: a folder without one was never a store, unless its log holds writes. */
function create(
  { fileSystem, random }: FolderParts,
  directory: string,
  hasLog: boolean,
  discarded: string | undefined,
): OpenedFolder {
  const identity = new Uint8Array(16);
  random.fill(identity);
  if (hasLog) {
    const logDirectory = joinPath(directory, LOG_NAME);
    if (!fileSystem.makeDirectory(logDirectory)) {
      removeInterruptedLog(fileSystem, logDirectory);
    }
    createJournal({ fileSystem, directory: logDirectory, identity }, random);
  }
  fileSystem.makeDirectory(tablesDirectory(directory));
  fileSystem.syncDirectory(directory);
  const state = emptyManifest({ identity, hasLog });
  replaceManifest(fileSystem, directory, encodeManifest(state));
  const { nextTableNumber } = state;
  const common = { directory, state, nextTableNumber, isNameDurable: true };
  return { ...common, isNew: true, orphans: [], discarded };
}

/** What an interrupted creation left, which holds nothing. Throws `FOREIGN_FILE` if there is anything else, having removed nothing. */
function removeInterruptedLog(fileSystem: FileSystem, logDirectory: string): void {
  listSegments(fileSystem, logDirectory);
  for (const { name } of fileSystem.list(logDirectory)) {
    if (!name.startsWith('.')) {
      removeIfThere(fileSystem, joinPath(logDirectory, name));
    }
  }
}

function checkLog(fileSystem: FileSystem, directory: string, { hasLog }: ManifestState): void {
  const logDirectory = joinPath(directory, LOG_NAME);
  if (hasLog && fileSystem.stat(logDirectory) === undefined) {
    throw new CorruptionError(
      logDirectory,
      undefined,
      'the folder of the log is missing, and what was written last with it',
    );
  }
}
