import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Fifo } from './fifo.ts';

it('does what an array does', () => {
  const steps = fc.array(
    fc.oneof(
      { weight: 6, arbitrary: fc.constant('push' as const) },
      { weight: 3, arbitrary: fc.constant('shift' as const) },
      { weight: 1, arbitrary: fc.constantFrom('two' as const, 'odd' as const, 'all' as const) },
    ),
    { maxLength: 200 },
  );
  fc.assert(
    fc.property(steps, (taken) => {
      const fifo = new Fifo<number>();
      let model: number[] = [];
      for (const [number, step] of taken.entries()) {
        switch (step) {
          case 'push':
            fifo.push(number);
            model.push(number);
            break;
          case 'shift':
            fifo.shift();
            model.shift();
            break;
          case 'two':
            fifo.shift(2);
            model.splice(0, 2);
            break;
          case 'odd':
            expect(fifo.takeWhere((item) => item % 2 === 1)).toEqual(
              model.filter((item) => item % 2 === 1),
            );
            model = model.filter((item) => item % 2 === 0);
            break;
          case 'all':
            expect(fifo.takeAll()).toEqual(model);
            model = [];
            break;
        }
        expect([...fifo]).toEqual(model);
        expect([fifo.count, fifo.first(), fifo.at(1)]).toEqual([model.length, model[0], model[1]]);
      }
    }),
  );
});

it('keeps its order in a long queue that is never empty', () => {
  const fifo = new Fifo<number>();
  let next = 0;
  for (let number = 0; number < 10_000; number += 1) {
    fifo.push(number);
    if (number > 500) {
      expect(fifo.first()).toBe(next);
      fifo.shift();
      next += 1;
    }
  }
  expect([fifo.count, fifo.at(0), fifo.at(500)]).toEqual([501, next, 9_999]);
});
