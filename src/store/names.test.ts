import { strictEqual } from 'node:assert';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { systemCode } from '../base/errors.ts';
import { compareTexts } from '../base/compare-texts.ts';
import { checkStreamName, checkText, checkWritableStream } from './names.ts';

/** Size or code of refusal. */
function outcomeOf(check: () => number): number | string | undefined {
  try {
    return check();
  } catch (error) {
    return systemCode(error);
  }
}

const texts = fc.oneof(
  fc.array(fc.nat(0x10ffff), { maxLength: 12 }).map((points) => String.fromCodePoint(...points)),
  fc.string({
    unit: fc.constantFrom('a', '/', '.', '$', 'é', '😀', '\ud83d', '\u0085', ' '),
    maxLength: 9,
  }),
  fc.string({ unit: 'grapheme', maxLength: 12 }),
);

/** True if UTF-8 can say it: a lone surrogate would come back as another character. */
function isWellFormed(text: string): boolean {
  return Buffer.from(text).toString('utf8') === text;
}

/** The rules, said in the simplest way. */
function sizeOfText(text: string, sizeMax: number): number | string {
  const isText = isWellFormed(text) && !/\p{Cc}/u.test(text);
  const size = Buffer.byteLength(text);
  if (!isText || size === 0) {
    return 'INVALID_ARGUMENT';
  }
  return size > sizeMax ? 'LIMIT_EXCEEDED' : size;
}

describe('a text', () => {
  it('is accepted with its size in UTF-8, or refused by rule', () => {
    fc.assert(
      fc.property(texts, fc.integer({ min: 1, max: 12 }), (text, sizeMax) => {
        const outcome = outcomeOf(() => checkText('id', text, sizeMax));
        strictEqual(outcome, sizeOfText(text, sizeMax));
      }),
      { numRuns: 1_000 },
    );
  });

  it.each([undefined, null, 7, {}, ['a'], Symbol('s')])('is no other value', (value) => {
    expect(outcomeOf(() => checkText('id', value, 10))).toBe('INVALID_ARGUMENT');
  });
});

describe('the name of a stream', () => {
  it('is accepted if every part is a name', () => {
    fc.assert(
      fc.property(texts, (name) => {
        const size = sizeOfText(name, 1_024);
        const isPath = name
          .split('/')
          .every((part) => part !== '' && part !== '.' && part !== '..');
        const expected = typeof size === 'number' && !isPath ? 'INVALID_ARGUMENT' : size;
        strictEqual(
          outcomeOf(() => checkStreamName(name)),
          expected,
        );
        const writable = typeof expected === 'number' && name.startsWith('$');
        const outcome = outcomeOf(() => checkWritableStream(name));
        strictEqual(outcome, writable ? 'INVALID_ARGUMENT' : expected);
      }),
      { numRuns: 1_000 },
    );
  });

  it.each(['a', 'a/b', '...', 'a.b', '.a', 'a.', '..a', 'a/...', '.x.', 'ü/😀', 'a b', '$system'])(
    'may be %s',
    (name) => {
      expect(checkStreamName(name)).toBe(Buffer.byteLength(name));
    },
  );

  it.each(['', '/', 'a/', '/a', 'a//b', '.', '..', 'a/.', './a', 'a/../b', 'a\n', '\ud800'])(
    'may not be %j',
    (name) => {
      expect(outcomeOf(() => checkStreamName(name))).toBe('INVALID_ARGUMENT');
    },
  );

  it('has at most 1,024 bytes', () => {
    expect(checkStreamName('é'.repeat(512))).toBe(1_024);
    expect(outcomeOf(() => checkStreamName('é'.repeat(513)))).toBe('LIMIT_EXCEEDED');
  });
});

describe('the order of names', () => {
  it('is that of their UTF-8 bytes', () => {
    const names = texts.filter(isWellFormed);
    fc.assert(
      fc.property(names, names, (left, right) => {
        const expected = Buffer.compare(Buffer.from(left), Buffer.from(right));
        strictEqual(Math.sign(compareTexts(left, right)), expected);
      }),
      { numRuns: 1_000 },
    );
  });

  it('puts what lies beyond 16 bits last', () => {
    const names = ['😀', '\uffee', 'z', '\ue000'];
    expect(names.sort(compareTexts)).toEqual(['z', '\ue000', '\uffee', '😀']);
  });
});
