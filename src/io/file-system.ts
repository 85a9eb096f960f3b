/**
 * The only door to files. Everything the engine reads or writes goes through this interface, so that a simulated disk
 * can take its place (crashes, torn writes, lost renames, full disks).
 *
 * Calls block unless their name ends in `Async`: a cached 4 KiB read takes 0.5 µs in place and ten times that through
 * the thread pool. What may take long on the write path (writing, syncing) exists in both forms.
 * Failures are the operating system's own errors (`code: 'ENOSPC'`, …); callers give them meaning.
 */
export interface FileSystem {
  /**
   * Opens a file: `read` and `write` (reads too) need it to exist, `create` needs it not to.
   * A created file may vanish in a power cut until its directory is synced.
   */
  open(path: string, mode: OpenMode): File;
  /** Entries of a directory, sorted by name. */
  list(path: string): DirectoryEntry[];
  /** Undefined if nothing is there. */
  stat(path: string): { readonly kind: EntryKind; readonly size: number } | undefined;
  /** Makes a directory; its parent must exist. Returns false if it was there already. */
  makeDirectory(path: string): boolean;
  /** Atomic; replaces a file at `target`. */
  rename(source: string, target: string): void;
  /** Makes `target` a second name of the file `source`; fails with `EEXIST` if `target` exists. */
  link(source: string, target: string): void;
  /** Removes a file's name. */
  remove(path: string): void;
  /** Makes creations, renames, links and removals in the directory survive a power cut. */
  syncDirectory(path: string): void;
  /**
   * Opens a directory that will have to be synced, so that no descriptor is needed then. Where it is missing, `syncDirectory` does it.
   */
  openDirectory?(path: string): Directory;
  /**
   * Takes the exclusive lock of a directory, or throws `LOCKED` naming the holder. Released by the holder or by the end
   * of its process, however it ends.
   */
  lockDirectory(path: string): Promise<DirectoryLock>;
  /**
   * Throws what `lockDirectory` throws where somebody holds the lock; makes and changes nothing. Where it is missing, the lock is taken and
   * given back.
   */
  checkUnlocked?(path: string): Promise<void>;
  /** Keeps hold of a directory to read in it, wherever it is moved. Where it is missing, paths are all there is to go by. */
  anchorDirectory?(path: string): Anchor;
}

/** A directory that is kept hold of. */
export interface Anchor extends Pick<HeldDirectory, 'anchor' | 'identity'> {
  close(): void;
}

/**
 * What a file system offers besides, so that an open store notices when its folder is moved away or its lock is removed, and a
 * backup when its target lies in the store by way of a link. With one that doesn't, paths are all there is to go by.
 */
export interface HoldingFileSystem extends FileSystem {
  /** Tells files and directories apart whatever their paths: equal if and only if the same one is there now. Undefined if nothing is. */
  identify(path: string): string | undefined;
  /** The path without symbolic links; something must be there. */
  realPath(path: string): string;
  /**
   * False if the lock is gone though nobody released it: somebody has removed what stands for it, and another may have taken it.
   * Called before every write and after every sync, in every thread of the holder, so it should take about a microsecond.
   */
  isHeld(held: HeldDirectory): boolean;
}

export function canHold(fileSystem: FileSystem): fileSystem is HoldingFileSystem {
  const { identify, realPath, isHeld } = fileSystem as Partial<HoldingFileSystem>;
  return [identify, realPath, isHeld].every((method) => typeof method === 'function');
}

export type OpenMode = 'read' | 'write' | 'create';
export type EntryKind = 'file' | 'directory' | 'other';

/** An open directory. */
export interface Directory {
  /** As `syncDirectory`. */
  sync(): void;
  close(): void;
}

export interface DirectoryEntry {
  readonly name: string;
  readonly kind: EntryKind;
}

export interface DirectoryLock {
  /** Undefined from a file system that is no `HoldingFileSystem`. */
  readonly held?: HeldDirectory;
  release(): Promise<void>;
}

/** A locked directory, for all threads of its holder: plain data that can be cloned. Valid until the release. */
export interface HeldDirectory {
  /** By which it was locked. Later another one may be there. */
  readonly path: string;
  /** A path that leads to it wherever it is moved; `path` itself where the system offers none. */
  readonly anchor: string;
  /** From `identify`. */
  readonly identity: string;
  /** Names in it that stand for the lock. */
  readonly names: readonly string[];
  /** By which `isHeld` knows the lock again; the implementation's own business. */
  readonly sign: unknown;
}

export interface File {
  readonly path: string;
  size(): number;
  /** Returns the number of bytes read: fewer than asked for only at the end of the file. */
  read(target: Uint8Array, offset: number): number;
  /**
   * Does what `read` does; `target` belongs to the call until it is answered. Where it is missing, `read` is called in its place.
   */
  readAsync?(target: Uint8Array, offset: number): Promise<number>;
  /** Returns the number of bytes written, which may be fewer than given. Not durable until synced. */
  write(source: Uint8Array, offset: number): number;
  writeAsync(source: Uint8Array, offset: number): Promise<number>;
  /** Makes content and size durable (`fdatasync`). The file's name needs `syncDirectory` as well. */
  sync(): void;
  syncAsync(): Promise<void>;
  truncate(size: number): void;
  close(): void;
}
