/**
 * Files of a store at rest that are cut, have grown, are missing or foreign. The store is refused with the place of the
 * damage and left as it is, or opens with every event as it was.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { isInStride, strideTitle } from '../stride.ts';
import {
  checkDamaged,
  Copies,
  expectLocated,
  framesEndOf,
  judge,
  type MayOpen,
  never,
  SEGMENT_0,
  smallStore,
  TAIL,
  twoSegmentStore,
  type Victim,
} from './damage.ts';

let small: Victim;
let twoSegments: Victim;
beforeAll(async () => {
  small = await smallStore();
  twoSegments = await twoSegmentStore();
});

describe('a file cut short', () => {
  it(`is refused, or harmless and reported, at any length (${strideTitle})`, async () => {
    for (const victim of [small, twoSegments]) {
      for (const path of victim.paths) {
        await sweepLengths(victim, path);
      }
    }
  });
});

describe('a file that grew', () => {
  it('by zeros or by other bytes changes nothing, and is reported', async () => {
    for (const victim of [small, twoSegments]) {
      for (const path of victim.paths.filter((name) => name.endsWith('.seg'))) {
        for (const extra of [new Uint8Array(1), new Uint8Array(9_000), Buffer.from('foreign')]) {
          const disk = victim.disk.clone();
          disk.writeFile(path, Buffer.concat([disk.readFile(path), extra]));
          const outcome = await checkDamaged(disk, victim);
          const isFull = victim === twoSegments && path === SEGMENT_0;
          expect(outcome).toMatchObject({
            refused: undefined,
            recovery: isFull ? { sealed: [path] } : { wasClosed: false, sealed: [] },
          });
        }
      }
    }
  });
});

describe('a missing file', () => {
  it('is refused and named, but for the tail file, which is reported', async () => {
    for (const victim of [small, twoSegments]) {
      for (const path of victim.paths) {
        const disk = victim.disk.clone();
        disk.removeFile(path);
        const outcome = await checkDamaged(disk, victim);
        if (path === TAIL) {
          expect(outcome).toMatchObject({ recovery: { tail: 'missing', wasClosed: false } });
        } else if (victim === small && path === SEGMENT_0) {
          expect(outcome.refused).toMatchObject({ code: 'CORRUPT', file: '/store/log' });
        } else {
          expect(outcome.refused).toMatchObject({ code: 'CORRUPT', file: path });
        }
      }
    }
  });

  it('is refused if it is every file of the log, or the folder itself', async () => {
    const disk = small.disk.clone();
    disk.removeFile(SEGMENT_0);
    disk.removeFile(TAIL);
    const emptied = await checkDamaged(disk, small);
    expect(emptied.refused).toMatchObject({ code: 'CORRUPT', file: '/store/log' });
    disk.rename('/store/log', '/elsewhere');
    const missing = await checkDamaged(disk, small);
    expect(missing.refused).toMatchObject({ code: 'CORRUPT', file: '/store/log' });
  });

  it('is refused if it is all of the store but its log', async () => {
    const disk = small.disk.clone();
    disk.removeFile('/store/store.json');
    disk.removeFile(TAIL);
    const outcome = await checkDamaged(disk, small);
    expect(outcome.refused).toMatchObject({ code: 'CORRUPT', file: '/store/store.json' });
  });
});

describe('a foreign file', () => {
  const foreign = [
    '/store/notes.txt',
    '/store/log/notes.txt',
    '/store/log/1.seg',
    '/store/log/00000000000000000000.seg.bak',
    '/store/log/99999999999999999999.seg',
    '/store/log/folder/file',
    '/store/backup/store.json',
  ];

  it.each(foreign)('%s is refused and left alone', async (path) => {
    const disk = small.disk.clone();
    disk.writeFile(path, Buffer.from('mine'));
    const digest = disk.snapshotDigest();
    const outcome = await checkDamaged(disk, small);
    expect(outcome.refused).toMatchObject({ code: 'FOREIGN_FILE' });
    expect(disk.snapshotDigest()).toBe(digest);
  });

  it('whose name begins with a dot is left alone', async () => {
    const disk = small.disk.clone();
    disk.writeFile('/store/.DS_Store', Buffer.from('mine'));
    disk.writeFile('/store/log/.nfs0001', Buffer.from('mine'));
    const digest = disk.snapshotDigest();
    expect(await checkDamaged(disk, small)).toMatchObject({ recovery: { wasClosed: true } });
    expect(disk.snapshotDigest()).toBe(digest);
  });

  it.each(['/store/log/tail', '/store/log/spare', '/store/log/tail.tmp', '/store/store.json'])(
    'is refused if it is a folder with the name of our file %s',
    async (path) => {
      const disk = small.disk.clone();
      if (disk.paths().includes(path)) {
        disk.removeFile(path);
      }
      disk.writeFile(`${path}/file`, Buffer.from('mine'));
      const digest = disk.snapshotDigest();
      const outcome = await checkDamaged(disk, small);
      expect(outcome.refused?.code).toMatch(/FOREIGN_FILE|CORRUPT|UNAVAILABLE/);
      expect(disk.snapshotDigest()).toBe(digest);
    },
  );

  it('is refused if it is the segment of another store', async () => {
    const other = await smallStore();
    const disk = small.disk.clone();
    const bytes = other.disk.readFile(SEGMENT_0);
    // Stores of one seed have one identity.
    bytes[8]! ^= 1;
    disk.writeFile(SEGMENT_0, bytes);
    expectLocated((await checkDamaged(disk, small)).refused, SEGMENT_0, 8);
  });
});

async function sweepLengths(victim: Victim, path: string): Promise<void> {
  const whole = victim.disk.readFile(path);
  const copies = new Copies(victim);
  for (let size = 0; size < whole.length; size += 1) {
    const isEnd = size < 8 || size > whole.length - 8;
    if (!isEnd && !isInStride(size, 5)) {
      continue;
    }
    const disk = copies.take();
    disk.writeFile(path, whole.subarray(0, size));
    const outcome = await checkDamaged(disk, victim);
    judge(outcome, path, size, harmlessCut(victim, path));
    disk.writeFile(path, whole);
  }
}

function harmlessCut(victim: Victim, path: string): MayOpen {
  if (path === TAIL) {
    return () => ({ tail: 'damaged', wasClosed: false });
  }
  if (path === '/store/store.json') {
    // The last byte is a line feed.
    const size = victim.disk.readFile(path).length;
    return (offset) => (offset === size - 1 ? { wasClosed: true } : undefined);
  }
  if (victim === twoSegments && path === SEGMENT_0) {
    const framesEnd = framesEndOf(victim, path);
    return (offset) => (offset >= framesEnd ? { sealed: [path] } : undefined);
  }
  return never;
}
