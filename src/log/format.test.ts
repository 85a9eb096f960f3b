import { deepStrictEqual, strictEqual } from 'node:assert';
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sha256 } from '../base/digest.ts';
import { viewOf } from '../base/integers.ts';
import { limits } from '../base/limits.ts';
import { ID_DRAW_LIMIT } from './event-id.ts';
import {
  ContentType,
  DIGEST_AT,
  HASH_SIZE,
  HEADER_FIXED_SIZE,
  HeaderFlag,
  headerSizeOf,
  POSITION_MAX,
  PREVIOUS_LEAF_AT,
  RECORD_FORMAT_VERSION,
  RECORD_PREFIX_SIZE,
  RecordFlag,
  recordHeaderCrc,
  SALT_SIZE,
} from './format.ts';
import {
  commitTextsOf,
  contentOf,
  encode,
  headerByDocument,
  payloadOf,
  type Spec,
} from './record-sample.ts';
import { RecordView } from './record-view.ts';

it('the persisted constants of records have not changed', () => {
  expect({
    RECORD_FORMAT_VERSION,
    RECORD_PREFIX_SIZE,
    HEADER_FIXED_SIZE,
    SALT_SIZE,
    HASH_SIZE,
    PREVIOUS_LEAF_AT,
    DIGEST_AT,
    POSITION_MAX,
    RecordFlag,
    HeaderFlag,
    ContentType,
    ID_DRAW_LIMIT,
    headerSizeMax: limits.headerSizeMax,
  }).toEqual({
    RECORD_FORMAT_VERSION: 2,
    RECORD_PREFIX_SIZE: 8,
    HEADER_FIXED_SIZE: 108,
    SALT_SIZE: 16,
    HASH_SIZE: 32,
    PREVIOUS_LEAF_AT: 40,
    DIGEST_AT: 72,
    POSITION_MAX: 281_474_976_710_655,
    RecordFlag: { erased: 1 },
    HeaderFlag: { occurredAt: 4, metadata: 8 },
    ContentType: { none: 0, json: 1, bytes: 2 },
    ID_DRAW_LIMIT: 2_097_152,
    headerSizeMax: 65_535,
  });
});

/** Without control characters, as `store/names.ts` demands it of callers. */
function isText(value: string): boolean {
  return value !== '' && !/[\p{Cc}\p{Cs}]/u.test(value);
}

function isStreamName(value: string): boolean {
  return value.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}

const uint16 = fc.integer({ min: 0, max: 2 ** 16 - 1 });
const text = fc
  .string({ unit: 'grapheme', maxLength: 30 })
  .filter((value) => value === '' || isText(value));
/** Every other one is a UUID. */
const idText = fc.oneof(text, fc.uuid());
const presentText = text.filter((value) => value !== '');
const streamName = fc
  .array(presentText, { minLength: 1, maxLength: 3 })
  .map((parts) => parts.join('/'))
  .filter((name) => isStreamName(name));
/** The payload and what a record says of it: the sizes of a codec that saves something, or of none. */
const payloads = fc
  .record({
    payload: fc.array(fc.oneof(text, fc.uint8Array({ maxLength: 50 })), { maxLength: 2 }),
    contentType: fc.integer({ min: 0, max: 2 }),
    codec: fc.constantFrom(0, 0, 1, 2, 64, 255),
    saved: fc.integer({ min: 1, max: 1_000 }),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ payload, contentType, codec, saved, share }) => {
    const size = payloadOf({ payload }).length;
    const isCompressed = codec !== 0 && size > 0;
    const plainSize = size + (isCompressed ? saved : 0);
    const isJson = contentType === ContentType.json && plainSize > 0;
    const isNone = contentType === ContentType.none || (contentType === 1 && !isJson);
    return {
      payload,
      contentType: isNone ? ContentType.none : contentType,
      codec: isCompressed ? codec : 0,
      plainSize,
      metadataSize: isNone ? plainSize : Math.floor(share * (plainSize - (isJson ? 1 : 0))),
    };
  });
