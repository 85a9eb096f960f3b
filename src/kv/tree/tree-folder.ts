/** The folder of a tree: made if there is none, else looked at. */
import { VarveError } from '../../base/errors.ts';
import type { Random } from '../../base/random.ts';
import { reached } from '../../base/reached.ts';
import type { FileSystem } from '../../io/file-system.ts';
import { emptyManifest, encodeManifest, type ManifestState } from '../manifest/format.ts';
import {
  checkFolder,
  discardTables,
  type FolderOptions,
  replaceManifest,
} from '../manifest/manifest-store.ts';
import type { OrphanPlan, Strangers } from '../manifest/orphans.ts';
import { tablesDirectory } from '../sstable/names.ts';

export interface OpenedFolder {
  readonly directory: string;
  readonly state: ManifestState;
  /** Above every number that was ever in a file's name here. */
  readonly nextTableNumber: number;
  readonly isNew: boolean;
  /** What is to become of tables that no manifest names, once the owner's log has been checked; undefined if there is nothing to do. */
  readonly plan: OrphanPlan | undefined;
  /** Why a tree that is made again from elsewhere was emptied. */
  readonly discarded: string | undefined;
  readonly strangers: Strangers | undefined;
}

/** A log in the tree's own folder. A tree that has one is never emptied: nothing else could fill it again. */
export interface FolderLog {
  /** Makes an empty one, in place of what an interrupted creation has left. */
  create(identity: Uint8Array): void;
  /** Throws `CORRUPT` if it is gone. */
  check(): void;
}

export interface TreeFolderOptions extends Pick<
  FolderOptions,
  'readOnly' | 'logHoldsWrites' | 'strangers'
> {
  /** Make a tree where there is none. */
  readonly create: boolean;
  readonly log?: FolderLog;
  /** What the manifest of a tree that is made now keeps for its owner: at most `OWNER_DATA_SIZE_MAX` bytes. */
  readonly ownerData?: Uint8Array;
}

/** The folder must be locked. Throws what `checkFolder` throws, and `NOT_A_STORE`. */
export function openTreeFolder(
  { fileSystem, random }: { readonly fileSystem: FileSystem; readonly random: Random },
  directory: string,
  { create, log, ownerData = new Uint8Array(0), ...options }: TreeFolderOptions,
): OpenedFolder {
  const check = checkFolder(fileSystem, directory, { ...options, log: log !== undefined });
  const { strangers } = options;
  let discarded: string | undefined;
  switch (check.outcome) {
    case 'intact': {
      const { state, nextTableNumber, plan } = check;
      log?.check();
      return { directory, state, nextTableNumber, isNew: false, plan, discarded, strangers };
    }
    case 'new':
      if (!create || options.readOnly === true) {
        throw new VarveError(
          'NOT_A_STORE',
          `There is no store: one in ${directory} does not exist.`,
          { details: { directory } },
        );
      }
      break;
    case 'discarded':
      discardTables(fileSystem, directory, { strangers });
      reached('discarded a store without a log');
      discarded = check.reason.message;
      break;
  }
  const identity = new Uint8Array(16);
  random.fill(identity);
  // Order: the manifest last. A folder without one was never a store, unless its log holds writes.
  log?.create(identity);
  fileSystem.makeDirectory(tablesDirectory(directory));
  fileSystem.syncDirectory(directory);
  const state = emptyManifest({ identity, ownerData, hasLog: log !== undefined });
  replaceManifest(fileSystem, directory, encodeManifest(state));
  const { nextTableNumber } = state;
  return { directory, state, nextTableNumber, isNew: true, plan: undefined, discarded, strangers };
}
