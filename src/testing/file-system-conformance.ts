import { canHold, type File, type FileSystem, type HoldingFileSystem } from '../io/file-system.ts';
import { joinPath } from '../io/path.ts';
import { codeOf, codeOfAsync } from './code-of.ts';
import { asynchronousCallsConform } from './asynchronous-conformance.ts';
import { directoryLockConformance } from './directory-lock-conformance.ts';

/** The functions of a test runner that the suite needs; those of Vitest and Jest fit. */
export interface TestFunctions {
  readonly describe: (name: string, body: () => void) => unknown;
  readonly it: (name: string, body: () => void | Promise<void>) => unknown;
  readonly expect: (actual: unknown) => {
    toBe(expected: unknown): void;
    toEqual(expected: unknown): void;
  };
}

/** What one test works on: `directory` exists and is empty. */
export interface FileSystemUnderTest {
  readonly fileSystem: FileSystem;
  readonly directory: string;
}

/**
 * What every `FileSystem` must do, as far as it can be seen without a power cut. `make` is called once per test.
 * Error codes are those of POSIX.
 */
export function fileSystemConformance(test: TestFunctions, make: MakeFileSystem): void {
  openingConforms(test, make);
  readingConforms(test, make);
  writingConforms(test, make);
  sizesConform(test, make);
  asynchronousCallsConform(test, make);
  listingConforms(test, make);
  namesConform(test, make);
  linksConform(test, make);
  identitiesConform(test, make);
  directoryLockConformance(test, make);
}

export type MakeFileSystem = () => Promise<FileSystemUnderTest>;

function openingConforms({ describe, it, expect }: TestFunctions, make: MakeFileSystem): void {
  describe('opening', () => {
    it('creates an empty file that knows its path', async () => {
      const { fileSystem, directory } = await make();
      const path = joinPath(directory, 'a');
      const file = fileSystem.open(path, 'create');
      expect(file.path).toBe(path);
      expect(file.size()).toBe(0);
      file.close();
      expect(fileSystem.stat(path)).toEqual({ kind: 'file', size: 0 });
    });

    it('refuses to create what exists, and leaves it as it was', async () => {
      const { fileSystem, directory } = await make();
      const path = joinPath(directory, 'a');
      writeFile(fileSystem, path, [1, 2, 3]);
      expect(codeOf(() => fileSystem.open(path, 'create'))).toBe('EEXIST');
      expect(readFile(fileSystem, path)).toEqual([1, 2, 3]);
    });

    it('refuses to read or write what does not exist', async () => {
      const { fileSystem, directory } = await make();
      const path = joinPath(directory, 'a');
      expect(codeOf(() => fileSystem.open(path, 'read'))).toBe('ENOENT');
      expect(codeOf(() => fileSystem.open(path, 'write'))).toBe('ENOENT');
      expect(fileSystem.list(directory)).toEqual([]);
    });

    it('refuses to create a file in a directory that does not exist', async () => {
      const { fileSystem, directory } = await make();
      const path = joinPath(directory, 'missing', 'a');
      expect(codeOf(() => fileSystem.open(path, 'create'))).toBe('ENOENT');
    });

    it('keeps the content when a file is opened for writing', async () => {
      const { fileSystem, directory } = await make();
      const path = joinPath(directory, 'a');
      writeFile(fileSystem, path, [1, 2, 3]);
      const file = fileSystem.open(path, 'write');
      expect(readAll(file)).toEqual([1, 2, 3]);
      file.close();
    });

    it('refuses to write to a file opened for reading', async () => {
      const { fileSystem, directory } = await make();
      const path = joinPath(directory, 'a');
      writeFile(fileSystem, path, [1, 2, 3]);
      const file = fileSystem.open(path, 'read');
      expect(codeOf(() => file.write(bytes(9), 0))).toBe('EBADF');
      expect(await codeOfAsync(() => file.writeAsync(bytes(9), 0))).toBe('EBADF');
      file.close();
      expect(readFile(fileSystem, path)).toEqual([1, 2, 3]);
    });
  });
}

