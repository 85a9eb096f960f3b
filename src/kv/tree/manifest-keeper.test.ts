import { describe, expect, it } from 'vitest';
import { VarveError } from '../../base/errors.ts';
import type { Background } from '../compaction/background.ts';
import { NOTHING_MADE, type SimpleJob } from '../compaction/job.ts';
import { CountedTableNumbers } from '../compaction/table-numbers.ts';
import { emptyManifest } from '../manifest/format.ts';
import { ManifestKeeper } from './manifest-keeper.ts';
import type { TableMeta } from '../sstable/table-meta.ts';

function tableOf(number: number): TableMeta {
  return {
    number,
    size: 100,
    count: 1,
    deleteCount: 0,
    rangeDeleteCount: 0,
    rawSize: 2,
    minKey: Uint8Array.of(number),
    maxKey: Uint8Array.of(number),
    isMaxExclusive: false,
    minSequence: number,
    maxSequence: number,
    ingestSequence: undefined,
    digest: new Uint8Array(32),
  };
}

/** A keeper whose replacements of the manifest end as `outcomes` says, one after the other. */
function keeperWith(outcomes: readonly ('done' | Error)[]): {
  readonly keeper: ManifestKeeper;
  readonly unneeded: number[];
} {
  const left = [...outcomes];
  const run = async (job: SimpleJob): Promise<typeof NOTHING_MADE> => {
    expect(job.kind).toBe('manifest');
    const outcome = left.shift()!;
    if (outcome !== 'done') {
      throw outcome;
    }
    return NOTHING_MADE;
  };
  const unneeded: number[] = [];
  const state = emptyManifest({ identity: new Uint8Array(16), hasLog: true });
  const keeper = new ManifestKeeper(
    { run } as unknown as Background,
    CountedTableNumbers.startingAt(100, false),
    state,
    (tables) => unneeded.push(...tables.map(({ number }) => number)),
  );
  return { keeper, unneeded };
}

async function add(keeper: ManifestKeeper, table: TableMeta): Promise<'added' | 'failed'> {
  try {
    await keeper.edit(
      (state) => ({
        ...state,
        levels: state.levels.apply({ added: [{ level: 0, tables: [table] }], removed: [] }),
        lastSequence: Math.max(state.lastSequence, table.maxSequence),
      }),
      () => {},
      [table],
    );
    return 'added';
  } catch {
    return 'failed';
  }
}

const unchanged = new VarveError('UNAVAILABLE', 'There is no space.', { applied: 'no' });
const unclear = new Error('EIO');

describe('tables whose manifest could not be written', () => {
  it('are not needed at once if the manifest surely is the one before', async () => {
    const { keeper, unneeded } = keeperWith([unchanged, 'done']);
    expect(await add(keeper, tableOf(1))).toBe('failed');
    expect(unneeded).toEqual([1]);
    expect(await add(keeper, tableOf(2))).toBe('added');
    expect(unneeded).toEqual([1]);
  });

  it('are not touched while a manifest may name them', async () => {
    const { keeper, unneeded } = keeperWith([unclear, unclear, unchanged, 'done', 'done']);
    expect(await add(keeper, tableOf(1))).toBe('failed');
    expect(await add(keeper, tableOf(2))).toBe('failed');
    expect(unneeded).toEqual([]);
    expect(await add(keeper, tableOf(3))).toBe('failed');
    expect(unneeded).toEqual([3]);
    expect(await add(keeper, tableOf(4))).toBe('added');
    expect(unneeded).toEqual([3, 1, 2]);
    expect(await add(keeper, tableOf(5))).toBe('added');
    expect(unneeded).toEqual([3, 1, 2]);
    expect([...keeper.state.levels].map(({ number }) => number)).toEqual([5, 4]);
  });
});
