/**
 * The one door through which an open store makes, renames, links, removes and opens names in its folder. A lock follows the
 * folder, a path doesn't: when the folder is moved away and another appears at its path, work by path would go on in that one.
 *
 *   the path of a call           what the file system is given
 *   /data/store/log/tail    →    <anchor>/log/tail         anchor: leads to the locked folder, wherever it is
 *   /backups/monday/…       →    as it is                  not ours
 *
 * Where there is an anchor (Linux: the folder's own descriptor), nothing can get into another folder. Elsewhere the folder at the
 * path is compared with the locked one before each call: one that is swapped between this look and the call is not noticed before
 * the next one. Before every write, and after every sync, the lock itself is looked at: whoever has removed its names lets
 * another owner in, whose frames this one would overwrite. See docs/decisions/0013-the-folder-is-held.md.
 */
import { CorruptionError, VarveError } from '../base/errors.ts';
import {
  canHold,
  type Directory,
  type DirectoryEntry,
  type DirectoryLock,
  type EntryKind,
  type File,
  type FileSystem,
  type HeldDirectory,
  type HoldingFileSystem,
  type OpenMode,
} from './file-system.ts';
import { openDirectory } from './open-directory.ts';
import { joinPath } from './path.ts';
import { readAsync } from './read-into.ts';
import { checkUnlocked } from './unlocked.ts';

/** A locked folder, and the file system to work in it with. */
export interface HeldFolder {
  readonly fileSystem: FileSystem;
  /** For other threads. */
  readonly held: HeldDirectory | undefined;
  /** Ends the work in the folder, then the lock. */
  release(): Promise<void>;
}

/** Locks a folder for work in it. Throws what `lockDirectory` throws. */
export async function holdFolder(fileSystem: FileSystem, directory: string): Promise<HeldFolder> {
  const lock = await fileSystem.lockDirectory(directory);
  const { held } = lock;
  const view = heldFileSystem(fileSystem, held);
  return {
    fileSystem: view,
    held,
    release: async () => {
      endView(view);
      await lock.release();
    },
  };
}

/**
 * Reads in a folder that nobody has locked, wherever it is moved meanwhile. Throws `LOCKED` if somebody has it. One who comes during the work
 * may make a whole store look damaged: what fails is looked at once more, and fails as `LOCKED` then.
 */
export async function readingFolder<Result>(
  fileSystem: FileSystem,
  directory: string,
  work: (folder: HeldFolder) => Promise<Result> | Result,
): Promise<Result> {
  for (let attempt = 1; ; attempt += 1) {
    await checkUnlocked(fileSystem, directory);
    const folder = anchorFolder(fileSystem, directory);
    try {
      return await work(folder);
    } catch (error) {
      await folder.release();
      await checkUnlocked(fileSystem, directory);
      // An owner may have come and gone.
      if (attempt === 2 || !(error instanceof CorruptionError)) {
        throw error;
      }
    }
  }
}

function anchorFolder(fileSystem: FileSystem, directory: string): HeldFolder {
  const anchored = fileSystem.anchorDirectory?.(directory);
  if (anchored === undefined) {
    return { fileSystem, held: undefined, release: () => Promise.resolve() };
  }
  const { anchor, identity } = anchored;
  const held = { path: directory, anchor, identity, names: [], sign: undefined };
  const view = heldFileSystem(fileSystem, held);
  let isReleased = false;
  return {
    fileSystem: view,
    // No thread works for a reader.
    held: undefined,
    release: async () => {
      if (!isReleased) {
        isReleased = true;
        endView(view);
        anchored.close();
      }
    },
  };
}

function endView(view: FileSystem): void {
  // Order: the anchor may lead to anything once it is given back.
  if (view instanceof HeldFileSystem) {
    view.end();
  }
}

/** A file system for work in a folder that this process holds, in any of its threads. */
export function heldFileSystem(base: FileSystem, held: HeldDirectory | undefined): FileSystem {
  return held !== undefined && canHold(base) ? new HeldFileSystem(base, held) : base;
}

