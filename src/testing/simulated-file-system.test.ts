import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../base/random.ts';
import type { File } from '../io/file-system.ts';
import { codeOf } from './code-of.ts';
import { fileSystemConformance } from './file-system-conformance.ts';
import { SimulatedFileSystem } from './simulated-file-system.ts';
import type { CrashChoice } from './simulated-file-system.ts';

const none: CrashChoice = { keep: 'none', sector: 512, directory: 'ordered' };
const all: CrashChoice = { keep: 'all', sector: 512, directory: 'ordered' };
const random512: CrashChoice = { keep: 'random', sector: 512, directory: 'any' };
const random4096: CrashChoice = { keep: 'random', sector: 4096, directory: 'any' };
const ordered: CrashChoice = { keep: 'random', sector: 512, directory: 'ordered' };

describe('SimulatedFileSystem', () => {
  fileSystemConformance({ describe, it, expect }, async () => {
    const fileSystem = new SimulatedFileSystem();
    fileSystem.makeDirectory('/store');
    return { fileSystem, directory: '/store' };
  });

  it('refuses everything on a closed file', () => {
    const { file } = storeWith(filled(1, 4));
    file.close();
    expect(codeOf(() => file.size())).toBe('EBADF');
    expect(codeOf(() => file.read(new Uint8Array(1), 0))).toBe('EBADF');
    expect(codeOf(() => file.write(filled(1, 1), 0))).toBe('EBADF');
    expect(codeOf(() => file.sync())).toBe('EBADF');
    expect(codeOf(() => file.truncate(0))).toBe('EBADF');
    expect(codeOf(() => file.close())).toBe('EBADF');
  });

  it('renames directories, but not over anything or into themselves', () => {
    const disk = new SimulatedFileSystem();
    disk.writeFile('/a/file', filled(1, 1));
    disk.writeFile('/b/file', filled(2, 1));
    expect(codeOf(() => disk.rename('/a', '/b'))).toBe('ENOTEMPTY');
    expect(codeOf(() => disk.rename('/a', '/b/file'))).toBe('ENOTDIR');
    expect(codeOf(() => disk.rename('/b/file', '/a'))).toBe('EISDIR');
    expect(codeOf(() => disk.rename('/a', '/a/inside'))).toBe('EINVAL');
    disk.rename('/a', '/b/moved');
    expect(disk.paths()).toEqual(['/b/file', '/b/moved/file']);
    expect(crash(disk, none).paths()).toEqual(['/a/file', '/b/file']);
    disk.syncDirectory('/');
    expect(crash(disk, none).paths()).toEqual(['/a/file', '/b/file']);
    disk.syncDirectory('/b');
    expect(crash(disk, none).paths()).toEqual(['/b/file', '/b/moved/file']);
  });
});

describe('overwritten bytes after a power cut', () => {
  it('falls back to the old bytes where an overwrite was not synced', () => {
    const { disk, file } = storeWith(filled(1, 1024));
    file.write(filled(2, 1024), 0);
    expect(disk.readFile('/store/a')).toEqual(filled(2, 1024));
    expect(crash(disk, none).readFile('/store/a')).toEqual(filled(1, 1024));
    expect(crash(disk, all).readFile('/store/a')).toEqual(filled(2, 1024));
    file.sync();
    expect(crash(disk, none).readFile('/store/a')).toEqual(filled(2, 1024));
  });

  it('tears an overwrite at every boundary of 512 bytes', () => {
    const { disk, file } = storeWith(filled(1, 8192));
    file.write(filled(2, 8192), 0);
    const seen = clonesOf(disk, random512).map((clone) => unitsOf(clone, 512));
    for (let sector = 1; sector < 16; sector += 1) {
      expect(seen.some((units) => units[sector - 1] !== units[sector])).toBe(true);
    }
    expect(seen.flat().every((unit) => unit === '1' || unit === '2')).toBe(true);
  });

  it('tears at 4096 bytes only if the disk writes so many at once', () => {
    const { disk, file } = storeWith(filled(1, 16_384));
    file.write(filled(2, 16_384), 0);
    const seen = clonesOf(disk, random4096).map((clone) => unitsOf(clone, 4096));
    expect(seen.flat().every((unit) => unit === '1' || unit === '2')).toBe(true);
    expect(seen.filter((units) => new Set(units).size === 2).length).toBeGreaterThan(20);
    expect(seen.filter((units) => units.every((unit) => unit === '1')).length).toBeGreaterThan(2);
    expect(seen.filter((units) => units.every((unit) => unit === '2')).length).toBeGreaterThan(2);
  });

  it('may leave later sectors without earlier ones', () => {
    const { disk, file } = storeWith(filled(1, 1024));
    file.write(filled(2, 512), 0);
    file.write(filled(2, 512), 512);
    const seen = clonesOf(disk, random512).map((clone) => unitsOf(clone, 512).join(''));
    expect([...new Set(seen)].toSorted()).toEqual(['11', '12', '21', '22']);
  });

  it.each([random512, random4096])('may leave an intermediate version ($sector)', (choice) => {
    const { disk, file } = storeWith(filled(1, 100));
    file.write(filled(2, 100), 0);
    file.write(filled(3, 100), 0);
    file.write(filled(4, 100), 0);
    const seen = clonesOf(disk, choice).map((clone) => unitsOf(clone, 512).join());
    expect([...new Set(seen)].toSorted()).toEqual(['1', '2', '3', '4']);
  });

  it('mixes versions of different sectors at 512 bytes, never at 4096', () => {
    const { disk, file } = storeWith(filled(1, 1024));
    file.write(filled(2, 1024), 0);
    file.write(filled(3, 512), 0);
    const at512 = new Set(clonesOf(disk, random512).map((clone) => unitsOf(clone, 512).join('')));
    const at4096 = new Set(clonesOf(disk, random4096).map((clone) => unitsOf(clone, 512).join('')));
    expect([...at512].toSorted()).toEqual(['11', '12', '21', '22', '31', '32']);
    expect([...at4096].toSorted()).toEqual(['11', '22', '32']);
  });
});

