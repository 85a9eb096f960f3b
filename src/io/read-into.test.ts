import { describe, expect, it } from 'vitest';
import { SimulatedFileSystem } from '../testing/simulated-file-system.ts';
import { checkedFileSystem } from './checked-file-system.ts';
import type { File, FileSystem } from './file-system.ts';
import { readIntoAsync } from './read-into.ts';

/** A disk with the file `/a`, whose `readAsync` is the given one. */
function diskWith(readAsync: File['readAsync']): FileSystem {
  const disk = new SimulatedFileSystem();
  disk.writeFile('/a', Uint8Array.of(1, 2, 3, 4));
  const openReal = disk.open.bind(disk);
  const open: FileSystem['open'] = (path, mode) => {
    const file = openReal(path, mode);
    Object.defineProperty(file, 'readAsync', { value: readAsync });
    return file;
  };
  Object.defineProperty(disk, 'open', { value: open });
  return checkedFileSystem(disk);
}

async function readOneByte(target: Uint8Array, offset: number): Promise<number> {
  target[0] = offset;
  return offset < 4 ? 1 : 0;
}

describe('reading without blocking', () => {
  it('reads a file that can only block', async () => {
    const file = diskWith(undefined).open('/a', 'read');
    const target = new Uint8Array(3);
    expect(await readIntoAsync(file, target, 1)).toBe(3);
    expect([...target]).toEqual([2, 3, 4]);
  });

  it('goes on after a call that read less than it was asked for', async () => {
    const file = diskWith(readOneByte).open('/a', 'read');
    const target = new Uint8Array(5);
    expect(await readIntoAsync(file, target, 1)).toBe(3);
    expect([...target.subarray(0, 3)]).toEqual([1, 2, 3]);
  });

  it.each([-1, 1.5, 6, Number.NaN, undefined])('refuses %s as a count of bytes', async (count) => {
    const file = diskWith(() => Promise.resolve(count as number)).open('/a', 'read');
    await expect(readIntoAsync(file, new Uint8Array(5), 0)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      details: { method: 'readAsync' },
    });
  });
});
