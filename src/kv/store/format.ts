/**
 * The body of a frame in the log of a key-value store: the operations of one batch, one after the other, each with one
 * sequence. See docs/formats/kv-log.md.
 *
 *   kind u8 | zero u8 | key size u16 | value size u32 | key | value
 */
import type { ViewedBytes } from '../../base/copy-bytes.ts';
import { limits } from '../../base/limits.ts';
import { bodySizeMaxOf } from '../../journal/format.ts';
import { BOUND_SIZE_MAX } from '../sstable/format.ts';

// Format: persisted; never renumber.
export const OperationKind = {
  /** As of an entry. */
  delete: 0,
  put: 1,
  /** The key is the first that is deleted, the value the first behind it that isn't. */
  deleteRange: 2,
  /** Takes a sequence and changes nothing: tables with that sequence were ingested, if the manifest has them. */
  mark: 3,
} as const;
export type OperationKind = (typeof OperationKind)[keyof typeof OperationKind];

export const OPERATION_HEADER_SIZE = 8;

/** Of all operations of a batch, headers included: what a frame of its log has room for. */
export const BATCH_SIZE_MAX: number = bodySizeMaxOf(limits.batchFrameSizeMax);
/** Of one of them: a value has to fit a block of a table, too. */
export const OPERATION_SIZE_MAX: number = bodySizeMaxOf(limits.frameSizeMax);

/** Writes one operation at `start`; returns where it ends. */
export function encodeOperation(
  bytes: Uint8Array,
  start: number,
  kind: OperationKind,
  key: Uint8Array,
  value: Uint8Array,
): number {
  const keySize = key.length;
  const valueSize = value.length;
  bytes[start] = kind;
  bytes[start + 1] = 0;
  bytes[start + 2] = keySize & 0xff;
  bytes[start + 3] = keySize >>> 8;
  bytes[start + 4] = valueSize & 0xff;
  bytes[start + 5] = (valueSize >>> 8) & 0xff;
  bytes[start + 6] = (valueSize >>> 16) & 0xff;
  bytes[start + 7] = valueSize >>> 24;
  const valueStart = start + OPERATION_HEADER_SIZE + keySize;
  // An array whose memory its maker has given away is empty, and can't be copied from.
  if (keySize > 0) {
    bytes.set(key, start + OPERATION_HEADER_SIZE);
  }
  if (valueSize > 0) {
    bytes.set(value, valueStart);
  }
  return valueStart + valueSize;
}

/** Of the operation that begins at `start`, which is known to be one. */
export function kindAt(view: DataView, start: number): OperationKind {
  return view.getUint8(start) as OperationKind;
}

export function keySizeAt(view: DataView, start: number): number {
  return view.getUint16(start + 2, true);
}

export function valueSizeAt(view: DataView, start: number): number {
  return view.getUint32(start + 4, true);
}

/** The journal counts from 0, sequences begin with 1. */
export function sequenceAt(position: number): number {
  return position + 1;
}

/** The position that follows that of a sequence: so many are before it. */
export function positionAfter(sequence: number): number {
  return sequence;
}

/** Receives the operations of a body: a key in `source[keyStart, valueStart)`, its value from there to `end`. */
export type OperationVisitor = (
  kind: OperationKind,
  sequence: number,
  source: ViewedBytes,
  keyStart: number,
  valueStart: number,
  end: number,
) => void;

/** A body, in the bytes that it begins at `start` of. */
export interface PlacedBody extends ViewedBytes {
  readonly start: number;
  readonly size: number;
  readonly count: number;
}

/** Goes through the operations of a body; returns what is wrong with it, if anything is. */
export function decodeOperations(
  body: PlacedBody,
  firstSequence: number,
  visit: OperationVisitor,
): string | undefined {
  const { view, start, size, count } = body;
  const bodyEnd = start + size;
  let at = start;
  for (let index = 0; index < count; index += 1) {
    if (at + OPERATION_HEADER_SIZE > bodyEnd) {
      return 'the frame holds fewer operations than it says';
    }
    const kind = view.getUint8(at);
    const keySize = keySizeAt(view, at);
    const valueSize = valueSizeAt(view, at);
    const keyStart = at + OPERATION_HEADER_SIZE;
    const valueStart = keyStart + keySize;
    const end = valueStart + valueSize;
    if (view.getUint8(at + 1) !== 0 || !isOperationKind(kind)) {
      return 'an operation is of no known kind';
    }
    if (end > bodyEnd) {
      return 'an operation does not fit its frame';
    }
    if (end - at > OPERATION_SIZE_MAX) {
      return 'an operation is larger than operations may be';
    }
    if (kind !== OperationKind.put && kind !== OperationKind.deleteRange && valueSize > 0) {
      return 'an operation without a value has one';
    }
    if (kind === OperationKind.deleteRange && valueSize > BOUND_SIZE_MAX) {
      return 'a deleted range ends behind every key';
    }
    visit(kind, firstSequence + index, body, keyStart, valueStart, end);
    at = end;
  }
  return at === bodyEnd ? undefined : 'the frame holds more than its operations';
}

function isOperationKind(kind: number): kind is OperationKind {
  return kind <= OperationKind.mark;
}