function readingConforms({ describe, it, expect }: TestFunctions, make: MakeFileSystem): void {
  describe('reading', () => {
    it('reads from the given offset', async () => {
      const { fileSystem, directory } = await make();
      const file = createFile(fileSystem, joinPath(directory, 'a'), [1, 2, 3, 4]);
      const target = new Uint8Array(2);
      expect(file.read(target, 1)).toBe(2);
      expect([...target]).toEqual([2, 3]);
      expect(file.read(target, 0)).toBe(2);
      expect([...target]).toEqual([1, 2]);
      file.close();
    });

    it('reads fewer bytes only at the end, and leaves the rest of the target alone', async () => {
      const { fileSystem, directory } = await make();
      const file = createFile(fileSystem, joinPath(directory, 'a'), [1, 2, 3, 4]);
      const target = new Uint8Array(4).fill(7);
      expect(file.read(target, 2)).toBe(2);
      expect([...target]).toEqual([3, 4, 7, 7]);
      file.close();
    });

    it('reads nothing at the end and behind it', async () => {
      const { fileSystem, directory } = await make();
      const file = createFile(fileSystem, joinPath(directory, 'a'), [1, 2, 3, 4]);
      const target = new Uint8Array(2).fill(7);
      expect(file.read(target, 4)).toBe(0);
      expect(file.read(target, 400)).toBe(0);
      expect(file.read(new Uint8Array(0), 0)).toBe(0);
      expect([...target]).toEqual([7, 7]);
      file.close();
    });

    it('fills a view without touching its neighbours', async () => {
      const { fileSystem, directory } = await make();
      const file = createFile(fileSystem, joinPath(directory, 'a'), [1, 2, 3, 4]);
      const whole = new Uint8Array(6).fill(7);
      expect(file.read(whole.subarray(2, 4), 0)).toBe(2);
      expect([...whole]).toEqual([7, 7, 1, 2, 7, 7]);
      file.close();
    });

    it('sees what another handle has written', async () => {
      const { fileSystem, directory } = await make();
      const path = joinPath(directory, 'a');
      const writer = createFile(fileSystem, path, [1, 2]);
      const reader = fileSystem.open(path, 'read');
      writer.write(bytes(3, 4), 1);
      expect(reader.size()).toBe(3);
      expect(readAll(reader)).toEqual([1, 3, 4]);
      writer.close();
      expect(readAll(reader)).toEqual([1, 3, 4]);
      reader.close();
    });

    it('reads a large file back as it was written', async () => {
      const { fileSystem, directory } = await make();
      const source = Uint8Array.from({ length: 300_000 }, (_, index) => (index * 31) >>> 3);
      const file = fileSystem.open(joinPath(directory, 'a'), 'create');
      writeAll(file, source);
      const target = new Uint8Array(source.length + 1);
      expect(file.read(target, 0)).toBe(source.length);
      // In one boolean: a runner compares large arrays slowly.
      expect(source.every((byte, index) => byte === target[index])).toBe(true);
      file.close();
    });
  });
}

function writingConforms({ describe, it, expect }: TestFunctions, make: MakeFileSystem): void {
  describe('writing', () => {
    it('overwrites in place', async () => {
      const { fileSystem, directory } = await make();
      const file = createFile(fileSystem, joinPath(directory, 'a'), [1, 2, 3, 4]);
      expect(file.write(bytes(8, 9), 1)).toBe(2);
      expect(readAll(file)).toEqual([1, 8, 9, 4]);
      file.close();
    });

    it('fills the gap with zeros when it writes past the end', async () => {
      const { fileSystem, directory } = await make();
      const file = createFile(fileSystem, joinPath(directory, 'a'), [1, 2]);
      expect(file.write(bytes(9), 5)).toBe(1);
      expect(file.size()).toBe(6);
      expect(readAll(file)).toEqual([1, 2, 0, 0, 0, 9]);
      file.close();
    });

    it('changes nothing when it writes nothing', async () => {
      const { fileSystem, directory } = await make();
      const file = createFile(fileSystem, joinPath(directory, 'a'), [1, 2]);
      expect(file.write(new Uint8Array(0), 0)).toBe(0);
      expect(file.write(new Uint8Array(0), 9)).toBe(0);
      expect(readAll(file)).toEqual([1, 2]);
      file.close();
    });

    it('writes only the bytes of a view, as they are at the call', async () => {
      const { fileSystem, directory } = await make();
      const file = fileSystem.open(joinPath(directory, 'a'), 'create');
      const whole = bytes(1, 2, 3, 4);
      expect(file.write(whole.subarray(1, 3), 0)).toBe(2);
      whole.fill(9);
      expect(readAll(file)).toEqual([2, 3]);
      file.close();
    });

    it('keeps content through sync, close and reopening', async () => {
      const { fileSystem, directory } = await make();
      const path = joinPath(directory, 'a');
      const file = createFile(fileSystem, path, [1, 2, 3]);
      file.sync();
      file.close();
      fileSystem.syncDirectory(directory);
      expect(readFile(fileSystem, path)).toEqual([1, 2, 3]);
    });
  });
}

