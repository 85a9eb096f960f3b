import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { fileSystemConformance } from '../testing/file-system-conformance.ts';
import { NodeFileSystem } from './node-file-system.ts';

const root = mkdtempSync(join(tmpdir(), 'varve-file-system-'));
afterAll(() => rmSync(root, { recursive: true }));

const fileSystem = new NodeFileSystem();
const makeEmptyDirectory = (): string => mkdtempSync(join(root, 'test-'));

describe('NodeFileSystem', () => {
  fileSystemConformance({ describe, it, expect }, async () => ({
    fileSystem,
    directory: makeEmptyDirectory(),
  }));

  it('follows a link to a directory in stat, and reports it as other in list', () => {
    const directory = makeEmptyDirectory();
    symlinkSync(makeEmptyDirectory(), join(directory, 'link'));
    expect(fileSystem.stat(join(directory, 'link'))?.kind).toBe('directory');
    expect(fileSystem.list(directory)).toEqual([{ name: 'link', kind: 'other' }]);
  });

  it.runIf(process.platform === 'linux')(
    'says which folder can not be synced, and that its file system is why',
    () => {
      expect(() => fileSystem.syncDirectory('/proc')).toThrow(
        /^The folder \/proc can't be synced \(EINVAL\).* its file system, of type 0x9fa0,/,
      );
    },
  );

  it('refuses every call on a closed file, and to close one while a call is pending', async () => {
    const file = fileSystem.open(join(makeEmptyDirectory(), 'a'), 'create');
    const pending = file.syncAsync();
    expect(() => file.close()).toThrow('pending');
    await pending;
    file.close();
    expect(() => file.size()).toThrow('the file is open');
    expect(() => file.write(new Uint8Array(1), 0)).toThrow('the file is open');
    expect(() => file.close()).toThrow('the file is open');
  });

  it('passes the errors of the system on', async () => {
    const path = join(makeEmptyDirectory(), 'a');
    fileSystem.open(path, 'create').close();
    const file = fileSystem.open(path, 'read');
    expect(() => file.truncate(1)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
    await expect(file.writeAsync(new Uint8Array(1), 0)).rejects.toMatchObject({ code: 'EBADF' });
    expect(() => fileSystem.syncDirectory(join(path, 'b'))).toThrow(
      expect.objectContaining({ code: 'ENOTDIR' }),
    );
    file.close();
  });
});
