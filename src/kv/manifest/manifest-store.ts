/**
 * The folder of a key-value store at rest: what its manifest says, and whether the tables that are there are the ones it names.
 * Nothing is changed before everything has been looked at, and nothing that may be somebody else's is ever removed.
 */
import { CorruptionError, isShortage, VarveError } from '../../base/errors.ts';
import { reached } from '../../base/reached.ts';
import {
  finishReplacement,
  prepareReplacement,
  readSmallFile,
  removeIfThere,
} from '../../io/atomic-file.ts';
import type { FileSystem } from '../../io/file-system.ts';
import { joinPath } from '../../io/path.ts';
import { MANIFEST_COPY_NAME, MANIFEST_NAME, tablePath, tablesDirectory } from '../sstable/names.ts';
import { inspectKvNames, listTables, LOG_NAME } from './folder.ts';
import {
  decodeManifest,
  encodeManifest,
  isRefusal,
  MANIFEST_SIZE_MAX,
  type ManifestState,
} from './format.ts';
import { type OrphanPlan, planOrphans, reclaimOrphans, type Strangers } from './orphans.ts';

export interface FolderOptions {
  /** Whether the store keeps a log of its own. */
  readonly log: boolean;
  /** Nothing may be changed. */
  readonly readOnly?: boolean;
  /** Whether the log in this folder, if there is one, holds any write. */
  readonly logHoldsWrites?: (logDirectory: string) => boolean;
  /** Tables that are not of this store; default: refused. */
  readonly strangers?: Strangers | undefined;
}

export type FolderCheck =
  | { readonly outcome: 'new' }
  | {
      readonly outcome: 'intact';
      readonly state: ManifestState;
      /** Above the number of every table that was there. */
      readonly nextTableNumber: number;
      /** What is to become of the tables that no manifest names. */
      readonly plan: OrphanPlan;
    }
  | {
      /** Of a store without a log, which is made again from elsewhere: it can't be used. Nothing was removed yet. */
      readonly outcome: 'discarded';
      readonly reason: VarveError;
    };

export interface TidiedFolder {
  /** Tables that were removed: inputs of finished work, outputs of unfinished work. */
  readonly removed: readonly number[];
  /** Files without a header, as a power cut leaves them, moved to the quarantine. */
  readonly setAside: readonly number[];
  /** The manifest's name is durable: what only an older one needs may go. */
  readonly isNameDurable: boolean;
}

/**
 * Looks at a store's locked folder, and changes nothing. Throws `CORRUPT` if the manifest is missing or damaged or a table isn't there (only
 * with a log), `UNSUPPORTED_FORMAT`, `FOREIGN_FILE` for what isn't ours, `NOT_A_STORE` for a folder of other things.
 */
export function checkFolder(
  fileSystem: FileSystem,
  directory: string,
  options: FolderOptions,
): FolderCheck {
  inspectKvNames(fileSystem, directory);
  try {
    const state = readManifest(fileSystem, directory);
    if (state === 'missing') {
      return checkWithoutManifest(fileSystem, directory, options);
    }
    checkLogOption(directory, state, options);
    return checkTables(fileSystem, directory, state, options);
  } catch (error) {
    // A log is a store's own: what has one can't be made again from elsewhere.
    const hasLog = fileSystem.stat(joinPath(directory, LOG_NAME)) !== undefined;
    const mayDiscard = !options.log && options.readOnly !== true;
    if (mayDiscard && !hasLog && error instanceof CorruptionError) {
      return { outcome: 'discarded', reason: error };
    }
    throw error;
  }
}

/**
 * Removes a discarded store's manifest, then its tables: those of its identity, or if that isn't known, if they all carry the same. Throws
 * `FOREIGN_FILE` for others before anything is removed, unless they are to be set aside.
 */
export function discardTables(
  fileSystem: FileSystem,
  directory: string,
  {
    identity,
    strangers,
  }: {
    readonly identity?: Uint8Array | undefined;
    readonly strangers?: Strangers | undefined;
  } = {},
): void {
  inspectKvNames(fileSystem, directory);
  const found = listTables(fileSystem, directory);
  const plan = planOrphans(fileSystem, directory, [...found.keys()], identity, strangers);
  // Order: without its manifest first, or a power cut leaves a manifest that names tables which are gone.
  removeIfThere(fileSystem, joinPath(directory, MANIFEST_NAME));
  removeIfThere(fileSystem, joinPath(directory, MANIFEST_COPY_NAME));
  fileSystem.syncDirectory(directory);
  reclaimOrphans(fileSystem, directory, plan);
  if (fileSystem.stat(tablesDirectory(directory)) !== undefined) {
    // Order: tables removed by earlier work are gone for good before a store of another identity is there, or a power cut brings them
    // back as a stranger's.
    fileSystem.syncDirectory(tablesDirectory(directory));
  }
}

/**
 * Replaces the manifest and its copy as one step. The copy is what repair goes by when the manifest is lost, and can be: only after both are
 * durable is anything removed that the manifest before needs, so whichever of the two states a power cut leaves in the copy, all of it is there.
 */
export function replaceManifest(
  fileSystem: FileSystem,
  directory: string,
  content: Uint8Array,
): void {
  prepareManifest(fileSystem, directory, content);
  finishManifest(fileSystem, directory);
}

