import type { VarveError } from '../base/errors.ts';
import { PendingFrame } from '../journal/pending-frame.ts';
import { OPERATION_HEADER_SIZE, type OperationKind } from './format.ts';
import { ownCopyOf } from './kv-bytes.ts';

/** One operation with its bytes. */
export interface PreparedOperation {
  readonly kind: OperationKind;
  readonly key: Uint8Array;
  /** Of a deleted range: where it ends. */
  readonly value: Uint8Array | undefined;
}

/** What must hold for a batch, with its bytes. */
export type PreparedGuard =
  | { readonly kind: 'version'; readonly key: Uint8Array; readonly version: number }
  | { readonly kind: 'absent'; readonly key: Uint8Array }
  | { readonly kind: 'empty'; readonly prefix: Uint8Array };

/** A batch from the call to the answer. */
export class PendingBatch extends PendingFrame {
  operations: readonly PreparedOperation[];
  guards: readonly PreparedGuard[];
  /** Of a store without a log: how far its owner's log is covered. */
  readonly position: number | undefined;
  lastSequence = 0;
  /** Called in the turn in which the batch is accepted. */
  readonly accepted: (() => void) | undefined;
  readonly #resolve: (version: number) => void;
  readonly #reject: (error: VarveError) => void;
  readonly #plan: (() => readonly PreparedOperation[]) | undefined;
  #isTold = false;

  constructor(
    given: {
      /** A function is asked when it is the batch's turn, once more each time it had to wait. */
      readonly operations: readonly PreparedOperation[] | (() => readonly PreparedOperation[]);
      readonly guards: readonly PreparedGuard[];
      readonly position: number | undefined;
      readonly wantsWritten: boolean;
      /** Called in the turn in which the batch is accepted, before anybody behind it is. */
      readonly accepted?: () => void;
    },
    resolve: (version: number) => void,
    reject: (error: VarveError) => void,
  ) {
    super(given.wantsWritten);
    const { operations } = given;
    this.#plan = typeof operations === 'function' ? operations : undefined;
    this.operations = typeof operations === 'function' ? [] : operations;
    this.guards = given.guards;
    this.position = given.position;
    this.accepted = given.accepted;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Finds out what the batch does, if that depends on when it is its turn. */
  planNow(): void {
    if (this.#plan !== undefined) {
      this.operations = this.#plan();
    }
  }

  /** From now on nothing in it is its maker's. */
  takeCopies(): void {
    this.operations = this.operations.map(({ kind, key, value }) => {
      return { kind, key: ownCopyOf(key), value: value && ownCopyOf(value) };
    });
    this.guards = this.guards.map((guard) =>
      guard.kind === 'empty'
        ? { ...guard, prefix: ownCopyOf(guard.prefix) }
        : { ...guard, key: ownCopyOf(guard.key) },
    );
  }

  /** Bytes of the frame's body. */
  get size(): number {
    let size = 0;
    for (const { key, value } of this.operations) {
      size += OPERATION_HEADER_SIZE + key.length + (value === undefined ? 0 : value.length);
    }
    return size;
  }

  /** The batch is where its maker wants it. */
  succeed(): void {
    this.#isTold = true;
    this.#resolve(this.lastSequence);
  }

  written(): void {
    this.succeed();
  }

  durable(): void {
    if (!this.#isTold) {
      this.succeed();
    }
  }

  failed(error: VarveError): void {
    if (!this.#isTold) {
      this.#reject(error);
    }
  }
}
