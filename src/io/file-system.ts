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
   * Takes the exclusive lock of a directory, or throws `LOCKED` naming the holder. Released by the holder or by the end
   * of its process, however it ends.
   */
  lockDirectory(path: string): Promise<DirectoryLock>;
}

export type OpenMode = 'read' | 'write' | 'create';
export type EntryKind = 'file' | 'directory' | 'other';

export interface DirectoryEntry {
  readonly name: string;
  readonly kind: EntryKind;
}

export interface DirectoryLock {
  release(): Promise<void>;
}

export interface File {
  readonly path: string;
  size(): number;
  /** Returns the number of bytes read: fewer than asked for only at the end of the file. */
  read(target: Uint8Array, offset: number): number;
  /** Returns the number of bytes written, which may be fewer than given. Not durable until synced. */
  write(source: Uint8Array, offset: number): number;
  writeAsync(source: Uint8Array, offset: number): Promise<number>;
  /** Makes content and size durable (`fdatasync`). The file's name needs `syncDirectory` as well. */
  sync(): void;
  syncAsync(): Promise<void>;
  truncate(size: number): void;
  close(): void;
}
