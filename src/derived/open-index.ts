/** The folder of derived data: opened if it can be used, else set aside. Nothing in it is ever needed to get the log's events back. */
import { assert } from '../base/assert.ts';
import { asVarveError, isShortage, VarveError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Random } from '../base/random.ts';
import { reached } from '../base/reached.ts';
import { isRefusal } from '../base/refusal.ts';
import type { Clock } from '../io/clock.ts';
import type { FileSystem, HeldDirectory } from '../io/file-system.ts';
import { joinPath } from '../io/path.ts';
import type { ThreadChoice } from '../io/thread-choice.ts';
import { workerFile } from '../io/worker-modules.ts';
import type { TreeOwner } from '../kv/tree/maintenance-parts.ts';
import { discardTables, readManifest } from '../kv/manifest/manifest-store.ts';
import { openTree, type Tree } from '../kv/tree/tree.ts';
import { decodeOwnerData, encodeOwnerData, SECRET_SIZE } from './format.ts';
import { type Coverage, IndexTree } from './index-tree.ts';
import { RunSource } from './run-source.ts';
import { type IndexSettings, treeSettings } from './settings.ts';
import { SecretHash, type TextHash } from './text-hash.ts';

export const DERIVED_DIRECTORY_NAME = 'derived';

export interface IndexFolderParts {
  readonly fileSystem: FileSystem;
  readonly held: HeldDirectory | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly threads: ThreadChoice;
  /** The store's folder. */
  readonly directory: string;
  /** Where what isn't ours is moved to. */
  readonly quarantineDirectory: string;
  readonly storeIdentity: Uint8Array;
  readonly makeHash?: (secret: Uint8Array) => TextHash;
}

export class IndexFolder {
  readonly #parts: IndexFolderParts;
  readonly #settings: IndexSettings;
  readonly #directory: string;
  readonly #owner: TreeOwner;

