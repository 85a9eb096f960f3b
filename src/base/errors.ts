/** What the caller should do about an error. */
export type ErrorKind =
  | 'conflict' // somebody else was first: re-read and retry
  | 'invalid' // the call is wrong: fix it
  | 'unavailable' // nothing wrong with the data: try later, or reopen
  | 'data' // stop, inspect, restore
  | 'closed' // the store was closed: open it again
  | 'internal'; // a defect of Varve: report it

/** Stable across releases; match on this, not on the message or the class. */
export type ErrorCode =
  | 'REVISION_CONFLICT'
  | 'CONDITION_FAILED'
  | 'IDEMPOTENCY_CONFLICT'
  | 'INVALID_ARGUMENT'
  | 'LIMIT_EXCEEDED'
  | 'NOT_A_STORE'
  | 'UNSUPPORTED_FORMAT'
  | 'ABORTED'
  | 'LOCKED'
  | 'UNAVAILABLE'
  | 'POISONED'
  | 'CORRUPT'
  | 'FOREIGN_FILE'
  | 'CLOSED'
  | 'INTERNAL';

const kindOfCode: Readonly<Record<ErrorCode, ErrorKind>> = {
  REVISION_CONFLICT: 'conflict',
  CONDITION_FAILED: 'conflict',
  IDEMPOTENCY_CONFLICT: 'conflict',
  INVALID_ARGUMENT: 'invalid',
  LIMIT_EXCEEDED: 'invalid',
  NOT_A_STORE: 'invalid',
  UNSUPPORTED_FORMAT: 'invalid',
  ABORTED: 'invalid',
  LOCKED: 'unavailable',
  UNAVAILABLE: 'unavailable',
  POISONED: 'unavailable',
  CORRUPT: 'data',
  FOREIGN_FILE: 'data',
  CLOSED: 'closed',
  INTERNAL: 'internal',
};

/** Whether a failed append took effect: surely not, or it can't be known before the store is reopened. */
export type Applied = 'no' | 'unknown';

export interface ErrorFacts {
  readonly cause?: unknown;
  readonly applied?: Applied;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** Every error that Varve throws. `kind` says what to do, `code` says what happened. */
export class VarveError extends Error {
  override readonly name = 'VarveError';
  readonly code: ErrorCode;
  readonly kind: ErrorKind;
  /** Present on failed writes only. */
  readonly applied?: Applied;
  /** The facts behind the message. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, facts: ErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.code = code;
    this.kind = kindOfCode[code];
    if (facts.applied !== undefined) {
      this.applied = facts.applied;
    }
    this.details = facts.details ?? {};
  }
}

/** The stream was not at the revision the caller expected; nothing was appended. */
export class RevisionConflictError extends VarveError {
  readonly stream: string;
  readonly expected: number | 'none' | 'exists';
  /** Revision of the stream's last event, or 'none' if it has no event. */
  readonly actual: number | 'none';

  constructor(stream: string, expected: number | 'none' | 'exists', actual: number | 'none') {
    super(
      'REVISION_CONFLICT',
      `Stream ${JSON.stringify(stream)} is at revision ${actual}, not ${expected}: read it again and retry.`,
      { applied: 'no', details: { stream, expected, actual } },
    );
    this.stream = stream;
    this.expected = expected;
    this.actual = actual;
  }
}

/** Bytes on disk are not what was written there. Nothing was changed on disk by finding this out. */
export class CorruptionError extends VarveError {
  readonly file: string;
  /** Byte offset in the file, if the damage has one. */
  readonly offset: number | undefined;
  readonly reason: string;
  /** Of the event, or of a write to a key-value store, that the damage is in, if it is in one. */
  readonly position?: number;

  constructor(
    file: string,
    offset: number | undefined,
    reason: string,
    cause?: unknown,
    position?: number,
  ) {
    const at = offset === undefined ? file : `${file} at byte ${offset}`;
    const where = position === undefined ? at : `${at}, position ${position}`;
    const place = position === undefined ? { file, offset } : { file, offset, position };
    super('CORRUPT', `Damage in ${where}: ${reason}.`, { cause, details: { ...place, reason } });
    if (position !== undefined) {
      this.position = position;
    }
    this.file = file;
    this.offset = offset;
    this.reason = reason;
  }
}

/** The code of an operating-system error such as `ENOSPC`, or undefined if it is none. */
export function systemCode(error: unknown): string | undefined {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
    return error.code;
  }
  return undefined;
}

/** True if the operating system said that no more can be stored. */
export function isNoSpace(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG';
}

/** Gives a failure of the operating system a code of ours; its own error is the cause. */
export function asVarveError(error: unknown, what: string, applied?: Applied): VarveError {
  if (error instanceof VarveError) {
    return error;
  }
  const facts = applied === undefined ? { cause: error } : { cause: error, applied };
  return new VarveError('UNAVAILABLE', `${what}: ${String(error)}.`, facts);
}
