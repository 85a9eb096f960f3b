import { deepStrictEqual, strictEqual } from 'node:assert';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../base/random.ts';
import { idempotencyConformance } from '../testing/idempotency-conformance.ts';
import { idempotencyKeyOf, MemoryIdempotencyIndex } from './memory-index.ts';

idempotencyConformance({ describe, it, expect }, () => {
  return new MemoryIdempotencyIndex(new SeededRandom(1), idempotencyKeyOf);
});

describe('the index in memory', () => {
  it('agrees with a map, whatever the keys and however it is keyed', () => {
    // Of any code units: lone surrogates, too.
    const units = fc.array(fc.nat(0xffff), { maxLength: 4 });
    const keys = fc.array(
      units.map((codes) => String.fromCharCode(...codes)),
      { maxLength: 200 },
    );
    fc.assert(
      fc.property(keys, fc.integer(), (added, seed) => {
        const index = new MemoryIdempotencyIndex(new SeededRandom(seed), idempotencyKeyOf);
        const model = new Map<string, number[]>();
        for (const [position, key] of added.entries()) {
          index.add(key, position);
          model.set(key, [...(model.get(key) ?? []), position]);
        }
        for (const [key, positions] of model) {
          // 64-bit hashes of 200 keys don't meet; each position is named once.
          deepStrictEqual(
            index.candidates(key).toSorted((one, other) => one - other),
            positions,
          );
        }
        strictEqual(index.count, added.length);
      }),
    );
  });

  it('adds a key to the right place whatever was looked for and added since it was looked for', () => {
    const steps = fc.array(fc.tuple(fc.constantFrom('look', 'add'), fc.nat(40)), {
      maxLength: 100,
    });
    fc.assert(
      fc.property(steps, fc.integer({ min: 700, max: 780 }), (taken, before) => {
        const index = new MemoryIdempotencyIndex(new SeededRandom(before), idempotencyKeyOf);
        // The table grows at 768 keys.
        for (let position = 0; position < before; position += 1) {
          index.add(`before ${position}`, position);
        }
        const model = new Map<string, number[]>();
        for (const [position, [step, number]] of taken.entries()) {
          const key = `key ${number}`;
          if (step === 'add') {
            index.add(key, position);
            model.set(key, [...(model.get(key) ?? []), position]);
          }
          const found = index.candidates(key).toSorted((one, other) => one - other);
          deepStrictEqual(found, model.get(key) ?? []);
        }
        for (let position = 0; position < before; position += 1) {
          deepStrictEqual(index.candidates(`before ${position}`), [position]);
        }
      }),
    );
  });

  it('grows far beyond its first size without forgetting', () => {
    const index = new MemoryIdempotencyIndex(new SeededRandom(2), idempotencyKeyOf);
    for (let position = 0; position < 100_000; position += 1) {
      index.add(`k${position}`, position);
    }
    let found = 0;
    for (let position = 0; position < 100_000; position += 1) {
      found += index.candidates(`k${position}`)[0] === position ? 1 : 0;
    }
    expect(found).toBe(100_000);
  });
});
