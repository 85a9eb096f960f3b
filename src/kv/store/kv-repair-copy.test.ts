/** Repair of stores whose manifest is lost and whose copy of it is not. */
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../base/random.ts';
import { FaultPlan } from '../../testing/fault-plan.ts';
import { SimulatedFileSystem } from '../../testing/simulated-file-system.ts';
import type { CrashChoice } from '../../testing/simulated-inode.ts';
import { isInStride, strideTitle } from '../../../test/stride.ts';
import type { KvStore } from './contract.ts';
import { repairHeld } from './kv-repair.ts';
import { openKv } from './open-kv.ts';

const options = {
  memtableBytes: 4_096,
  tableBytes: 1_024,
  blockBytes: 64,
  levelZeroTables: 2,
  levelBaseBytes: 4_096,
  levelMultiplier: 2,
};

function openOn(fileSystem: SimulatedFileSystem, seed = 1): Promise<KvStore> {
  return openKv('/kv', options, { fileSystem, random: new SeededRandom(seed) });
}

function contentOf(kv: KvStore): Map<string, string> {
  const pairs = [...kv.iterateSync()].map(
    ([key, value]) => [Buffer.from(key).toString(), Buffer.from(value).toString()] as const,
  );
  return new Map(pairs);
}

const choices: readonly CrashChoice[] = [
  { keep: 'none', sector: 512, directory: 'ordered' },
  { keep: 'all', sector: 512, directory: 'ordered' },
  { keep: 'random', sector: 512, directory: 'any' },
];

const ingested = (round: number): (readonly [string, string])[] =>
  ['b', 'f', 'k'].map((key) => [key, `ingested ${round}`]);

/** Writes that are flushed, merged and ingested over; `done` hears of each call that has resolved. */
async function work(kv: KvStore, done: (content: Map<string, string>) => void): Promise<void> {
  for (let round = 0; round < 3; round += 1) {
    for (const key of ['a', 'b', 'f', 'z']) {
      await kv.put(key, `${round}`.repeat(300));
      done(contentOf(kv));
    }
    await kv.flush();
    await kv.ingest(ingested(round));
    done(contentOf(kv));
    await kv.delete('k');
    done(contentOf(kv));
    await (round % 2 === 0 ? kv.compact() : kv.settled());
  }
}

async function finished(seed = 1): Promise<SimulatedFileSystem> {
  const fileSystem = new SimulatedFileSystem();
  const kv = await openOn(fileSystem, seed);
  await work(kv, () => {});
  await kv.close();
  return fileSystem;
}

describe('a store whose manifest is lost', () => {
  it.each([
    ['missing', (fileSystem: SimulatedFileSystem) => fileSystem.removeFile('/kv/manifest')],
    ['damaged', (fileSystem: SimulatedFileSystem) => fileSystem.flipBit('/kv/manifest', 50, 1)],
  ])('because it is %s gets it back from its copy, with all that only it knew', async (_, lose) => {
    const fileSystem = await finished();
    const intact = await openOn(fileSystem.clone());
    lose(fileSystem);
    await expect(openOn(fileSystem.clone())).rejects.toMatchObject({ code: 'CORRUPT' });
    const report = repairHeld(fileSystem, '/kv', { apply: true });
    expect(report).toMatchObject({ outcome: 'repaired', damaged: [], undecided: [], ingested: [] });
    expect(report.missing).toBe(undefined);
    const kv = await openOn(fileSystem);
    expect(contentOf(kv)).toEqual(contentOf(intact));
    expect(kv.getEntrySync('b')).toEqual(intact.getEntrySync('b'));
    expect(kv.tables().map(({ number, level }) => [number, level])).toEqual(
      intact.tables().map(({ number, level }) => [number, level]),
    );
    await kv.close();
    await intact.close();
  });

  it('is made again from its tables where the copy is damaged, or another store’s, or not all of it is there', async () => {
    const other = await finished(2);
    for (const spoil of [
      (fileSystem: SimulatedFileSystem) => fileSystem.flipBit('/kv/manifest.copy', 50, 1),
      (fileSystem: SimulatedFileSystem) => fileSystem.removeFile('/kv/manifest.copy'),
      (fileSystem: SimulatedFileSystem) =>
        fileSystem.writeFile('/kv/manifest.copy', other.readFile('/kv/manifest.copy')),
    ]) {
      const fileSystem = await finished();
      fileSystem.removeFile('/kv/manifest');
      spoil(fileSystem);
      // What was ingested over other tables can't be placed without it.
      const report = repairHeld(fileSystem, '/kv');
      expect(report.kept.length + report.undecided.length).toBeGreaterThan(0);
      expect(report.flushedSequence).toBeGreaterThan(0);
    }
    const cut = await finished();
    const [table] = cut.paths().filter((path) => path.endsWith('.tbl'));
    cut.removeFile(table!);
    cut.removeFile('/kv/manifest');
    const { kept } = repairHeld(cut, '/kv');
    expect(kept.some(({ number }) => table!.includes(String(number).padStart(20, '0')))).toBe(
      false,
    );
  });

  it(`through a power cut anywhere has all that was acknowledged (${strideTitle})`, async () => {
    let operations = 0;
    const states = [new Map<string, string>()];
    const cuts: { readonly disk: SimulatedFileSystem; readonly stateCount: number }[] = [];
    const faults = new FaultPlan({
      when: ({ kind, path }) => {
        // What changes tables and manifests, now with one outcome and now with another.
        if (['rename', 'syncDirectory', 'remove'].includes(kind) && !path.includes('/log')) {
          operations += 1;
          if (!isInStride(operations, 6)) {
            return undefined;
          }
          const random = new SeededRandom(cuts.length);
          const disk = fileSystem.crashClone(random, choices[cuts.length % choices.length]!);
          cuts.push({ disk, stateCount: states.length });
        }
        return undefined;
      },
    });
    const fileSystem = new SimulatedFileSystem({ faults });
    const kv = await openOn(fileSystem);
    await work(kv, (content) => states.push(content));
    await kv.close();
    let repaired = 0;
    for (const { disk, stateCount } of cuts) {
      if (disk.stat('/kv/manifest') === undefined || disk.stat('/kv/manifest.copy') === undefined) {
        // The store was being made.
        expect(stateCount).toBe(1);
        continue;
      }
      disk.removeFile('/kv/manifest');
      const report = repairHeld(disk, '/kv', { apply: true });
      expect(report).toMatchObject({ outcome: 'repaired', undecided: [] });
      repaired += 1;
      const again = await openOn(disk);
      // The call under way may have been applied, or not.
      const possible = states.slice(stateCount - 1, stateCount + 1);
      expect(possible).toContainEqual(contentOf(again));
      await again.close();
    }
    expect(repaired).toBeGreaterThan(9);
  });

  it('is no intact store when only the manifest is another store’s', async () => {
    const fileSystem = await finished();
    const other = await finished(2);
    const own = fileSystem.readFile('/kv/manifest');
    fileSystem.writeFile('/kv/manifest', other.readFile('/kv/manifest'));
    expect(repairHeld(fileSystem, '/kv')).toMatchObject({ outcome: 'repairable' });
    repairHeld(fileSystem, '/kv', { apply: true });
    expect(fileSystem.readFile('/kv/manifest').subarray(8, 24)).toEqual(own.subarray(8, 24));
    const kv = await openOn(fileSystem);
    expect(contentOf(kv).size).toBe(4);
    await kv.close();
  });
});
