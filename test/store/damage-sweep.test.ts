/**
 * Every damage to a store at rest, one at a time: each bit of each file flipped, each file cut at each length, each file
 * removed, foreign files added. A store is refused with the place of the damage and left as it is, or opens with every
 * event as it was. With VARVE_SWEEP=all every bit is flipped in the stores with two segments too (some hours); otherwise
 * one bit of most of their bytes, every bit at the ends of their segments, and few in large payloads.
 */
import type { EventStore, StoreRecovery, VarveError } from 'varve';
import { SeededRandom, SimulatedFileSystem } from 'varve/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  appendDozen,
  changesOf,
  checkCoded,
  checkDamaged,
  eventsOf,
  expectLocated,
  largeStore,
  openDisk,
  SEGMENT_0,
  smallStore,
  textOf,
  twoSegmentStore,
  type Victim,
} from './damage.ts';

const flipsEverything = process.env['VARVE_SWEEP'] === 'all';
const TAIL = '/store/log/tail';

let small: Victim;
let twoSegments: Victim;
beforeAll(async () => {
  small = await smallStore();
  twoSegments = await twoSegmentStore();
});

/** Copies of a store, a new one only when the last was changed. */
class Copies {
  readonly #victim: Victim;
  #copy: SimulatedFileSystem;
  #changes: number;

  constructor(victim: Victim) {
    this.#victim = victim;
    this.#copy = victim.disk.clone();
    this.#changes = changesOf(this.#copy);
  }