const specs: fc.Arbitrary<Spec> = fc
  .record({
    position: fc.integer({ min: 2 ** 16, max: POSITION_MAX }),
    revision: uint16,
    time: fc.integer({ min: 0, max: limits.timeMax }),
    commitIndex: fc.oneof(fc.constant(0), uint16),
    commitCount: uint16,
    stream: streamName,
    type: presentText,
    id: idText,
    correlationId: idText,
    causationId: idText,
    idempotencyScope: idText,
    idempotencyKey: idText,
    tags: fc.uniqueArray(presentText, { maxLength: 5 }),
    occurredAt: fc.option(fc.maxSafeInteger(), { nil: undefined }),
    content: payloads,
    idDraw: fc.integer({ min: 0, max: ID_DRAW_LIMIT - 1 }),
    previousLeaf: fc.constant(undefined),
    previousPosition: fc.integer({ min: -1, max: POSITION_MAX }),
    salt: fc.uint8Array({ minLength: SALT_SIZE, maxLength: SALT_SIZE }),
  })
  .map(({ content, commitIndex, commitCount, idempotencyScope, idempotencyKey, ...spec }) => ({
    ...spec,
    ...content,
    commitIndex: Math.min(commitIndex, 2 ** 16 - 2),
    commitCount: Math.max(commitCount, Math.min(commitIndex, 2 ** 16 - 2) + 1),
    idempotencyScope: commitIndex === 0 && idempotencyKey !== '' ? idempotencyScope : '',
    idempotencyKey: commitIndex === 0 ? idempotencyKey : '',
  }));

describe('a record', () => {
  it('is read as it was written', () => {
    fc.assert(
      fc.property(specs, (spec) => {
        const { bytes, view, end } = encode(spec);
        const record = new RecordView();
        strictEqual(record.open(bytes, view, 8, end), undefined);
        const { payload: _1, previousPosition: _2, previousLeaf: _3, salt, id, ...fields } = spec;
        expect(record).toMatchObject({
          ...fields,
          suppliedId: id,
          idDraw: id === '' ? spec.idDraw : 0,
          start: 8,
          end,
          isErased: false,
          hasGeneratedId: id === '',
        });
        strictEqual(record.holdsItsTexts(), true);
        strictEqual(record.payload.equals(payloadOf(spec)), true);
        const digestInput = Buffer.concat([salt, payloadOf(spec)]);
        strictEqual(digestInput.equals(record.digestInput), true);
      }),
    );
  });

  it('is found by its sizes alone when it has just been drafted', () => {
    const record = new RecordView();
    const draft = new RecordView();
    fc.assert(
      fc.property(specs, (spec) => {
        const { bytes, view, end } = encode(spec);
        record.open(bytes, view, 8, end);
        draft.openDraft(bytes, view, 8, end);
        deepStrictEqual(draft, record);
        deepStrictEqual(draft.leafInput, record.leafInput);
        deepStrictEqual(draft.digestInput, record.digestInput);
        expect(() => draft.openDraft(bytes, view, 8, end - 1)).toThrow('Invariant broken');
        bytes[8 + 8 + 31]! ^= 128;
        expect(() => draft.openDraft(bytes, view, 8, end)).toThrow('Invariant broken');
      }),
    );
  });

  it('gives what is hashed from where it lies, also in a buffer that begins inside another', () => {
    const { bytes, view, end } = encode(fc.sample(specs, 1)[0]!);
    const outer = Buffer.alloc(bytes.length + 5);
    const inner = outer.subarray(5);
    inner.set(bytes);
    const record = new RecordView();
    record.open(bytes, view, 8, end);
    const [leafInput, digestInput] = [record.leafInput.slice(), record.digestInput.slice()];
    record.open(inner, viewOf(inner), 8, end);
    deepStrictEqual(record.leafInput, leafInput);
    deepStrictEqual(record.digestInput, digestInput);
    strictEqual(record.digestInput.buffer, outer.buffer);
  });

  it('has the header that the document describes, and leaf and digest over what it says', () => {
    fc.assert(
      fc.property(specs, (spec) => {
        const { bytes, view, end } = encode(spec);
        const record = new RecordView();
        record.open(bytes, view, 8, end);
        bytes.fill(0, 8 + PREVIOUS_LEAF_AT, 8 + PREVIOUS_LEAF_AT + 2 * HASH_SIZE);
        const header = headerByDocument(spec);
        strictEqual(bytes.subarray(16, 16 + header.length).equals(header), true);
        strictEqual(headerSizeOf(contentOf(spec), commitTextsOf(spec)), header.length);
        // RFC 6962: the hash of a leaf is that of a zero byte and the leaf.
        const leaf = createHash('sha256').update(Buffer.of(0)).update(header).digest();
        strictEqual(Buffer.from(sha256(record.leafInput)).equals(leaf), true);
        strictEqual(
          recordHeaderCrc(view, 8, header.length),
          crc32(bytes.subarray(12, 16 + header.length)),
        );
      }),
    );
  });

  it('has a header that no other event has', () => {
    // Texts of few letters, so that they could be cut in different places to the same bytes.
    const short = fc.string({ unit: fc.constantFrom('a', '\u0001', '\u0000'), maxLength: 3 });
    const texts = fc.record({
      stream: short,
      type: short,
      id: short,
      correlationId: short,
      causationId: short,
      idempotencyScope: short,
      idempotencyKey: short,
      tags: fc.array(short, { maxLength: 3 }),
      occurredAt: fc.constantFrom(undefined, 0, 1),
    });
    const [base] = fc.sample(specs, 1);
    fc.assert(
      fc.property(texts, texts, (one, other) => {
        const isSame = JSON.stringify(one) === JSON.stringify(other);
        const [left, right] = [one, other].map((texts_) => {
          const { bytes, end } = encode({ ...base!, ...texts_, payload: [] });
          return bytes.subarray(16, end - SALT_SIZE);
        });
        strictEqual(left!.equals(right!), isSame);
      }),
      { numRuns: 800 },
    );
  });
});

