import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { onAbort } from './abort-listeners.ts';

function ignore(): void {}

describe('callbacks of a signal', () => {
  it('share one listener, are called once in order, and leave nothing behind', () => {
    const controller = new AbortController();
    const { signal } = controller;
    const heard: number[] = [];
    const offs = Array.from({ length: 50 }, (_, n) => onAbort(signal, () => heard.push(n)));
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    for (const off of offs.slice(3)) {
      off();
      off();
    }
    controller.abort();
    expect(heard).toEqual([0, 1, 2]);
    offs[0]!();
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  it('that are all taken back leave the signal as it was', () => {
    const { signal } = new AbortController();
    const offs = [onAbort(signal, ignore), onAbort(signal, ignore)];
    offs[0]!();
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    offs[1]!();
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    onAbort(signal, ignore);
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
  });

  it('may take back others that were not called yet', () => {
    const controller = new AbortController();
    const heard: string[] = [];
    onAbort(controller.signal, () => {
      heard.push('first');
      off();
    });
    const off = onAbort(controller.signal, () => heard.push('second'));
    controller.abort();
    expect(heard).toEqual(['first']);
  });
});
