/**
 * The journal with real threads and a bad disk: eight producers with small lanes, some of which are ended in the middle, one
 * consumer that merges them into a journal, and a writer inline or on a thread of its own over a disk that is slow and may
 * fail once. Afterwards the power is cut (frames that no sync covered fall back to zeros, or not) and the journal
 * recovered. VARVE_TORTURE_ROUNDS sets the number of rounds, VARVE_SEED the first of their seeds. The plan of a round follows
 * from its seed, the timing of its threads does not.
 */
import { describe, expect, it } from 'vitest';
import { tortureRound } from './torture-round.ts';

const rounds = Number(process.env['VARVE_TORTURE_ROUNDS'] ?? 5);
const firstSeed = Number(process.env['VARVE_SEED'] ?? 1);
const seeds = Array.from({ length: rounds }, (_, index) => firstSeed + index);

describe.each(['thread', 'inline'] as const)('a tortured journal, %s', (writer) => {
  const totals = { records: 0, ended: 0, failures: 0, struck: 0, lost: 0, segments: 0, cut: 0 };

  it.each(seeds)('keeps order, content and every promise (VARVE_SEED=%d)', async (seed) => {
    const round = await tortureRound(writer, seed);
    for (const name of Object.keys(totals) as (keyof typeof totals)[]) {
      totals[name] += round[name];
    }
  });

  it('was tortured enough', () => {
    if (rounds > 50) {
      console.log(writer, totals);
    }
    expect(totals.records).toBeGreaterThan(rounds * 200);
    expect(totals.ended).toBeGreaterThan(rounds / 2);
    if (rounds >= 4) {
      // One seed of four has no fault, and so fills more than one segment.
      expect(totals.segments).toBeGreaterThan(rounds);
      expect(totals.struck).toBeGreaterThan(0);
      expect(totals.failures).toBeGreaterThan(0);
    }
  });
});
