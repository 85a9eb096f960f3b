import type { Operation } from 'varve/testing';
import { describe, expect, it } from 'vitest';
import { strideTitle } from '../stride.ts';
import {
  counts,
  endBeforeEach,
  goals,
  type PlannedFault,
  type Program,
  strikeEach,
  strikeUntil,
} from './fault-run.ts';

export interface FaultSweep {
  readonly program: Program;
  /** One of so many operations is struck. */
  readonly stride: number;
  readonly faults: readonly PlannedFault[];
  /** What must have happened in some run. */
  readonly wantedGoals: readonly string[];
  /** Which operations are struck; default: all. */
  readonly isWanted?: (operation: Operation) => boolean;
  /** How often writing must have ended, and an open failed. */
  readonly least?: { readonly poisoned: number; readonly failedOpens: number };
}

/** Tests: one fault at an operation of a program, in as many runs as there are operations to strike. */
export function faultSweep({
  program,
  stride,
  faults,
  wantedGoals,
  isWanted = () => true,
  least = { poisoned: 6, failedOpens: 11 },
}: FaultSweep): void {
  describe(`a fault at an operation (${strideTitle})`, () => {
    it.each(faults)(
      'loses nothing acknowledged and is told to callers: $kind, partial $partial, twice $isTwice',
      async (fault) => {
        expect(await strikeEach(program, fault, stride, isWanted)).toEqual([]);
      },
    );

    it('met every kind of failure', async () => {
      await strikeUntil(program, faults, wantedGoals);
      expect([...goals].toSorted()).toEqual(expect.arrayContaining([...wantedGoals]));
      expect(counts.poisoned).toBeGreaterThanOrEqual(least.poisoned);
      expect(counts.failedOpens).toBeGreaterThanOrEqual(least.failedOpens);
    });
  });
}

/** Tests: the process ends before an operation. */
export function processEndSweep(
  name: string,
  program: Program,
  stride: number,
  isWanted: (operation: Operation) => boolean = () => true,
): void {
  it(`before an operation of the ${name} program loses nothing acknowledged (${strideTitle})`, async () => {
    await endBeforeEach(program, stride, isWanted);
    expect(counts.kills).toBeGreaterThan(10);
  });
}