function sizesConform({ describe, it, expect }: TestFunctions, make: MakeFileSystem): void {
  describe('truncating', () => {
    it('cuts a file, and does not bring the cut bytes back', async () => {
      const { fileSystem, directory } = await make();
      const file = createFile(fileSystem, joinPath(directory, 'a'), [1, 2, 3, 4]);
      file.truncate(1);
      expect(file.size()).toBe(1);
      expect(readAll(file)).toEqual([1]);
      file.truncate(3);
      expect(readAll(file)).toEqual([1, 0, 0]);
      file.close();
    });

    it('extends a file with zeros', async () => {
      const { fileSystem, directory } = await make();
      const path = joinPath(directory, 'a');
      const file = createFile(fileSystem, path, [1, 2]);
      file.truncate(4);
      expect(file.size()).toBe(4);
      expect(readAll(file)).toEqual([1, 2, 0, 0]);
      file.close();
      expect(fileSystem.stat(path)).toEqual({ kind: 'file', size: 4 });
    });
  });
}

function listingConforms({ describe, it, expect }: TestFunctions, make: MakeFileSystem): void {
  describe('directories', () => {
    it('lists entries sorted by name, with their kinds', async () => {
      const { fileSystem, directory } = await make();
      for (const name of ['b', '9', 'a.tmp', '10', 'a', '.x', 'Z', 'é']) {
        writeFile(fileSystem, joinPath(directory, name), []);
      }
      fileSystem.makeDirectory(joinPath(directory, 'c'));
      writeFile(fileSystem, joinPath(directory, 'c', 'not seen from above'), []);
      const entries = fileSystem.list(directory);
      const names = entries.map((entry) => entry.name);
      expect(names).toEqual(['.x', '10', '9', 'Z', 'a', 'a.tmp', 'b', 'c', 'é']);
      const directories = entries.filter((entry) => entry.kind === 'directory');
      expect(directories).toEqual([{ name: 'c', kind: 'directory' }]);
      expect(entries.filter((entry) => entry.kind === 'file').length).toBe(8);
    });

    it('lists nothing in an empty directory', async () => {
      const { fileSystem, directory } = await make();
      expect(fileSystem.list(directory)).toEqual([]);
    });

    it('refuses to list what is not a directory', async () => {
      const { fileSystem, directory } = await make();
      writeFile(fileSystem, joinPath(directory, 'a'), []);
      expect(codeOf(() => fileSystem.list(joinPath(directory, 'missing')))).toBe('ENOENT');
      expect(codeOf(() => fileSystem.list(joinPath(directory, 'a')))).toBe('ENOTDIR');
    });

    it('tells a file from a directory from nothing', async () => {
      const { fileSystem, directory } = await make();
      writeFile(fileSystem, joinPath(directory, 'a'), [1, 2, 3]);
      expect(fileSystem.stat(joinPath(directory, 'a'))).toEqual({ kind: 'file', size: 3 });
      expect(fileSystem.stat(directory)?.kind).toBe('directory');
      expect(fileSystem.stat(joinPath(directory, 'missing'))).toBe(undefined);
      expect(fileSystem.stat(joinPath(directory, 'missing', 'b'))).toBe(undefined);
    });

    it('makes a directory, and says when it was there already', async () => {
      const { fileSystem, directory } = await make();
      const path = joinPath(directory, 'c');
      expect(fileSystem.makeDirectory(path)).toBe(true);
      writeFile(fileSystem, joinPath(path, 'a'), [1]);
      expect(fileSystem.makeDirectory(path)).toBe(false);
      expect(readFile(fileSystem, joinPath(path, 'a'))).toEqual([1]);
    });

    it('refuses to make a directory without a parent, or in place of a file', async () => {
      const { fileSystem, directory } = await make();
      writeFile(fileSystem, joinPath(directory, 'a'), []);
      const orphan = joinPath(directory, 'missing', 'c');
      expect(codeOf(() => fileSystem.makeDirectory(orphan))).toBe('ENOENT');
      expect(codeOf(() => fileSystem.makeDirectory(joinPath(directory, 'a')))).toBe('EEXIST');
    });

    it('syncs a directory, and refuses to sync a missing one', async () => {
      const { fileSystem, directory } = await make();
      fileSystem.syncDirectory(directory);
      const missing = joinPath(directory, 'missing');
      expect(codeOf(() => fileSystem.syncDirectory(missing))).toBe('ENOENT');
    });
  });
}

