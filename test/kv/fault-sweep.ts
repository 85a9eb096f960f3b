import { describe, expect, it } from 'vitest';
import { strideTitle } from '../stride.ts';
import { counts, goals, type PlannedFault, type Program, strikeEach } from './fault-run.ts';

const faults: readonly PlannedFault[] = [
  { kind: 'EIO' },
  { kind: 'EIO', partial: true, isTwice: true },
  { kind: 'ENOSPC' },
  { kind: 'ENOSPC', partial: true },
  { kind: 'short' },
];

export interface FaultSweep {
  readonly program: Program;
  /** One of so many operations is struck. */
  readonly stride: number;
  /** What must have happened in some run, and how often. */
  readonly wantedGoals: readonly string[];
  readonly wantedCounts: Partial<typeof counts>;
}

/** Tests: one fault at an operation of a program, in as many runs as there are operations to strike. */
export function faultSweep({ program, stride, wantedGoals, wantedCounts }: FaultSweep): void {
  describe(`a fault at an operation (${strideTitle})`, () => {
    it.each(faults)(
      'loses nothing acknowledged and is told to callers: $kind, partial $partial, twice $isTwice',
      async (fault) => {
        expect(await strikeEach(program, fault, stride)).toEqual([]);
      },
    );

    it('met every kind of failure', () => {
      expect([...goals].toSorted()).toEqual(expect.arrayContaining([...wantedGoals]));
      for (const [name, least] of Object.entries(wantedCounts)) {
        expect(counts[name as keyof typeof counts], name).toBeGreaterThanOrEqual(least);
      }
    });
  });
}
