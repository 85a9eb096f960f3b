/** Lookups that never read where they are asked, against plain maps: tables come and are merged meanwhile, and the cache holds next to nothing. */
import { strictEqual } from 'node:assert';
import { describe, expect, it } from 'vitest';
import type { VarveError } from '../../base/errors.ts';
import { SeededRandom } from '../../base/random.ts';
import { codeOf } from '../../testing/code-of.ts';
import { FaultPlan } from '../../testing/fault-plan.ts';
import { insertEntry } from '../../testing/insert-entry.ts';
import { SimulatedFileSystem } from '../../testing/simulated-file-system.ts';
import { EntryKind, makeFound } from '../entries/cursor.ts';
import { decodeFooter, FOOTER_SIZE, HEADER_SIZE, type TableFooter } from '../sstable/format.ts';
import { tablePath } from '../sstable/names.ts';
import type { Tree } from './tree.ts';
import {
  addRun,
  DIRECTORY,
  KEY_SIZE,
  Model,
  nameKey,
  openSampleTree as open,
  positionIn,
  prefixOf,
} from './tree-sample.ts';

function valueIn({ bytes, start, end }: { bytes: Uint8Array; start: number; end: number }): number {
  return Number(Buffer.from(bytes.subarray(start, end)).toString());
}

const ascending = (positions: Iterable<number>): number[] =>
  [...positions].toSorted((left, right) => left - right);

/** Asks for a name and a hash in both forms. Resolves when all is answered; returns whether reads were needed. */
function ask(
  tree: Tree,
  model: Model,
  random: SeededRandom,
): { answered: Promise<unknown>; isCold: boolean } {
  const name = random.below(50);
  const hash = random.below(70);
  const value = model.values.get(name);
  const positions = model.positions.get(hash) ?? [];
  const { version } = tree;
  const found = makeFound();
  const outcome = tree.lookups.find(nameKey(name), found);
  if (outcome !== 'cold') {
    expect(outcome).toBe(value === undefined ? 'absent' : 'found');
    expect(outcome === 'found' ? valueIn(found) : undefined).toBe(value);
  }
  const visited: number[] = [];
  const collected = tree.lookups.collect(prefixOf(hash), KEY_SIZE, (bytes, start) =>
    visited.push(positionIn(bytes, start)),
  );
  expect(ascending(visited)).toEqual(collected === 'cold' ? [] : positions);
  const later = makeFound();
  const read: number[] = [];
  const askedName = nameKey(name);
  const askedPrefix = prefixOf(hash).slice();
  const answered = Promise.all([
    tree.lookups.findAsync(askedName, later).then((answer) => {
      expect(answer).toEqual({ version, isFound: value !== undefined });
      expect(answer.isFound ? valueIn(later) : undefined).toBe(value);
    }),
    tree.lookups
      .collectAsync(askedPrefix, KEY_SIZE, (bytes, start) => read.push(positionIn(bytes, start)))
      .then((answer) => {
        expect(answer).toEqual({ version });
        expect(ascending(read)).toEqual(positions);
      }),
  ]);
  // Whoever asks may use the memory of the question again.
  askedName.fill(0);
  askedPrefix.fill(0);
  return { answered, isCold: outcome === 'cold' || collected === 'cold' };
}

