import fc from 'fast-check';
import { expect, it } from 'vitest';
import { firstIndexWhere } from './binary-search.ts';

it('finds the border that a walk from the start finds, and looks at few', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(50)), fc.nat(60), (values, bound) => {
      const sorted = values.toSorted((left, right) => left - right);
      let looks = 0;
      const found = firstIndexWhere(sorted.length, (index) => {
        looks += 1;
        return sorted[index]! >= bound;
      });
      const border = sorted.findIndex((value) => value >= bound);
      expect(found).toBe(border === -1 ? sorted.length : border);
      expect(looks).toBeLessThanOrEqual(Math.ceil(Math.log2(sorted.length + 1)));
    }),
  );
});
