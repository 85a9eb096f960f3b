import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { VarveError } from './errors.ts';
import { jsonTextOf } from './json-text.ts';
import { limits } from './limits.ts';

function failureOf(value: unknown): VarveError {
  try {
    jsonTextOf(value, 'data');
  } catch (error) {
    if (error instanceof VarveError) {
      return error;
    }
    throw error;
  }
  throw new Error('it was taken');
}

function nested(depth: number, innermost: unknown = 1): unknown {
  let value = innermost;
  for (let level = 0; level < depth; level += 1) {
    value = level % 2 === 0 ? [value] : { inner: value };
  }
  return value;
}

const self: Record<string, unknown> = {};
self['self'] = [self];

/** Each would be stored as something else, or as nothing. */
const lossy: readonly (readonly [string, unknown])[] = [
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
  ['a BigInt', 1n],
  ['a function', () => 1],
  ['a symbol', Symbol('s')],
  ['a Map', new Map([[1, 2]])],
  ['a Set', new Set([1])],
  ['a WeakMap', new WeakMap()],
  ['a WeakSet', new WeakSet()],
  ['a WeakRef', new WeakRef({})],
  ['a Promise', Promise.resolve(1)],
  ['an Error', new TypeError('t')],
  ['an Error with fields', Object.assign(new Error('e'), { code: 'E' })],
  ['a RegExp', /x/g],
  ['a typed array', new Float64Array(2)],
  ['a Uint8Array', new Uint8Array(2)],
  ['a Buffer', Buffer.from('b')],
  ['a DataView', new DataView(new ArrayBuffer(1))],
  ['an ArrayBuffer', new ArrayBuffer(2)],
  ['a SharedArrayBuffer', new SharedArrayBuffer(2)],
  ['a boxed number', Object(1)],
  ['a boxed string', Object('s')],
  ['a boxed boolean', Object(false)],
  ['a boxed symbol', Object(Symbol('s'))],
  ['a boxed BigInt', Object(1n)],
  ['an invalid date', new Date(Number.NaN)],
  ['a generator', (function* () {})()],
  ['an iterator of a map', new Map().keys()],
  ['search parameters', new URLSearchParams('a=1')],
  ['an abort signal', new AbortController().signal],
  ['a number format', new Intl.NumberFormat()],
  ['a Map of another realm', runInNewContext('new Map()')],
  ['an object whose toJSON gives bytes', { toJSON: () => new Uint8Array(1) }],
  ['an object whose toJSON gives NaN', { toJSON: () => Number.NaN }],
  ['an object that holds itself', self],
];

describe('a value that JSON would change', () => {
  it.each(lossy)('is refused with its path: %s', (_name, value) => {
    for (const [holder, path] of [
      [value, 'data'],
      [{ items: [0, { price: value }] }, 'data.items[1].price'],
      [[[value]], 'data[0][0]'],
      [{ toJSON: () => ({ 'of its own': value }) }, 'data["of its own"]'],
    ] as const) {
      const { code, message, details } = failureOf(holder);
      expect(code).toBe('INVALID_ARGUMENT');
      expect(message.startsWith(path), message).toBe(true);
      expect(String(details['path']).startsWith(path)).toBe(true);
    }
  });

  it('is refused as what it is', () => {
    expect(failureOf({ items: [1, 2, 3, { price: Number.NaN }] }).message).toBe(
      "data.items[3].price is NaN, which JSON can't hold: give plain values, or an object whose toJSON returns them.",
    );
    expect(failureOf(new Map()).message).toContain('data is an instance of Map,');
    expect(failureOf({ self }).message).toContain(
      'data.self.self[0] is an object that holds itself',
    );
  });

  it('is refused where it is undefined and an item, for an array has no gaps in JSON', () => {
    const gap: unknown[] = [1];
    gap[2] = 3;
    for (const items of [gap, [1, undefined], [{ toJSON: () => undefined }, 1]]) {
      expect(failureOf({ items }).message).toMatch(/^data\.items\[[01]\] is undefined/);
    }
    expect(failureOf(Object.assign([], { length: 2 ** 32 - 1 })).message).toMatch(
      /^data\[0\] is undefined/,
    );
    expect(failureOf(undefined).message).toMatch(/^data is undefined/);
    expect(failureOf({ toJSON: () => undefined }).message).toMatch(/^data is undefined/);
  });

  it('is named by a path that is cut if it is long', () => {
    const { message } = failureOf(nested(900, Number.NaN));
    expect(message.length).toBeLessThan(500);
    expect(message).toContain('…');
  });
});

