import { deepStrictEqual, strictEqual } from 'node:assert';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatEventId, ID_DRAW_LIMIT, parseEventId } from './event-id.ts';

const times = fc.integer({ min: 0, max: 2 ** 48 - 1 });
const draws = fc.integer({ min: 0, max: ID_DRAW_LIMIT - 1 });
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

describe('a generated event id', () => {
  it('is a UUIDv8 that says what it was made of', () => {
    fc.assert(
      fc.property(times, fc.maxSafeNat(), draws, (time, position, draw) => {
        const id = formatEventId(time, position, draw);
        expect(id).toMatch(uuid);
        deepStrictEqual(parseEventId(id), { time, position, draw });
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    [0, 0, 0, '00000000-0000-8000-8000-000000000000'],
    [2 ** 48 - 1, 2 ** 53 - 1, 2 ** 21 - 1, 'ffffffff-ffff-8fff-bfff-ffffffffffff'],
    [1_700_000_000_000, 1, 0, '018bcfe5-6800-8000-8000-000000200000'],
    [0, 2 ** 41, 1, '00000000-0000-8001-8000-000000000001'],
  ])('of time %i, position %i and draw %i is %s%s', (time, position, draw, id) => {
    expect(formatEventId(time, position, draw)).toBe(id);
    expect(parseEventId(id)).toEqual({ time, position, draw });
  });

  it('is the only text that says so', () => {
    fc.assert(
      fc.property(fc.uuid({ version: 8 }), (id) => {
        const parsed = parseEventId(id);
        if (parsed !== undefined) {
          strictEqual(formatEventId(parsed.time, parsed.position, parsed.draw), id);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('sorts by time, then by position', () => {
    fc.assert(
      fc.property(times, times, fc.maxSafeNat(), fc.maxSafeNat(), draws, (a, b, p, q, draw) => {
        const isBefore = a < b || (a === b && p < q);
        expect(formatEventId(a, p, draw) < formatEventId(b, q, draw)).toBe(isBefore);
      }),
    );
  });
});

describe('another text', () => {
  it.each([
    '',
    'order-1',
    '018bcfe5-6800-7000-8000-000000200000',
    '018bcfe5-6800-8000-0000-000000200000',
    '018BCFE5-6800-8000-8000-000000200000',
    '018bcfe5-6800-8000-8000-000000200000 ',
    '018bcfe568008000800000000020000',
  ])('is not taken for one: %j', (text) => {
    expect(parseEventId(text)).toBeUndefined();
  });
});