describe('direct lookups', () => {
  it.each([
    [0, Infinity],
    [2_048, 3],
    [1024 * 1024, Infinity],
  ])(
    'answer as a plain map does while tables come and go, with a cache of %i bytes and %d open tables',
    async (blockCacheSize, openCountMax) => {
      const random = new SeededRandom(blockCacheSize + 3);
      const fileSystem = new SimulatedFileSystem();
      let tree = open(fileSystem, { blockCacheSize, openCountMax });
      const model = new Model();
      let compactions = 0;
      let coldCount = 0;
      let askedCount = 0;
      for (let round = 0; round < 30; round += 1) {
        const asked: Promise<unknown>[] = [];
        const askSome = (): void => {
          for (let count = 0; count < 6; count += 1) {
            const { answered, isCold } = ask(tree, model, random);
            asked.push(answered);
            askedCount += 1;
            coldCount += isCold ? 1 : 0;
          }
        };
        askSome();
        const added = addRun(tree, model, random);
        for (let turn = random.below(40); turn > 0; turn -= 1) {
          await Promise.resolve();
        }
        askSome();
        await added;
        askSome();
        await Promise.all(asked);
        if (round % 10 === 9) {
          compactions += tree.stats().background.compactions;
          await tree.close();
          tree = open(fileSystem, { blockCacheSize, openCountMax });
        }
      }
      await tree.maintenance.settled();
      askedCount += 1;
      await ask(tree, model, random).answered;
      expect(compactions).toBeGreaterThan(2);
      expect(coldCount).toBeGreaterThan(blockCacheSize > 10_000 ? 0 : askedCount / 4);
      expect(askedCount - coldCount).toBeGreaterThan(openCountMax === Infinity ? 5 : 0);
      await tree.close();
      expect(fileSystem.openCount).toBe(0);
    },
    20_000,
  );

  it('read no block for a key that is nowhere, and none twice for those who ask at the same time', async () => {
    const random = new SeededRandom(4);
    const fileSystem = new SimulatedFileSystem();
    const tree = open(fileSystem);
    const model = new Model();
    const before = fileSystem.counts.read;
    for (let run = 0; run < 3; run += 1) {
      await addRun(tree, model, random, 60);
    }
    const found = makeFound();
    const visited: number[] = [];
    let coldCount = 0;
    for (let index = 0; index < 400; index += 1) {
      const name = tree.lookups.find(nameKey(1_000 + index), found);
      const hash = tree.lookups.collect(prefixOf(1_000 + index), KEY_SIZE, () => visited.push(0));
      coldCount += (name === 'cold' ? 1 : 0) + (hash === 'cold' ? 1 : 0);
    }
    // The filters let a few pass.
    expect(coldCount).toBeLessThan(20);
    expect(visited).toEqual([]);
    // New tables were installed and asked for the first time, too.
    expect(fileSystem.counts.read).toBe(before);
    const { blockReads } = tree.stats().reads;
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => tree.lookups.findAsync(nameKey(3), makeFound())),
    );
    expect(answers.every(({ isFound }) => isFound)).toBe(true);
    const readCount = tree.stats().reads.blockReads - blockReads;
    expect(readCount).toBeGreaterThan(0);
    expect(readCount).toBeLessThanOrEqual(3);
    expect(tree.lookups.find(nameKey(3), found)).toBe('found');
    await tree.close();
  });

  it('find damage and failing disks, and never take them for an absence', async () => {
    const random = new SeededRandom(5);
    let isFailing = false;
    const fileSystem = new SimulatedFileSystem({
      faults: new FaultPlan({
        when: ({ kind }) => (isFailing && kind === 'read' ? 'EIO' : undefined),
      }),
    });
    const first = open(fileSystem);
    const model = new Model();
    await addRun(first, model, random, 40);
    await first.close();
    const tree = open(fileSystem, { blockCacheSize: 0 });
    isFailing = true;
    for (let attempt = 0; attempt < 2; attempt += 1) {
      const failing = [
        tree.lookups.findAsync(nameKey(3), makeFound()),
        tree.lookups.collectAsync(prefixOf(5), KEY_SIZE, () => {}),
      ];
      for (const one of failing) {
        await expect(one).rejects.toMatchObject({ code: 'UNAVAILABLE', cause: { code: 'EIO' } });
      }
      isFailing = attempt === 0;
      // Once the tables are open, the blocks are what can't be read.
      await tree.openTables().catch(() => (isFailing = false));
      await tree.openTables();
      isFailing = true;
    }
    isFailing = false;
    expect(tree.lookups.find(nameKey(3), makeFound())).toBe('cold');
    expect(await tree.lookups.findAsync(nameKey(3), makeFound())).toMatchObject({ isFound: true });
    for (const { number } of tree.state.levels) {
      // Each block begins with its values or keys: none is left whole.
      const path = tablePath(DIRECTORY, number);
      for (let at = 70; at < fileSystem.readFile(path).length / 3; at += 60) {
        fileSystem.flipBit(path, at, 1);
      }
    }
    const damaged = tree.lookups.collectAsync(prefixOf(5), KEY_SIZE, () => {});
    await expect(damaged).rejects.toMatchObject({ code: 'CORRUPT', offset: expect.any(Number) });
    await tree.close();
    expect(fileSystem.openCount).toBe(0);
  });

  it('end when the tree is closed: what is asked is answered, then nothing more', async () => {
    const fileSystem = new SimulatedFileSystem();
    const tree = open(fileSystem, { blockCacheSize: 0 });
    const model = new Model();
    await addRun(tree, model, new SeededRandom(6));
    const asked = ask(tree, model, new SeededRandom(7)).answered;
    const closing = tree.close();
    const refusal = { code: 'CLOSED' };
    await expect(tree.lookups.findAsync(nameKey(1), makeFound())).rejects.toMatchObject(refusal);
    await closing;
    await asked;
    await expect(tree.openTables()).rejects.toMatchObject(refusal);
    expect(fileSystem.openCount).toBe(0);
  });

  it('are refused where entries are in memory or deletions in tables', async () => {
    const tree = open(new SimulatedFileSystem());
    insertEntry(tree.memtables, nameKey(1), 1, EntryKind.delete, new Uint8Array(0));
    const internal = { code: 'INTERNAL' };
    const find = (): unknown => tree.lookups.find(nameKey(1), makeFound());
    expect(codeOf(find)).toBe('INTERNAL');
    await tree.maintenance.flush();
    expect(codeOf(find)).toBe('INTERNAL');
    await expect(tree.lookups.findAsync(nameKey(1), makeFound())).rejects.toMatchObject(internal);
    await tree.close();
  });
});

