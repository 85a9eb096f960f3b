import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseEventTime } from './event-time.ts';

const day = Date.UTC(2026, 0, 31, 12);

function two(value: number): string {
  return String(value).padStart(2, '0');
}

function part(max: number): fc.Arbitrary<number> {
  return fc.integer({ min: 0, max });
}

describe('parseEventTime', () => {
  it.each([
    ['2026-01-31T12:00:00Z', day],
    ['2026-01-31t12:00:00z', day],
    ['2026-01-31T12:00Z', day],
    ['2026-01-31T12:00:00.5Z', day + 500],
    ['2026-01-31T12:00:00.123000000Z', day + 123],
    ['2026-01-31T14:00:00+02:00', day],
    ['2026-01-31T14:00:00+0200', day],
    ['2026-01-31T12:00:00-00:00', day],
    ['2024-02-29T00:00:00Z', Date.UTC(2024, 1, 29)],
    ['0000-01-01T00:00:00Z', Date.parse('0000-01-01T00:00:00Z')],
    ['0099-12-31T23:59:59.999Z', Date.parse('0099-12-31T23:59:59.999Z')],
    ['9999-12-31T23:59:59.999-23:59', Date.parse('9999-12-31T23:59:59.999-23:59')],
  ])('takes %s', (text, ms) => {
    expect(parseEventTime(text)).toBe(ms);
  });

  it.each([
    '2026-02-30T12:00:00Z',
    '2026-02-29T12:00:00Z',
    '2100-02-29T12:00:00Z',
    '2026-04-31T12:00:00Z',
    '2026-00-10T12:00:00Z',
    '2026-13-10T12:00:00Z',
    '2026-01-00T12:00:00Z',
    '2026-01-31T24:00:00Z',
    '2026-01-31T12:60:00Z',
    '2016-12-31T23:59:60Z',
    '2026-01-31T12:00:00+24:00',
    '2026-01-31T12:00:00+01:60',
  ])("refuses %s, which doesn't exist or can't be held", (text) => {
    expect(() => parseEventTime(text)).toThrow(`is "${text}", a time that doesn't exist`);
  });

  it.each(['2026-01-31T12:00:00.1234Z', '2026-01-31T12:00:00.0000000001+01:00'])(
    'refuses digits that would be dropped: %s',
    (text) => {
      expect(() => parseEventTime(text)).toThrow(`is "${text}", and digits below a millisecond`);
    },
  );

  it.each([
    '',
    'yesterday',
    '2026-01-31',
    '2026-01-31T12:00:00',
    '2026-01-31 12:00:00Z',
    '2026-1-31T12Z',
    '2026-01-31T12:00:00,5Z',
    '2026-01-31T12:00:00.Z',
    '+002026-01-31T12:00:00Z',
    '12026-01-31T12:00Z',
    '2026-01-31T12:00:00 (x)Z',
    '2026-01-31T12:00:00Z ',
    ' 2026-01-31T12:00:00Z',
    '２026-01-31T12:00:00Z',
    `2026-01-31T12:00:00.${'0'.repeat(1_000_000)}Z`,
  ])('says what a time looks like, where there is none: %.40s', (text) => {
    expect(() => parseEventTime(text)).toThrow(/^is neither whole milliseconds since 1970 nor/);
  });

  it('gives the time that was written, in any zone', () => {
    const first = Date.parse('0001-01-01T00:00:00Z');
    const last = Date.parse('9998-12-31T23:59:59.999Z');
    fc.assert(
      fc.property(
        fc.integer({ min: first, max: last }),
        fc.integer({ min: -1_439, max: 1_439 }),
        (ms, offset) => {
          const local = new Date(ms + offset * 60_000).toISOString().slice(0, -1);
          const minutes = Math.abs(offset);
          const zone = `${offset < 0 ? '-' : '+'}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
          expect(parseEventTime(`${local}${zone}`)).toBe(ms);
        },
      ),
    );
  });

  it('takes exactly the times that come back as they were', () => {
    fc.assert(
      fc.property(
        fc.tuple(part(9_999), part(13), part(32), part(25), part(61), part(61)),
        ([year, month, date, hour, minute, second]) => {
          const text = `${String(year).padStart(4, '0')}-${two(month)}-${two(date)}T${two(hour)}:${two(minute)}:${two(second)}`;
          const ms = Date.parse(`${text}Z`);
          const isSame = !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(text);
          if (isSame) {
            expect(parseEventTime(`${text}Z`)).toBe(ms);
          } else {
            expect(() => parseEventTime(`${text}Z`)).toThrow("a time that doesn't exist");
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
