import { describe, expect, it } from 'vitest';
import { AdmissionQueue } from './admission-queue.ts';

/** Items are sizes; a size is admitted while there is room for it. */
function makeQueue(): {
  readonly queue: AdmissionQueue<number>;
  readonly room: { size: number };
  readonly told: string[];
  readonly submit: (size: number, signal?: AbortSignal) => void;
} {
  const room = { size: 0 };
  const told: string[] = [];
  const decide = (size: number): boolean => {
    if (size > room.size) {
      return false;
    }
    room.size -= size;
    told.push(`in ${size}`);
    return true;
  };
  const queue = new AdmissionQueue<number>(decide, (size) => told.push(`aborted ${size}`));
  const submit = (size: number, signal?: AbortSignal): void => {
    if (queue.count > 0 || !decide(size)) {
      queue.push(size, signal);
    }
  };
  return { queue, room, told, submit };
}

describe('an admission queue', () => {
  it('decides at once where there is room and nobody waits', () => {
    const { queue, room, told, submit } = makeQueue();
    room.size = 3;
    submit(3);
    submit(5);
    room.size = 1;
    // Behind one that waits, also the smallest waits.
    submit(1);
    expect(told).toEqual(['in 3']);
    expect(queue.count).toBe(2);
    queue.admit();
    expect(told).toEqual(['in 3']);
    room.size = 6;
    queue.admit();
    expect(told).toEqual(['in 3', 'in 5', 'in 1']);
  });

  it('takes out all that share a signal in one step, and lets in who stood behind them', () => {
    const { queue, room, told, submit } = makeQueue();
    const controller = new AbortController();
    submit(9, controller.signal);
    submit(2);
    submit(8, controller.signal);
    room.size = 2;
    controller.abort();
    expect(told).toEqual(['aborted 9', 'aborted 8', 'in 2']);
    expect(queue.count).toBe(0);
  });

  it('listens to a signal no longer than somebody waits with it', () => {
    const { queue, room, told, submit } = makeQueue();
    const controller = new AbortController();
    submit(1, controller.signal);
    submit(2, controller.signal);
    room.size = 3;
    queue.admit();
    submit(4, controller.signal);
    expect(queue.takeAll()).toEqual([4]);
    controller.abort();
    expect(told).toEqual(['in 1', 'in 2']);
  });

  it('says when those who wait now have been decided, refused or aborted', async () => {
    const { queue, room, submit } = makeQueue();
    await queue.whenDecided();
    const controller = new AbortController();
    submit(1);
    submit(2, controller.signal);
    const told: string[] = [];
    const decided = queue.whenDecided().then(() => told.push('first two'));
    submit(3);
    const all = queue.whenDecided().then(() => told.push('all'));
    room.size = 1;
    queue.admit();
    await Promise.resolve();
    expect(told).toEqual([]);
    controller.abort();
    await decided;
    expect(told).toEqual(['first two']);
    queue.takeAll();
    await all;
  });

  it('survives that deciding takes out everybody, and is not entered twice', () => {
    const told: string[] = [];
    const queue: AdmissionQueue<string> = new AdmissionQueue(
      (item) => {
        told.push(item);
        queue.admit();
        queue.takeAll();
        return true;
      },
      () => {},
    );
    queue.push('a', undefined);
    queue.push('b', undefined);
    queue.admit();
    expect(told).toEqual(['a']);
    expect(queue.count).toBe(0);
  });
});
