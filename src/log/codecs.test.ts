import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { VarveError } from '../base/errors.ts';
import { type Codec, CodecRegistry } from './codecs.ts';

const registry = new CodecRegistry();
const deflate = registry.named('deflate')!;

const reversing: Codec = {
  id: 64,
  name: 'reversing',
  compress: (plain) => plain.toReversed(),
  decompress: (stored) => stored.toReversed(),
};

describe('a codec', () => {
  it('gives back what was compressed', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), (plain) => {
        const stored = deflate.compress(plain);
        const found = registry.decode(deflate.id, stored, plain.length);
        expect(Buffer.compare(found, plain)).toBe(0);
      }),
    );
  });

  it('never gives more or less than was compressed', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), fc.nat(1_000), (plain, size) => {
        fc.pre(size !== plain.length);
        const stored = deflate.compress(plain);
        expect(() => registry.decode(deflate.id, stored, size)).toThrow(VarveError);
      }),
    );
  });

  it('gives as many bytes or a code, whatever bit is flipped and wherever it is cut', () => {
    const plain = Buffer.from('to be compressed, to be compressed, to be damaged');
    const stored = Buffer.from(deflate.compress(plain));
    for (let bit = 0; bit < stored.length * 8; bit += 1) {
      stored[bit >>> 3]! ^= 1 << (bit & 7);
      expectBytesOrCode(stored, plain.length);
      stored[bit >>> 3]! ^= 1 << (bit & 7);
    }
    for (let size = 0; size < stored.length; size += 1) {
      expectBytesOrCode(stored.subarray(0, size), plain.length);
    }
  });

  it('does not blow up a small payload beyond what it says', () => {
    const bomb = deflate.compress(new Uint8Array(10_000_000));
    expect(() => registry.decode(deflate.id, bomb, 1_000)).toThrow(VarveError);
  });
});

function expectBytesOrCode(stored: Uint8Array, size: number): void {
  let found: Uint8Array;
  try {
    found = registry.decode(deflate.id, stored, size);
  } catch (error) {
    expect(error).toMatchObject({ code: 'CORRUPT' });
    return;
  }
  expect(found).toHaveLength(size);
}

describe('a codec registry', () => {
  it('knows its own codecs and those it is given, by name and number', () => {
    const own = new CodecRegistry([reversing]);
    expect(own.named('none')).toBeUndefined();
    expect(own.named('reversing')).toBe(reversing);
    expect(deflate.id).toBe(1);
    expect(own.decode(64, Uint8Array.of(1, 2, 3), 3)).toEqual(Uint8Array.of(3, 2, 1));
    expect(own.decode(0, Uint8Array.of(1, 2), 2)).toEqual(Uint8Array.of(1, 2));
  });

  it('says which codec is missing', () => {
    expect(() => registry.decode(200, new Uint8Array(1), 1)).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED_FORMAT', details: { codec: 200 } }),
    );
    expect(() => registry.named('lz4')).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
  });

  it.each([
    [{ ...reversing, id: 63 }],
    [{ ...reversing, id: 256 }],
    [{ ...reversing, id: 64.5 }],
    [{ ...reversing, name: 'deflate' }],
    [{ ...reversing, name: 'none' }],
    [reversing, { ...reversing, name: 'other' }],
  ])('refuses ids and names that are taken or reserved', (...codecs) => {
    expect(() => new CodecRegistry(codecs)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
  });
});
