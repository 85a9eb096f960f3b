import { describe, expect, it } from 'vitest';
import { findInexactNumber } from './inexact-number.ts';

describe('findInexactNumber', () => {
  it('finds a whole number that would be rounded', () => {
    expect(findInexactNumber('{"id":9007199254740993}')).toBe('9007199254740993');
    expect(findInexactNumber('[1,-12345678901234567890]')).toBe('-12345678901234567890');
    expect(findInexactNumber(`[1${'0'.repeat(400)}]`)).toBeDefined();
  });

  it('lets pass what is kept exactly', () => {
    for (const text of [
      '9007199254740991',
      '9007199254740992',
      '100000000000000000000',
      '1267650600228229401496703205376',
      // Printed so by JavaScript itself, though the nearest number is 18101373232702788.
      '18101373232702790',
      '1.2345678901234567',
      '1e300',
    ]) {
      expect(findInexactNumber(`{"n":${text}}`)).toBeUndefined();
    }
  });

  it('is not misled by digits in strings, escaped quotes among them', () => {
    expect(findInexactNumber('{"a":"9007199254740993"}')).toBeUndefined();
    expect(findInexactNumber(String.raw`{"a":"\" 9007199254740993","b\\":1}`)).toBeUndefined();
    expect(findInexactNumber(String.raw`{"a":"\\","b":9007199254740993}`)).toBe('9007199254740993');
  });
});
