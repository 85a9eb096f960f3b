import type { StreamIndex } from '../event-index/contract.ts';
import type { ReadPlan } from './event-read.ts';

/** Positions that a read goes through: within the plan's bounds, in its order. */
export interface PositionSource extends Iterable<number> {
  /** The positions follow each other upwards without a gap: whoever reads them may read frame by frame. */
  readonly isUnbroken: boolean;
}

export function sourceOf(plan: ReadPlan, streams: StreamIndex): PositionSource {
  return plan.stream === undefined
    ? new AllPositions(plan)
    : new StreamPositions(streams, plan, plan.stream);
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
  readonly #streams: StreamIndex;
  readonly #plan: ReadPlan;
  readonly #stream: string;

  constructor(streams: StreamIndex, plan: ReadPlan, stream: string) {
    this.#streams = streams;
    this.#plan = plan;
    this.#stream = stream;
  }

  *[Symbol.iterator](): Generator<number, void, undefined> {
    const streams = this.#streams;
    const { from, to, revisions, isBackwards } = this.#plan;
    const number = streams.find(this.#stream);
    if (number === undefined) {
      return;
    }
    const first = Math.max(revisions.from, streams.countBelow(number, from));
    const last = Math.min(revisions.to, streams.countBelow(number, to) - 1);
    for (let step = 0; step <= last - first; step += 1) {
      yield streams.positionAt(number, isBackwards ? last - step : first + step);
    }
  }
}