  take(): SimulatedFileSystem {
    if (changesOf(this.#copy) !== this.#changes) {
      this.#copy = this.#victim.disk.clone();
      this.#changes = changesOf(this.#copy);
    }
    return this.#copy;
  }
}

/** Flips one bit after another; `found` is called with what came of each. */
async function flipBits(
  victim: Victim,
  path: string,
  bits: Iterable<number>,
  found: (outcome: Awaited<ReturnType<typeof checkDamaged>>, offset: number) => void,
): Promise<void> {
  const copies = new Copies(victim);
  for (const bit of bits) {
    const disk = copies.take();
    disk.flipBit(path, bit >>> 3, bit & 7);
    found(await checkDamaged(disk, victim), bit >>> 3);
    // Where the copy was changed, a new one is taken.
    disk.flipBit(path, bit >>> 3, bit & 7);
  }
}

function* allBits(size: number): Generator<number> {
  for (let bit = 0; bit < size * 8; bit += 1) {
    yield bit;
  }
}

/** What a sweep over one file has seen. */
interface Tally {
  refused: number;
  opened: number;
}

async function sweepBits(
  victim: Victim,
  path: string,
  mayOpen: MayOpen,
  bits: Iterable<number> = allBits(victim.disk.readFile(path).length),
): Promise<Tally> {
  const tally = { refused: 0, opened: 0 };
  await flipBits(victim, path, bits, (outcome, offset) => {
    judge(outcome, path, offset, mayOpen);
    tally[outcome.refused === undefined ? 'opened' : 'refused'] += 1;
  });
  return tally;
}

/** Says whether damage at an offset may be harmless, and if so how the store must report it. */
type MayOpen = (offset: number) => Partial<StoreRecovery> | undefined;
const never: MayOpen = () => undefined;

function judge(
  outcome: { readonly refused: VarveError | undefined; readonly recovery?: StoreRecovery },
  path: string,
  offset: number,
  mayOpen: MayOpen,
): void {
  const reported = mayOpen(offset);
  if (reported === undefined) {
    expectLocated(outcome.refused, path, offset);
  } else {
    expect(outcome.recovery).toMatchObject(reported);
  }
}

describe('a flipped bit', () => {
  it.each(['/store/store.json', SEGMENT_0])(
    'anywhere in %s is refused and located',
    async (path) => {
      const tally = await sweepBits(small, path, never);
      expect(tally).toEqual({ refused: small.disk.readFile(path).length * 8, opened: 0 });
    },
  );

  it('anywhere in the tail file is harmless and reported', async () => {
    const tally = await sweepBits(small, TAIL, () => ({ tail: 'damaged', wasClosed: false }));
    expect(tally).toEqual({ refused: 0, opened: 64 * 8 });
  });

  it('anywhere in a full segment is refused, but for its footer, which is made again', async () => {
    const size = twoSegments.disk.readFile(SEGMENT_0).length;
    const framesEnd = framesEndOf(twoSegments, SEGMENT_0);
    const mayOpen: MayOpen = (offset) =>
      offset < framesEnd ? undefined : { sealed: [SEGMENT_0], wasClosed: true };
    const bits = flipsEverything ? allBits(size) : bitsAtEnds(size, framesEnd);
    const tally = await sweepBits(twoSegments, SEGMENT_0, mayOpen, bits);
    expect(tally.refused).toBeGreaterThanOrEqual(framesEnd);
    expect(tally.opened).toBe((size - framesEnd) * 8);
  });

  it('anywhere in the segment behind a full one is refused', async () => {
    const path = twoSegments.paths.find((name) => name.endsWith('.seg') && name !== SEGMENT_0)!;
    const tally = await sweepBits(twoSegments, path, never);
    expect(tally).toEqual({ refused: twoSegments.disk.readFile(path).length * 8, opened: 0 });
  });

  it('in a store with full-sized segments is refused, but for a footer', async () => {
    const large = await largeStore();
    for (const path of large.paths.filter((name) => name.endsWith('.seg'))) {
      const size = large.disk.readFile(path).length;
      const framesEnd = path === SEGMENT_0 ? framesEndOf(large, path) : size;
      const bits = flipsEverything ? allBits(size) : sampledBits(size, framesEnd);
      await flipBits(large, path, bits, (outcome, offset) => {
        const isFooter = offset >= framesEnd;
        judge(outcome, path, offset, () => (isFooter ? { sealed: [path] } : undefined));
      });
    }
  });
});

function framesEndOf(victim: Victim, path: string): number {
  const bytes = Buffer.from(victim.disk.readFile(path));
  return bytes.readUInt32LE(bytes.length - 128 + 40);
}

/** Every bit of the segment's header, its last frame and its footer, one of every other byte. */
function* bitsAtEnds(size: number, framesEnd: number): Generator<number> {
  const random = new SeededRandom(size);
  for (let offset = 0; offset < size; offset += 1) {
    const isEnd = offset < 128 || offset >= framesEnd - 256;
    const first = isEnd ? 0 : random.below(8);
    for (let bit = first; bit < (isEnd ? 8 : first + 1); bit += 1) {
      yield offset * 8 + bit;
    }
  }
}

/** One bit of every structural byte at the ends, and some in between. */
function* sampledBits(size: number, framesEnd: number): Generator<number> {
  const random = new SeededRandom(size);
  for (let offset = 0; offset < size; offset += 1) {
    const isStructural = offset < 160 || framesEnd - 64 <= offset;
    if (isStructural || random.chance(1 / 8_000)) {
      yield offset * 8 + random.below(8);
    }
  }
}

describe('a flipped bit in a store that was not closed', () => {
  // No tail file says what was durable, only the frames themselves: of the last commit nobody can tell.
  it('is refused, or sets aside the last commit and says so', async () => {
    const disk = new SimulatedFileSystem();
    const store = await openDisk(disk);
    await appendDozen(store);
    await store.append('orders/1', [{ type: 'Last' }]);
    const events = await eventsOf(store);
    const bytes = disk.readFile(SEGMENT_0);
    const size = bytes.findLastIndex((byte) => byte !== 0) + 1;
    const random = new SeededRandom(size);
    const tally = { refused: 0, opened: 0, cut: 0 };
    for (let offset = 0; offset < size; offset += 1) {
      const damaged = disk.clone();
      damaged.flipBit(SEGMENT_0, offset, random.below(8));
      const kept = await eventsKept(damaged, textOf(events.slice(0, -1)), textOf(events));
      tally[kept] += 1;
    }
    // The last frame's padding is no part of it once it is cut: nothing else opens whole.
    expect(tally.opened).toBe(0);
    expect(tally.cut).toBeGreaterThan(48 + 16 + 144);
    expect(tally.refused).toBeGreaterThan(size - 300);
    await store.close();
  });
});

describe('a file cut short', () => {
  it('is refused, or harmless and reported, at every length', async () => {
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

async function eventsKept(
  disk: SimulatedFileSystem,
  withoutLast: string,
  all: string,
): Promise<'refused' | 'opened' | 'cut'> {
  const digest = disk.snapshotDigest();
  let store: EventStore;
  try {
    store = await openDisk(disk, 4);
  } catch (error) {
    checkCoded(error);
    expect(disk.snapshotDigest()).toBe(digest);
    return 'refused';
  }
  const text = textOf(await eventsOf(store));
  const { quarantined } = store.recovery;
  const { head } = store;
  await store.close();
  if (text === all) {
    return 'opened';
  }
  expect(text).toBe(withoutLast);
  expect(quarantined).toMatchObject({ segment: SEGMENT_0, position: head });
  expect(disk.readFile(quarantined!.file)).toHaveLength(quarantined!.size);
  return 'cut';
}

async function sweepLengths(victim: Victim, path: string): Promise<void> {
  const whole = victim.disk.readFile(path);
  const copies = new Copies(victim);
  for (let size = 0; size < whole.length; size += 1) {
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
