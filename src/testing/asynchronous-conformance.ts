import { readIntoAsync } from '../io/read-into.ts';
import { joinPath } from '../io/path.ts';
import type { MakeFileSystem, TestFunctions } from './file-system-conformance.ts';

/** Calls that don't block do what the blocking ones do. */
export function asynchronousCallsConform(
  { describe, it, expect }: TestFunctions,
  make: MakeFileSystem,
): void {
  describe('calls that do not block', () => {
    it('write as the blocking one does', async () => {
      const { fileSystem, directory } = await make();
      const file = fileSystem.open(joinPath(directory, 'a'), 'create');
      file.write(Uint8Array.of(1, 2, 3, 4), 0);
      expect(await file.writeAsync(Uint8Array.of(8, 9), 1)).toBe(2);
      expect(await file.writeAsync(Uint8Array.of(7), 6)).toBe(1);
      expect(await file.writeAsync(new Uint8Array(0), 0)).toBe(0);
      const content = new Uint8Array(7);
      expect(file.read(content, 0)).toBe(7);
      expect([...content]).toEqual([1, 8, 9, 4, 0, 0, 7]);
      file.close();
    });

    it('sync what was written', async () => {
      const { fileSystem, directory } = await make();
      const path = joinPath(directory, 'a');
      const file = fileSystem.open(path, 'create');
      await file.writeAsync(Uint8Array.of(1, 2), 0);
      await file.syncAsync();
      file.close();
      expect(fileSystem.stat(path)).toEqual({ kind: 'file', size: 2 });
    });

    it('read as the blocking one does', async () => {
      const { fileSystem, directory } = await make();
      const file = fileSystem.open(joinPath(directory, 'a'), 'create');
      file.write(Uint8Array.of(1, 2, 3, 4), 0);
      const target = new Uint8Array(4);
      expect(await readIntoAsync(file, target.subarray(1, 3), 1)).toBe(2);
      expect([...target]).toEqual([0, 2, 3, 0]);
      expect(await readIntoAsync(file, target, 2)).toBe(2);
      expect([...target]).toEqual([3, 4, 3, 0]);
      expect(await readIntoAsync(file, target, 4)).toBe(0);
      expect(await readIntoAsync(file, new Uint8Array(0), 0)).toBe(0);
      file.close();
    });

    it('read into memory of their own each, at the same time', async () => {
      const { fileSystem, directory } = await make();
      const file = fileSystem.open(joinPath(directory, 'a'), 'create');
      const content = Uint8Array.from({ length: 200 }, (_, index) => index);
      expect(file.write(content, 0)).toBe(200);
      const targets = Array.from({ length: 20 }, () => new Uint8Array(10));
      await Promise.all(targets.map((target, index) => readIntoAsync(file, target, index * 10)));
      expect(targets.flatMap((target) => [...target])).toEqual([...content]);
      file.close();
    });
  });
}
