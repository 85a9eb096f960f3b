import { type VarveError, withApplied } from '../../base/errors.ts';
import { PendingFrame } from '../../journal/pending-frame.ts';
import { BatchBody } from './batch-body.ts';
import { NO_BYTES } from '../entries/cursor.ts';
import { OperationKind } from './format.ts';

/** What must hold for a batch. The bytes are nobody else's. */
export type PreparedGuard =
  | { readonly kind: 'version'; readonly key: Uint8Array; readonly version: number }
  | { readonly kind: 'absent'; readonly key: Uint8Array }
  | { readonly kind: 'empty'; readonly prefix: Uint8Array };

/** Of a batch that has nothing to do yet, or nothing any more. Nothing is added to it. */
const NOTHING = new BatchBody(0);
/** A batch from the call to the answer. */
export class PendingBatch extends PendingFrame {
  /** Until the batch is accepted. May be its maker's, to be used again when `submit` has returned. */
  body: BatchBody;
  readonly guards: readonly PreparedGuard[];
  /** Of a store without a log: how far its owner's log is covered. */
  position: number | undefined;
  lastSequence = 0;
  /** First position of the segment that its frame is in. */
  segment = 0;
  /** Called in the turn in which the batch is accepted, before anybody behind it is. */
  accepted: (() => void) | undefined;
  readonly #resolve: (version: number) => void;
  readonly #reject: (error: VarveError) => void;
  readonly #plan: (() => BatchBody) | undefined;
  #isTold = false;

  /** `work`: a function is asked when it is the batch's turn, once more each time it had to wait. */
  constructor(
    work: BatchBody | (() => BatchBody),
    guards: readonly PreparedGuard[],
    wantsWritten: boolean,
    resolve: (version: number) => void,
    reject: (error: VarveError) => void,
  ) {
    super(wantsWritten);
    const isPlanned = typeof work === 'function';
    this.body = isPlanned ? NOTHING : work;
    this.guards = guards;
    this.position = undefined;
    this.accepted = undefined;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#plan = isPlanned ? work : undefined;
  }

  /** It is the batch's turn: finds out what it does, if that depends on when. */
  planNow(): void {
    if (this.#plan !== undefined) {
      this.body = this.#plan();
    }
    if (this.body.count === 0 && this.position !== undefined) {
      // The position is worth a sequence of its own.
      this.body = new BatchBody();
      this.body.add(OperationKind.mark, NO_BYTES, NO_BYTES);
    }
  }

  /** From now on nothing in it is its maker's. */
  takeCopy(): void {
    this.body = this.body.copy();
  }

  /** It has been decided: its operations are where they belong, or nobody wants them. What waits for the disk holds no copy of them. */
  letGo(): void {
    this.body = NOTHING;
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
      this.#reject(withApplied(error, 'unknown'));
    }
  }
}
