import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { endOfComponent, startsWith, successorOfPrefix } from './path.ts';

const bytes = fc.array(fc.constantFrom(0x00, 0x2f, 0x61, 0xfe, 0xff), { maxLength: 5 });

function text(value: string): Uint8Array {
  return Buffer.from(value);
}

describe('successorOfPrefix', () => {
  it('is greater than a key exactly if the key is smaller than the prefix or starts with it', () => {
    fc.assert(
      fc.property(bytes, bytes, (prefixBytes, keyBytes) => {
        const prefix = Uint8Array.from(prefixBytes);
        const key = Uint8Array.from(keyBytes);
        const successor = successorOfPrefix(prefix);
        const isBelow = successor === undefined || Buffer.compare(key, successor) < 0;
        expect(isBelow).toBe(Buffer.compare(key, prefix) < 0 || startsWith(key, prefix));
      }),
    );
  });

  it('drops trailing 0xff, and does not exist for a prefix of nothing else', () => {
    expect(successorOfPrefix(Uint8Array.of(1, 0xff, 0xff))).toEqual(Uint8Array.of(2));
    expect(successorOfPrefix(Uint8Array.of(0xff, 0xff))).toBeUndefined();
    expect(successorOfPrefix(new Uint8Array(0))).toBeUndefined();
  });

  it('leaves its argument as it was', () => {
    const prefix = Uint8Array.of(1, 2);
    expect(successorOfPrefix(prefix)).toEqual(Uint8Array.of(1, 3));
    expect(prefix).toEqual(Uint8Array.of(1, 2));
  });
});

describe('startsWith', () => {
  it('holds for every prefix of a key, the empty one and the key itself included', () => {
    fc.assert(
      fc.property(bytes, bytes, (head, tail) => {
        expect(startsWith(Uint8Array.from([...head, ...tail]), Uint8Array.from(head))).toBe(true);
      }),
    );
  });

  it('does not hold for what differs or is longer', () => {
    expect(startsWith(text('abc'), text('abd'))).toBe(false);
    expect(startsWith(text('ab'), text('abc'))).toBe(false);
  });
});

describe('endOfComponent', () => {
  it('is behind the first delimiter from the start on', () => {
    expect(endOfComponent(text('a/b/c'), 0, text('/'))).toBe(2);
    expect(endOfComponent(text('a/b/c'), 2, text('/'))).toBe(4);
    expect(endOfComponent(text('/a'), 0, text('/'))).toBe(1);
    expect(endOfComponent(text('a/'), 0, text('/'))).toBe(2);
  });

  it('is -1 where no delimiter follows', () => {
    expect(endOfComponent(text('a/b/c'), 4, text('/'))).toBe(-1);
    expect(endOfComponent(text('a/b'), 2, text('/'))).toBe(-1);
    expect(endOfComponent(text(''), 0, text('/'))).toBe(-1);
  });

  it('takes a delimiter of several bytes as a whole', () => {
    expect(endOfComponent(text('a:b::c'), 0, text('::'))).toBe(5);
    expect(endOfComponent(text('a:::'), 0, text('::'))).toBe(3);
    expect(endOfComponent(text('a:'), 0, text('::'))).toBe(-1);
  });
});
