import { aborted } from '../../base/aborted.ts';
import { checkSignal, rejectUnknownNames } from '../../base/arguments.ts';
import { asFailedWrite, VarveError } from '../../base/errors.ts';
import { BatchBody } from './batch-body.ts';
import type {
  KvBatchOptions,
  KvBytes,
  KvDeleteOptions,
  KvInput,
  KvOperation,
  KvPutOptions,
  KvWriteOptions,
} from './contract.ts';
import { OperationKind } from './format.ts';
import { keyToCopyOf, type ValueCodec } from './kv-bytes.ts';
import type { KvWriter } from './kv-writer.ts';
import { optionNames } from './option-names.ts';
import { PendingBatch, type PreparedGuard } from './pending-batch.ts';
import { addOperations, conditionsOf, prepareGuards } from './prepared-write.ts';
import { NO_BYTES } from '../entries/cursor.ts';
import type { StoreLog } from './store-log.ts';
/** What is kept for the next call may be so large. */
const KEPT_CAPACITY_MAX = 2 * 1024 * 1024;

/** Calls that write, from their arguments to a batch with the writer. */
export class WriteCalls<Value> {
  readonly #writer: KvWriter;
  readonly #codec: ValueCodec<Value>;
  readonly #log: StoreLog;
  readonly #checkOpen: () => void;
  /**
   * Most calls are decided before they return, and the next one can use the same memory. Undefined while a call uses it: a getter or a
   * `toJSON` of its arguments may call again.
   */
  #kept: BatchBody | undefined;

  constructor(
    writer: KvWriter,
    codec: ValueCodec<Value>,
    log: StoreLog,
    /** Throws if the store has been closed. */
    checkOpen: () => void,
  ) {
    this.#writer = writer;
    this.#codec = codec;
    this.#log = log;
    this.#checkOpen = checkOpen;
  }

  put(key: KvBytes, value: KvInput<Value>, options: KvPutOptions): Promise<number> {
    const body = this.#takeBody();
    try {
      rejectUnknownNames(options, optionNames.put, 'option');
      const bytes = keyToCopyOf(key);
      const encoded = this.#codec.encode(value);
      const guards = conditionsOf(bytes, options);
      body.add(OperationKind.put, bytes, encoded);
      return this.#submit(body, guards, options);
    } catch (error) {
      return Promise.reject(asFailedWrite(error, 'no'));
    } finally {
      this.#giveBack(body);
    }
  }

  delete(key: KvBytes, options: KvDeleteOptions): Promise<number> {
    const body = this.#takeBody();
    try {
      rejectUnknownNames(options, optionNames.delete, 'option');
      const bytes = keyToCopyOf(key);
      const guards = conditionsOf(bytes, options);
      body.add(OperationKind.delete, bytes, NO_BYTES);
      return this.#submit(body, guards, options);
    } catch (error) {
      return Promise.reject(asFailedWrite(error, 'no'));
    } finally {
      this.#giveBack(body);
    }
  }

  batch(operations: readonly KvOperation<Value>[], options: KvBatchOptions): Promise<number> {
    const body = this.#takeBody();
    try {
      rejectUnknownNames(options, optionNames.batch, 'option');
      addOperations(body, operations, this.#codec);
      return this.#submit(body, prepareGuards(options.guards), options);
    } catch (error) {
      return Promise.reject(asFailedWrite(error, 'no'));
    } finally {
      this.#giveBack(body);
    }
  }

  /** What `plan` makes is done when it is its turn. */
  async planned(plan: () => BatchBody, options: KvWriteOptions): Promise<number> {
    return this.#submit(plan, [], options);
  }

  #submit(
    work: BatchBody | (() => BatchBody),
    guards: readonly PreparedGuard[],
    { ack = 'durable', position, signal }: KvWriteOptions,
  ): Promise<number> {
    this.#checkOpen();
    if (ack !== 'durable' && ack !== 'written') {
      throw new VarveError(
        'INVALID_ARGUMENT',
        `ack must be "durable" or "written", not ${JSON.stringify(ack)}.`,
      );
    }
    if (position !== undefined) {
      this.#log.checkPosition(position);
    }
    if (signal !== undefined) {
      checkSignal(signal);
      if (signal.aborted) {
        throw aborted(signal, 'no');
      }
    }
    return new Promise((resolve, reject) => {
      const batch = new PendingBatch(work, guards, ack === 'written', resolve, reject);
      batch.position = position;
      this.#writer.submit(batch, signal);
    });
  }

  #takeBody(): BatchBody {
    const body = this.#kept ?? new BatchBody();
    this.#kept = undefined;
    body.clear();
    return body;
  }

  /** A batch that waits has a copy by now. */
  #giveBack(body: BatchBody): void {
    if (body.capacity <= KEPT_CAPACITY_MAX) {
      this.#kept = body;
    }
  }
}
