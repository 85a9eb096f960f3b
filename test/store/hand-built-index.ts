/** Derived data of `/store` made by hand from its log, by a source whose rows may lie. */
import { SeededRandom, SimulatedClock, type SimulatedFileSystem } from 'varve/testing';
import { encodeOwnerData } from '../../src/derived/format.ts';
import { addRun } from '../../src/derived/indexer.ts';
import { IndexTree } from '../../src/derived/index-tree.ts';
import type { Row } from '../../src/derived/run-rows.ts';
import { RunSource } from '../../src/derived/run-source.ts';
import { indexSettings, treeSettings } from '../../src/derived/settings.ts';
import { discardTables } from '../../src/kv/manifest/manifest-store.ts';
import { openTree } from '../../src/kv/tree/tree.ts';
import { identityOf, logOf } from './log-of.ts';

const DERIVED = '/store/derived';

export type Lie = (rows: Row[]) => Row[];

/** Makes it of runs that end at these positions. */
export async function buildIndex(
  disk: SimulatedFileSystem,
  borders: readonly number[],
  lie: Lie,
): Promise<void> {
  discardTables(disk, DERIVED);
  const log = logOf(disk);
  const source = new RunSource();
  const tree = openTree(
    {
      fileSystem: disk,
      held: undefined,
      clock: new SimulatedClock(),
      random: new SeededRandom(7),
      logger: () => {},
      source: {
        inline: {
          entries: (request, fileSystem) => {
            const rows: Row[] = [];
            for (const row of source.entries(request, fileSystem)) {
              if (row !== undefined) {
                rows.push([row[0].slice(), row[1].slice()]);
              }
            }
            return lie(rows).toSorted(([one], [other]) => Buffer.compare(one, other));
          },
        },
        worker: undefined,
      },
      threads: { usesThreads: false, goInline: undefined, workers: {}, namedFileSystem: undefined },
    },
    DERIVED,
    treeSettings(indexSettings(1024 * 1024, false)),
    {
      whenLogged: () => Promise.resolve(true),
      flushed: () => {},
      progress: () => {},
      lost: () => {},
    },
    {
      create: true,
      ownerData: encodeOwnerData({ storeIdentity: identityOf(disk), secret: new Uint8Array(8) }),
    },
  );
  tree.start();
  const index = new IndexTree(tree);
  for (const to of borders) {
    await addRun(index, log, { from: index.covered, to });
  }
  await tree.maintenance.settled();
  await tree.close();
  log.close();
}