describe('sizes after a power cut', () => {
  it('leaves a grown file with the old size, the new one, or whole sectors between', () => {
    const { disk, file } = storeWith(filled(1, 700));
    file.write(filled(2, 2000), 700);
    const sizes = new Set(
      clonesOf(disk, random512).map((clone) => clone.readFile('/store/a').length),
    );
    expect([...sizes].toSorted((left, right) => left - right)).toEqual([
      700, 1024, 1536, 2048, 2560, 2700,
    ]);
  });

  it('reads zeros inside the size where nothing became durable', () => {
    const { disk, file } = storeWith(new Uint8Array(0));
    file.write(filled(2, 1024), 0);
    const seen = clonesOf(disk, random512)
      .filter((clone) => clone.readFile('/store/a').length === 1024)
      .map((clone) => unitsOf(clone, 512).join(''));
    expect([...new Set(seen)].toSorted()).toEqual(['00', '02', '20', '22']);
  });

  it('may undo a truncation, and never shows bytes behind the size again', () => {
    const { disk, file } = storeWith(filled(1, 1000));
    file.truncate(100);
    expect(crash(disk, none).readFile('/store/a')).toEqual(filled(1, 1000));
    expect(crash(disk, all).readFile('/store/a')).toEqual(filled(1, 100));
    file.sync();
    file.truncate(1000);
    file.sync();
    const expected = new Uint8Array(1000);
    expected.fill(1, 0, 100);
    expect(crash(disk, none).readFile('/store/a')).toEqual(expected);
  });

  it('may bring back whole pages that were cut off', () => {
    const { disk, file } = storeWith(filled(1, 12_288));
    file.truncate(100);
    expect(crash(disk, none).readFile('/store/a')).toEqual(filled(1, 12_288));
    const seen = clonesOf(disk, random4096)
      .filter((clone) => clone.readFile('/store/a').length === 12_288)
      .map((clone) => unitsOf(clone, 4096).slice(1).join(''));
    expect([...new Set(seen)].toSorted()).toEqual(['00', '01', '10', '11']);
  });
});

describe('writes in flight during a power cut', () => {
  it('counts writes as un-synced from their issue on', () => {
    const { disk, file } = storeWith(filled(1, 512));
    const pending = file.writeAsync(filled(2, 512), 0);
    const seen = new Set(clonesOf(disk, random512).map((clone) => unitsOf(clone, 512).join('')));
    expect([...seen].toSorted()).toEqual(['1', '2']);
    return pending;
  });
});

describe('new names after a power cut', () => {
  it('forgets a synced file whose directory was not synced', () => {
    const disk = new SimulatedFileSystem();
    disk.makeDirectory('/store');
    disk.syncDirectory('/');
    writeSynced(disk, '/store/a', filled(1, 10));
    expect(crash(disk, none).paths()).toEqual([]);
    disk.syncDirectory('/store');
    expect(crash(disk, none).paths()).toEqual(['/store/a']);
  });

  it('forgets a directory whose parent was not synced, with everything in it', () => {
    const disk = new SimulatedFileSystem();
    disk.makeDirectory('/store');
    writeSynced(disk, '/store/a', filled(1, 10));
    disk.syncDirectory('/store');
    expect(crash(disk, none).stat('/store')).toBe(undefined);
    disk.syncDirectory('/');
    expect(crash(disk, none).paths()).toEqual(['/store/a']);
  });
});

