/**
 * A number in JSON is kept exactly if what JavaScript prints for its value denotes the same decimal number: 0.1, 1E5 and 10.0
 * do, 1e400 and 9007199254740993 don't. The sign of zero is no part of a decimal number: -0 is kept as 0.
 */

const E = 0x65;
const DOT = 0x2e;
const MINUS = 0x2d;
const ZERO = 0x30;

/** Digits that every decimal number may have and still come back from a number of JavaScript. */
const DIGIT_COUNT_SAFE = 15;

/** `token` must be a number as JSON writes it. Takes time in proportion to its length. */
export function isExactNumber(token: string): boolean {
  // Nearly every number ends here. Without an exponent so few digits are far from the ends of the range, too.
  if (token.length <= DIGIT_COUNT_SAFE && exponentAt(token) < 0) {
    return true;
  }
  const value = Number(token);
  const printed = String(value);
  return printed === token || (Number.isFinite(value) && isSameDecimal(token, printed));
}

function isSameDecimal(left: string, right: string): boolean {
  const one = decimalOf(left);
  const other = decimalOf(right);
  return one.digits === other.digits && one.exponent === other.exponent;
}

/** The significant digits without zeros at either end, and the power of ten that they are to be multiplied with. */
function decimalOf(token: string): { digits: string; exponent: number } {
  const mantissaEnd = exponentAt(token);
  const mantissa = (mantissaEnd < 0 ? token : token.slice(0, mantissaEnd)).replace('-', '');
  const point = mantissa.indexOf('.');
  const all = point < 0 ? mantissa : mantissa.slice(0, point) + mantissa.slice(point + 1);
  let start = 0;
  while (start < all.length && all.charCodeAt(start) === ZERO) {
    start += 1;
  }
  if (start === all.length) {
    return { digits: '', exponent: 0 };
  }
  let end = all.length;
  while (all.charCodeAt(end - 1) === ZERO) {
    end -= 1;
  }
  // An exponent too large for a number to hold is far beyond what digits, however many, could make up for.
  const given = mantissaEnd < 0 ? 0 : Number(token.slice(mantissaEnd + 1));
  const fractionCount = point < 0 ? 0 : all.length - point;
  return { digits: all.slice(start, end), exponent: given - fractionCount + (all.length - end) };
}

/** Where the e is, or -1. */
function exponentAt(token: string): number {
  for (let at = 0; at < token.length; at += 1) {
    // The bit that small letters have and large ones don't.
    if ((token.charCodeAt(at) | 0x20) === E) {
      return at;
    }
  }
  return -1;
}

/** Where the number that begins at `start` ends. */
export function endOfNumber(json: string, start: number): number {
  let end = start + 1;
  while (end < json.length && isPartOfNumber(json.charCodeAt(end))) {
    end += 1;
  }
  return end;
}

export function beginsNumber(unit: number): boolean {
  return (unit >= ZERO && unit <= ZERO + 9) || unit === MINUS;
}

function isPartOfNumber(unit: number): boolean {
  return beginsNumber(unit) || unit === DOT || unit === 0x2b || (unit | 0x20) === E;
}
