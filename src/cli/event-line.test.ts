import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StoredEvent } from '../index.ts';
import { GivenOptions } from './command.ts';
import { encodeEventLine, parseEventLine, type ParsedLine } from './event-line.ts';
import { mappingFrom } from './line-mapping.ts';

function maybe<Value>(value: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> {
  return fc.option(value, { nil: undefined });
}

function parse(value: unknown, options: Record<string, unknown> = {}): ParsedLine {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return parseEventLine(
    { number: 7, text, size: text.length },
    mappingFrom(new GivenOptions(options)),
  );
}

const stored: StoredEvent = {
  position: 5,
  stream: 'orders/1',
  revision: 2,
  id: 'x',
  type: 'OrderPlaced',
  data: { total: 42 },
  tags: [],
  time: 1_000,
  commit: { index: 0, count: 2 },
};

describe('a line of an export', () => {
  it('comes back as it was, whatever the event holds', () => {
    const text = fc.string({ minLength: 1, unit: 'grapheme' });
    fc.assert(
      fc.property(
        fc.record({
          data: maybe(fc.oneof(fc.jsonValue(), fc.uint8Array())),
          metadata: maybe(fc.jsonValue()),
          tags: fc.array(text),
          correlationId: maybe(text),
          causationId: maybe(text),
          occurredAt: maybe(fc.maxSafeInteger()),
          names: maybe(fc.tuple(text, maybe(text))),
        }),
        ({ names, ...fields }) => {
          const [key, scope] = names ?? [undefined, undefined];
          const event = {
            ...stored,
            ...fields,
            ...(key === undefined ? {} : { idempotencyKey: key }),
            ...(scope === undefined ? {} : { idempotencyScope: scope }),
          };
          const line = parse(encodeEventLine(event as StoredEvent));
          const { tags, ...others } = fields;
          const expected = {
            type: stored.type,
            id: stored.id,
            ...others,
            tags: tags.length === 0 ? undefined : tags,
          };
          const given = Object.entries(expected).filter(([, value]) => value !== undefined);
          // The store writes JSON too: what JSON doesn't tell apart (0 and -0) isn't either.
          expect(parseData(line.event)).toEqual(parseData(Object.fromEntries(given)));
          expect(line).toMatchObject({ stream: stored.stream, commit: stored.commit, key, scope });
        },
      ),
    );
  });

  it('tells bytes from data that look like them', () => {
    const bytes = new Uint8Array([0, 255]);
    const lookalike = { dataBase64: 'AP8=' };
    expect(parse(encodeEventLine({ ...stored, data: bytes })).event.data).toEqual(bytes);
    expect(parse(encodeEventLine({ ...stored, data: lookalike })).event.data).toEqual(lookalike);
  });

  it('refuses options that map fields', () => {
    expect(() => parse(encodeEventLine(stored), { key: 'id' })).toThrow(/written by varve export/);
  });
});

function parseData(event: object): unknown {
  return JSON.parse(
    JSON.stringify(event, (_, value: unknown) =>
      value instanceof Uint8Array ? [...value] : value,
    ),
  );
}

describe('a line of another make', () => {
  it('is an event by the names of its fields', () => {
    const line = parse({ stream: 'a', type: 'T', data: null, tags: null, id: 'i', occurredAt: 5 });
    expect(line).toMatchObject({
      stream: 'a',
      event: { type: 'T', data: null, id: 'i', occurredAt: 5 },
    });
    expect(line.event).not.toHaveProperty('tags');
    expect(line.commit).toBeUndefined();
  });

  it('is mapped by options', () => {
    const line = parse(
      { path: 'a', kind: 'T', at: '2026-01-31T12:00:00+01:00', tx: 7, request: 'r', trace: 1 },
      {
        stream: 'path',
        type: 'kind',
        'occurred-at': 'at',
        'group-by': 'tx',
        key: 'request',
        ignore: ['trace'],
      },
    );
    expect(line).toMatchObject({ stream: 'a', group: '7', key: 'r' });
    expect(line.event).toEqual({ type: 'T', occurredAt: Date.UTC(2026, 0, 31, 11) });
  });

  it('has no fields but its own', () => {
    const names = { stream: 'a', type: 'T' };
    expect(parse(names, { 'group-by': 'constructor', id: '__proto__' })).toMatchObject({
      group: undefined,
      event: { type: 'T' },
    });
    expect(() => parse(names, { key: 'toString' })).toThrow('the line has no "toString"');
  });

  it('puts the rest into data if asked to', () => {
    const line = parse({ stream: 'a', type: 'T', n: 1, m: [2] }, { 'rest-as-data': true });
    expect(line.event.data).toEqual({ n: 1, m: [2] });
  });

  it.each([
    ['{', /not JSON/],
    ['[1]', /not a JSON object/],
    [{ type: 'T' }, /has no "stream"/],
    [{ stream: 'a' }, /has no "type"/],
    [{ stream: 1, type: 'T' }, /"stream" is not a string/],
    [{ stream: 'a', type: 'T', foo: 1, bar: 2 }, /no place in an event for "foo", "bar"/],
    [{ stream: 'a', type: 'T', occurredAt: '2026-01-31T12:00:00' }, /"occurredAt" is neither/],
    [{ stream: 'a', type: 'T', data: 1, dataBase64: '' }, /both/],
    [{ stream: 'a', type: 'T', idempotencyScope: 's' }, /has "idempotencyScope" and no key/],
    [{ stream: 'a', type: 'T', dataBase64: 'A' }, /not Base64/],
    ['{"stream":"a","type":"T","data":9007199254740993}', /can't be kept exactly/],
    ['{"stream":"a","type":"T","metadata":{"n":1e400}}', /the line holds the number 1e400/],
    ['{"stream":"a","type":"T","type":"U"}', /the line holds the key "type" twice/],
    ['\uFEFF{"stream":"a","type":"T"}', /the line begins with a byte order mark/],
    [
      { stream: 'a', type: 'T', occurredAt: '2026-02-30T12:00:00Z' },
      /"occurredAt" is "2026-02-30T12:00:00Z", a time that doesn't exist/,
    ],
    [
      { stream: 'a', type: 'T', occurredAt: '2026-01-31T12:00:00.0001Z' },
      /digits below a millisecond can't be kept/,
    ],
    [{ stream: 'a', type: 'T', occurredAt: 1.5 }, /"occurredAt" is neither .*: 1\.5/],
    [{ stream: 'a', type: 'T', occurredAt: {} }, /"occurredAt" is neither .*: an object/],
  ])('is refused with a reason: %j', (value, reason) => {
    expect(() => parse(value)).toThrow(reason);
  });

  it('says how to go on with unknown fields', () => {
    expect(() => parse({ stream: 'a', type: 'T', foo: 1 })).toThrow(
      expect.objectContaining({ line: 7, advice: expect.stringContaining('--ignore foo') }),
    );
  });
});