describe('changed names after a power cut', () => {
  it('brings back the file that an un-synced rename replaced', () => {
    const disk = storeWith(filled(1, 10)).disk;
    writeSynced(disk, '/store/a.tmp', filled(2, 10));
    disk.rename('/store/a.tmp', '/store/a');
    expect(disk.readFile('/store/a')).toEqual(filled(2, 10));
    expect(crash(disk, none).readFile('/store/a')).toEqual(filled(1, 10));
    const seen = clonesOf(disk, random512).map((clone) =>
      clone
        .paths()
        .map((path) => `${path}=${clone.readFile(path)[0]}`)
        .join(' '),
    );
    expect([...new Set(seen)].toSorted()).toEqual([
      '/store/a=1',
      '/store/a=1 /store/a.tmp=2',
      '/store/a=2',
    ]);
    disk.syncDirectory('/store');
    expect(crash(disk, none).readFile('/store/a')).toEqual(filled(2, 10));
  });

  it('shows a renamed file without its content if that was never synced', () => {
    const disk = storeWith(filled(1, 10)).disk;
    const file = disk.open('/store/a.tmp', 'create');
    file.write(filled(2, 10), 0);
    disk.rename('/store/a.tmp', '/store/a');
    disk.syncDirectory('/store');
    expect(crash(disk, none).readFile('/store/a')).toEqual(new Uint8Array(0));
  });
});

describe('which changes of names survive a power cut', () => {
  it('keeps a prefix of the changes in order, or any that are possible together', () => {
    const disk = new SimulatedFileSystem();
    for (const name of ['/a', '/b', '/c']) {
      disk.open(name, 'create').close();
    }
    disk.rename('/b', '/d');
    const inOrder = new Set(clonesOf(disk, ordered).map((clone) => clone.paths().join('')));
    expect([...inOrder].toSorted()).toEqual(['', '/a', '/a/b', '/a/b/c', '/a/c/d']);
    const any = new Set(clonesOf(disk, random512).map((clone) => clone.paths().join('')));
    expect([...any].toSorted()).toEqual([
      '',
      '/a',
      '/a/b',
      '/a/b/c',
      '/a/c',
      '/a/c/d',
      '/a/d',
      '/b',
      '/b/c',
      '/c',
      '/c/d',
      '/d',
    ]);
  });

  it('moves between directories durably only when both are synced, and never loses the file', () => {
    const disk = new SimulatedFileSystem();
    disk.writeFile('/from/a', filled(1, 10));
    disk.writeFile('/to/b', filled(2, 10));
    disk.rename('/from/a', '/to/a');
    disk.syncDirectory('/to');
    expect(crash(disk, none).paths()).toEqual(['/from/a', '/to/b']);
    for (const clone of [...clonesOf(disk, random512), ...clonesOf(disk, ordered)]) {
      expect(clone.paths().filter((path) => path.endsWith('/a')).length).toBe(1);
    }
    disk.open('/to/c', 'create').close();
    disk.syncDirectory('/to');
    for (const clone of [...clonesOf(disk, random512), ...clonesOf(disk, ordered)]) {
      expect(clone.paths()).toContain('/to/c');
    }
    disk.syncDirectory('/from');
    expect(crash(disk, none).paths()).toEqual(['/to/a', '/to/b', '/to/c']);
  });

  it('drops changes that need a dropped one', () => {
    const { disk } = storeWith(filled(1, 10));
    disk.rename('/store/a', '/store/b');
    disk.rename('/store/b', '/store/c');
    disk.makeDirectory('/store/inside');
    disk.rename('/store/c', '/store/inside/d');
    const seen = clonesOf(disk, random512).map((clone) => clone.paths().join(' '));
    expect([...new Set(seen)].toSorted()).toEqual([
      '/store/a',
      '/store/b',
      '/store/c',
      '/store/inside/d',
    ]);
  });
});

describe('removed and linked names after a power cut', () => {
  it('brings a removed name back until its directory is synced', () => {
    const { disk } = storeWith(filled(1, 10));
    disk.remove('/store/a');
    expect(crash(disk, none).paths()).toEqual(['/store/a']);
    disk.syncDirectory('/store');
    expect(crash(disk, none).paths()).toEqual([]);
  });

  it('keeps two names of one file on one file', () => {
    const { disk } = storeWith(filled(1, 10));
    disk.link('/store/a', '/store/b');
    expect(crash(disk, none).paths()).toEqual(['/store/a']);
    disk.syncDirectory('/store');
    const clone = crash(disk, none);
    clone.open('/store/a', 'write').write(filled(3, 1), 0);
    expect(clone.readFile('/store/b')[0]).toBe(3);
  });
});

