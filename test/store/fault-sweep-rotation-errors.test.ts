import { rotatingProgram } from './fault-run.ts';
import { faultSweep } from './fault-sweep.ts';

faultSweep({
  program: rotatingProgram,
  stride: 9,
  faults: [
    { kind: 'EIO' },
    { kind: 'EIO', partial: true },
    { kind: 'EIO', partial: true, isTwice: true },
  ],
  wantedGoals: [
    'renewed an empty segment',
    'renewed the names of an empty store',
    'rotated',
    'sealed a full segment at open',
    'sync failed',
    'write failed and could not be taken back',
    'write failed and was taken back',
  ],
});