describe('opening all tables ahead', () => {
  it('makes lookups of a tree that was just opened find filters and indexes in memory', async () => {
    const random = new SeededRandom(8);
    const fileSystem = new SimulatedFileSystem();
    const first = open(fileSystem);
    const model = new Model();
    for (let run = 0; run < 3; run += 1) {
      await addRun(first, model, random, 60);
    }
    const { tableMemory } = first;
    await first.close();
    const tree = open(fileSystem);
    expect(tree.tableMemory).toBe(0);
    const absent = (): string => tree.lookups.find(nameKey(1_001), makeFound());
    expect(absent()).toBe('cold');
    const progress: string[] = [];
    await tree.openTables({
      onProgress: ({ tables, tablesTotal }) => progress.push(`${tables}/${tablesTotal}`),
    });
    const { tableCount } = tree.state.levels;
    expect(progress).toHaveLength(tableCount);
    expect(progress.at(-1)).toBe(`${tableCount}/${tableCount}`);
    expect(tree.stats().openTables).toBe(tableCount);
    // Images of tables count as much as open ones.
    expect(tree.tableMemory).toBe(tableMemory);
    const before = fileSystem.counts.read;
    expect(absent()).toBe('absent');
    await tree.openTables();
    expect(fileSystem.counts.read).toBe(before);
    tree.resizeCache(0);
    expect(tree.stats().cache).toEqual({ size: 0, capacity: 0 });
    await tree.close();
    expect(fileSystem.openCount).toBe(0);
  });

  it('goes on while tables are replaced, and stops when it is told to', async () => {
    const random = new SeededRandom(9);
    const fileSystem = new SimulatedFileSystem();
    const first = open(fileSystem);
    const model = new Model();
    for (let run = 0; run < 4; run += 1) {
      await addRun(first, model, random, 60);
    }
    await first.close();
    const tree = open(fileSystem);
    const opening = tree.openTables();
    const twice = tree.openTables();
    await tree.maintenance.compactRange(undefined, undefined, async () => {});
    await Promise.all([opening, twice]);
    await ask(tree, model, random).answered;
    await tree.maintenance.settled();
    await tree.close();
    const again = open(fileSystem);
    const abort = new AbortController();
    const stopped = again.openTables({ signal: abort.signal, onProgress: () => abort.abort() });
    await expect(stopped).rejects.toMatchObject({ code: 'ABORTED' });
    expect(again.stats().openTables).toBe(1);
    const closed = again.openTables().catch((error: VarveError) => error.code);
    await again.close();
    expect(await closed).toBe('CLOSED');
    expect(fileSystem.openCount).toBe(0);
  });

  it('finds damage in every part of a table but its blocks', async () => {
    const random = new SeededRandom(10);
    const fileSystem = new SimulatedFileSystem();
    const first = open(fileSystem);
    await addRun(first, new Model(), random);
    const [table] = first.state.levels;
    await first.close();
    const path = tablePath(DIRECTORY, table!.number);
    const { size } = table!;
    const footerAt = size - FOOTER_SIZE;
    const footer = decodeFooter(fileSystem.readFile(path).subarray(footerAt), footerAt);
    const blocksEnd = (footer as TableFooter).rangeTombstones.offset;
    let foundCount = 0;
    for (let at = 0; at < size; at += at < blocksEnd ? 8 : 23) {
      const damaged = fileSystem.clone();
      damaged.flipBit(path, at, 3);
      const tree = open(damaged);
      const opened = await tree.openTables().then(
        () => 'whole',
        (error: VarveError) => error.code,
      );
      const isCovered = at < HEADER_SIZE || at >= blocksEnd;
      foundCount += isCovered ? 1 : 0;
      strictEqual(opened === 'whole', !isCovered, `${at} of ${size}: ${opened}`);
      await tree.close();
      strictEqual(damaged.openCount, 0);
    }
    expect(foundCount).toBeGreaterThan(20);
  });
});
