import { strictEqual } from 'node:assert/strict';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareKeys } from '../base/compare-bytes.ts';
import type { RecordView } from '../log/record-view.ts';
import {
  Axis,
  decodeChunk,
  decodeCounts,
  decodeHead,
  firstRevisionBefore,
  HASH_KEY_SIZE,
  POSTING_SUFFIX_SIZE,
  positionAt,
} from './format.ts';
import { RunRows } from './run-rows.ts';
import { SecretHash, type TextHash } from './text-hash.ts';

interface Event {
  readonly stream: string;
  readonly key: string;
  readonly id: string;
}

/** As much of a record as a run looks at. */
function recordOf(event: Event, position: number, revision: number): RecordView {
  const bytes = Buffer.from(`?${event.stream}`);
  const record = {
    position,
    revision,
    bytes,
    streamStart: 1,
    streamSize: bytes.length - 1,
    idempotencyScope: event.key.length % 2 === 0 ? '' : 'scope',
    idempotencyKey: event.key,
    suppliedId: event.id,
  };
  return record as unknown as RecordView;
}

/** All texts of one length have one hash. */
class LengthHash implements TextHash {
  low = 0;
  high = 0;

  take(_scope: string, text: string): void {
    this.low = text.length;
    this.high = 7;
  }
}

interface Made {
  readonly rows: readonly (readonly [Uint8Array, Uint8Array])[];
  readonly revisions: ReadonlyMap<string, readonly number[]>;
}

function make(events: readonly Event[], from: number, hash: TextHash, base = 0): Made {
  const rows = new RunRows(from, { streams: 5, keys: 6, ids: 7 }, hash);
  const revisions = new Map<string, number[]>();
  for (const [index, event] of events.entries()) {
    const known = revisions.get(event.stream) ?? [];
    strictEqual(rows.add(recordOf(event, from + index, base + known.length)), undefined);
    known.push(from + index);
    revisions.set(event.stream, known);
  }
  const sorted: [Uint8Array, Uint8Array][] = [];
  for (const row of rows.sorted()) {
    if (row !== undefined) {
      sorted.push([row[0].slice(), row[1].slice()]);
    }
  }
  return { rows: sorted, revisions };
}

const eventArbitrary = fc.record({
  stream: fc.oneof(
    fc.constantFrom('a', 'a/b', 'a0', 'é', 'long'),
    fc.string({ unit: fc.constantFrom('a', 'b', '/'), minLength: 1, maxLength: 20 }),
  ),
  key: fc.string({ maxLength: 4 }),
  id: fc.string({ maxLength: 3 }),
});

describe('the rows of a run', () => {
  it('ascend, and say of each event where it is, once', () => {
    const all = fc.array(eventArbitrary, { maxLength: 200, size: 'max' });
    fc.assert(
      fc.property(
        all,
        fc.integer({ min: 3, max: 2 ** 40 }),
        fc.boolean(),
        (events, from, collides) => {
          const hash = collides
            ? new LengthHash()
            : new SecretHash(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
          const { rows, revisions } = make(events, from, hash, 3);
          const isSorted = rows.every(
            ([key], index) => index === 0 || compareKeys(rows[index - 1]![0], key) < 0,
          );
          expect(isSorted).toBe(true);
          const of = (axis: number): Made['rows'] => rows.filter(([key]) => key[0] === axis);
          expect(decodeCounts(of(Axis.counts)[0]![1])).toEqual({
            streams: 5,
            keys: 6 + events.filter(({ key }) => key !== '').length,
            ids: 7 + events.filter(({ id }) => id !== '').length,
          });
          const positionsOf = (axis: number): number[] =>
            of(axis).map(([key]) => positionAt(key, HASH_KEY_SIZE - 6));
          const expected = (name: 'key' | 'id'): number[] =>
            events.flatMap((event, index) => (event[name] === '' ? [] : from + index));
          expect(positionsOf(Axis.key).sort((a, b) => a - b)).toEqual(expected('key'));
          expect(positionsOf(Axis.id).sort((a, b) => a - b)).toEqual(expected('id'));
          const heads = of(Axis.head).map(([key, value]) => [
            Buffer.from(key.subarray(1)).toString(),
            decodeHead(value, 0, value.length),
          ]);
          expect(new Map(heads as never)).toEqual(
            new Map(
              Array.from(revisions, ([name, positions]) => [
                name,
                { revision: 3 + positions.length - 1, position: positions.at(-1) },
              ]),
            ),
          );
          expect(chunksOf(of(Axis.posting), 3)).toEqual(revisions);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('hold at most 1,024 positions in one chunk, newest chunks first', () => {
    const events = Array.from({ length: 2_500 }, () => ({ stream: 's', key: '', id: '' }));
    const { rows } = make(events, 100, new LengthHash());
    const chunks = rows
      .filter(([key]) => key[0] === Axis.posting)
      .map(([key, value]) => [
        firstRevisionBefore(key, key.length),
        decodeChunk(value, 0, value.length)!.length,
      ]);
    expect(chunks).toEqual([
      [2_048, 452],
      [1_024, 1_024],
      [0, 1_024],
    ]);
  });

  it('are not made of a stream with a gap', () => {
    const rows = new RunRows(0, { streams: 0, keys: 0, ids: 0 }, new LengthHash());
    const event = { stream: 's', key: '', id: '' };
    expect(rows.add(recordOf(event, 0, 4))).toBeUndefined();
    expect(rows.add(recordOf(event, 1, 6))).toContain('has revision 6');
  });
});

function chunksOf(rows: Made['rows'], base: number): Map<string, number[]> {
  const found = new Map<string, number[]>();
  for (const [key, value] of rows.toReversed()) {
    const name = Buffer.from(key.subarray(1, key.length - POSTING_SUFFIX_SIZE)).toString();
    const known = found.get(name) ?? [];
    strictEqual(firstRevisionBefore(key, key.length), base + known.length);
    known.push(...decodeChunk(value, 0, value.length)!);
    found.set(name, known);
  }
  return found;
}