  /** `lost` and `damaged` hear what the tree's background meets. */
  constructor(
    parts: IndexFolderParts,
    settings: IndexSettings,
    events: Pick<TreeOwner, 'lost' | 'damaged'>,
  ) {
    this.#parts = parts;
    this.#settings = settings;
    this.#directory = joinPath(parts.directory, DERIVED_DIRECTORY_NAME);
    this.#owner = {
      whenLogged: () => Promise.resolve(true),
      flushed: () => {},
      progress: () => {},
      ...events,
    };
  }

  /** What the manifest says of the log that the tree was made from, if that is this store's: its word counts whatever became of the tables. */
  readKnown(): Coverage | undefined {
    const { fileSystem } = this.#parts;
    if (fileSystem.stat(this.#directory)?.kind !== 'directory') {
      return undefined;
    }
    try {
      const state = readManifest(fileSystem, this.#directory);
      if (state === 'missing' || this.#problemOf(state.ownerData) !== undefined) {
        return undefined;
      }
      const { flushedPosition: position, flushedMark: mark } = state;
      return position === 0 ? undefined : { position, mark };
    } catch (error) {
      if (!isUnusable(error)) {
        throw error;
      }
      return undefined;
    }
  }

  /**
   * The tree as it was left, if it was made from a log of this store, with every table's filter and index in memory; an empty one in place of what
   * can't be used. Undefined if nothing is there, or if nothing may be made.
   */
  async openExisting(): Promise<IndexTree | undefined> {
    const found = this.#parts.fileSystem.stat(this.#directory);
    if (found === undefined) {
      return undefined;
    }
    if (found.kind !== 'directory') {
      return this.#anew('it is no folder', undefined);
    }
    const tree = this.#openAny();
    if (tree instanceof VarveError) {
      return this.#anew(tree, undefined);
    }
    const problem = this.#problemOf(tree.state.ownerData);
    if (problem !== undefined) {
      await tree.close();
      return this.#anew(problem, undefined);
    }
    try {
      await tree.openTables();
      const index = this.#indexOf(tree);
      // Read once: a tree that doesn't say how much it holds is no use.
      void index.counts;
      return index;
    } catch (error) {
      await tree.close();
      if (!isUnusable(error)) {
        throw error;
      }
      return this.#anew(error, undefined);
    }
  }

  /** Removes what is there. What isn't ours is moved away. */
  remove(): void {
    if (this.#parts.fileSystem.stat(this.#directory) !== undefined) {
      this.#setAside();
    }
  }

  /** An empty tree, where there is none. `secret`: hashes in memory were made with it. */
  make(secret: Uint8Array | undefined): IndexTree {
    const { fileSystem, directory } = this.#parts;
    if (fileSystem.makeDirectory(this.#directory)) {
      fileSystem.syncDirectory(directory);
    }
    return this.#emptyTree(secret);
  }

  /** Closes the tree, sets it aside for a reason and opens an empty one. `secret`: that of the new one, if hashes in memory were made with it. */
  async replace(
    index: IndexTree,
    reason: unknown,
    secret: Uint8Array | undefined,
  ): Promise<IndexTree | undefined> {
    await index.tree.close();
    return this.#anew(reason, secret);
  }

  /** Sets aside what is there, unopened, and opens an empty tree. Undefined if nothing may be made. `secret`: as above. */
  discard(reason: unknown, secret: Uint8Array | undefined): IndexTree | undefined {
    return this.#anew(reason, secret);
  }

  #report(cause: unknown): void {
    this.#parts.logger({
      level: 'warn',
      event: 'index-set-aside',
      message: 'Derived data can not be used and is made again from the log.',
      details: { cause, folder: this.#directory },
    });
  }

  #anew(reason: unknown, secret: Uint8Array | undefined): IndexTree | undefined {
    this.#report(reason);
    if (this.#settings.readOnly) {
      return undefined;
    }
    this.#setAside();
    reached('made derived data again');
    return this.#emptyTree(secret);
  }

  #emptyTree(secret: Uint8Array | undefined): IndexTree {
    const index = this.#indexOf(this.#make(secret));
    assert(index.isEmpty, 'what was there before has been set aside');
    assert(
      secret === undefined || Buffer.compare(index.secret, secret) === 0,
      'hashes in memory and in the tree are made with one secret',
    );
    return index;
  }

  /** An error that says why what is there is no tree of this version. */
  #openAny(): Tree | VarveError {
    try {
      const tree = this.#make(undefined);
      if (tree.folder.discarded !== undefined) {
        this.#report(tree.folder.discarded);
      }
      return tree;
    } catch (error) {
      if (!isUnusable(error)) {
        // The caller may do without a tree for want of space.
        throw isShortage(error) ? error : asVarveError(error, 'Derived data can not be opened');
      }
      return error;
    }
  }

  #make(secret: Uint8Array | undefined): Tree {
    const { random, storeIdentity, makeHash } = this.#parts;
    const drawn = secret ?? new Uint8Array(SECRET_SIZE);
    if (secret === undefined) {
      random.fill(drawn);
    }
    const ownerData = encodeOwnerData({ storeIdentity, secret: drawn });
    const { workers } = this.#parts.threads;
    const worker = workerFile('indexBackground', workers, locateWorker);
    const parts = { ...this.#parts, source: { inline: new RunSource(makeHash), worker } };
    const options = {
      create: !this.#settings.readOnly,
      ownerData,
      strangers: 'set aside',
    } as const;
    return openTree(parts, this.#directory, treeSettings(this.#settings), this.#owner, options);
  }

  #indexOf(tree: Tree): IndexTree {
    return new IndexTree(tree, this.#parts.makeHash ?? ((secret) => new SecretHash(secret)));
  }

  #problemOf(ownerData: Uint8Array): string | undefined {
    const data = decodeOwnerData(ownerData);
    if (isRefusal(data)) {
      return data.reason;
    }
    return data.storeIdentity.every((byte, index) => byte === this.#parts.storeIdentity[index])
      ? undefined
      : 'it was made from the log of another store';
  }

  /** Removes what is surely a tree of ours; anything else is moved away, in one step. An empty folder is left. */
  #setAside(): void {
    const { fileSystem, directory } = this.#parts;
    const found = fileSystem.stat(this.#directory);
    if (found === undefined) {
      // Somebody has removed it.
      fileSystem.makeDirectory(this.#directory);
      fileSystem.syncDirectory(directory);
      return;
    }
    if (found.kind === 'directory') {
      try {
        discardTables(fileSystem, this.#directory, { strangers: 'set aside' });
        return;
      } catch (error) {
        if (!isUnusable(error)) {
          throw error;
        }
      }
    }
    this.#moveAway();
  }

  #moveAway(): void {
    const { fileSystem, directory, quarantineDirectory } = this.#parts;
    if (fileSystem.makeDirectory(quarantineDirectory)) {
      fileSystem.syncDirectory(directory);
    }
    let number = 0;
    const target = (): string =>
      joinPath(quarantineDirectory, `${DERIVED_DIRECTORY_NAME}-${number}`);
    while (fileSystem.stat(target()) !== undefined) {
      number += 1;
    }
    reached('moved derived data away');
    fileSystem.rename(this.#directory, target());
    fileSystem.syncDirectory(quarantineDirectory);
    fileSystem.makeDirectory(this.#directory);
    fileSystem.syncDirectory(directory);
  }
}

function locateWorker(): URL {
  return new URL('./index-background.worker.js', import.meta.url);
}

/** It is not what a tree of this version is; another attempt would find the same. */
function isUnusable(error: unknown): error is VarveError {
  return error instanceof VarveError && unusableCodes.has(error.code);
}

const unusableCodes: ReadonlySet<VarveError['code']> = new Set([
  'CORRUPT',
  'FOREIGN_FILE',
  'UNSUPPORTED_FORMAT',
  'INVALID_ARGUMENT',
  'NOT_A_STORE',
]);
