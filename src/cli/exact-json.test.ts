import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseExactJson } from './exact-json.ts';

/** Units that something may go wrong with: quotes, escapes, digits, halves of a pair, marks. */
const hostileText = fc.string({
  unit: fc.constantFrom(
    '"',
    '\\',
    '\\"',
    '1e400',
    '9007199254740993',
    ':',
    ',',
    '{',
    '}',
    '[',
    ']',
    '\n',
    '\0',
    '\uFEFF',
    '\u2028',
    '\uD83D',
    '\uDE00',
    '\u{1F600}',
    'é',
    'a',
    ' ',
    '-',
    '__proto__',
  ),
  maxLength: 12,
});

const { value: hostileValue } = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    hostileText,
    fc.constantFrom(null, true, false),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(hostileText, tie('value'), { maxKeys: 4 }),
  ),
}));

describe('parseExactJson', () => {
  it('gives what JSON.parse gives for everything that JSON.stringify writes', () => {
    fc.assert(
      fc.property(hostileValue, fc.constantFrom(undefined, 1), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        expect(JSON.stringify(parseExactJson(text), null, indent)).toBe(text);
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    ['{"id":9007199254740993}', 'holds the number 9007199254740993, '],
    ['[1,-12345678901234567890]', 'holds the number -12345678901234567890, '],
    ['{"a":[{"b":1e400}]}', 'holds the number 1e400, '],
    [`[1${'0'.repeat(400)}]`, `holds the number 1${'0'.repeat(39)}…, `],
    [String.raw`{"a":"\\","b":9007199254740993}`, 'holds the number 9007199254740993, '],
    [String.raw`{"a\"":1e999}`, 'holds the number 1e999, '],
  ])("refuses a number that can't be kept: %s", (text, message) => {
    expect(() => parseExactJson(text)).toThrow(
      `${message}which can't be kept exactly: write it as a string`,
    );
  });

  it.each([
    ['{"a":1,"a":2}', '"a"'],
    ['{"a":1,"a":1}', '"a"'],
    ['[0,{"b":{},"a":{"c":[{"a":1, "\\u0061" :2}]}}]', '"a"'],
    ['{"__proto__":1,"__proto__":2}', '"__proto__"'],
    ['{"":{"":0},"x":"","":0}', '""'],
    [String.raw`{"\\":1,"\"":2,"\\":3}`, JSON.stringify('\\')],
  ])('refuses a key that stands twice: %s', (text, key) => {
    expect(() => parseExactJson(text)).toThrow(`holds the key ${key} twice in one object`);
  });

  it('lets pass the same key in different objects, and the same text as a value', () => {
    for (const text of [
      '{"a":{"a":{"a":"a"}},"b":["a","a",{"a":1},{"a":1}]}',
      '{"a:":1,":a":":","b":"\\":"}',
      '{"__proto__":{"__proto__":1},"constructor":2,"length":3}',
      '[]',
      '{}',
      '"9007199254740993"',
      String.raw`{"a":"\" 9007199254740993","b\\":1}`,
    ]) {
      expect(JSON.stringify(parseExactJson(text))).toBe(text);
    }
  });

  it('keeps the key __proto__ as a key', () => {
    const parsed = parseExactJson('{"__proto__":{"admin":true}}') as Record<string, unknown>;
    expect(Object.keys(parsed)).toEqual(['__proto__']);
    expect(parsed['admin']).toBeUndefined();
  });

  it('keeps halves of surrogate pairs that are escaped, and zero without its sign', () => {
    expect(parseExactJson(String.raw`"\ud800"`)).toBe('\uD800');
    expect(JSON.stringify(parseExactJson('[-0,-0.0]'))).toBe('[0,0]');
  });

  it('refuses a byte order mark at the beginning, by name', () => {
    expect(() => parseExactJson('\uFEFF{}')).toThrow('begins with a byte order mark');
    expect(parseExactJson('"\uFEFF"')).toBe('\uFEFF');
  });

  it('says what is no JSON', () => {
    expect(() => parseExactJson('{')).toThrow(/^is not JSON \(/);
  });

  it('takes strings, depths and numbers of any size', () => {
    const long = `{"a":"${String.raw`\"1`.repeat(50_000)}${'1'.repeat(9_000_000)}","b":9007199254740993}`;
    expect(() => parseExactJson(long)).toThrow('9007199254740993, ');
    const deep = `${'[{"a":'.repeat(20_000)}0${'}]'.repeat(20_000)}`;
    expect(() => parseExactJson(deep)).not.toThrow();
    expect(() => parseExactJson(deep.replace('0', '{"b":1,"b":1}'))).toThrow('the key "b"');
  });
});
