import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { viewOf } from '../base/integers.ts';
import { CodecRegistry } from '../log/codecs.ts';
import type { NewEvent } from '../log/event.ts';
import { decodeCommit, detachPayloads, encodeCommit, encodedSizeOf } from './commit-transfer.ts';
import type { CommitPart } from './contract.ts';
import { joinBytes } from './payload.ts';
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

const options = fc.record(
  { idempotencyKey: text, ack: fc.constantFrom('durable' as const, 'written' as const) },
  { requiredKeys: [] },
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
          expect(comparable(transfer(commit).commit)).toEqual(comparable(commit));
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
    const decoded = decodeCommit(bytes, viewOf(bytes), 3, bytes.length).commit;
    detachPayloads(decoded);
    bytes.fill(0xff);
    expect(comparable(decoded)).toEqual(comparable(commit));
  });

  it('that is damaged is noticed', () => {
    const bytes = encode(prepareAppend('a', [{ type: 'T', data: 'text' }], {}, plain));
    const view = viewOf(bytes);
    expect(() => decodeCommit(bytes, view, 3, bytes.length - 1)).toThrow('Invariant broken');
  });
});

/** Encoded behind three other bytes. */
function encode(commit: PreparedCommit): Buffer {
  const bytes = Buffer.alloc(3 + encodedSizeOf(commit));
  expect(encodeCommit(bytes, viewOf(bytes), 3, commit)).toBe(bytes.length);
  return bytes;
}

function transfer(commit: PreparedCommit): ReturnType<typeof decodeCommit> {
  const bytes = encode(commit);
  return decodeCommit(bytes, viewOf(bytes), 3, bytes.length);
}

/** Payloads travel as bytes; a signal stays where it is. */
function comparable(commit: PreparedCommit): object {
  const events = commit.events.map((content) => ({
    ...content,
    payload: joinBytes(content.payload).toString('hex'),
  }));
  return { ...commit, events, signal: undefined };
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
