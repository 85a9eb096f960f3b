/**
 * Shows that a local state leaves nothing out that matters: runs one order at random, with threads that go on from the whole
 * of their own past, beside threads that go on from the first past that led to the same local state.
 */
import { expect } from 'vitest';
import type { SeededRandom } from '../../../src/base/random.ts';
import { Machine, type World } from './machine.ts';

/** Returns how many steps there were. */
export function runInLockstep(exact: World, shortened: World, random: SeededRandom): number {
  const machines = [new Machine(exact), new Machine(shortened)] as const;
  let states = machines.map((machine) => machine.first());
  for (let count = 0; ; count += 1) {
    const [views, otherViews] = machines.map((machine, index) => viewOf(machine, states[index]!));
    expect(otherViews).toEqual(views);
    const [moves, otherMoves] = machines.map((machine, index) => machine.movesFrom(states[index]!));
    if (moves![0]?.result === undefined) {
      machines.forEach((machine, index) => machine.judge(states[index]!));
      return count;
    }
    // A death is one move of many: it comes at any time, not mostly at once.
    const isCalm = random.below(40) > 0;
    const choices = moves!.flatMap(({ result }, index) =>
      isCalm && result === undefined ? [] : [index],
    );
    const choice = random.pick(choices);
    states = [
      machines[0].move(states[0]!, moves![choice]!),
      machines[1].move(states[1]!, otherMoves![choice]!),
    ];
  }
}

function viewOf(machine: Machine, state: number[]): unknown {
  const threads = machine.world.threads.map((_, thread) => {
    const local = machine.localOf(state, thread);
    return local && { access: local.access, report: local.report };
  });
  const moves = machine.movesFrom(state).map(({ thread, result }) => ({ thread, result }));
  return { words: machine.wordsOf(state), bytes: machine.bytesOf(state), threads, moves };
}
