/**
 * Flipped bits in a store at rest, one at a time. The store is refused with the place of the damage and left as it is, or
 * opens with every event as it was. With VARVE_SWEEP=all every bit is flipped, in full segments, too (some hours); otherwise
 * one bit of most bytes, and few in large payloads.
 */
import { SeededRandom, SimulatedFileSystem } from 'varve/testing';
import type { EventStore } from 'varve';
import { beforeAll, describe, expect, it } from 'vitest';
import { seed, sweepsEverything } from '../seed.ts';
import { isInStride, strideTitle, stridedBits } from '../stride.ts';
import {
  appendDozen,
  checkCoded,
  checkDamaged,
  Copies,
  eventsOf,
  framesEndOf,
  judge,
  largeStore,
  type MayOpen,
  never,
  openDisk,
  SEGMENT_0,
  smallStore,
  TAIL,
  textOf,
  twoSegmentStore,
  type Victim,
} from './damage.ts';

let small: Victim;
let twoSegments: Victim;
beforeAll(async () => {
  small = await smallStore();
  twoSegments = await twoSegmentStore();
});

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

/** What a sweep over one file has seen. */
interface Tally {
  refused: number;
  opened: number;
}

async function sweepBits(
  victim: Victim,
  path: string,
  mayOpen: MayOpen,
  bits: Iterable<number> = bitsOf(victim, path),
): Promise<Tally> {
  const tally = { refused: 0, opened: 0 };
  await flipBits(victim, path, bits, (outcome, offset) => {
    judge(outcome, path, offset, mayOpen);
    tally[outcome.refused === undefined ? 'opened' : 'refused'] += 1;
  });
  return tally;
}

/** Bits to flip: segments are large, and their frames alike. */
function bitsOf({ disk }: Victim, path: string): number[] {
  return [...stridedBits(disk.readFile(path).length, path.endsWith('.seg') ? 3 : 1)];
}

describe(`a flipped bit (${strideTitle})`, () => {
  it.each(['/store/store.json', SEGMENT_0])(
    'anywhere in %s is refused and located',
    async (path) => {
      const tally = await sweepBits(small, path, never);
      expect(tally).toEqual({ refused: bitsOf(small, path).length, opened: 0 });
    },
  );

  it('anywhere in the tail file is harmless and reported', async () => {
    const tally = await sweepBits(small, TAIL, () => ({ tail: 'damaged', wasClosed: false }));
    expect(tally).toEqual({ refused: 0, opened: bitsOf(small, TAIL).length });
  });

  it('anywhere in a full segment is refused, but for its footer, which is made again', async () => {
    const framesEnd = framesEndOf(twoSegments, SEGMENT_0);
    const mayOpen: MayOpen = (offset) =>
      offset < framesEnd ? undefined : { sealed: [SEGMENT_0], wasClosed: true };
    const tally = await sweepBits(twoSegments, SEGMENT_0, mayOpen);
    const footerBits = bitsOf(twoSegments, SEGMENT_0).filter((bit) => bit >>> 3 >= framesEnd);
    expect(tally.opened).toBe(footerBits.length);
    expect(tally.refused).toBeGreaterThan(footerBits.length);
  });

  it('anywhere in the segment behind a full one is refused', async () => {
    const path = twoSegments.paths.find((name) => name.endsWith('.seg') && name !== SEGMENT_0)!;
    const tally = await sweepBits(twoSegments, path, never);
    expect(tally).toEqual({ refused: bitsOf(twoSegments, path).length, opened: 0 });
  });

  it('in a store with full-sized segments is refused, but for a footer', async () => {
    const large = await largeStore();
    for (const path of large.paths.filter((name) => name.endsWith('.seg'))) {
      const size = large.disk.readFile(path).length;
      const framesEnd = path === SEGMENT_0 ? framesEndOf(large, path) : size;
      const bits = sweepsEverything ? stridedBits(size) : sampledBits(size, framesEnd);
      await flipBits(large, path, bits, (outcome, offset) => {
        const isFooter = offset >= framesEnd;
        judge(outcome, path, offset, () => (isFooter ? { sealed: [path] } : undefined));
      });
    }
  });
});

/** One bit of structural bytes at the ends, and some in between. */
function* sampledBits(size: number, framesEnd: number): Generator<number> {
  const random = new SeededRandom(seed);
  for (let offset = 0; offset < size; offset += 1) {
    const isStructural = offset < 160 || framesEnd - 64 <= offset;
    if ((isStructural && isInStride(offset, 3)) || random.chance(1 / 20_000)) {
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
    const tally = { refused: 0, opened: 0, cut: 0 };
    const bits = [...stridedBits(size, 3)];
    for (const bit of bits) {
      const damaged = disk.clone();
      damaged.flipBit(SEGMENT_0, bit >>> 3, bit & 7);
      const kept = await eventsKept(damaged, textOf(events.slice(0, -1)), textOf(events));
      tally[kept] += 1;
    }
    // The last frame's padding is no part of it once it is cut: nothing else opens whole.
    expect(tally.opened).toBe(0);
    const share = bits.length / size;
    expect(tally.cut).toBeGreaterThan((48 + 8 + 108) * share - 1);
    expect(tally.refused).toBeGreaterThan((size - 300) * share - 1);
    await store.close();
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
