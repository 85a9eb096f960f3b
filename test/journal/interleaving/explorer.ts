/**
 * Runs threads in every order. What follows a state that is reached again is not run again, only counted again. Every order
 * must end: a state that can come back is reported, like an end that the judge does not accept.
 */
import { Machine, type Move, type State, type World } from './machine.ts';
import { StateTable } from './state-table.ts';

export interface Exploration {
  readonly states: number;
  /** Orders in which all accesses, and the death, can follow each other. */
  readonly interleavings: number;
  /** Different words at the end. */
  readonly ends: number;
}

/** What is wrong, and the steps that led to it. */
export class Violation extends Error {
  override readonly name = 'Violation';

  constructor(cause: unknown, trace: readonly string[]) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super(`${reason}, after\n  ${trace.join('\n  ')}`, { cause });
  }
}

const RUNNING = -1;

export class Explorer {
  readonly #machine: Machine;
  /** How many orders lead from a state to an end. */
  readonly #orders: StateTable;
  readonly #ends = new Set<string>();
  readonly #path: Move[] = [];

  constructor(world: World) {
    this.#machine = new Machine(world);
    this.#orders = new StateTable(this.#machine.packedSize);
  }

  run(): Exploration {
    try {
      const interleavings = this.#visit(this.#machine.first());
      return { states: this.#orders.count, interleavings, ends: this.#ends.size };
    } catch (error) {
      const trace = this.#path.map((move) => this.#machine.textOf(move));
      throw new Violation(error, trace);
    }
  }

  #visit(state: State): number {
    this.#machine.pack(state, this.#orders.key);
    const index = this.#orders.find();
    const known = this.#orders.get(index);
    if (known === RUNNING) {
      throw new Error('runs in a circle');
    }
    if (!Number.isNaN(known)) {
      return known;
    }
    this.#orders.set(index, RUNNING);
    const moves = this.#machine.movesFrom(state);
    let orders = 0;
    if (moves[0]?.result === undefined) {
      this.#machine.judge(state);
      this.#ends.add(this.#machine.wordsOf(state).join());
      orders = 1;
    }
    for (const move of moves) {
      this.#path.push(move);
      orders += this.#visit(this.#machine.move(state, move));
      this.#path.pop();
    }
    this.#orders.set(index, orders);
    return orders;
  }
}
