import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { beginsNumber, endOfNumber, isExactNumber } from './exact-number.ts';

/** A number of JSON as a whole number and the power of ten that it is to be multiplied with. */
function decimalOf(token: string): { whole: bigint; power: number } {
  const [, sign, integer, fraction = '', power = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(token)!;
  return {
    whole: BigInt(`${integer}${fraction}`) * (sign === '-' ? -1n : 1n),
    power: Number(power) - fraction.length,
  };
}

/** The rule by exact arithmetic: both numbers brought to the same power of ten. */
function isSameDecimal(left: string, right: string): boolean {
  const one = decimalOf(left);
  const other = decimalOf(right);
  const power = Math.min(one.power, other.power);
  const raised = ({ whole, power: own }: typeof one): bigint => whole * 10n ** BigInt(own - power);
  return raised(one) === raised(other);
}

function isExactByArithmetic(token: string): boolean {
  const printed = String(Number(token));
  return Number.isFinite(Number(token)) && isSameDecimal(token, printed);
}

const digits = (countMax: number): fc.Arbitrary<string> =>
  fc.string({
    unit: fc.constantFrom(...'0 0 0 1 2 3 4 5 6 7 8 9 9'.split(' ')),
    minLength: 1,
    maxLength: countMax,
  });

const anyToken = fc
  .record({
    sign: fc.constantFrom('', '-'),
    integer: digits(25).map((text) => text.replace(/^0+(?=\d)/, '')),
    fraction: fc.option(digits(25), { nil: undefined }),
    power: fc.option(fc.integer({ min: -350, max: 350 }), { nil: undefined }),
    mark: fc.constantFrom('e', 'E', 'e+', 'E+'),
  })
  .map(({ sign, integer, fraction, power, mark }) => {
    const tail = power === undefined ? '' : `${power < 0 ? mark[0] : mark}${power}`;
    return `${sign}${integer}${fraction === undefined ? '' : `.${fraction}`}${tail}`;
  });

/** Numbers as JavaScript prints them, written in other ways. */
const respelled = fc
  .tuple(
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.integer({ min: -9, max: 9 }),
    fc.nat(3),
  )
  .map(([value, shift, zeros]) => {
    const { whole, power } = decimalOf(JSON.stringify(value));
    const moved = whole * 10n ** BigInt(zeros);
    return shift === 0 ? `${moved}e${power - zeros}` : `${moved}.000E${power - zeros}`;
  });

describe('isExactNumber', () => {
  it('is true for what JavaScript prints as the same decimal number', () => {
    for (const token of [
      '0',
      '-0',
      '0.0',
      '-0.00e5',
      '0e999999999999999999999',
      '0.1',
      '-0.1',
      '10.0',
      '1e2',
      '1E5',
      '1.50',
      '100e-2',
      '1e21',
      '1e300',
      '5e-324',
      '1.7976931348623157e308',
      '9007199254740991',
      '9007199254740992',
      '100000000000000000000',
      '1.2345678901234567',
      // Printed so by JavaScript itself, though the nearest number is 18101373232702788.
      '18101373232702790',
      '0.30000000000000004',
      `1${'0'.repeat(400)}e-400`,
      `0.${'0'.repeat(400)}1e401`,
    ]) {
      expect(isExactNumber(token), token).toBe(true);
    }
  });

  it('is false for what would be rounded, cut off or lost', () => {
    for (const token of [
      '9007199254740993',
      '-12345678901234567890',
      '123456789012345678',
      '1e400',
      '-1e400',
      '1e309',
      '1e-400',
      '2e-324',
      '1e99999999999999999999',
      '0.1234567890123456789',
      '1.00000000000000000001',
      '3.141592653589793238',
      '9007199254740993e0',
      '0.9007199254740993e16',
      '1.7976931348623159e308',
      // Exactly a power of two, and printed as 1.2676506002282294e+30.
      '1267650600228229401496703205376',
      `1${'0'.repeat(400)}`,
    ]) {
      expect(isExactNumber(token), token).toBe(false);
    }
  });

  it('agrees with exact arithmetic', () => {
    fc.assert(
      fc.property(fc.oneof(anyToken, respelled), (token) => {
        expect(isExactNumber(token)).toBe(isExactByArithmetic(token));
      }),
      { numRuns: 500 },
    );
  });

  it('is true for whatever JavaScript writes', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        expect(isExactNumber(JSON.stringify(value))).toBe(true);
      }),
    );
  });

  it('takes as long as the number is long', () => {
    expect(isExactNumber(`1${'0'.repeat(300_000)}e-300000`)).toBe(true);
    expect(isExactNumber(`0.${'0'.repeat(300_000)}1e300001`)).toBe(true);
    expect(isExactNumber('9'.repeat(300_000))).toBe(false);
  });
});

describe('endOfNumber', () => {
  it('is where the number ends that begins there', () => {
    fc.assert(
      fc.property(anyToken, fc.constantFrom(',', ']', '}', ' ', '\n', ''), (token, after) => {
        const json = `[${token}${after}`;
        expect(beginsNumber(json.charCodeAt(1))).toBe(true);
        expect(endOfNumber(json, 1)).toBe(1 + token.length);
      }),
    );
  });
});
