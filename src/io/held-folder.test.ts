import { describe, expect, it } from 'vitest';
import { VarveError } from '../base/errors.ts';
import { SimulatedFileSystem } from '../testing/simulated-file-system.ts';
import type { File, FileSystem } from './file-system.ts';
import { heldFileSystem, type HeldFolder, holdFolder, isHoldLost } from './held-folder.ts';
import { readSmallFile } from './atomic-file.ts';
import { readIntoAsync } from './read-into.ts';

const FOLDER = '/data/store';

async function makeHeld(): Promise<{ disk: SimulatedFileSystem; folder: HeldFolder; file: File }> {
  const disk = new SimulatedFileSystem();
  disk.writeFile(`${FOLDER}/a`, Buffer.from('ours'));
  disk.writeFile(`${FOLDER}/log/b`, Buffer.from('ours'));
  const folder = await holdFolder(disk, FOLDER);
  return { disk, folder, file: folder.fileSystem.open(`${FOLDER}/a`, 'write') };
}

function replaceFolder(disk: SimulatedFileSystem): string {
  disk.rename(FOLDER, '/data/moved');
  disk.writeFile(`${FOLDER}/a`, Buffer.from('theirs'));
  disk.writeFile(`${FOLDER}/log/b`, Buffer.from('theirs'));
  return disk.snapshotDigest();
}

const changes: readonly [string, (fileSystem: FileSystem) => unknown][] = [
  ['creating a file', (fileSystem) => fileSystem.open(`${FOLDER}/new`, 'create')],
  ['creating one deeper', (fileSystem) => fileSystem.open(`${FOLDER}/log/new`, 'create')],
  ['making a folder', (fileSystem) => fileSystem.makeDirectory(`${FOLDER}/new`)],
  ['renaming', (fileSystem) => fileSystem.rename(`${FOLDER}/a`, `${FOLDER}/c`)],
  ['renaming out of it', (fileSystem) => fileSystem.rename(`${FOLDER}/a`, '/data/c')],
  ['renaming into it', (fileSystem) => fileSystem.rename('/data/moved/a', `${FOLDER}/a`)],
  ['linking', (fileSystem) => fileSystem.link(`${FOLDER}/a`, `${FOLDER}/c`)],
  ['removing', (fileSystem) => fileSystem.remove(`${FOLDER}/log/b`)],
  ['syncing it', (fileSystem) => fileSystem.syncDirectory(FOLDER)],
];

