import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { viewOf } from '../base/integers.ts';
import { CodecRegistry } from '../log/codecs.ts';
import type { NewEvent } from '../log/event.ts';
import { encodeCommit, encodedSizeOf, TransferredCommit } from './commit-transfer.ts';
import type { CommitPart } from './contract.ts';
import { prepareAppend, prepareCommit, type PreparedCommit } from './prepared-commit.ts';

const plain = { codec: undefined, compressionMinBytes: 0 };
const deflated = { codec: new CodecRegistry().named('deflate'), compressionMinBytes: 0 };

const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter(isWritable);
const name = fc.array(
  text.filter((part) => !/[/.$]/.test(part)),
  { minLength: 1, maxLength: 3 },
);

const event = fc.record(
  {
    type: text,
    data: fc.oneof(fc.json().map(parse), fc.uint8Array({ maxLength: 300 })),
    metadata: fc.json().map(parse),
    tags: fc.uniqueArray(text, { maxLength: 5 }),
    id: text,
    correlationId: text,
    causationId: text,
    occurredAt: fc.maxSafeInteger(),
  },
  { requiredKeys: ['type'] },
) as fc.Arbitrary<NewEvent>;

const part = fc.record({
  stream: name.map((parts) => parts.join('/')),
  events: fc.array(event, { minLength: 1, maxLength: 4 }),
  expectedRevision: fc.oneof(
    fc.constantFrom('any', 'none', 'exists'),
    fc.maxSafeInteger().map(Math.abs),
  ),
}) as fc.Arbitrary<CommitPart>;

const ack = fc.constantFrom('durable' as const, 'written' as const);
const options = fc.oneof(
  fc.record({ ack }, { requiredKeys: [] }),
  fc.record(
    { idempotencyKey: text, idempotencyScope: text, ack },
    { requiredKeys: ['idempotencyKey'] },
  ),
);

describe('a commit on its way through a lane', () => {
  it('is on the other side what it was', () => {
    fc.assert(
      fc.property(
        fc.array(part, { minLength: 1, maxLength: 4 }),
        options,
        fc.boolean(),
        (...given) => {
          const [parts, settings, isDeflated] = given;
          fc.pre(hasNoIdTwice(parts));
          const commit = prepareCommit(parts, settings, isDeflated ? deflated : plain);
          expect(comparable(transfer(commit))).toEqual(comparable(commit));
        },
      ),
    );
  });

  it('says whether it can be aborted', () => {
    const { signal } = new AbortController();
    const events = [{ type: 'T' }];
    expect(transfer(prepareAppend('a', events, { signal }, plain)).hasSignal).toBe(true);
    expect(transfer(prepareAppend('a', events, {}, plain)).hasSignal).toBe(false);
  });

  it('has memory of its own once it is detached', () => {
    const given = { type: 'T', data: { n: 1 } };
    const commit = prepareAppend('a', [given, given], {}, plain);
    const bytes = encode(commit);
    const moved = new TransferredCommit(bytes, viewOf(bytes), 3, bytes.length);
    moved.detach();
    bytes.fill(0xff);
    expect(comparable(moved)).toEqual(comparable(commit));
  });

  it('whose sizes are damaged is noticed', () => {
    const events = [{ type: 'T', data: 'text', tags: ['a'] }, { type: 'T' }];
    const bytes = encode(prepareAppend('a', events, { idempotencyKey: 'k' }, plain));
    const view = viewOf(bytes);
    const { length } = bytes;
    const wrong: readonly [size: number, change: () => void][] = [
      [length - 1, () => {}],
      [length, () => view.setUint32(3 + 4, 2, true)],
      [length, () => view.setUint32(3 + 8, length - 4, true)],
      [length, () => view.setUint32(3 + 16 + 4, 1, true)],
      [length, () => view.setUint32(3 + 16 + 4, 3, true)],
      // Of the first record: header, payload, stream, key, tags.
      [length, () => view.setUint16(3 + 32 + 4, 10, true)],
      [length, () => view.setUint32(3 + 32 + 8 + 28, 7, true)],
      [length, () => view.setUint16(3 + 32 + 8 + 96, 2, true)],
      [length, () => view.setUint16(3 + 32 + 8 + 98, 0, true)],
      [length, () => view.setUint8(3 + 32 + 8 + 106, 0)],
    ];
    for (const [index, [end, change]] of wrong.entries()) {
      const sound = Buffer.from(bytes);
      change();
      const read = (): unknown => new TransferredCommit(bytes, view, 3, end);
      expect(read, `change ${index}`).toThrow('Invariant broken');
      sound.copy(bytes);
      expect(() => new TransferredCommit(bytes, view, 3, length)).not.toThrow();
    }
  });

  it('has the events of a part in one stream', () => {
    const parts = ['a', 'b'].map((stream) => ({ stream, events: [{ type: 'T' }] }));
    const bytes = encode(prepareCommit(parts, {}, plain));
    const view = viewOf(bytes);
    // Two parts of one event become one of none and one of both.
    view.setUint32(3 + 16 + 4, 0, true);
    view.setUint32(3 + 32 + 4, 2, true);
    expect(() => new TransferredCommit(bytes, view, 3, bytes.length)).toThrow('Invariant broken');
  });
});

/** Encoded behind three other bytes. */
function encode(commit: PreparedCommit): Buffer {
  const bytes = Buffer.alloc(3 + encodedSizeOf(commit));
  expect(encodeCommit(bytes, viewOf(bytes), 3, commit)).toBe(bytes.length);
  return bytes;
}

function transfer(commit: PreparedCommit): TransferredCommit {
  const bytes = encode(commit);
  return new TransferredCommit(bytes, viewOf(bytes), 3, bytes.length);
}

/** What is decided about, and the records; a signal stays where it is. */
function comparable(commit: PreparedCommit): object {
  const { idempotencyScope, idempotencyKey, bodySize, eventCount } = commit;
  const bytes = Buffer.alloc(bodySize);
  const ids: string[] = [];
  let at = 0;
  for (let index = 0; index < eventCount; index += 1) {
    at = commit.putRecord(index, bytes, viewOf(bytes), at);
    ids.push(commit.suppliedIdOf(index));
  }
  expect(at).toBe(bodySize);
  const parts = commit.parts.map(({ stream, expectedRevision, count }) => [
    stream,
    expectedRevision,
    count,
  ]);
  const texts = { idempotencyScope, idempotencyKey };
  return { parts, ...texts, bodySize, ack: commit.ack, ids, records: bytes.toString('hex') };
}

function hasNoIdTwice(parts: readonly CommitPart[]): boolean {
  const ids = parts.flatMap(({ events }) => events.flatMap(({ id }) => id ?? []));
  return new Set(ids).size === ids.length;
}

function isWritable(given: string): boolean {
  return !/[\p{Cc}\p{Cs}]/u.test(given) && Buffer.byteLength(given) <= 128;
}

function parse(json: string): unknown {
  return JSON.parse(json);
}
