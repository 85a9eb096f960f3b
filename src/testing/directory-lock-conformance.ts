import { systemCode } from '../base/errors.ts';
import { canHold } from '../io/file-system.ts';
import { joinPath } from '../io/path.ts';
import { codeOfAsync } from './code-of.ts';
import type { MakeFileSystem, TestFunctions } from './file-system-conformance.ts';

/** What every `FileSystem.lockDirectory` must do within one process. */
export function directoryLockConformance(
  { describe, it, expect }: TestFunctions,
  make: MakeFileSystem,
): void {
  describe('locking a directory', () => {
    it('refuses a second lock until the first is released', async () => {
      const { fileSystem, directory } = await make();
      const first = await fileSystem.lockDirectory(directory);
      expect(await codeOfAsync(() => fileSystem.lockDirectory(directory))).toBe('LOCKED');
      expect(await codeOfAsync(() => fileSystem.lockDirectory(directory))).toBe('LOCKED');
      await first.release();
      const second = await fileSystem.lockDirectory(directory);
      expect(await codeOfAsync(() => fileSystem.lockDirectory(directory))).toBe('LOCKED');
      await second.release();
    });

    it('releases once: a second release does not take the lock from its next holder', async () => {
      const { fileSystem, directory } = await make();
      const first = await fileSystem.lockDirectory(directory);
      await Promise.all([first.release(), first.release()]);
      const second = await fileSystem.lockDirectory(directory);
      await first.release();
      expect(await codeOfAsync(() => fileSystem.lockDirectory(directory))).toBe('LOCKED');
      await second.release();
    });

    it('gives the lock to exactly one of several who ask at once', async () => {
      const { fileSystem, directory } = await make();
      const attempts = Array.from({ length: 4 }, () => fileSystem.lockDirectory(directory));
      const outcomes = await Promise.allSettled(attempts);
      const winners = outcomes.filter((outcome) => outcome.status === 'fulfilled');
      const losers = outcomes.filter((outcome) => outcome.status === 'rejected');
      expect(winners.length).toBe(1);
      const codes = losers.map((loser) => systemCode(loser.reason));
      expect(codes).toEqual(['LOCKED', 'LOCKED', 'LOCKED']);
      await winners[0]?.value.release();
    });

    it('locks each directory by itself', async () => {
      const { fileSystem, directory } = await make();
      const other = joinPath(directory, 'c');
      fileSystem.makeDirectory(other);
      const outer = await fileSystem.lockDirectory(directory);
      const inner = await fileSystem.lockDirectory(other);
      await outer.release();
      expect(await codeOfAsync(() => fileSystem.lockDirectory(other))).toBe('LOCKED');
      await inner.release();
    });

    it('uses no names but LOCK and .lock-…, and leaves none behind', async () => {
      const { fileSystem, directory } = await make();
      const lock = await fileSystem.lockDirectory(directory);
      const names = fileSystem.list(directory).map((entry) => entry.name);
      const foreign = names.filter((name) => name !== 'LOCK' && !name.startsWith('.lock-'));
      expect(foreign).toEqual([]);
      await lock.release();
      expect(fileSystem.list(directory)).toEqual([]);
    });

    it('gives its holder a way to the directory that is a directory to everybody', async () => {
      const { fileSystem, directory } = await make();
      const lock = await fileSystem.lockDirectory(directory);
      if (canHold(fileSystem)) {
        const { held } = lock;
        expect(held === undefined).toBe(false);
        expect(held!.path).toBe(directory);
        expect(held!.identity).toBe(fileSystem.identify(directory));
        expect(fileSystem.identify(held!.anchor)).toBe(held!.identity);
        expect(structuredClone(held)).toEqual(held);
        for (const name of held!.names) {
          expect(fileSystem.identify(joinPath(directory, name)) === undefined).toBe(false);
        }
        expect(fileSystem.isHeld(held!)).toBe(true);
        expect(fileSystem.isHeld(structuredClone(held!))).toBe(true);
      }
      await lock.release();
    });

    it('notices that a name that stands for the lock was removed', async () => {
      const { fileSystem, directory } = await make();
      const lock = await fileSystem.lockDirectory(directory);
      const name = lock.held?.names[0];
      if (canHold(fileSystem) && name !== undefined) {
        fileSystem.remove(joinPath(directory, name));
        expect(fileSystem.isHeld(lock.held!)).toBe(false);
      }
      await lock.release();
    });

    it('refuses to lock a directory that does not exist', async () => {
      const { fileSystem, directory } = await make();
      const missing = joinPath(directory, 'missing');
      expect(await codeOfAsync(() => fileSystem.lockDirectory(missing))).toBe('ENOENT');
    });
  });
}
