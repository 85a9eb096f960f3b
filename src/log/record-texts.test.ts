import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { limits } from '../base/limits.ts';
import { textsProblem } from './record-texts.ts';

interface Texts {
  readonly stream: Buffer;
  readonly type: Buffer;
  readonly id: Buffer;
  readonly correlationId: Buffer;
  readonly causationId: Buffer;
  readonly scope: Buffer;
  readonly key: Buffer;
  readonly tags: readonly Buffer[];
}

const none = Buffer.alloc(0);

/** What is said of a record with these texts, which are otherwise as short as can be. */
function problemOf(given: Partial<Texts>): string | undefined {
  const texts: Texts = {
    stream: Buffer.from('s'),
    type: Buffer.from('t'),
    id: none,
    correlationId: none,
    causationId: none,
    scope: none,
    key: none,
    tags: [],
    ...given,
  };
  const { stream, type, id, correlationId, causationId, scope, key, tags } = texts;
  const seven = [stream, type, id, correlationId, causationId, scope, key];
  const sizes = Buffer.concat([...seven.map(({ length }) => uint16(length)), uint16(tags.length)]);
  const tagBytes = tags.flatMap((one) => [uint16(one.length), one]);
  const bytes = Buffer.concat([sizes, ...seven, ...tagBytes]);
  return textsProblem(bytes, 0, sizes.length, bytes.length);
}

function uint16(value: number): Buffer {
  return Buffer.of(value & 0xff, value >>> 8);
}

function tag(value: string): Buffer {
  return Buffer.from(value);
}

const fields = [
  ['type', limits.typeSizeMax],
  ['id', limits.idSizeMax],
  ['correlationId', limits.idSizeMax],
  ['causationId', limits.idSizeMax],
  ['key', limits.idempotencyKeySizeMax],
  ['stream', limits.streamSizeMax],
] as const;

describe('the texts of a record', () => {
  it('have the limits that callers are held to', () => {
    for (const [name, sizeMax] of fields) {
      expect(problemOf({ [name]: Buffer.alloc(sizeMax, 'x') }), name).toBeUndefined();
      expect(problemOf({ [name]: Buffer.alloc(sizeMax + 1, 'x') }), name).toBeTypeOf('string');
    }
    expect(problemOf({ scope: Buffer.from('x') })).toBeTypeOf('string');
    expect(problemOf({ stream: none })).toBeTypeOf('string');
    expect(problemOf({ type: none })).toBeTypeOf('string');
  });

  it('are UTF-8 without control characters, each by itself', () => {
    const wrong = [
      [0xff],
      [0xc3],
      [0xa9],
      [0xed, 0xa0, 0x80],
      [0xc0, 0xaf],
      [0xf5, 0x80, 0x80, 0x80],
      [0x00],
      [0x1f],
      [0x7f],
      [0xc2, 0x80],
      [0xc2, 0x9f],
    ];
    for (const [name] of fields) {
      expect(problemOf({ [name]: Buffer.from('Zoë 漢 🚀\u00a0') }), name).toBeUndefined();
      for (const bytes of wrong) {
        const value = Buffer.from([0x61, ...bytes]);
        expect(problemOf({ [name]: value }), `${name} ${value.toString('hex')}`).toBeTypeOf(
          'string',
        );
      }
    }
    const halves = { stream: Buffer.of(0x61, 0xc3), type: Buffer.of(0xa9, 0x61) };
    expect(problemOf(halves)).toBeTypeOf('string');
  });

  it('of a stream are a path', () => {
    const paths = ['a', 'a/b', '.a', 'a.', '...', 'a/.b/c', '$own', 'ä/ö'];
    for (const path of paths) {
      expect(problemOf({ stream: Buffer.from(path) }), path).toBeUndefined();
    }
    for (const path of ['/', '/a', 'a/', 'a//b', '.', '..', 'a/.', 'a/../b', './a']) {
      expect(problemOf({ stream: Buffer.from(path) }), path).toBeTypeOf('string');
    }
  });

  it('of tags are as many as there may be, and each another', () => {
    const many = Array.from({ length: limits.tagCountMax }, (_, index) => tag(`tag ${index}`));
    expect(problemOf({ tags: many })).toBeUndefined();
    expect(problemOf({ tags: [...many, tag('one more')] })).toBeTypeOf('string');
    expect(problemOf({ tags: [tag('a'), tag('b'), tag('ab'), tag('ba')] })).toBeUndefined();
    expect(problemOf({ tags: [tag('a'), tag('b'), tag('a')] })).toBeTypeOf('string');
    expect(problemOf({ tags: [none] })).toBeTypeOf('string');
    expect(problemOf({ tags: [Buffer.alloc(limits.tagSizeMax, 'x')] })).toBeUndefined();
    expect(problemOf({ tags: [Buffer.alloc(limits.tagSizeMax + 1, 'x')] })).toBeTypeOf('string');
    expect(problemOf({ tags: [Buffer.of(0xff)] })).toBeTypeOf('string');
  });

  it('never lead beyond their end, whatever their sizes say', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 200 }), (bytes) => {
        const problem = textsProblem(bytes, 0, 16, bytes.length);
        expect(problem === undefined || typeof problem === 'string').toBe(true);
      }),
    );
  });
});
