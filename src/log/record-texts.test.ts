import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { limits } from '../base/limits.ts';
import { TEXT_SIZES_SIZE, textsProblem, uuidFlagOf } from './record-texts.ts';

interface Texts {
  readonly stream: Buffer;
  readonly type: Buffer;
  readonly id: Buffer;
  readonly correlationId: Buffer;
  readonly causationId: Buffer;
  readonly subject: Buffer;
  readonly scope: Buffer;
  readonly key: Buffer;
  readonly tags: readonly Buffer[];
}

const none = Buffer.alloc(0);

/** What is said of a record with these texts, which are otherwise as short as can be. */
function problemOf(given: Partial<Texts>, uuids = 0): string | undefined {
  const texts: Texts = {
    stream: Buffer.from('s'),
    type: Buffer.from('t'),
    id: none,
    correlationId: none,
    causationId: none,
    subject: none,
    scope: none,
    key: none,
    tags: [],
    ...given,
  };
  const { stream, type, id, correlationId, causationId, subject, scope, key, tags } = texts;
  const small = [id, correlationId, causationId, subject, scope];
  const sizes = Buffer.concat([
    uint16(stream.length),
    uint16(key.length),
    Buffer.of(type.length - 1, ...small.map(({ length }) => length), tags.length),
  ]);
  expect(sizes).toHaveLength(TEXT_SIZES_SIZE);
  const tagBytes = tags.flatMap((one) => [Buffer.of(one.length - 1), one]);
  const bytes = Buffer.concat([sizes, stream, type, ...small, key, ...tagBytes]);
  return textsProblem(bytes, 0, uuids, sizes.length, bytes.length);
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
  ['scope', limits.idempotencyScopeSizeMax],
  ['key', limits.idempotencyKeySizeMax],
  ['stream', limits.streamSizeMax],
] as const;

describe('the texts of a record', () => {
  it('have the limits that callers are held to', () => {
    for (const [name, sizeMax] of fields) {
      expect(problemOf({ [name]: Buffer.alloc(sizeMax, 'x') }), name).toBeUndefined();
      expect(problemOf({ [name]: Buffer.alloc(sizeMax + 1, 'x') }), name).toBeTypeOf('string');
    }
    expect(problemOf({ subject: Buffer.from('x') })).toBeTypeOf('string');
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

  it('are stored as UUIDs if they are such, and not otherwise', () => {
    const uuid = '0f8fad5b-d9cb-469f-a165-70867728950e';
    const stored = Buffer.from(uuid.replaceAll('-', ''), 'hex');
    const indexes = { id: 2, correlationId: 3, causationId: 4, scope: 6, key: 7 };
    for (const [name, index] of Object.entries(indexes)) {
      const flag = uuidFlagOf(index);
      expect(problemOf({ [name]: stored }, flag), name).toBeUndefined();
      expect(problemOf({ [name]: stored.subarray(1) }, flag), name).toBeTypeOf('string');
      expect(problemOf({}, flag), name).toBeTypeOf('string');
      expect(problemOf({ [name]: stored }), name).toBeTypeOf('string');
      expect(problemOf({ [name]: Buffer.from(uuid) }), name).toBeTypeOf('string');
      expect(problemOf({ [name]: Buffer.from(uuid.toUpperCase()) }), name).toBeUndefined();
      expect(problemOf({ [name]: Buffer.from(`${uuid.slice(1)}x`) }), name).toBeUndefined();
    }
    const texts = { stream: Buffer.from(uuid), type: Buffer.from(uuid), tags: [tag(uuid)] };
    expect(problemOf(texts)).toBeUndefined();
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
      fc.property(
        fc.uint8Array({ minLength: 16, maxLength: 200 }),
        fc.nat(0xffff),
        (bytes, uuids) => {
          const problem = textsProblem(Buffer.from(bytes), 0, uuids, TEXT_SIZES_SIZE, bytes.length);
          expect(problem === undefined || typeof problem === 'string').toBe(true);
        },
      ),
    );
  });
});
