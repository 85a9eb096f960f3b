import type { DerivedIndex } from '../derived/derived-index.ts';
import { StreamReader } from '../event-index/stream-reader.ts';
import type { ReadPlan } from './event-read.ts';

/** Positions that a read goes through: within the plan's bounds, in its order. */
export interface PositionSource extends Iterable<number> {
  /** The positions follow each other upwards without a gap: whoever reads them may read frame by frame. */
  readonly isUnbroken: boolean;
}

export function sourceOf(plan: ReadPlan, index: DerivedIndex): PositionSource {
  return plan.stream === undefined
    ? new AllPositions(plan)
    : new StreamPositions(new StreamReader(index, plan.stream), plan);
}

class AllPositions implements PositionSource {
  readonly isUnbroken: boolean;
  readonly #plan: ReadPlan;

  constructor(plan: ReadPlan) {
    this.#plan = plan;
    this.isUnbroken = !plan.isBackwards;
  }

  *[Symbol.iterator](): Generator<number, void, undefined> {
    const { from, to, isBackwards } = this.#plan;
    for (let step = 0; step < to - from; step += 1) {
      yield isBackwards ? to - 1 - step : from + step;
    }
  }
}

class StreamPositions implements PositionSource {
  readonly isUnbroken = false;
  readonly #stream: StreamReader;
  readonly #plan: ReadPlan;

  constructor(stream: StreamReader, plan: ReadPlan) {
    this.#stream = stream;
    this.#plan = plan;
  }

  *[Symbol.iterator](): Generator<number, void, undefined> {
    const stream = this.#stream;
    const { from, to, revisions, isBackwards } = this.#plan;
    const first = Math.max(revisions.from, from === 0 ? 0 : stream.countBelow(from));
    const last = Math.min(revisions.to, stream.countBelow(to) - 1);
    for (let step = 0; step <= last - first; step += 1) {
      yield stream.positionAt(isBackwards ? last - step : first + step, isBackwards);
    }
  }
}