describe('damage to a record', () => {
  it('is noticed wherever it is cut', () => {
    const record = new RecordView();
    for (const spec of fc.sample(specs, 5)) {
      const { bytes, view, end } = encode(spec);
      for (let limit = 8; limit < end; limit += 1) {
        strictEqual(typeof record.open(bytes, view, 8, limit), 'string');
      }
      strictEqual(record.open(bytes, view, 8, end), undefined);
    }
  });

  it('in any one bit never makes it read beyond its end, and never passes for the same header', () => {
    for (const spec of fc.sample(specs, 5)) {
      const { bytes, view, end } = encode(spec);
      const headerEnd = end - SALT_SIZE - payloadOf(spec).length;
      const crc = recordHeaderCrc(view, 8, headerEnd - 16);
      for (let bit = 8 * 8; bit < end * 8; bit += 1) {
        bytes[bit >>> 3]! ^= 1 << (bit & 7);
        const record = new RecordView();
        if (record.open(bytes, view, 8, end) === undefined) {
          strictEqual(readAll(record, end), true);
          const isCovered = bit >= 12 * 8 && bit < headerEnd * 8;
          strictEqual(recordHeaderCrc(view, 8, record.headerSize) === crc, !isCovered);
        }
        bytes[bit >>> 3]! ^= 1 << (bit & 7);
      }
    }
  });

  it('is noticed in reserved bytes, unknown flags and what is not canonical', () => {
    const spec = { ...ordinary, id: 'supplied' };
    // In this order: prefix, version, draw beside an id, flags, subject and scope.
    const places: readonly [number, number][] = [
      [6, 2],
      [7, 1],
      [8, 1],
      [9, 1],
      [8 + 26, 3],
      ...[4, 8, 16, 32, 64, 128].map((flag): [number, number] => [8 + 26, flag]),
      ...[1, 2, 4, 8, 16, 32, 64, 128].map((flag): [number, number] => [8 + 27, flag]),
      [8 + 104, 1],
      [8 + 105, 1],
    ];
    for (const [at, value] of places) {
      const { bytes, view, end } = encode(spec);
      bytes[8 + at] = value;
      strictEqual(typeof new RecordView().open(bytes, view, 8, end), 'string', `byte ${at}`);
    }
  });
});

/** One that says as little as can be. */
const ordinary: Spec = {
  position: 9,
  revision: 0,
  time: 5,
  commitIndex: 0,
  commitCount: 1,
  stream: 'a',
  type: 'T',
  id: '',
  correlationId: '',
  causationId: '',
  idempotencyScope: '',
  idempotencyKey: '',
  tags: [],
  occurredAt: undefined,
  contentType: 1,
  codec: 0,
  payload: ['{}'],
  metadataSize: 0,
  plainSize: 2,
  idDraw: 1,
  previousLeaf: undefined,
  previousPosition: -1,
  salt: new Uint8Array(SALT_SIZE),
};

