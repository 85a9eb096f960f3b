import { deepStrictEqual, strictEqual } from 'node:assert';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../base/random.ts';
import { idempotencyConformance } from '../testing/idempotency-conformance.ts';
import { idempotencyKeys, MemoryIdempotencyIndex } from './memory-index.ts';

idempotencyConformance({ describe, it, expect }, () => {
  return new MemoryIdempotencyIndex(new SeededRandom(1), idempotencyKeys);
});

describe('the index in memory', () => {
  it('agrees with a map, whatever the keys and however it is keyed', () => {
    // Of any code units: lone surrogates, too.
    const units = fc.array(fc.nat(0xffff), { maxLength: 4 });
    const text = units.map((codes) => String.fromCharCode(...codes));
    const scope = fc.oneof(fc.constantFrom('', 'a', 'ab'), text);
    const keys = fc.array(fc.tuple(scope, text), { maxLength: 200 });
    fc.assert(
      fc.property(keys, fc.integer(), (added, seed) => {
        const index = new MemoryIdempotencyIndex(new SeededRandom(seed), idempotencyKeys);
        const model = new Map<string, number[]>();
        for (const [position, names] of added.entries()) {
          index.add(...names, position);
          const name = JSON.stringify(names);
          model.set(name, [...(model.get(name) ?? []), position]);
        }
        for (const [name, positions] of model) {
          // 64-bit hashes of 200 keys don't meet; each position is named once.
          deepStrictEqual(
            index
              .candidates(...(JSON.parse(name) as [string, string]))
              .toSorted((one, other) => one - other),
            positions,
          );
        }
        strictEqual(index.count, added.length);
      }),
    );
  });

  it('adds a key to the right place whatever was looked for and added since it was looked for', () => {
    const step = fc.tuple(fc.constantFrom('look', 'add'), fc.nat(40), fc.constantFrom('', 's'));
    const steps = fc.array(step, { maxLength: 100 });
    fc.assert(
      fc.property(steps, fc.integer({ min: 700, max: 780 }), (taken, before) => {
        const index = new MemoryIdempotencyIndex(new SeededRandom(before), idempotencyKeys);
        // The table grows at 768 keys.
        for (let position = 0; position < before; position += 1) {
          index.add('', `before ${position}`, position);
        }
        const model = new Map<string, number[]>();
        for (const [position, [what, number, scope]] of taken.entries()) {
          const key = `key ${number}`;
          if (what === 'add') {
            index.add(scope, key, position);
            model.set(scope + key, [...(model.get(scope + key) ?? []), position]);
          }
          const found = index.candidates(scope, key).toSorted((one, other) => one - other);
          deepStrictEqual(found, model.get(scope + key) ?? []);
        }
        for (let position = 0; position < before; position += 1) {
          deepStrictEqual(index.candidates('', `before ${position}`), [position]);
        }
      }),
    );
  });

  it('grows far beyond its first size without forgetting', () => {
    const index = new MemoryIdempotencyIndex(new SeededRandom(2), idempotencyKeys);
    for (let position = 0; position < 100_000; position += 1) {
      index.add('', `k${position}`, position);
    }
    let found = 0;
    for (let position = 0; position < 100_000; position += 1) {
      found += index.candidates('', `k${position}`)[0] === position ? 1 : 0;
    }
    expect(found).toBe(100_000);
  });
});