/** True for the error that says that a folder is not held any more: nothing can be written through its handle ever again. */
export function isHoldLost(error: unknown): error is VarveError {
  return error instanceof VarveError && error.details['lost'] !== undefined;
}

class HeldFileSystem implements HoldingFileSystem {
  readonly #base: HoldingFileSystem;
  readonly #held: HeldDirectory;
  readonly #prefix: string;
  readonly #hasAnchor: boolean;
  /** Once it is lost, it stays so: whatever happened meanwhile happened without the lock. */
  #lost: VarveError | undefined;
  #hasEnded = false;

  constructor(base: HoldingFileSystem, held: HeldDirectory) {
    this.#base = base;
    this.#held = held;
    this.#prefix = joinPath(held.path, '_').slice(0, -1);
    this.#hasAnchor = held.anchor !== held.path;
  }

  /** Nothing in the folder is reached through this any more. Files that are open stay so. */
  end(): void {
    this.#hasEnded = true;
  }

  open(path: string, mode: OpenMode): File {
    const at = mode === 'create' ? this.#change(path) : this.#reach(path);
    const file = this.#run(() => this.#base.open(at, mode));
    return this.#isInside(path) ? new HeldFile(file, path, this.#checkLock) : file;
  }

  list(path: string): DirectoryEntry[] {
    return this.#run(() => this.#base.list(this.#reach(path)));
  }

  stat(path: string): { readonly kind: EntryKind; readonly size: number } | undefined {
    return this.#run(() => this.#base.stat(this.#reach(path)));
  }

  makeDirectory(path: string): boolean {
    return this.#run(() => this.#base.makeDirectory(this.#change(path)));
  }

  rename(source: string, target: string): void {
    this.#run(() => this.#base.rename(this.#change(source), this.#change(target)));
  }

  /** A link to one of our files from elsewhere, as a backup makes it, changes nothing here. */
  link(source: string, target: string): void {
    this.#run(() => this.#base.link(this.#reach(source), this.#change(target)));
  }

  remove(path: string): void {
    this.#run(() => this.#base.remove(this.#change(path)));
  }

  syncDirectory(path: string): void {
    this.#run(() => this.#base.syncDirectory(this.#change(path)));
  }

  openDirectory(path: string): Directory {
    const directory = this.#run(() => openDirectory(this.#base, this.#change(path)));
    return {
      sync: () =>
        this.#run(() => {
          this.#change(path);
          directory.sync();
        }),
      close: () => directory.close(),
    };
  }

  identify(path: string): string | undefined {
    return this.#run(() => this.#base.identify(this.#reach(path)));
  }

  realPath(path: string): string {
    return this.#run(() => this.#base.realPath(this.#reach(path)));
  }

  lockDirectory(path: string): Promise<DirectoryLock> {
    return this.#base.lockDirectory(path);
  }

  checkUnlocked(path: string): Promise<void> {
    return checkUnlocked(this.#base, path);
  }

  isHeld(held: HeldDirectory): boolean {
    return this.#base.isHeld(held);
  }

  #isInside(path: string): boolean {
    return path.startsWith(this.#prefix) || path === this.#held.path;
  }

  /** The path to look at, or to change once `#change` has agreed. */
  #reach(path: string): string {
    if (!this.#isInside(path)) {
      return path;
    }
    this.#checkOpen();
    if (!this.#hasAnchor) {
      this.#checkPlace();
      return path;
    }
    return this.#held.anchor + path.slice(this.#held.path.length);
  }

  /** The path for a call that changes names. Throws if the folder is not ours to change any more. */
  #change(path: string): string {
    if (this.#isInside(path)) {
      this.#checkOpen();
      this.#checkLock();
      this.#checkPlace();
      this.#checkNames();
    }
    return this.#reach(path);
  }

  #checkOpen(): void {
    if (this.#hasEnded) {
      throw new VarveError('CLOSED', 'The store has been closed: open it again.');
    }
  }

  readonly #checkLock = (): void => {
    this.#throwIfLost();
    if (!this.#hasEnded && !this.#base.isHeld(this.#held)) {
      // With the folder its lock is removed, too.
      this.#checkPlace();
      this.#loseLock();
    }
  };

  #checkPlace(): void {
    this.#throwIfLost();
    const { path, identity } = this.#held;
    if (this.#base.identify(path) !== identity) {
      this.#lose('folder', 'the folder that was opened has been moved, replaced or removed');
    }
  }

  /** A hard link elsewhere hides from `isHeld` that a name is gone. */
  #checkNames(): void {
    const { names, anchor } = this.#held;
    if (names.some((name) => this.#base.identify(joinPath(anchor, name)) === undefined)) {
      this.#loseLock();
    }
  }

  #throwIfLost(): void {
    if (this.#lost !== undefined) {
      throw this.#lost;
    }
  }

  #loseLock(): never {
    this.#lose('lock', 'its lock was removed, and another process may have opened it');
  }

  #lose(lost: 'folder' | 'lock', reason: string): never {
    const { path } = this.#held;
    this.#lost = new VarveError(
      'UNAVAILABLE',
      `Nothing more is written to the store opened at ${path}, because ${reason}: close it, see what is there, and open the right folder.`,
      { details: { directory: path, lost } },
    );
    throw this.#lost;
  }

  /** Errors speak of the caller's paths. */
  #run<Result>(call: () => Result): Result {
    try {
      return call();
    } catch (error) {
      throw this.#hasAnchor ? renamed(error, this.#held) : error;
    }
  }
}

