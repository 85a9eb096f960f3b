/** Four histories whose `derived/` are alike in names and sizes, and what may be done to the one with files of the others. */
import type { EventStore } from 'varve';
import type { SeededRandom, SimulatedFileSystem } from 'varve/testing';
import { expect } from 'vitest';
import {
  checkFinds,
  checkFresh,
  checkRepeats,
  checkStreams,
  DERIVED,
  History,
  type Made,
  openTiny,
} from './derived-history.ts';

export type Harm = 'deleted' | 'cut' | 'flipped' | 'older' | 'other store' | 'diverged';
export const harms: readonly Harm[] = [
  'deleted',
  'cut',
  'flipped',
  'older',
  'other store',
  'diverged',
];

export interface Histories {
  readonly own: History;
  /** Where the files of others come from. */
  readonly sources: Readonly<Record<'older' | 'other store' | 'diverged', SimulatedFileSystem>>;
  /** Every file that any of them has in `derived/`. */
  readonly paths: readonly string[];
}

/** `futureCount`: commits after the copies were made, the same number and sizes in each. */
export async function makeHistories(futureCount: number): Promise<Histories> {
  const own = await beginning({ seed: 1_000, mark: 'a' });
  const older = own.disk.clone();
  const diverged = own.fork({ seed: 3_000, mark: 'a' });
  const other = await beginning({ seed: 2_006, mark: 'c' });
  for (const history of [own, diverged, other]) {
    await history.grow(futureCount);
    await history.growToTables(3, 5);
  }
  const sources = { older, 'other store': other.disk, diverged: diverged.disk };
  const all = [own.disk, ...Object.values(sources)].flatMap((disk) => filesOf(disk));
  return { own, sources, paths: [...new Set(all)].toSorted() };
}

async function beginning(settings: { seed: number; mark: string }): Promise<History> {
  const history = new History(settings);
  await history.grow(30);
  await history.growLarge(3);
  await history.growToTables(4, 5);
  return history;
}

export function filesOf(disk: SimulatedFileSystem): string[] {
  return disk.paths().filter((path) => path.startsWith(DERIVED));
}

/** Does one thing to one file. False if that changes nothing. */
export function harm(
  disk: SimulatedFileSystem,
  path: string,
  kind: Harm,
  { sources }: Histories,
  random: SeededRandom,
): boolean {
  const bytes = contentOf(disk, path);
  return replace(disk, path, bytes, harmed(bytes, path, kind, { sources }, random));
}

/** Undefined: the file is gone. */
function harmed(
  bytes: Uint8Array | undefined,
  path: string,
  kind: Harm,
  { sources }: Pick<Histories, 'sources'>,
  random: SeededRandom,
): Uint8Array | undefined {
  if (kind === 'deleted') {
    return undefined;
  }
  if (kind === 'cut') {
    return bytes?.subarray(0, random.below(bytes.length));
  }
  return kind === 'flipped'
    ? bytes && withFlippedBits(bytes, random)
    : contentOf(sources[kind], path);
}

function contentOf(disk: SimulatedFileSystem, path: string): Uint8Array | undefined {
  return disk.paths().includes(path) ? disk.readFile(path) : undefined;
}

function replace(
  disk: SimulatedFileSystem,
  path: string,
  before: Uint8Array | undefined,
  after: Uint8Array | undefined,
): boolean {
  if (after !== undefined) {
    disk.writeFile(path, after);
  } else if (before !== undefined) {
    disk.removeFile(path);
  }
  return before === undefined || after === undefined
    ? before !== after
    : Buffer.compare(before, after) !== 0;
}

/** In blocks mostly: the ends of a table are read at open, blocks by a lookup. */
function withFlippedBits(bytes: Uint8Array, random: SeededRandom): Uint8Array {
  const flipped = bytes.slice();
  for (let count = 1 + random.below(3); count > 0; count -= 1) {
    const index = random.below(flipped.length);
    flipped[index] = flipped[index]! ^ (1 << random.below(8));
  }
  return flipped;
}

/** What was met over all checks. */
export const counts = { opened: 0, blockReads: 0, failedReads: 0 };

/**
 * Opens, asks everything, appends, and asks again; then the same at a second open: no commit is made twice, no fresh one is refused, and
 * everything is what a scan of the log says. `disk` is changed.
 */
export async function checkAnswers(
  disk: SimulatedFileSystem,
  history: History,
  seed: number,
): Promise<void> {
  const known = new History({ seed, mark: 'x' }, disk);
  known.made.push(...history.made);
  const first = await openTiny(disk, seed);
  const repeatable = known.repeatable;
  // The first question differs, and with it who meets the damage.
  const turn = seed % 3;
  if (turn === 0) {
    await answered(() => checkStreams(first));
  } else if (turn === 1) {
    await answered(() => checkFinds(first, sample(repeatable, seed)));
  }
  await checkRepeats(first, repeatable);
  await checkFresh(first, known, `one-${seed}`);
  if (turn !== 0) {
    await checkStreams(first);
  }
  await first.settled();
  await checkRepeats(first, sample(known.repeatable, seed));
  note(first);
  await first.close();
  const second = await openTiny(disk, seed + 1);
  await checkRepeats(second, known.repeatable);
  if (turn === 2) {
    await checkStreams(second);
    await checkFinds(second, sample(known.repeatable, seed));
    await checkFresh(second, known, `two-${seed}`);
  }
  counts.blockReads += second.stats().index.reads.blockReads;
  await second.close();
}

/** A read that meets damage fails with it once, and the next one waits until the tree is made again; appends wait by themselves. */
async function answered(read: () => Promise<void>): Promise<void> {
  try {
    await read();
  } catch (error) {
    expect(error).toMatchObject({ code: 'UNAVAILABLE' });
    counts.failedReads += 1;
    await read();
  }
}

function note(store: EventStore): void {
  const { covered, isAnswering, failure, reads } = store.stats().index;
  expect({ isAnswering, failure }).toEqual({ isAnswering: true, failure: undefined });
  expect(store.head - covered).toBeLessThan(16);
  counts.opened += 1;
  counts.blockReads += reads.blockReads;
}

function sample(made: readonly Made[], seed: number): readonly Made[] {
  return made.filter((_, index) => (index + seed) % 7 === 0);
}
