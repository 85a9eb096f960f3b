import { mergingProgram } from './fault-run.ts';
import { faultSweep } from './fault-sweep.ts';

faultSweep({
  program: mergingProgram,
  stride: 21,
  wantedGoals: ['flushed a memtable', 'sync failed', 'work in the background failed'],
  wantedCounts: { poisoned: 5, failedOpens: 10, retried: 10 },
});
