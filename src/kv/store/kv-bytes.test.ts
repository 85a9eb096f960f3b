import vm from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareKeys } from '../../base/compare-bytes.ts';
import {
  boundsOf,
  bytesCodec,
  checkRangeObject,
  jsonCodec,
  keyBytesOf,
  SoughtKeys,
} from './kv-bytes.ts';

const key = fc
  .array(fc.constantFrom(0, 1, 0x61, 0xfe, 0xff), { maxLength: 4 })
  .map((all) => Uint8Array.from(all));
const some = fc.option(key, { nil: undefined });

function startsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  return compareKeys(bytes.subarray(0, prefix.length), prefix) === 0;
}

describe('bounds', () => {
  it('hold the keys that a range says, and are undefined only if none can be in it', () => {
    const range = fc.record({ gte: some, gt: some, lte: some, lt: some, prefix: some });
    fc.assert(
      fc.property(range, key, ({ gte, gt, lte, lt, prefix }, tried) => {
        const given = Object.fromEntries(
          Object.entries({ gte, gt, lte, lt, prefix }).filter(([, bound]) => bound !== undefined),
        );
        const isWanted =
          (gte === undefined || compareKeys(tried, gte) >= 0) &&
          (gt === undefined || compareKeys(tried, gt) > 0) &&
          (lte === undefined || compareKeys(tried, lte) <= 0) &&
          (lt === undefined || compareKeys(tried, lt) < 0) &&
          (prefix === undefined || startsWith(tried, prefix));
        const bounds = boundsOf(given);
        const isHeld =
          bounds !== undefined &&
          compareKeys(tried, bounds.start) >= 0 &&
          (bounds.end === undefined || compareKeys(tried, bounds.end) < 0);
        expect(isHeld).toBe(isWanted);
      }),
      { numRuns: 200 },
    );
  });

  it('are copies of what was given', () => {
    const gte = new Uint8Array([1]);
    const bounds = boundsOf({ gte, lt: 'b' })!;
    gte.fill(9);
    expect(bounds.start).toEqual(new Uint8Array([1]));
  });

  it('are of a range, and of nothing else', () => {
    for (const wrong of [null, undefined, 'a', [], new Uint8Array(1), { gte: 'a', ltt: 'b' }]) {
      expect(() => checkRangeObject(wrong as never)).toThrow(
        expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
      );
    }
    checkRangeObject({ prefix: '' });
  });
});

describe('the bytes of a key', () => {
  it('are plain, whatever class and realm they come from', () => {
    const foreign = vm.runInNewContext('new Uint8Array([1, 2])') as Uint8Array;
    expect(foreign instanceof Uint8Array).toBe(false);
    for (const given of [foreign, Buffer.from([1, 2]), new Uint8Array([0, 1, 2]).subarray(1)]) {
      const bytes = keyBytesOf(given);
      expect(bytes.constructor).toBe(Uint8Array);
      expect([...bytes]).toEqual([1, 2]);
    }
    expect([...keyBytesOf('é')]).toEqual([0xc3, 0xa9]);
    expect(() => keyBytesOf(new Uint16Array(1) as never)).toThrow('must be');
    expect(() => keyBytesOf('a\udc00')).toThrow('surrogate');
    expect(() => keyBytesOf('é'.repeat(32_768))).toThrow('65535');
  });
});

/** An array that says whatever it likes of its length. */
class Liar extends Uint8Array {
  said: unknown = -1;

  override get length(): number {
    return this.said as number;
  }
}

function outcomeOf(work: () => Uint8Array): unknown {
  try {
    return [...work()];
  } catch (error) {
    return String(error);
  }
}

describe('a key that is sought', () => {
  it('has the bytes of one that is written, or is refused as that is', () => {
    const sought = new SoughtKeys();
    const texts = ['', 'a', 'é', '\x7f', '\x80', '\xff', '日本', '\ud800', '\udc00a', '😀'];
    const sizes = [0, 1, 61, 62, 63, 64, 65, 66, 65_535, 65_536];
    const given: unknown[] = [undefined, null, 7, true, {}, [], [1, 2], { length: 2 }];
    given.push({ length: -1 }, { length: 0.5 }, new String('ab'), new Uint16Array(2), () => {});
    given.push(vm.runInNewContext('new Uint8Array([1, 2])'));
    for (const size of sizes) {
      given.push(...texts.map((text) => 'k'.repeat(size) + text));
      const bytes = Uint8Array.from({ length: size + 3 }, (_, index) => index * 7);
      given.push(bytes, bytes.subarray(3), Buffer.from(bytes), Buffer.from(bytes).subarray(3));
      given.push(new Uint8Array(new SharedArrayBuffer(size)).fill(9));
    }
    for (const said of [-1, 0.5, 2, 100, '3', Number.NaN, 2 ** 32]) {
      const liar = new Liar([1, 2, 3]);
      liar.said = said;
      given.push(liar);
    }
    for (const one of given as never[]) {
      const written = outcomeOf(() => keyBytesOf(one));
      expect(outcomeOf(() => sought.bytesOf(one))).toEqual(written);
    }
  });
});

describe('a codec', () => {
  it('gives back what it was given', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const bytes = jsonCodec.encode(value);
        const framed = new Uint8Array([0, ...bytes, 0]);
        const found = jsonCodec.decode(framed, 1, 1 + bytes.length);
        expect(JSON.stringify(found)).toBe(JSON.stringify(value));
      }),
    );
    const bytes = bytesCodec.decode(new Uint8Array([1, 2, 3]), 1, 3);
    expect([...bytes]).toEqual([2, 3]);
    expect(bytes.buffer.byteLength).toBe(2);
  });

  it('reads no JSON from bytes that are no text', () => {
    for (const bytes of [
      [0x22, 0xff, 0x22],
      [0x22, 0xed, 0xa0, 0x80, 0x22],
      [0x22, 0xc3, 0x22],
    ]) {
      const stored = Uint8Array.from(bytes);
      expect(() => jsonCodec.decode(stored, 0, stored.length)).toThrow('This value is not JSON');
    }
    const replacement = jsonCodec.encode('\uFFFD');
    expect(jsonCodec.decode(replacement, 0, replacement.length)).toBe('\uFFFD');
  });
});
