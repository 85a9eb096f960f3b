/**
 * Every file of `derived/`, every pair and many subsets of them, lost, damaged or exchanged for those of an older copy, another store, or a copy that went
 * its own way: no commit is ever made twice, no fresh one is refused, and what is said of streams is what a scan of the log says.
 */
import { collectGoals, SeededRandom, type SimulatedFileSystem } from 'varve/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isInStride, strideTitle } from '../stride.ts';
import {
  checkAnswers,
  counts,
  filesOf,
  type Harm,
  harm,
  harms,
  type Histories,
  makeHistories,
} from './derived-damage.ts';

const SUBSET_COUNT = 200;
const goals = new Set<string>();
let histories: Histories;
beforeAll(async () => {
  collectGoals(goals);
  histories = await makeHistories(20);
});
afterAll(() => collectGoals(undefined));

describe('a store whose derived data is in files', () => {
  it('has used every tier before anything is damaged', async () => {
    const { own, sources } = histories;
    expect(own.runs).toBeGreaterThan(10);
    expect(own.merges).toBeGreaterThan(1);
    expect(filesOf(own.disk).length).toBeGreaterThanOrEqual(2 + 3);
    // Alike in names and sizes: only what is in them tells the histories apart.
    expect(sizesOf(sources.diverged)).toEqual(sizesOf(own.disk));
    expect(sizesOf(sources['other store'])).toEqual(sizesOf(own.disk));
    await checkAnswers(own.disk.clone(), own, 1);
    await checkAnswers(own.disk.clone(), own, 2);
    expect(counts.blockReads).toBeGreaterThan(5);
    expect([...goals]).toEqual(expect.arrayContaining(['a decision waited for a read']));
  });
});

describe('derived data that is damaged', () => {
  it.each(harms)(
    `never gives a wrong answer: each file, each pair (%s, ${strideTitle})`,
    async (kind) => {
      const { paths } = histories;
      const failures: string[] = [];
      for (const [nth, path] of paths.entries()) {
        await strike([path], [kind], nth, failures);
        for (let other = nth + 1; other < paths.length; other += 1) {
          if (isInStride(nth * 31 + other, 12)) {
            await strike([path, paths[other]!], [kind], nth * 1_000 + other, failures);
          }
        }
      }
      expect(failures).toEqual([]);
    },
  );

  it.each(harms)('never gives a wrong answer: all files (%s)', async (kind) => {
    const failures: string[] = [];
    for (let turn = 0; turn < 3; turn += 1) {
      await strike(histories.paths, [kind], 200_000 + turn, failures);
    }
    expect(failures).toEqual([]);
  });

  it(`never gives a wrong answer: ${SUBSET_COUNT} subsets (${strideTitle})`, async () => {
    const failures: string[] = [];
    for (let nth = 0; nth < SUBSET_COUNT; nth += 1) {
      if (isInStride(nth, 10)) {
        const random = new SeededRandom(nth);
        const chosen = histories.paths.filter(() => random.chance(0.5));
        const kinds = random.chance(0.5) ? [random.pick(harms)] : harms;
        await strike(chosen, kinds, 100_000 + nth, failures);
      }
    }
    expect(failures).toEqual([]);
  });

  it('was set aside at open, and by the first lookup that met it', () => {
    expect(counts.opened).toBeGreaterThan(50);
    expect([...goals]).toEqual(
      expect.arrayContaining([
        'made derived data again',
        'set a tree of derived data aside',
        'derived data of another log was set aside',
        'derived data was made at open',
      ]),
    );
  });
});

function sizesOf(disk: SimulatedFileSystem): string[] {
  return filesOf(disk).map((path) => `${path} ${disk.readFile(path).length}`);
}

async function strike(
  paths: readonly string[],
  kinds: readonly Harm[],
  seed: number,
  failures: string[],
): Promise<void> {
  const random = new SeededRandom(seed);
  const disk = histories.own.disk.clone();
  const done = paths.flatMap((path) => {
    const kind = random.pick(kinds);
    return harm(disk, path, kind, histories, random) ? [`${path} ${kind}`] : [];
  });
  if (done.length === 0) {
    return;
  }
  try {
    await checkAnswers(disk, histories.own, seed);
  } catch (error) {
    failures.push(`${done.join(', ')} (${seed}): ${String(error)}`);
  }
}
