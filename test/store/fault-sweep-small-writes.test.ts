import { smallProgram } from './fault-run.ts';
import { faultSweep } from './fault-sweep.ts';

faultSweep({
  program: smallProgram,
  stride: 6,
  faults: [
    { kind: 'EIO' },
    { kind: 'EIO', partial: true },
    { kind: 'EIO', partial: true, isTwice: true },
    { kind: 'ENOSPC' },
    { kind: 'ENOSPC', partial: true },
    { kind: 'short' },
  ],
  wantedGoals: [
    'no space to prepare',
    'renewed the names of an empty store',
    'sync failed',
    'write failed and could not be taken back',
    'write failed and was taken back',
  ],
});
