/** A copy of derived data for a backup: the tree as it was at one moment. Tables never change, so a hard link is a copy. */
import { CorruptionError } from '../base/errors.ts';
import { linkOrCopy } from '../io/backup-target.ts';
import type { FileSystem } from '../io/file-system.ts';
import { makeFolders } from '../io/folders.ts';
import { listTables } from '../kv/manifest/folder.ts';
import { encodeManifest, type ManifestState } from '../kv/manifest/format.ts';
import { discardTables, readManifest, replaceManifest } from '../kv/manifest/manifest-store.ts';
import { tablePath, tablesDirectory } from '../kv/sstable/names.ts';
import type { TableMeta } from '../kv/sstable/table-meta.ts';
import type { TableView } from '../kv/tree/table-set.ts';
import type { IndexTree } from './index-tree.ts';

export interface CopyParts {
  readonly fileSystem: FileSystem;
  /** A second name for a file may stand in for its copy. */
  readonly mayLink: boolean;
  /** Awaited between pieces; throws if the copy must end. */
  readonly between: () => Promise<void>;
}

export class IndexCopy {
  readonly #index: IndexTree;
  readonly #state: ManifestState;
  readonly #view: TableView;

  /** Takes the tree as it is now: until `release` no merge removes anything of it. */
  constructor(index: IndexTree) {
    const { tables } = index.tree;
    this.#index = index;
    this.#state = index.tree.state;
    this.#view = tables.pin(tables.current);
  }

  get covered(): number {
    return this.#state.flushedPosition;
  }

  /**
   * Puts the tables into a folder, new or with an older copy of the same tree, whose own tables stay. Nothing names the new ones before `finish`. Returns
   * how many bytes came new.
   */
  async copyTables({ fileSystem, mayLink, between }: CopyParts, target: string): Promise<number> {
    const kept = prepareTarget(fileSystem, target, this.#state);
    makeFolders(fileSystem, tablesDirectory(target));
    const { folder, tables } = this.#index.tree;
    let size = 0;
    for (const { number, size: tableSize } of this.#state.levels) {
      if (kept.has(number)) {
        continue;
      }
      tables.checkOpen();
      const source = tablePath(folder.directory, number);
      await linkOrCopy(fileSystem, source, tablePath(target, number), between, mayLink);
      size += tableSize;
      await between();
    }
    fileSystem.syncDirectory(tablesDirectory(target));
    return size;
  }

  /** Order: the log that the tree was made from is durable at the target before a manifest says so, and the manifest before older tables go. */
  finish(fileSystem: FileSystem, target: string): void {
    replaceManifest(fileSystem, target, encodeManifest(this.#state));
    removeUnnamed(fileSystem, target, this.#state);
  }

  /** False if the tree was set aside meanwhile: what was copied is of no use. */
  get isOpen(): boolean {
    try {
      this.#index.tree.tables.checkOpen();
      return true;
    } catch {
      return false;
    }
  }

  release(): void {
    this.#index.tree.tables.unpin(this.#view);
  }
}

/** Copies derived data that nobody has open to a folder where none is, byte by byte. Returns how many bytes that are. */
export async function copyClosedIndex(
  fileSystem: FileSystem,
  source: string,
  target: string,
  between: () => Promise<void>,
): Promise<number> {
  const state = stateOf(fileSystem, source);
  if (state === undefined) {
    return 0;
  }
  makeFolders(fileSystem, tablesDirectory(target));
  let size = 0;
  for (const { number, size: tableSize } of state.levels) {
    const path = tablePath(target, number);
    await linkOrCopy(fileSystem, tablePath(source, number), path, between, false);
    size += tableSize;
  }
  fileSystem.syncDirectory(tablesDirectory(target));
  replaceManifest(fileSystem, target, encodeManifest(state));
  return size;
}

/** Numbers of tables that are there already. What is of no use for this copy is removed. */
function prepareTarget(
  fileSystem: FileSystem,
  target: string,
  state: ManifestState,
): ReadonlySet<number> {
  if (fileSystem.stat(target) === undefined) {
    return new Set();
  }
  const older = stateOf(fileSystem, target);
  if (older === undefined || !isOlderCopy(older, state)) {
    discardTables(fileSystem, target, { strangers: 'set aside' });
    return new Set();
  }
  // A copy that was interrupted has left tables that nothing names, whole or not.
  removeUnnamed(fileSystem, target, older);
  const sizes = listTables(fileSystem, target);
  const kept = new Set<number>();
  for (const { number, size } of older.levels) {
    if (sizes.get(number) === size) {
      kept.add(number);
    } else if (sizes.has(number)) {
      // Damaged: its number is wanted for a whole one.
      fileSystem.remove(tablePath(target, number));
    }
  }
  return kept;
}

function stateOf(fileSystem: FileSystem, target: string): ManifestState | undefined {
  try {
    const state = readManifest(fileSystem, target);
    return state === 'missing' ? undefined : state;
  } catch (error) {
    if (error instanceof CorruptionError) {
      return undefined;
    }
    throw error;
  }
}

/** Of the same tree, and tables of one number are the same: whoever opens a copy may have made others under its numbers. */
function isOlderCopy(older: ManifestState, state: ManifestState): boolean {
  const isSameTree = Buffer.compare(older.identity, state.identity) === 0;
  const known = new Map([...older.levels].map((table) => [table.number, table]));
  return isSameTree && [...state.levels].every((table) => isSame(known.get(table.number), table));
}

function isSame(known: TableMeta | undefined, table: TableMeta): boolean {
  return (
    known === undefined ||
    (known.size === table.size && Buffer.compare(known.digest, table.digest) === 0)
  );
}

function removeUnnamed(fileSystem: FileSystem, target: string, state: ManifestState): void {
  const named = new Set([...state.levels].map(({ number }) => number));
  for (const number of listTables(fileSystem, target).keys()) {
    if (!named.has(number)) {
      fileSystem.remove(tablePath(target, number));
    }
  }
}
