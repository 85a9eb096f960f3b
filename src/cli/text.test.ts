import { describe, expect, it } from 'vitest';
import { progressLine } from './progress.ts';
import { countOf, fit, formatDuration, formatSize, formatTime, printable, wrap } from './text.ts';

describe('text for people', () => {
  it('says counts, sizes and durations', () => {
    expect(countOf(1, 'event')).toBe('1 event');
    expect(countOf(17_758, 'event')).toBe('17,758 events');
    expect([0, 1, 1_023, 1_024, 5_000_000].map(formatSize)).toEqual([
      '0 bytes',
      '1 byte',
      '1,023 bytes',
      '1.0 KiB',
      '4.8 MiB',
    ]);
    expect([0.04, 9.96, 59.4, 61, 7_200].map(formatDuration)).toEqual([
      '0.0 s',
      '10.0 s',
      '59 s',
      '1 min 1 s',
      '2 h 0 min',
    ]);
  });

  it('says times in UTC, and leaves alone what no calendar holds', () => {
    expect(formatTime(0)).toBe('1970-01-01 00:00:00Z');
    expect(formatTime(Number.MAX_SAFE_INTEGER)).toBe('9007199254740991');
  });

  it('lets nothing through that a terminal would obey', () => {
    expect(printable('a\u001B[31mb\u0085\u202E\r\n')).toBe(
      String.raw`a\u001b[31mb\u0085\u202e\u000d\u000a`,
    );
    expect(printable('größer 🎉')).toBe('größer 🎉');
  });

  it('cuts between characters', () => {
    expect(fit('abcdef', 4)).toBe('abc…');
    expect(fit('🎉🎉🎉', 2)).toBe('🎉…');
    expect(fit('abc', undefined)).toBe('abc');
  });

  it('wraps at spaces', () => {
    expect(wrap('one two three', 7)).toEqual(['one two', 'three']);
  });

  it('shows progress with share, rate and time to go', () => {
    expect(progressLine('importing', 'events', { done: 25, total: 100, count: 5_000 }, 2)).toBe(
      'importing      5,000 events   25 %  2,500 events/s  6.0 s to go',
    );
    expect(progressLine('importing', 'events', { done: 25, total: undefined, count: 10 }, 2)).toBe(
      'importing         10 events  5 events/s',
    );
  });
});
