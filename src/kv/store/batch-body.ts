import type { ViewedBytes } from '../../base/copy-bytes.ts';
import { VarveError } from '../../base/errors.ts';
import { viewOf } from '../../base/integers.ts';
import {
  BATCH_SIZE_MAX,
  encodeOperation,
  OPERATION_HEADER_SIZE,
  OPERATION_SIZE_MAX,
  type OperationKind,
} from './format.ts';
import { KEY_SIZE_MAX } from './kv-bytes.ts';

const CAPACITY_FIRST = 1_024;

/**
 * The operations of one batch as the log will have them: the body of a frame before it has its place. Keys and values are copied as they
 * are added, so that nothing in here is anybody else's.
 */
export class BatchBody implements ViewedBytes {
  bytes: Uint8Array;
  view: DataView;
  /** Bytes of all that was added. Only what a frame has room for is kept: more than that is there to be refused. */
  size = 0;
  /** Of operations. */
  count = 0;

  constructor(capacity: number = CAPACITY_FIRST) {
    this.bytes = memoryOf(capacity);
    this.view = viewOf(this.bytes);
  }

  get capacity(): number {
    return this.bytes.length;
  }

  /** Bytes of keys and values. */
  get rawSize(): number {
    return this.size - this.count * OPERATION_HEADER_SIZE;
  }

  clear(): void {
    this.size = 0;
    this.count = 0;
  }

  add(kind: OperationKind, key: Uint8Array, value: Uint8Array): void {
    const keySize = key.length;
    const valueSize = value.length;
    // As a mask the greatest size keeps what is a size, and nothing else.
    if ((keySize & KEY_SIZE_MAX) !== keySize || !(valueSize >= 0)) {
      throw changedMeanwhile();
    }
    const start = this.size;
    const size = OPERATION_HEADER_SIZE + keySize + valueSize;
    if (size > OPERATION_SIZE_MAX) {
      throw operationTooLarge(size);
    }
    const end = start + size;
    this.size = end;
    this.count += 1;
    if (end <= BATCH_SIZE_MAX) {
      if (end > this.bytes.length) {
        this.#grow(start, end);
      }
      if (encodeOperation(this.bytes, start, kind, key, value) !== (end | 0)) {
        throw changedMeanwhile();
      }
    }
  }

  /** The same in memory that is just large enough. */
  copy(): BatchBody {
    const kept = this.size <= BATCH_SIZE_MAX ? this.size : 0;
    const copy = new BatchBody(kept);
    copy.bytes.set(this.bytes.subarray(0, kept));
    copy.size = this.size;
    copy.count = this.count;
    return copy;
  }

  #grow(used: number, needed: number): void {
    const grown = memoryOf(Math.max(needed, Math.min(2 * this.bytes.length, BATCH_SIZE_MAX)));
    grown.set(this.bytes.subarray(0, used));
    this.bytes = grown;
    this.view = viewOf(grown);
  }
}

function operationTooLarge(size: number): VarveError {
  return new VarveError(
    'LIMIT_EXCEEDED',
    `A key and its value have ${OPERATION_SIZE_MAX - OPERATION_HEADER_SIZE} bytes at most, not ${size - OPERATION_HEADER_SIZE}: store the value in pieces.`,
    { applied: 'no', details: { size, sizeMax: OPERATION_SIZE_MAX } },
  );
}

/** Memory that holds anything. */
function memoryOf(size: number): Uint8Array {
  return new Uint8Array(Buffer.allocUnsafeSlow(size).buffer);
}

/**
 * A key was short enough when the call began. A getter or a `toJSON` can resize its memory since, another thread at any time: a body that
 * doesn't add up would end the log.
 */
function changedMeanwhile(): VarveError {
  return new VarveError(
    'INVALID_ARGUMENT',
    'A key or a value changed its size while it was read: nothing was written.',
    { applied: 'no' },
  );
}