/** Whether a record with these changes is opened, or what is said of it. */
function openWith(change: Partial<Spec>): unknown {
  const { bytes, view, end } = encode({ ...ordinary, ...change });
  return new RecordView().open(bytes, view, 8, end);
}

describe('a record that says what no record says', () => {
  it('is refused if a number is out of its range', () => {
    expect(openWith({ time: limits.timeMax })).toBeUndefined();
    expect(openWith({ revision: 9 })).toBeUndefined();
    expect(openWith({ revision: 10 })).toBeTypeOf('string');
    expect(() => openWith({ position: POSITION_MAX + 1 })).toThrow('Invariant broken');
    expect(() => openWith({ time: limits.timeMax + 1 })).toThrow('Invariant broken');
    expect(openWith({ occurredAt: -(2 ** 53) + 1 })).toBeUndefined();
    expect(openWith({ occurredAt: -(2 ** 53) })).toBeTypeOf('string');
    expect(openWith({ commitIndex: 2, commitCount: 3 })).toBeUndefined();
    expect(openWith({ commitIndex: 2, commitCount: 2 })).toBeTypeOf('string');
    expect(openWith({ commitIndex: 10, commitCount: 11 })).toBeTypeOf('string');
    expect(openWith({ idDraw: ID_DRAW_LIMIT - 1 })).toBeUndefined();
    expect(openWith({ idDraw: ID_DRAW_LIMIT })).toBeTypeOf('string');
  });

  it('is refused if the sizes of its payload contradict each other', () => {
    const compressed = { codec: 1, payload: ['xy'], plainSize: 9 };
    expect(openWith(compressed)).toBeUndefined();
    expect(openWith({ ...compressed, plainSize: limits.plainSizeMax })).toBeUndefined();
    for (const wrong of [
      { metadataSize: 3 },
      { contentType: 1, metadataSize: 2 },
      { contentType: 0 },
      { contentType: 0, metadataSize: 1 },
      { ...compressed, plainSize: 2 },
      { ...compressed, payload: [] },
      { ...compressed, metadataSize: 10 },
      { ...compressed, plainSize: limits.plainSizeMax + 1 },
    ]) {
      expect(openWith(wrong), JSON.stringify(wrong)).toBeTypeOf('string');
    }
  });

  it('is refused if it has a key or a scope and is not the first of its commit, or a scope and no key', () => {
    const key = { idempotencyKey: 'k' };
    const both = { ...key, idempotencyScope: 's' };
    const second = { commitIndex: 1, commitCount: 2 };
    expect(openWith(both)).toBeUndefined();
    expect(openWith({ ...both, idempotencyScope: 'x'.repeat(128) })).toBeUndefined();
    expect(openWith({ ...both, idempotencyScope: 'x'.repeat(129) })).toBeTypeOf('string');
    expect(openWith({ idempotencyScope: 's' })).toBeTypeOf('string');
    expect(openWith({ ...second, ...key })).toBeTypeOf('string');
    expect(openWith({ ...second, ...both })).toBeTypeOf('string');
    expect(openWith({ ...second, idempotencyScope: 's' })).toBeTypeOf('string');
  });

  it('is refused with a codec of a number that is reserved', () => {
    for (let codec = 1; codec < 256; codec += 1) {
      const isKnown = codec <= 2 || codec >= 64;
      expect(openWith({ codec, plainSize: 9 }) === undefined, `codec ${codec}`).toBe(isKnown);
    }
  });
});

/** Reads every field; true if all lie within the record. */
function readAll(record: RecordView, end: number): boolean {
  const { stream, type, suppliedId, correlationId, causationId, tags } = record;
  const { idempotencyScope, idempotencyKey } = record;
  const ids = [suppliedId, correlationId, causationId, idempotencyScope, idempotencyKey];
  const texts = [stream, type, ...ids, ...tags];
  const size = record.leafInput.length + record.digestInput.length;
  return record.end <= end && texts.length >= 7 && size === record.end - 8 - 7;
}
