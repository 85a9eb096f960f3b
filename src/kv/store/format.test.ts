import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { viewOf } from '../../base/integers.ts';
import {
  decodeOperations,
  encodeOperation,
  OPERATION_HEADER_SIZE,
  OperationKind,
} from './format.ts';

interface Operation {
  readonly kind: OperationKind;
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

const bytes = fc.uint8Array({ maxLength: 40 });
const withValue = fc.record({
  kind: fc.constantFrom(OperationKind.put, OperationKind.deleteRange),
  key: bytes,
  value: bytes,
});
const without = fc.record({
  kind: fc.constantFrom(OperationKind.delete, OperationKind.mark),
  key: bytes,
  value: fc.constant(new Uint8Array(0)),
});
const operations = fc.array(fc.oneof(withValue, without), { maxLength: 8 });

function encode(given: readonly Operation[]): Uint8Array {
  const size = given.reduce(
    (sum, { key, value }) => sum + OPERATION_HEADER_SIZE + key.length + value.length,
    0,
  );
  const body = new Uint8Array(size);
  let at = 0;
  for (const { kind, key, value } of given) {
    at = encodeOperation(body, at, kind, key, value);
  }
  expect(at).toBe(size);
  return body;
}

function decode(
  body: Uint8Array,
  count: number,
): {
  readonly found: (Operation & { readonly sequence: number })[];
  readonly fault: string | undefined;
} {
  const found: (Operation & { readonly sequence: number })[] = [];
  // Not at the beginning of its bytes, as in a segment, and not at their end.
  const all = new Uint8Array([1, 2, 3, ...body, 0, 0, 0, 0, 0, 0, 0, 0]);
  const placed = { bytes: all, view: viewOf(all), start: 3, size: body.length, count };
  const fault = decodeOperations(placed, 7, (kind, sequence, source, keyStart, valueStart, end) => {
    const key = source.bytes.slice(keyStart, valueStart);
    found.push({ kind, sequence, key, value: source.bytes.slice(valueStart, end) });
  });
  return { found, fault };
}

describe('the body of a frame', () => {
  it('gives back the operations, each with its sequence', () => {
    fc.assert(
      fc.property(operations, (given) => {
        const expected = given.map((operation, index) => ({ ...operation, sequence: 7 + index }));
        expect(decode(encode(given), given.length)).toEqual({ found: expected, fault: undefined });
      }),
    );
  });

  it('holds the largest key', () => {
    const given = [
      {
        kind: OperationKind.put,
        key: new Uint8Array(65_535).fill(1),
        value: new Uint8Array(70_000),
      },
    ];
    expect(decode(encode(given), 1).fault).toBeUndefined();
  });

  it('with a deleted range is refused if its end is longer than a bound can be', () => {
    const end = new Uint8Array(65_537);
    const key = new Uint8Array(0);
    const body = (value: Uint8Array): Uint8Array =>
      encode([{ kind: OperationKind.deleteRange, key, value }]);
    expect(decode(body(end.subarray(1)), 1).fault).toBeUndefined();
    expect(decode(body(end), 1).fault).toBeTypeOf('string');
    // Of a put it is a value.
    expect(decode(encode([{ kind: OperationKind.put, key, value: end }]), 1).fault).toBeUndefined();
  });

  it('is refused when it is cut off or too long, or its count is wrong', () => {
    fc.assert(
      fc.property(operations, fc.nat(), (given, cut) => {
        const body = encode(given);
        const size = body.length === 0 ? 0 : cut % body.length;
        if (body.length > 0) {
          expect(decode(body.subarray(0, size), given.length).fault).toEqual(expect.any(String));
        }
        expect(decode(new Uint8Array([...body, 0]), given.length).fault).toEqual(
          expect.any(String),
        );
        expect(decode(body, given.length + 1).fault).toEqual(expect.any(String));
      }),
    );
  });

  it('with a bit flipped is refused, or read within its bounds', () => {
    fc.assert(
      fc.property(operations, fc.nat(), (given, flip) => {
        const body = encode(given);
        if (body.length > 0) {
          const at = flip % (body.length * 8);
          body[at >>> 3]! ^= 1 << (at & 7);
          const { found, fault } = decode(body, given.length);
          const size = found.reduce(
            (sum, { key, value }) => sum + OPERATION_HEADER_SIZE + key.length + value.length,
            0,
          );
          expect(size).toBeLessThanOrEqual(body.length);
          expect(fault !== undefined || size === body.length).toBe(true);
        }
      }),
    );
  });
});
