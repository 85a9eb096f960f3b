/**
 * The lane protocol in every order that its threads can run in: two producers with two records each, one consumer, and the
 * death of one producer at any instant, or none.
 *
 * Each scenario is enumerated whole, from the first access that `LaneProducer`, `LaneConsumer` and `LaneMerger` make to the
 * last. They are not multiplied with each other: room, causality, batches and a consumer that blocks have one each.
 *
 * What is taken for granted: accesses to words are sequentially consistent, and a wait ends early only where a notification
 * meant an earlier one. Plain bytes are read and written right after the access before them, and between the halves of a
 * record: an order of single bytes is not tried, nor one that the memory model allows and no machine would show.
 *
 * Then the same with one thing wrong at a time. Each must be found.
 */
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../src/base/random.ts';
import { seededDefects } from './interleaving/defects.ts';
import { Explorer } from './interleaving/explorer.ts';
import { LaneWorld } from './interleaving/lane-world.ts';
import { runInLockstep } from './interleaving/lockstep.ts';
import type { World } from './interleaving/machine.ts';
import {
  causal,
  inBatches,
  oneByOne,
  withFilling,
  withRoom,
  withThread,
} from './interleaving/scenarios.ts';

/** With accesses that each must have come to: a scenario in which nobody waits shows nothing about waiting. */
const enumerated = [
  {
    scenario: withRoom,
    statesMin: 400_000,
    reached: ['A2: add clock', 'A2: exchange asleep', 'B1: add mail of the consumer'],
  },
  {
    scenario: oneByOne,
    statesMin: 300_000,
    reached: ['A2: wait A.waits', 'A2: store A.waits', 'takes B1: notify B.waits'],
  },
  {
    scenario: withFilling,
    statesMin: 800_000,
    reached: ['A2: wait A.waits', 'B2: receive mail of B', 'turns: add mail of B'],
  },
  {
    scenario: causal,
    statesMin: 900_000,
    reached: ['A2: load B1 has returned', 'B2: load A1 has returned'],
  },
  {
    scenario: inBatches,
    statesMin: 250_000,
    reached: ['A2: store A.tail', 'B2: store B.tail', 'B2: wait B.waits'],
  },
  {
    scenario: withThread,
    statesMin: 120_000,
    reached: ['is idle: wait asleep', 'A1: notify asleep', 'turns: add mail of B'],
  },
] as const;

const deaths = ['is idle: receive mail of the consumer', 'hears of the death of A: load clock'];

function reachedIn(world: World): Set<string> {
  const states = world.threads.flatMap((thread) => thread.states);
  const texts = states
    .filter(({ steps }) => steps.size > 0)
    .map(({ label, access }) => `${label}: ${access!.kind} ${world.wordNames[access!.word]}`);
  return new Set(texts);
}

describe('in every order of two producers and a consumer', () => {
  it.each(enumerated)(
    'each record is taken once and whole, and nobody waits for ever: $scenario.name',
    ({ scenario, statesMin, reached }) => {
      const world = new LaneWorld(scenario);
      const { states, interleavings } = new Explorer(world).run();
      const instants = world.mortals.map(
        (thread) => world.threads[thread]!.states.filter(({ access }) => access).length,
      );
      console.log(
        `${scenario.name}: ${states} states, ${interleavings.toExponential(1)} interleavings, ` +
          `deaths at ${instants.join(' + ') || 0} instants`,
      );
      expect(states).toBeGreaterThan(statesMin);
      expect(interleavings).toBeGreaterThan(1e20);
      const wanted = scenario.mortals.length > 0 ? [...reached, ...deaths] : reached;
      expect([...reachedIn(world)]).toEqual(expect.arrayContaining([...wanted]));
    },
  );

  it.each(enumerated)('states that are run on as one are alike: $scenario.name', ({ scenario }) => {
    const exact = new LaneWorld(scenario, {}, false);
    const shortened = new LaneWorld(scenario);
    const random = new SeededRandom(1);
    let steps = 0;
    for (let order = 0; order < 100; order += 1) {
      steps += runInLockstep(exact, shortened, random);
    }
    expect(steps).toBeGreaterThan(3_000);
  });
});

describe('a defect is found', () => {
  it.each(seededDefects)('$name', ({ defect, scenario, reason }) => {
    expect(() => new Explorer(new LaneWorld(scenario, defect)).run()).toThrow(reason);
  });

  it('with the steps that lead to it', () => {
    const { defect, scenario } = seededDefects.find(({ name }) => name.startsWith('the tail is'))!;
    const run = (): unknown => new Explorer(new LaneWorld(scenario, defect)).run();
    expect(run).toThrow(/B2 is not whole, after\n {2}A \(A1\): add clock 1 → 0\n[^]*takes B2/);
  });
});
