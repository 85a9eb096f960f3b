import { describe, expect, it } from 'vitest';
import type { Clock } from '../../io/clock.ts';
import { Pace } from './pace.ts';

class ManualClock implements Clock {
  nowMs = 1_000;
  #waiting: (() => void)[] = [];

  now(): number {
    return this.nowMs;
  }

  pause(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  schedule(): never {
    throw new Error('nothing is scheduled');
  }

  async endTurn(): Promise<void> {
    for (const resolve of this.#waiting.splice(0)) {
      resolve();
    }
    await new Promise(setImmediate);
  }
}

/** True if one of some steps was due. */
function isDue(pace: Pace, steps = 100): boolean {
  return Array.from({ length: steps }, () => pace.isDue()).some(Boolean);
}

describe('the pace of work', () => {
  it('is due when a turn has lasted for some ms, and not before', async () => {
    const clock = new ManualClock();
    const pace = new Pace(clock);
    expect(isDue(pace)).toBe(false);
    clock.nowMs += 4;
    expect(isDue(pace)).toBe(false);
    clock.nowMs += 1;
    expect(isDue(pace)).toBe(true);
    const paused = pace.pause();
    await clock.endTurn();
    await paused;
    expect(isDue(pace)).toBe(false);
  });

  it('counts no time between turns', async () => {
    const clock = new ManualClock();
    const pace = new Pace(clock);
    expect(isDue(pace)).toBe(false);
    await clock.endTurn();
    clock.nowMs += 60_000;
    expect(isDue(pace)).toBe(false);
  });

  it('looks at the clock more often if steps are large', () => {
    const clock = new ManualClock();
    const pace = new Pace(clock);
    expect(pace.isDue(1024 * 1024)).toBe(false);
    clock.nowMs += 5;
    expect(pace.isDue()).toBe(false);
    expect(pace.isDue(1024 * 1024)).toBe(true);
  });

  it('goes on under a clock that was set back', () => {
    const clock = new ManualClock();
    const pace = new Pace(clock);
    expect(isDue(pace)).toBe(false);
    clock.nowMs -= 3_600_000;
    expect(isDue(pace)).toBe(true);
  });
});