describe('clones', () => {
  it('are independent of their origin and of each other', () => {
    const { disk, file } = storeWith(filled(1, 5000));
    const first = crash(disk, all);
    const second = crash(disk, all);
    const digest = disk.snapshotDigest();
    first.open('/store/a', 'write').write(filled(9, 10), 4090);
    first.remove('/store/a');
    file.write(filled(8, 10), 0);
    expect(second.snapshotDigest()).toBe(digest);
    expect(disk.snapshotDigest()).not.toBe(digest);
    expect(disk.readFile('/store/a')[4095]).toBe(1);
  });

  it('are the same for the same seed, and differ between seeds', () => {
    const { disk, file } = storeWith(filled(1, 16_384));
    file.write(filled(2, 16_384), 0);
    disk.open('/store/b', 'create').close();
    const digests = clonesOf(disk, random512).map((clone) => clone.snapshotDigest());
    expect(clonesOf(disk, random512).map((clone) => clone.snapshotDigest())).toEqual(digests);
    expect(new Set(digests).size).toBeGreaterThan(100);
  });

  it('have everything durable, and no locks, faults or open files', async () => {
    const { disk, file } = storeWith(filled(1, 1000));
    file.write(filled(2, 1000), 0);
    await disk.lockDirectory('/store');
    disk.faults.failAt(1, 'EIO');
    const clone = crash(disk, random512);
    expect(crash(clone, none).snapshotDigest()).toBe(clone.snapshotDigest());
    expect(crash(clone, random512).snapshotDigest()).toBe(clone.snapshotDigest());
    expect(clone.operations).toBe(0);
    expect(clone.openCount).toBe(0);
    await clone.lockDirectory('/store');
    expect(clone.list('/store').length).toBe(1);
    const copy = disk.clone();
    expect(copy.snapshotDigest()).toBe(disk.snapshotDigest());
    expect(crash(copy, none).snapshotDigest()).toBe(disk.snapshotDigest());
  });

  it('show flipped bits in every state', () => {
    const { disk, file } = storeWith(filled(1, 600));
    file.write(filled(2, 600), 0);
    disk.flipBit('/store/a', 599, 7);
    expect(disk.readFile('/store/a')[599]).toBe(0x82);
    expect(crash(disk, none).readFile('/store/a')[599]).toBe(0x81);
    expect(codeOf(() => disk.flipBit('/store/a', 600, 0))).toBe('INTERNAL');
  });

  it('digest paths and contents, not history', () => {
    const one = new SimulatedFileSystem();
    const other = new SimulatedFileSystem();
    one.writeFile('/store/a', new Uint8Array(10_000));
    other.makeDirectory('/store');
    const file = other.open('/store/a', 'create');
    expect(other.snapshotDigest()).not.toBe(one.snapshotDigest());
    file.truncate(10_000);
    expect(other.snapshotDigest()).toBe(one.snapshotDigest());
    file.write(filled(1, 1), 9999);
    expect(other.snapshotDigest()).not.toBe(one.snapshotDigest());
    other.removeFile('/store/a');
    expect(crash(other, none).paths()).toEqual([]);
  });
});

/** A disk with one durable file, `/store/a`. */
function storeWith(content: Uint8Array): { disk: SimulatedFileSystem; file: File } {
  const disk = new SimulatedFileSystem();
  disk.writeFile('/store/a', content);
  return { disk, file: disk.open('/store/a', 'write') };
}

function writeSynced(disk: SimulatedFileSystem, path: string, content: Uint8Array): void {
  const file = disk.open(path, 'create');
  file.write(content, 0);
  file.sync();
  file.close();
}

function crash(disk: SimulatedFileSystem, choice: CrashChoice): SimulatedFileSystem {
  return disk.crashClone(new SeededRandom(1), choice);
}

function clonesOf(disk: SimulatedFileSystem, choice: CrashChoice): SimulatedFileSystem[] {
  return Array.from({ length: 200 }, (_, seed) => disk.crashClone(new SeededRandom(seed), choice));
}

/** What each unit of `size` bytes of `/store/a` is filled with, '?' if with more than one thing. */
function unitsOf(disk: SimulatedFileSystem, size: number): string[] {
  const content = disk.readFile('/store/a');
  return Array.from({ length: Math.ceil(content.length / size) }, (_, index) => {
    const unit = content.subarray(index * size, (index + 1) * size);
    return unit.every((byte) => byte === unit[0]) ? String(unit[0]) : '?';
  });
}

function filled(value: number, size: number): Uint8Array {
  return new Uint8Array(size).fill(value);
}
