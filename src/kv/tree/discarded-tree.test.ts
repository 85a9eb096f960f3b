/** A tree that can be made again: damage is told to its owner, who sets the tree aside and makes another in the same folder. */
import { describe, expect, it } from 'vitest';
import type { VarveError } from '../../base/errors.ts';
import { SeededRandom } from '../../base/random.ts';
import { codeOf } from '../../testing/code-of.ts';
import { SimulatedFileSystem } from '../../testing/simulated-file-system.ts';
import { makeFound } from '../entries/cursor.ts';
import { tablePath, tablesDirectory } from '../sstable/names.ts';
import type { Tree } from './tree.ts';
import { addRun, DIRECTORY, Model, nameKey, openSampleTree as open } from './tree-sample.ts';

const setAside = { create: true, strangers: 'set aside' } as const;

function tablesOf(fileSystem: SimulatedFileSystem): string[] {
  const directory = tablesDirectory(DIRECTORY);
  return fileSystem.paths().filter((path) => path.startsWith(directory));
}

function quarantined(fileSystem: SimulatedFileSystem): number {
  return fileSystem.paths().filter((path) => path.includes('/quarantine/')).length;
}

/** A tree that is made now is empty, and takes runs. */
async function expectUsable(fileSystem: SimulatedFileSystem, isNew = true): Promise<void> {
  const tree = open(fileSystem, {}, {}, setAside);
  expect(tree.folder.isNew).toBe(isNew);
  expect(tree.state.levels.tableCount).toBe(0);
  const model = new Model();
  for (let run = 0; run < 3; run += 1) {
    await addRun(tree, model, new SeededRandom(run));
  }
  const [name] = model.values.keys();
  expect(await tree.lookups.findAsync(nameKey(name!), makeFound())).toMatchObject({
    isFound: true,
  });
  expect(await tree.verify()).toMatchObject({ ok: true });
  await tree.maintenance.settled();
  await tree.close();
  expect(fileSystem.openCount).toBe(0);
}

function damageBlocks(fileSystem: SimulatedFileSystem, tree: Tree): void {
  for (const { number } of tree.state.levels) {
    fileSystem.flipBit(tablePath(DIRECTORY, number), 100, 1);
  }
}

describe('the owner of a tree', () => {
  it('is told of damage that a merge meets, and may discard the tree there and then', async () => {
    const fileSystem = new SimulatedFileSystem();
    const told: VarveError[] = [];
    let discarded: Promise<void> | undefined;
    const tree: Tree = open(
      fileSystem,
      {},
      {
        damaged: (error) => {
          told.push(error);
          discarded = tree.discard();
        },
      },
    );
    const model = new Model();
    for (let run = 0; told.length === 0; run += 1) {
      damageBlocks(fileSystem, tree);
      await addRun(tree, model, new SeededRandom(run)).catch(() => {});
      await tree.maintenance.settled().catch(() => {});
      expect(run).toBeLessThan(9);
    }
    await discarded;
    expect(told).toHaveLength(1);
    expect(told[0]).toMatchObject({ code: 'CORRUPT' });
    expect(tablesOf(fileSystem)).toEqual([]);
    await expectUsable(fileSystem);
  });
});

describe('a tree that is discarded', () => {
  it('ends merges and builds wherever they are, and its folder takes another', async () => {
    const ends = new Set<string>();
    for (let turns = 0; turns < 120; turns += 7) {
      const fileSystem = new SimulatedFileSystem();
      const tree = open(fileSystem);
      const model = new Model();
      const random = new SeededRandom(turns);
      for (let run = 0; run < 4; run += 1) {
        await addRun(tree, model, random);
      }
      // The fifth run is one too many: a merge begins.
      const added = addRun(tree, model, random).catch((error: VarveError) => error.code);
      const merged = tree.maintenance
        .compactRange(undefined, undefined, async () => {})
        .catch((error: VarveError) => error.code);
      const asked = tree.lookups.findAsync(nameKey(1), makeFound());
      for (let turn = 0; turn < turns; turn += 1) {
        await new Promise(setImmediate);
      }
      if (turns % 2 === 1) {
        const names = tablesOf(fileSystem);
        names.filter((_, index) => index % 3 === 0).forEach((name) => fileSystem.removeFile(name));
        fileSystem.removeFile(`${DIRECTORY}/manifest`);
      }
      await tree.discard();
      ends.add((await Promise.all([added, merged])).join(' '));
      await asked;
      expect(tablesOf(fileSystem)).toEqual([]);
      expect(fileSystem.openCount).toBe(0);
      await expectUsable(fileSystem);
    }
    expect(ends.size).toBeGreaterThan(2);
  });

  it('leaves tables that are not its own, or can not say so any more, in the quarantine', async () => {
    const other = new SimulatedFileSystem();
    const stranger = open(other);
    await addRun(stranger, new Model(), new SeededRandom(99));
    await stranger.close();
    const [strange] = tablesOf(other);
    const make = async (): Promise<[SimulatedFileSystem, Tree]> => {
      const fileSystem = new SimulatedFileSystem();
      const tree = open(fileSystem, {}, {}, setAside);
      await addRun(tree, new Model(), new SeededRandom(1));
      fileSystem.flipBit(tablesOf(fileSystem)[0]!, 4, 1);
      fileSystem.writeFile(tablePath(DIRECTORY, 900), other.readFile(strange!));
      return [fileSystem, tree];
    };
    const [fileSystem, tree] = await make();
    await tree.discard();
    expect(tablesOf(fileSystem)).toEqual([]);
    expect(quarantined(fileSystem)).toBe(2);
    await expectUsable(fileSystem);

    // The same without its manifest, when it is opened; and beside an intact one, where it is only in the way.
    for (const isManifestThere of [false, true]) {
      const [before, closed] = await make();
      await closed.close();
      if (!isManifestThere) {
        before.removeFile(`${DIRECTORY}/manifest`);
      }
      expect(codeOf(() => open(before.clone()))).toBe('FOREIGN_FILE');
      const again = open(before, {}, {}, setAside);
      expect(again.folder.isNew).toBe(!isManifestThere);
      expect(quarantined(before)).toBe(isManifestThere ? 1 : 2);
      expect(tablesOf(before).some((path) => path.endsWith('0900.tbl'))).toBe(false);
      await again.close();
    }
  });
});
