import {
  closeSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  read,
  readdirSync,
  readSync,
  realpathSync,
  renameSync,
  statfsSync,
  statSync,
  unlinkSync,
  write,
  writeSync,
} from 'node:fs';
import { assert } from '../base/assert.ts';
import { systemCode, VarveError } from '../base/errors.ts';
import { identityAt } from './directory-identity.ts';
import { identityOf } from './directory-identity.ts';
import { checkDirectoryUnlocked, lockDirectory } from './directory-lock.ts';
import type {
  Anchor,
  Directory,
  DirectoryEntry,
  DirectoryLock,
  EntryKind,
  File,
  HeldDirectory,
  HoldingFileSystem,
  OpenMode,
} from './file-system.ts';
import { isSignThere } from './lock-sign.ts';

/**
 * The operating system's files. `stat` follows symbolic links, so a store's folder may be reached through one; `list`
 * does not, so a link inside a folder is neither a file nor a directory.
 */
export class NodeFileSystem implements HoldingFileSystem {
  open(path: string, mode: OpenMode): File {
    return new NodeFile(path, openSync(path, flagsOfMode[mode]));
  }

  list(path: string): DirectoryEntry[] {
    return readdirSync(path, { withFileTypes: true })
      .map((entry) => ({ name: entry.name, kind: kindOf(entry) }))
      .toSorted((one, other) => (one.name < other.name ? -1 : 1));
  }

  stat(path: string): { readonly kind: EntryKind; readonly size: number } | undefined {
    const facts = statSync(path, { throwIfNoEntry: false });
    return facts === undefined ? undefined : { kind: kindOf(facts), size: facts.size };
  }

  makeDirectory(path: string): boolean {
    try {
      mkdirSync(path);
      return true;
    } catch (error) {
      if (systemCode(error) === 'EEXIST' && this.stat(path)?.kind === 'directory') {
        return false;
      }
      throw error;
    }
  }

  rename(source: string, target: string): void {
    renameSync(source, target);
  }

  link(source: string, target: string): void {
    linkSync(source, target);
  }

  remove(path: string): void {
    unlinkSync(path);
  }

  syncDirectory(path: string): void {
    const directory = this.openDirectory(path);
    try {
      directory.sync();
    } finally {
      directory.close();
    }
  }

  openDirectory(path: string): Directory {
    const descriptor = openToSync(path);
    return {
      sync: () => {
        if (descriptor !== undefined) {
          syncOpenDirectory(path, descriptor);
        }
      },
      close: () => {
        if (descriptor !== undefined) {
          closeSync(descriptor);
        }
      },
    };
  }

  identify(path: string): string | undefined {
    return identityAt(path);
  }

  realPath(path: string): string {
    return realpathSync.native(path);
  }

  lockDirectory(path: string): Promise<DirectoryLock> {
    return lockDirectory(path);
  }

  anchorDirectory(path: string): Anchor {
    const identity = identityOf(statSync(path, { bigint: true }));
    if (process.platform !== 'linux') {
      return { anchor: path, identity, close: () => {} };
    }
    const descriptor = openSync(path, 'r');
    const close = (): void => closeSync(descriptor);
    try {
      // Order: of what is open, for the path may have got another directory.
      const opened = identityOf(fstatSync(descriptor, { bigint: true }));
      return { anchor: `/proc/self/fd/${descriptor}`, identity: opened, close };
    } catch (error) {
      close();
      throw error;
    }
  }

  checkUnlocked(path: string): Promise<void> {
    return checkDirectoryUnlocked(path);
  }

  isHeld(held: HeldDirectory): boolean {
    return isSignThere(held);
  }
}

class NodeFile implements File {
  readonly path: string;
  #descriptor: number;
  /** Asynchronous calls that have not ended. */
  #pendingCount = 0;

  constructor(path: string, descriptor: number) {
    this.path = path;
    this.#descriptor = descriptor;
  }

