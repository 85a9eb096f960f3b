import { describe, expect, it } from 'vitest';
import { SimulatedClock } from './simulated-clock.ts';

describe('SimulatedClock', () => {
  it('stands still until it is told to move', () => {
    const clock = new SimulatedClock({ startMs: 1000 });
    expect([clock.now(), clock.now()]).toEqual([1000, 1000]);
    clock.advance(5);
    expect(clock.now()).toBe(1005);
  });

  it('ticks at every look if asked to', () => {
    const clock = new SimulatedClock({ startMs: 1000, tickMs: 2 });
    expect([clock.now(), clock.now(), clock.now()]).toEqual([1000, 1002, 1004]);
  });

  it('runs timers in order, each at its own time, also those set by timers', () => {
    const clock = new SimulatedClock({ startMs: 0 });
    const seen: string[] = [];
    const note = (name: string) => () => seen.push(`${name} ${clock.now()}`);
    clock.schedule(20, note('late'));
    clock.schedule(10, note('early'));
    clock.schedule(10, note('early too'));
    clock.schedule(5, () => clock.schedule(10, note('nested')));
    clock.schedule(15, note('cancelled')).cancel();
    clock.advance(19);
    expect(seen).toEqual(['early 10', 'early too 10', 'nested 15']);
    expect(clock.timerCount).toBe(1);
    clock.advance(1);
    expect(seen.at(-1)).toBe('late 20');
  });

  it('jumps without moving timers', () => {
    const clock = new SimulatedClock({ startMs: 1000 });
    let count = 0;
    clock.schedule(10, () => {
      count += 1;
    });
    clock.jump(-500);
    expect(clock.now()).toBe(500);
    clock.jump(5000);
    clock.advance(9);
    expect(count).toBe(0);
    clock.advance(1);
    expect(count).toBe(1);
  });

  it('pauses until promise chains have settled', async () => {
    const clock = new SimulatedClock();
    let isDone = false;
    void Promise.resolve()
      .then(() => Promise.resolve())
      .then(() => {
        isDone = true;
      });
    await clock.pause();
    expect(isDone).toBe(true);
  });
});
