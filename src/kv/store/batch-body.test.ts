import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BatchBody } from './batch-body.ts';
import {
  BATCH_SIZE_MAX,
  decodeOperations,
  OPERATION_HEADER_SIZE,
  OPERATION_SIZE_MAX,
  OperationKind,
} from './format.ts';

const bytes = fc.uint8Array({ maxLength: 700 });
const empty = new Uint8Array(0);
const operation = fc.oneof(
  fc.record({ kind: fc.constant(OperationKind.put), key: bytes, value: bytes }),
  fc.record({ kind: fc.constant(OperationKind.delete), key: bytes, value: fc.constant(empty) }),
  fc.record({ kind: fc.constant(OperationKind.deleteRange), key: bytes, value: bytes }),
);

function read(body: BatchBody): unknown[] {
  const found: unknown[] = [];
  const { view, size, count } = body;
  const placed = { bytes: body.bytes, view, start: 0, size, count };
  const wrong = decodeOperations(placed, 1, (kind, sequence, source, keyStart, valueStart, end) => {
    expect(sequence).toBe(found.length + 1);
    const key = source.bytes.slice(keyStart, valueStart);
    found.push({ kind, key, value: source.bytes.slice(valueStart, end) });
  });
  expect(wrong).toBeUndefined();
  return found;
}

describe('the body of a batch', () => {
  it('is what the log can read, however often it is used, and so is its copy', () => {
    const body = new BatchBody(16);
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 30 }), (operations) => {
        body.clear();
        let rawSize = 0;
        for (const { kind, key, value } of operations) {
          body.add(kind, key, value);
          rawSize += key.length + value.length;
        }
        expect(read(body)).toEqual(operations);
        expect(body.rawSize).toBe(rawSize);
        const copy = body.copy();
        expect(copy.capacity).toBe(body.size);
        body.bytes.fill(0xff);
        expect(read(copy)).toEqual(operations);
      }),
    );
  });

  it('keeps nothing of what its maker may change', () => {
    const body = new BatchBody();
    const key = Uint8Array.of(1, 2);
    const value = Uint8Array.of(3);
    body.add(OperationKind.put, key, value);
    key.fill(9);
    value.fill(9);
    const expected = { key: Uint8Array.of(1, 2), value: Uint8Array.of(3) };
    expect(read(body)).toEqual([{ kind: OperationKind.put, ...expected }]);
  });

  it('counts what no frame has room for, and holds no memory for it', () => {
    const body = new BatchBody();
    const value = new Uint8Array(BATCH_SIZE_MAX / 8);
    for (let index = 0; index < 12; index += 1) {
      body.add(OperationKind.put, Uint8Array.of(index), value);
    }
    expect(body.count).toBe(12);
    expect(body.size).toBe(12 * (OPERATION_HEADER_SIZE + 1 + value.length));
    expect(body.rawSize).toBe(12 * (1 + value.length));
    expect(body.capacity).toBeLessThanOrEqual(BATCH_SIZE_MAX);
    expect(body.copy()).toMatchObject({ count: 12, size: body.size, capacity: 0 });
    body.clear();
    body.add(OperationKind.put, Uint8Array.of(1), Uint8Array.of(2));
    expect(body.size).toBe(OPERATION_HEADER_SIZE + 2);
  });

  it('takes a batch that fills a frame to its last byte', () => {
    const body = new BatchBody();
    const largest = new Uint8Array(OPERATION_SIZE_MAX - OPERATION_HEADER_SIZE).fill(5);
    while (body.size + OPERATION_SIZE_MAX <= BATCH_SIZE_MAX) {
      body.add(OperationKind.put, empty, largest);
    }
    const rest = BATCH_SIZE_MAX - body.size - OPERATION_HEADER_SIZE;
    body.add(OperationKind.put, empty, largest.subarray(0, rest));
    expect(body.size).toBe(BATCH_SIZE_MAX);
    expect(body.bytes[BATCH_SIZE_MAX - 1]).toBe(5);
    expect(body.copy().bytes[BATCH_SIZE_MAX - 1]).toBe(5);
  });

  it('refuses an operation that no table has room for', () => {
    const body = new BatchBody();
    const value = new Uint8Array(OPERATION_SIZE_MAX - OPERATION_HEADER_SIZE);
    expect(() => body.add(OperationKind.put, Uint8Array.of(1), value)).toThrow(
      expect.objectContaining({ code: 'LIMIT_EXCEEDED', applied: 'no' }),
    );
    expect([body.size, body.count]).toEqual([0, 0]);
  });
});