  size(): number {
    return fstatSync(this.#open()).size;
  }

  read(target: Uint8Array, offset: number): number {
    const descriptor = this.#open();
    let size = 0;
    while (size < target.length) {
      const count = readSync(descriptor, target, size, target.length - size, offset + size);
      if (count === 0) {
        break;
      }
      size += count;
    }
    return size;
  }

  async readAsync(target: Uint8Array, offset: number): Promise<number> {
    let size = 0;
    while (size < target.length) {
      const descriptor = this.#open();
      const at = size;
      const count = await this.#track<number>((settle) =>
        read(descriptor, target, at, target.length - at, offset + at, settle),
      );
      if (count === 0) {
        break;
      }
      size += count;
    }
    return size;
  }

  write(source: Uint8Array, offset: number): number {
    return writeSync(this.#open(), source, 0, source.length, offset);
  }

  writeAsync(source: Uint8Array, offset: number): Promise<number> {
    const descriptor = this.#open();
    return this.#track((settle) => write(descriptor, source, 0, source.length, offset, settle));
  }

  sync(): void {
    fdatasyncSync(this.#open());
  }

  syncAsync(): Promise<void> {
    const descriptor = this.#open();
    return this.#track((settle) => fdatasync(descriptor, (error) => settle(error, undefined)));
  }

  truncate(size: number): void {
    ftruncateSync(this.#open(), size);
  }

  close(): void {
    const descriptor = this.#open();
    // The system may give the number to another file at once; the pending call would then write into that file.
    assert(this.#pendingCount === 0, 'no asynchronous call is pending on a file that is closed');
    this.#descriptor = -1;
    closeSync(descriptor);
  }

  #open(): number {
    assert(this.#descriptor >= 0, 'the file is open');
    return this.#descriptor;
  }

  #track<T>(start: (settle: (error: Error | null, value: T) => void) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      start((error, value) => {
        this.#pendingCount -= 1;
        if (error === null) {
          resolve(value);
        } else {
          reject(error);
        }
      });
      this.#pendingCount += 1;
    });
  }
}

const flagsOfMode = { read: 'r', write: 'r+', create: 'wx+' } as const;

function kindOf(entry: { isFile(): boolean; isDirectory(): boolean }): EntryKind {
  if (entry.isFile()) {
    return 'file';
  }
  return entry.isDirectory() ? 'directory' : 'other';
}

function syncOpenDirectory(path: string, descriptor: number): void {
  try {
    fsyncSync(descriptor);
  } catch (error) {
    if (!isWindowsRefusal(error)) {
      throw unsyncable(path, error);
    }
  }
}

function openToSync(directory: string): number | undefined {
  try {
    return openSync(directory, 'r');
  } catch (error) {
    if (isWindowsRefusal(error)) {
      return undefined;
    }
    throw error;
  }
}

/**
 * Windows neither opens a directory like a file nor flushes one; NTFS journals names by itself. Read, not run here.
 */
function isWindowsRefusal(error: unknown): boolean {
  const code = systemCode(error);
  return process.platform === 'win32' && (code === 'EPERM' || code === 'EISDIR');
}

/** The system doesn't say which directory it could not sync, nor that it never will. */
function unsyncable(directory: string, cause: unknown): unknown {
  const code = systemCode(cause);
  if (cause instanceof Error && code !== 'EINVAL' && code !== 'ENOTSUP' && code !== 'ENOSYS') {
    cause.message += ` '${directory}'`;
    return Object.assign(cause, { path: directory });
  }
  const fileSystem = typeOfFileSystem(directory);
  return new VarveError(
    'UNAVAILABLE',
    `The folder ${directory} can't be synced (${code}), so names in it may not survive a power cut: its file system, of type ${fileSystem}, does not support it; put the store on another one.`,
    { cause, details: { directory, fileSystem } },
  );
}

function typeOfFileSystem(directory: string): string {
  try {
    return `0x${statfsSync(directory).type.toString(16)}`;
  } catch {
    // The failure to tell about is the sync's.
    return 'unknown';
  }
}