/** The first half: nothing has changed, whether this fails or not. */
export function prepareManifest(
  fileSystem: FileSystem,
  directory: string,
  content: Uint8Array,
): void {
  prepareReplacement(fileSystem, directory, MANIFEST_COPY_NAME, content);
  prepareReplacement(fileSystem, directory, MANIFEST_NAME, content);
}

/** The second half: if it fails, either may be the one before or not. */
export function finishManifest(fileSystem: FileSystem, directory: string): void {
  finishReplacement(fileSystem, directory, MANIFEST_NAME, MANIFEST_COPY_NAME);
}

/** Throws `CORRUPT` with file and offset, or `UNSUPPORTED_FORMAT` if a newer version wrote it. */
export function readManifest(
  fileSystem: FileSystem,
  directory: string,
  name: string = MANIFEST_NAME,
): ManifestState | 'missing' {
  const path = joinPath(directory, name);
  const found = fileSystem.stat(path);
  if (found === undefined) {
    return 'missing';
  }
  if (found.size > MANIFEST_SIZE_MAX) {
    throw new CorruptionError(path, undefined, `${found.size} bytes are too many for a manifest`);
  }
  const bytes = readSmallFile(fileSystem, path, MANIFEST_SIZE_MAX);
  if (bytes === undefined) {
    return 'missing';
  }
  const decoded = decodeManifest(bytes);
  if (!isRefusal(decoded)) {
    return decoded;
  }
  const { reason, offset, version } = decoded;
  if (version !== undefined) {
    throw new VarveError('UNSUPPORTED_FORMAT', `${path}: ${reason}; this release can't read it.`, {
      details: { file: path, version },
    });
  }
  throw new CorruptionError(path, offset, `${reason}; ${adviceFor(directory)}`);
}

function adviceFor(directory: string): string {
  return `"varve kv repair ${directory}" can make the manifest again from the tables`;
}

function checkLogOption(directory: string, state: ManifestState, { log }: FolderOptions): void {
  if (state.hasLog !== log) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `The store in ${directory} was made ${state.hasLog ? 'with' : 'without'} a log: open it that way.`,
      { details: { directory, hasLog: state.hasLog } },
    );
  }
}

/** A manifest is there before the first table or frame is: whatever has one of these had a manifest. */
function checkWithoutManifest(
  fileSystem: FileSystem,
  directory: string,
  { logHoldsWrites }: FolderOptions,
): FolderCheck {
  const path = joinPath(directory, MANIFEST_NAME);
  if (listTables(fileSystem, directory).size > 0) {
    throw new CorruptionError(
      path,
      undefined,
      `the manifest is missing beside tables; ${adviceFor(directory)}`,
    );
  }
  if (logHoldsWrites?.(joinPath(directory, LOG_NAME)) === true) {
    throw new CorruptionError(
      path,
      undefined,
      `the manifest is missing beside a log that holds writes; ${adviceFor(directory)}`,
    );
  }
  return { outcome: 'new' };
}

function checkTables(
  fileSystem: FileSystem,
  directory: string,
  state: ManifestState,
  { strangers }: FolderOptions,
): Extract<FolderCheck, { outcome: 'intact' }> {
  const found = listTables(fileSystem, directory);
  for (const table of state.levels) {
    checkTable(directory, table, found.get(table.number));
  }
  const named = new Set([...state.levels].map(({ number }) => number));
  const orphans = [...found.keys()].filter((number) => !named.has(number));
  const plan = planOrphans(fileSystem, directory, orphans, state.identity, strangers);
  const nextTableNumber = plan.removable
    // The name of an empty file proves nothing.
    .filter((number) => found.get(number) !== 0)
    .reduce((next, number) => Math.max(next, number + 1), state.nextTableNumber);
  return { outcome: 'intact', state, nextTableNumber, plan };
}

/** Removes what no manifest names, once everything else about the store has been checked. */
export function tidyFolder(
  fileSystem: FileSystem,
  directory: string,
  { state, plan }: Pick<Extract<FolderCheck, { outcome: 'intact' }>, 'state' | 'plan'>,
): TidiedFolder {
  // Order: the name of this manifest is durable before what only an older one needs is gone, tables here and then the log.
  if (!isNameRenewed(fileSystem, directory, state)) {
    return { removed: [], setAside: [], isNameDurable: false };
  }
  reclaimOrphans(fileSystem, directory, plan);
  return { removed: plan.removable, setAside: plan.unidentified, isNameDurable: true };
}

/**
 * Whoever replaced the manifest may have been stopped before its name was durable, or have seen the sync of the name fail; then no later
 * sync makes it durable, only another replacement does. Without space for one the store opens all the same: nothing is removed then.
 */
function isNameRenewed(fileSystem: FileSystem, directory: string, state: ManifestState): boolean {
  try {
    replaceManifest(fileSystem, directory, encodeManifest(state));
    reached('renewed the name of a manifest');
    return true;
  } catch (error) {
    if (!isShortage(error)) {
      throw error;
    }
    reached('opened without space for a manifest');
    return false;
  }
}

function checkTable(
  directory: string,
  table: { readonly number: number; readonly size: number },
  size: number | undefined,
): void {
  const path = tablePath(directory, table.number);
  if (size === undefined) {
    throw new CorruptionError(path, undefined, 'the table is missing');
  }
  if (size !== table.size) {
    throw new CorruptionError(
      path,
      Math.min(size, table.size),
      `the table has ${size} bytes instead of ${table.size}`,
    );
  }
}