describe('a held folder', () => {
  it('is worked in as any other', async () => {
    const { disk, folder, file } = await makeHeld();
    const { fileSystem } = folder;
    expect(file.path).toBe(`${FOLDER}/a`);
    file.write(Buffer.from('new'), 0);
    file.sync();
    await file.writeAsync(Buffer.from('er'), 3);
    await file.syncAsync();
    const target = Buffer.alloc(3);
    expect(await readIntoAsync(file, target, 2)).toBe(3);
    expect(target.toString()).toBe('wer');
    file.truncate(5);
    expect(file.size()).toBe(5);
    file.close();
    fileSystem.rename(`${FOLDER}/a`, `${FOLDER}/log/c`);
    fileSystem.link(`${FOLDER}/log/c`, '/data/copy');
    fileSystem.remove(`${FOLDER}/log/c`);
    fileSystem.makeDirectory(`${FOLDER}/tables`);
    fileSystem.syncDirectory(FOLDER);
    expect(fileSystem.list(FOLDER).map(({ name }) => name)).toEqual(['log', 'tables']);
    expect(Buffer.from(disk.readFile('/data/copy')).toString()).toBe('newer');
    await folder.release();
  });

  it.each(changes)('refuses %s once the folder was replaced', async (_, change) => {
    const { disk, folder, file } = await makeHeld();
    const before = replaceFolder(disk);
    expect(() => change(folder.fileSystem)).toThrow('has been moved, replaced or removed');
    expect(disk.snapshotDigest()).toBe(before);
    // What is open is the same file as before, and no longer ours to write: the loss is known now.
    expect(() => file.write(Buffer.from('x'), 0)).toThrow('has been moved');
    expect(disk.snapshotDigest()).toBe(before);
  });

  it.each(changes)('refuses %s once the lock was removed', async (_, change) => {
    const { disk, folder } = await makeHeld();
    disk.removeLock(FOLDER);
    const before = disk.snapshotDigest();
    expect(() => change(folder.fileSystem)).toThrow('its lock was removed');
    expect(disk.snapshotDigest()).toBe(before);
  });

  it('refuses to write to open files once the lock was removed, and does not call synced what was written', async () => {
    const { disk, folder, file } = await makeHeld();
    file.write(Buffer.from('x'), 0);
    disk.removeLock(FOLDER);
    expect(() => file.sync()).toThrow('its lock was removed');
    await expect(file.syncAsync()).rejects.toThrow('its lock was removed');
    const before = disk.snapshotDigest();
    expect(() => file.write(Buffer.from('y'), 0)).toThrow('its lock was removed');
    await expect(file.writeAsync(Buffer.from('y'), 0)).rejects.toThrow('its lock was removed');
    expect(() => file.truncate(0)).toThrow('its lock was removed');
    expect(disk.snapshotDigest()).toBe(before);
    expect(isHoldLost(catching(() => file.sync()))).toBe(true);
    await folder.release();
  });

  it('stays lost when the folder comes back', async () => {
    const { disk, folder } = await makeHeld();
    disk.rename(FOLDER, '/data/moved');
    expect(() => folder.fileSystem.remove(`${FOLDER}/a`)).toThrow('has been moved');
    disk.rename('/data/moved', FOLDER);
    expect(() => folder.fileSystem.remove(`${FOLDER}/a`)).toThrow('has been moved');
  });

  it('is another lock for the next holder, which the first one can not give back', async () => {
    const { disk, folder } = await makeHeld();
    disk.removeLock(FOLDER);
    const second = await holdFolder(disk, FOLDER);
    expect(() => folder.fileSystem.remove(`${FOLDER}/a`)).toThrow('its lock was removed');
    await folder.release();
    second.fileSystem.remove(`${FOLDER}/a`);
    await second.release();
  });

  it('is reached by nobody after its release, and everything else as before', async () => {
    const { disk, folder, file } = await makeHeld();
    disk.writeFile('/elsewhere/a', Buffer.from('x'));
    await folder.release();
    expect(catching(() => folder.fileSystem.stat(FOLDER))).toMatchObject({ code: 'CLOSED' });
    expect(catching(() => folder.fileSystem.list(FOLDER))).toMatchObject({ code: 'CLOSED' });
    expect(folder.fileSystem.stat('/elsewhere/a')?.size).toBe(1);
    expect(folder.fileSystem.stat(`${FOLDER}-beside`)).toBe(undefined);
    file.close();
  });

  it('is reached through its anchor, and errors speak of its path', () => {
    const disk = new SimulatedFileSystem();
    disk.writeFile('/proc/self/fd/1/log/a', Buffer.from('ours'));
    disk.writeFile(`${FOLDER}/log/a`, Buffer.from('theirs'));
    const identity = disk.identify(FOLDER)!;
    const held = { path: FOLDER, anchor: '/proc/self/fd/1', identity, names: [], sign: undefined };
    const fileSystem = heldFileSystem(Object.assign(disk, { isHeld: () => true }), held);
    expect(String(Buffer.from(readSmallFile(fileSystem, `${FOLDER}/log/a`, 9)!))).toBe('ours');
    const error = catching(() => fileSystem.open(`${FOLDER}/log/b`, 'read')) as Error;
    expect(error).not.toBeInstanceOf(VarveError);
    expect(error).toMatchObject({ code: 'ENOENT', path: `${FOLDER}/log/b` });
    expect(`${error.message}${error.stack}`).not.toContain('/proc/');
  });

  it('is reached by its path in a file system that can not tell folders apart', async () => {
    const { disk } = await makeHeld();
    const old = Object.assign(Object.create(disk) as SimulatedFileSystem, { isHeld: undefined });
    expect(heldFileSystem(old, undefined)).toBe(old);
  });
});

function catching(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}