function namesConform({ describe, it, expect }: TestFunctions, make: MakeFileSystem): void {
  describe('renaming and removing', () => {
    it('renames a file, replacing the one at the target', async () => {
      const { fileSystem, directory } = await make();
      const source = joinPath(directory, 'a');
      const target = joinPath(directory, 'b');
      writeFile(fileSystem, source, [1]);
      writeFile(fileSystem, target, [2, 2]);
      fileSystem.rename(source, target);
      expect(fileSystem.list(directory)).toEqual([{ name: 'b', kind: 'file' }]);
      expect(readFile(fileSystem, target)).toEqual([1]);
    });

    it('renames into another directory', async () => {
      const { fileSystem, directory } = await make();
      const target = joinPath(directory, 'c', 'b');
      fileSystem.makeDirectory(joinPath(directory, 'c'));
      writeFile(fileSystem, joinPath(directory, 'a'), [1]);
      fileSystem.rename(joinPath(directory, 'a'), target);
      expect(fileSystem.stat(joinPath(directory, 'a'))).toBe(undefined);
      expect(readFile(fileSystem, target)).toEqual([1]);
    });

    it('keeps open handles on the file, not on the name', async () => {
      const { fileSystem, directory } = await make();
      const source = joinPath(directory, 'a');
      const target = joinPath(directory, 'b');
      const moved = createFile(fileSystem, source, [1]);
      const replaced = createFile(fileSystem, target, [2]);
      fileSystem.rename(source, target);
      moved.write(bytes(3), 1);
      expect(readAll(replaced)).toEqual([2]);
      expect(readFile(fileSystem, target)).toEqual([1, 3]);
      moved.close();
      replaced.close();
    });

    it('refuses to rename or remove what does not exist', async () => {
      const { fileSystem, directory } = await make();
      const missing = joinPath(directory, 'missing');
      const target = joinPath(directory, 'b');
      writeFile(fileSystem, target, [2]);
      expect(codeOf(() => fileSystem.rename(missing, target))).toBe('ENOENT');
      expect(codeOf(() => fileSystem.remove(missing))).toBe('ENOENT');
      expect(readFile(fileSystem, target)).toEqual([2]);
    });

    it('removes a name; open handles go on, and the name is free again', async () => {
      const { fileSystem, directory } = await make();
      const path = joinPath(directory, 'a');
      const removed = createFile(fileSystem, path, [1]);
      fileSystem.remove(path);
      expect(fileSystem.stat(path)).toBe(undefined);
      writeFile(fileSystem, path, [2]);
      expect(readAll(removed)).toEqual([1]);
      expect(readFile(fileSystem, path)).toEqual([2]);
      removed.close();
    });

    it('does not remove a directory', async () => {
      const { fileSystem, directory } = await make();
      const path = joinPath(directory, 'c');
      fileSystem.makeDirectory(path);
      expect(codeOf(() => fileSystem.remove(path)) === undefined).toBe(false);
      expect(fileSystem.stat(path)?.kind).toBe('directory');
    });
  });
}

