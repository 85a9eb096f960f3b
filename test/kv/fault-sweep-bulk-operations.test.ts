import { bulkProgram } from './fault-run.ts';
import { faultSweep } from './fault-sweep.ts';

faultSweep({
  program: bulkProgram,
  stride: 30,
  wantedGoals: [
    'could not remove what is not needed',
    'sync failed',
    'work in the background failed',
  ],
  wantedCounts: { poisoned: 2, failedOpens: 10, retried: 10 },
});
