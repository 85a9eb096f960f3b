import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Arena, Lane } from './lane.ts';

const BATCH_SIZE = 100_000;

/** What may be done to a lane: append a frame of a size, take, or release the oldest arena taken. */
const steps = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 56, max: 3_000 }) },
    { weight: 1, arbitrary: fc.integer({ min: 3_000, max: 250_000 }) },
    { weight: 2, arbitrary: fc.constant('take' as const) },
    { weight: 2, arbitrary: fc.constant('release' as const) },
  ),
  { maxLength: 150, size: 'max' },
);

describe('a lane', () => {
  it('hands over every frame once, in order, whole and in batches of bounded size', () => {
    fc.assert(
      fc.property(steps, (sequence) => {
        const lane = new Lane(BATCH_SIZE);
        const model = new LaneModel(lane);
        for (const step of sequence) {
          if (step === 'take') {
            model.take();
          } else if (step === 'release') {
            model.release();
          } else {
            model.append(step);
          }
          expect(lane.pendingSize).toBe(model.pendingSize);
        }
        model.drain();
        expect(lane.pendingSize).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it('has nothing to take when nothing was published', () => {
    const lane = new Lane(BATCH_SIZE);
    lane.reserve(100);
    expect(lane.take()).toBeUndefined();
  });
});

class LaneModel {
  pendingSize = 0;
  readonly #lane: Lane;
  readonly #waiting: number[] = [];
  readonly #taken: { arena: Arena; frames: readonly number[] }[] = [];
  #appended = 0;
  #received = 0;

  constructor(lane: Lane) {
    this.#lane = lane;
  }

  /** Appends a frame filled with its number. */
  append(size: number): void {
    const arena = this.#lane.reserve(size);
    arena.bytes.fill(this.#appended & 0xff, arena.used, arena.used + size);
    this.#lane.publish(arena, size);
    this.#waiting.push(size);
    this.#appended += 1;
    this.pendingSize += size;
  }

  take(): boolean {
    const arena = this.#lane.take();
    expect(arena === undefined).toBe(this.#waiting.length === 0);
    if (arena === undefined) {
      return false;
    }
    const frames: number[] = [];
    for (let at = 0; at < arena.used;) {
      const size = this.#waiting.shift()!;
      frames.push(size);
      at += size;
    }
    expect(frames.reduce((sum, size) => sum + size, 0)).toBe(arena.used);
    expect(arena.used <= BATCH_SIZE || frames.length === 1).toBe(true);
    this.#taken.push({ arena, frames });
    return true;
  }

  /** What was taken is as it was until it is released. */
  release(): boolean {
    const taken = this.#taken.shift();
    if (taken === undefined) {
      return false;
    }
    let at = 0;
    for (const size of taken.frames) {
      const number = this.#received & 0xff;
      expect(taken.arena.bytes.subarray(at, at + size).every((byte) => byte === number)).toBe(true);
      this.#received += 1;
      at += size;
    }
    this.#lane.release(taken.arena);
    this.pendingSize -= at;
    return true;
  }

  drain(): void {
    while (this.take() || this.release()) {
      // Until there is nothing left.
    }
    expect(this.#received).toBe(this.#appended);
  }
}
