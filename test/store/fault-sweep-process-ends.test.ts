import { describe } from 'vitest';
import { rotatingProgram, smallProgram } from './fault-run.ts';
import { processEndSweep } from './fault-sweep.ts';

describe('the end of the process', () => {
  processEndSweep('small', smallProgram, 3);
  processEndSweep('rotating', rotatingProgram, 3);
});