/** An open file of a held folder. It is the same file wherever the folder is; that the folder is still ours it can't tell. */
class HeldFile implements File {
  readonly path: string;
  readonly #file: File;
  readonly #checkLock: () => void;

  constructor(file: File, path: string, checkLock: () => void) {
    this.#file = file;
    this.path = path;
    this.#checkLock = checkLock;
  }

  size(): number {
    return this.#file.size();
  }

  read(target: Uint8Array, offset: number): number {
    return this.#file.read(target, offset);
  }

  readAsync(target: Uint8Array, offset: number): Promise<number> {
    return readAsync(this.#file, target, offset);
  }

  write(source: Uint8Array, offset: number): number {
    this.#checkLock();
    return this.#file.write(source, offset);
  }

  writeAsync(source: Uint8Array, offset: number): Promise<number> {
    try {
      this.#checkLock();
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#file.writeAsync(source, offset);
  }

  sync(): void {
    this.#file.sync();
    // Order: before anything is acknowledged. A second owner may have read the file while it was being written.
    this.#checkLock();
  }

  syncAsync(): Promise<void> {
    return this.#file.syncAsync().then(this.#checkLock);
  }

  truncate(size: number): void {
    this.#checkLock();
    this.#file.truncate(size);
  }

  close(): void {
    this.#file.close();
  }
}

/** The error with the holder's path in place of the anchor. */
function renamed(error: unknown, { anchor, path }: HeldDirectory): unknown {
  if (!(error instanceof Error) || error instanceof VarveError) {
    return error;
  }
  const inPath = (text: string): string =>
    text.startsWith(`${anchor}/`)
      ? path + text.slice(anchor.length)
      : text === anchor
        ? path
        : text;
  const inText = (text: string): string =>
    text.replaceAll(`${anchor}/`, joinPath(path, '/')).replaceAll(`'${anchor}'`, `'${path}'`);
  const { path: source, dest: target } = error as NodeJS.ErrnoException & { dest?: unknown };
  if (typeof source === 'string') {
    Object.assign(error, { path: inPath(source) });
  }
  if (typeof target === 'string') {
    Object.assign(error, { dest: inPath(target) });
  }
  const { stack } = error;
  error.message = inText(error.message);
  if (stack !== undefined) {
    error.stack = inText(stack);
  }
  return error;
}
