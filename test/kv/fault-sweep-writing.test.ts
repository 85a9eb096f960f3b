import { writingProgram } from './fault-run.ts';
import { faultSweep } from './fault-sweep.ts';

faultSweep({
  program: writingProgram,
  stride: 6,
  wantedGoals: ['no space to prepare', 'sync failed', 'write failed and was taken back'],
  wantedCounts: { poisoned: 10, failedOpens: 20 },
});