function linksConform({ describe, it, expect }: TestFunctions, make: MakeFileSystem): void {
  describe('linking', () => {
    it('gives a file a second name', async () => {
      const { fileSystem, directory } = await make();
      const source = joinPath(directory, 'a');
      const target = joinPath(directory, 'b');
      const file = createFile(fileSystem, source, [1]);
      fileSystem.link(source, target);
      file.write(bytes(2), 1);
      file.close();
      expect(readFile(fileSystem, target)).toEqual([1, 2]);
      fileSystem.remove(source);
      expect(readFile(fileSystem, target)).toEqual([1, 2]);
      expect(fileSystem.list(directory)).toEqual([{ name: 'b', kind: 'file' }]);
    });

    it('refuses to link to a name in use, or from none', async () => {
      const { fileSystem, directory } = await make();
      const source = joinPath(directory, 'a');
      const target = joinPath(directory, 'b');
      writeFile(fileSystem, source, [1]);
      writeFile(fileSystem, target, [2]);
      expect(codeOf(() => fileSystem.link(source, target))).toBe('EEXIST');
      expect(readFile(fileSystem, target)).toEqual([2]);
      const missing = joinPath(directory, 'missing');
      expect(codeOf(() => fileSystem.link(missing, joinPath(directory, 'c')))).toBe('ENOENT');
    });
  });
}

function identitiesConform({ describe, it, expect }: TestFunctions, make: MakeFileSystem): void {
  describe('telling files and directories apart', () => {
    it('knows a file again by any of its names, and a directory that was moved', async () => {
      const { fileSystem, directory } = await make();
      if (!canHold(fileSystem)) {
        return;
      }
      const at = (...names: string[]): string => joinPath(directory, ...names);
      writeFile(fileSystem, at('a'), [1]);
      writeFile(fileSystem, at('b'), [1]);
      fileSystem.link(at('a'), at('c'));
      expect(fileSystem.identify(at('c'))).toBe(fileSystem.identify(at('a')));
      expect(fileSystem.identify(at('b')) === fileSystem.identify(at('a'))).toBe(false);
      fileSystem.makeDirectory(at('d'));
      const moved = fileSystem.identify(at('d'));
      expect(moved === undefined || moved === fileSystem.identify(directory)).toBe(false);
      fileSystem.rename(at('d'), at('e'));
      fileSystem.makeDirectory(at('d'));
      expect(fileSystem.identify(at('e'))).toBe(moved);
      expect(fileSystem.identify(at('d')) === moved).toBe(false);
      expect(fileSystem.identify(joinPath(at('d'), '..'))).toBe(fileSystem.identify(directory));
    });

    it('knows nothing where nothing is', async () => {
      const { fileSystem, directory } = await make();
      if (canHold(fileSystem)) {
        const disk: HoldingFileSystem = fileSystem;
        writeFile(fileSystem, joinPath(directory, 'a'), [1]);
        expect(fileSystem.identify(joinPath(directory, 'missing'))).toBe(undefined);
        expect(fileSystem.identify(joinPath(directory, 'a', 'below'))).toBe(undefined);
        const missing = joinPath(directory, 'missing');
        expect(codeOf(() => disk.realPath(missing))).toBe('ENOENT');
        const real = fileSystem.realPath(directory);
        expect(fileSystem.identify(real)).toBe(fileSystem.identify(directory));
      }
    });
  });
}

function bytes(...values: number[]): Uint8Array {
  return Uint8Array.from(values);
}

function createFile(fileSystem: FileSystem, path: string, content: readonly number[]): File {
  const file = fileSystem.open(path, 'create');
  writeAll(file, bytes(...content));
  return file;
}

function writeFile(fileSystem: FileSystem, path: string, content: readonly number[]): void {
  createFile(fileSystem, path, content).close();
}

function writeAll(file: File, content: Uint8Array): void {
  let size = 0;
  while (size < content.length) {
    size += file.write(content.subarray(size), size);
  }
}

function readFile(fileSystem: FileSystem, path: string): number[] {
  const file = fileSystem.open(path, 'read');
  const content = readAll(file);
  file.close();
  return content;
}

function readAll(file: File): number[] {
  const target = new Uint8Array(file.size());
  const size = file.read(target, 0);
  return [...target.subarray(0, size)];
}
