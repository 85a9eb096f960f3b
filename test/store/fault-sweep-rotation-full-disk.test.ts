import { rotatingProgram } from './fault-run.ts';
import { faultSweep } from './fault-sweep.ts';

faultSweep({
  program: rotatingProgram,
  stride: 9,
  faults: [{ kind: 'ENOSPC' }, { kind: 'ENOSPC', partial: true }, { kind: 'short' }],
  wantedGoals: [
    'no space to prepare',
    'renewed an empty segment',
    'rotated',
    'sealed a full segment at open',
  ],
});
