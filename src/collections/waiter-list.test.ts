import { describe, expect, it } from 'vitest';
import { WaiterList } from './waiter-list.ts';

describe('a list of waiters', () => {
  it('answers those whose number is reached, in the order in which they came', () => {
    const list = new WaiterList<string>();
    const told: string[] = [];
    for (const at of [5, 3, 4, 3]) {
      list.add(at, (result) => told.push(`${at} ${result}`));
    }
    list.advance(2, 'a');
    expect(told).toEqual([]);
    list.advance(4, 'b');
    expect(told).toEqual(['3 b', '4 b', '3 b']);
    list.advance(9, 'c');
    expect(told.at(-1)).toBe('5 c');
    expect(list.count).toBe(0);
  });

  it('lets who is answered wait again', () => {
    const list = new WaiterList();
    let count = 0;
    const again = (): void => {
      count += 1;
      list.add(1, again);
    };
    list.add(1, again);
    list.advance(1);
    expect([count, list.count]).toEqual([1, 1]);
  });

  it('forgets who was taken out, and rejects the rest', async () => {
    const list = new WaiterList();
    const takeOut = list.add(
      1,
      () => expect.unreachable(),
      () => expect.unreachable(),
    );
    const waiting = list.wait(2);
    takeOut();
    const error = new Error('over');
    list.rejectAll(error);
    await expect(waiting).rejects.toBe(error);
    expect(list.count).toBe(0);
  });
});
