import type { VarveError } from '../base/errors.ts';

/**
 * A frame that isn't durable yet: what the journal notes about it, and what it tells the frame's maker. Makers extend it,
 * so that a commit in flight is one object.
 */
export abstract class PendingFrame {
  firstPosition = 0;
  count = 0;
  /** Where the body begins in the journal's `bytes`. */
  bodyStart = 0;
  bodySize = 0;
  /** Where the body will stand in its segment. */
  fileOffset = 0;
  /** The lane's address behind the frame: it is durable when the lane's head is there. */
  end = 0;
  /** Whether `written` is to be called. */
  readonly wantsWritten: boolean;

  constructor(wantsWritten: boolean) {
    this.wantsWritten = wantsWritten;
  }

  /** The frame is in the file, not yet durable. */
  abstract written(): void;
  /** The frame survives a power cut. Called once, or `failed` is. */
  abstract durable(): void;
  /** The frame is lost (`applied: 'no'`), or that can't be known before the store is opened again. */
  abstract failed(error: VarveError): void;
}
