import type { Operation } from 'varve/testing';
import { indexProgram, isDerived } from './fault-run.ts';
import { faultSweep, processEndSweep } from './fault-sweep.ts';

/** What indexer and lookups do; the other sweeps strike the log. */
function isOfIndex({ path, kind }: Operation): boolean {
  return isDerived(path) || kind === 'read';
}

faultSweep({
  program: indexProgram,
  stride: 150,
  faults: [{ kind: 'EIO' }, { kind: 'ENOSPC', isTwice: true }],
  isWanted: isOfIndex,
  wantedGoals: [
    'derived data was made at open',
    'set a tree of derived data aside',
    'made derived data again',
    'a decision waited for a read',
    'work in the background failed',
  ],
  least: { poisoned: 0, failedOpens: 1 },
});

processEndSweep('index', indexProgram, 100, isOfIndex);