describe('a value that JSON holds', () => {
  class Money {
    readonly amount: number;
    readonly currency = 'EUR';
    constructor(amount: number) {
      this.amount = amount;
    }
  }
  class Registry extends Map<string, number> {
    toJSON(): object {
      return Object.fromEntries(this);
    }
  }

  it.each<readonly [string, unknown]>([
    ['null', null],
    ['a number', -1.5e300],
    ['a string', 'é\u0000"\\'],
    ['half of a surrogate pair', ['\ud800', { '\udc00': 'x\udfff' }]],
    ['nothing', [{}, [], '']],
    ['a plain object', { a: [1, 'two', true, null, { b: {} }] }],
    ['an object without a prototype', Object.assign(Object.create(null), { a: 1 })],
    ['a field named __proto__', JSON.parse('{"__proto__":{"a":1},"m":[{"__proto__":2}]}')],
    ['an object of another realm', runInNewContext('({ a: [1, {}] })')],
    ['a frozen object', Object.freeze({ a: Object.freeze([1]) })],
  ])('comes back as it was: %s', (_name, value) => {
    expect(JSON.parse(jsonTextOf(value, 'data'))).toEqual(value);
    // By the long way, too.
    const date = new Date(0);
    const [first] = JSON.parse(jsonTextOf([value, date], 'data')) as unknown[];
    expect(first).toEqual(value);
  });

  it.each<readonly [string, unknown]>([
    ['what toJSON returns', { at: new Date(0), of: new URL('http://a.b/c') }],
    ['an object that is a map with a toJSON', new Registry([['a', 1]])],
    ['the fields of a class’s object', { price: new Money(3) }],
    ['an array of a class', { list: class extends Array<number> {}.from([1, 2]) }],
    ['nothing for a field that is undefined', { a: undefined, b: { c: undefined, d: [] } }],
    ['nothing for a field whose toJSON returns undefined', { a: { toJSON: () => undefined } }],
    [
      'a toJSON that is asked with its key',
      { a: [{ toJSON: (key: unknown) => `at ${String(key)}` }] },
    ],
    ['a toJSON that is data', { toJSON: 1, a: [] }],
    ['fields that only one can see', Object.defineProperty({ a: 1 }, 'b', { value: 2 })],
    ['minus zero, as zero', [-0, { a: -0 }]],
    ['one object in two places', [self['none'] ?? { a: 1 }, 1].flatMap((one) => [one, one])],
    ['a proxy', new Proxy({ a: [1] }, {})],
  ])('is written as JSON.stringify writes it: %s', (_name, value) => {
    expect(jsonTextOf(value, 'data')).toBe(JSON.stringify(value));
    expect(jsonTextOf([value, new Date(0)], 'data')).toBe(JSON.stringify([value, new Date(0)]));
  });

  it('is asked once by way of getters and toJSON', () => {
    const asked: string[] = [];
    const value = {
      at: new Date(0),
      get a() {
        asked.push('a');
        return { toJSON: () => asked.push('toJSON') };
      },
    };
    expect(jsonTextOf(value, 'data')).toBe('{"at":"1970-01-01T00:00:00.000Z","a":2}');
    expect(asked).toEqual(['a', 'toJSON']);
  });

  it('may be a BigInt where the program has said how these are written', () => {
    const prototype = BigInt.prototype as { toJSON?: () => string };
    prototype.toJSON = function (this: bigint) {
      return String(this);
    };
    try {
      expect(jsonTextOf({ a: 12n }, 'data')).toBe('{"a":"12"}');
    } finally {
      delete prototype.toJSON;
    }
  });

  it('passes on what its own code throws', () => {
    const failing = {
      toJSON: () => {
        throw new RangeError('on purpose');
      },
    };
    expect(() => jsonTextOf({ failing }, 'data')).toThrow(new RangeError('on purpose'));
  });
});

describe('a deep value', () => {
  it('is taken up to the limit, and refused beyond it, however it is made', () => {
    const max = limits.jsonDepthMax;
    expect(jsonTextOf(nested(max), 'data')).toBe(JSON.stringify(nested(max)));
    expect(jsonTextOf(nested(max, new Date(0)), 'data')).toContain('1970');
    for (const depth of [max + 1, 3_000, 100_000]) {
      expect(failureOf(nested(depth)).code).toBe('LIMIT_EXCEEDED');
    }
    const endless = { toJSON: () => [{ ...endless }] };
    expect(failureOf(endless).code).toBe('LIMIT_EXCEEDED');
    expect(failureOf(nested(max + 1)).message).toMatch(
      /^data\S+ is nested deeper than 1000 levels of objects and arrays/,
    );
  });
});

describe.skipIf(!('rawJSON' in JSON))('raw JSON text', () => {
  it('is refused: it may hold numbers that no reader gets back', () => {
    const { rawJSON } = JSON as unknown as { rawJSON: (text: string) => unknown };
    expect(failureOf({ n: rawJSON('1e400') }).message).toMatch(/^data\.n is raw JSON text/);
  });
});
