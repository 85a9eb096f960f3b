/**
 * A caller's file system, checked where its answers enter: a count of bytes that is none would be taken for bytes that are on
 * disk. Failures of its own pass through, as the operating system's do.
 */
import { VarveError } from '../base/errors.ts';
import type { File, FileSystem, HoldingFileSystem } from './file-system.ts';
import { readAsync } from './read-into.ts';

/** What a file system must have; a part that a newer version adds is looked for where it is used. */
const methodNames = [
  'open',
  'list',
  'stat',
  'makeDirectory',
  'rename',
  'link',
  'remove',
  'syncDirectory',
  'lockDirectory',
] as const;

/** What it may have besides. */
const optionalNames = [
  'anchorDirectory',
  'checkUnlocked',
  'identify',
  'isHeld',
  'realPath',
] as const satisfies readonly (keyof HoldingFileSystem)[];

/** The name of a method that an object misses to be a file system, or undefined if it is one. */
export function missingMethodOf(given: object): string | undefined {
  return methodNames.find((name) => typeof (given as Record<string, unknown>)[name] !== 'function');
}

export function checkedFileSystem(given: FileSystem): FileSystem {
  const checked: Pick<FileSystem, 'open' | 'list' | 'stat' | 'syncDirectory' | 'lockDirectory'> = {
    open: (path, mode) => new CheckedFile(given.open(path, mode), path),
    list: (path) => {
      const entries = given.list(path);
      const areEntries =
        Array.isArray(entries) && entries.every((one) => typeof one?.name === 'string');
      return areEntries ? entries : refuse('list', entries, path);
    },
    stat: (path) => {
      const found = given.stat(path);
      return found === undefined || isCount(found?.size, Number.MAX_SAFE_INTEGER)
        ? found
        : refuse('stat', found, path);
    },
    syncDirectory: (path) => {
      checkNoPromise('syncDirectory', given.syncDirectory(path), path);
    },
    lockDirectory: async (path) => {
      const lock = await given.lockDirectory(path);
      return typeof lock?.release === 'function' ? lock : refuse('lockDirectory', lock, path);
    },
  };
  // Everything else is the caller's, called on its own object.
  const rest = [...methodNames, ...optionalNames].flatMap((name) => {
    const method: unknown = (given as Partial<HoldingFileSystem>)[name];
    return typeof method === 'function' ? [[name, method.bind(given) as unknown]] : [];
  });
  return { ...(Object.fromEntries(rest) as FileSystem), ...checked, ...checkedDirectories(given) };
}

/** Of an object without the method: none, so that directories are synced by their paths. */
function checkedDirectories(given: FileSystem): Pick<FileSystem, 'openDirectory'> {
  if (typeof given.openDirectory !== 'function') {
    return {};
  }
  return {
    openDirectory: (path) => {
      const directory = given.openDirectory!(path);
      if (typeof directory?.sync !== 'function' || typeof directory.close !== 'function') {
        refuse('openDirectory', directory, path);
      }
      return {
        sync: () => checkNoPromise('sync', directory.sync(), path),
        close: () => directory.close(),
      };
    },
  };
}

class CheckedFile implements File {
  readonly path: string;
  readonly #given: File;

  constructor(given: File, path: string) {
    if (typeof given?.read !== 'function' || typeof given.syncAsync !== 'function') {
      refuse('open', given, path);
    }
    this.path = given.path;
    this.#given = given;
  }

  size(): number {
    return this.#counted('size', this.#given.size(), Number.MAX_SAFE_INTEGER);
  }

  read(target: Uint8Array, offset: number): number {
    return this.#counted('read', this.#given.read(target, offset), target.length);
  }

  async readAsync(target: Uint8Array, offset: number): Promise<number> {
    const count = await readAsync(this.#given, target, offset);
    return this.#counted('readAsync', count, target.length);
  }

  write(source: Uint8Array, offset: number): number {
    return this.#counted('write', this.#given.write(source, offset), source.length);
  }

  async writeAsync(source: Uint8Array, offset: number): Promise<number> {
    return this.#counted('writeAsync', await this.#given.writeAsync(source, offset), source.length);
  }

  sync(): void {
    checkNoPromise('sync', this.#given.sync(), this.path);
  }

  syncAsync(): Promise<void> {
    const synced: unknown = this.#given.syncAsync();
    // Nothing to wait for would be taken for bytes that are durable.
    return isPromise(synced) ? (synced as Promise<void>) : refuse('syncAsync', synced, this.path);
  }

  truncate(size: number): void {
    this.#given.truncate(size);
  }

  close(): void {
    this.#given.close();
  }

  #counted(method: string, count: number, max: number): number {
    return isCount(count, max) ? count : refuse(method, count, this.path);
  }
}

function isCount(count: unknown, max: number): boolean {
  return Number.isSafeInteger(count) && (count as number) >= 0 && (count as number) <= max;
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | undefined)?.then === 'function';
}

/** A promise from a call that should have done its work when it returns: nobody would wait for it. */
function checkNoPromise(method: string, answer: unknown, path: string): void {
  if (isPromise(answer)) {
    answer.then(undefined, () => {});
    refuse(method, answer, path);
  }
}

function refuse(method: string, answer: unknown, path: string): never {
  throw new VarveError(
    'UNAVAILABLE',
    `The file system's ${method} answered ${shown(answer)} for ${path}, which is no answer: see the interface FileSystem.`,
    { details: { method, path } },
  );
}

function shown(answer: unknown): string {
  if (typeof answer === 'number' || answer === undefined || answer === null) {
    return String(answer);
  }
  return isPromise(answer) ? 'a promise' : `something else (${typeof answer})`;
}
