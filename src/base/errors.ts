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
  | 'READ_ONLY'
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
  READ_ONLY: 'invalid',
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
  declare readonly applied?: Applied;
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
  declare readonly position?: number;

  constructor(
    file: string,
    offset: number | undefined,
    reason: string,
    cause?: unknown,
    position?: number,
    applied?: Applied,
  ) {
    const at = offset === undefined ? file : `${file} at byte ${offset}`;
    const where = position === undefined ? at : `${at}, position ${position}`;
    const place = position === undefined ? { file, offset } : { file, offset, position };
    const facts = { cause, details: { ...place, reason } };
    super(
      'CORRUPT',
      `Damage in ${where}: ${reason}.`,
      applied === undefined ? facts : { ...facts, applied },
    );
    if (position !== undefined) {
      this.position = position;
    }
    this.file = file;
    this.offset = offset;
    this.reason = reason;
  }
}

/** The same error with a word on whether the write that it ends took effect. One that has such a word keeps its own. */
export function withApplied(error: VarveError, applied: Applied): VarveError {
  return error.applied === undefined ? rebuilt(error, applied) : error;
}

/** The same of whatever ends a write: errors of the caller's own code stay as they are. */
export function asFailedWrite(error: unknown, applied: Applied): unknown {
  return error instanceof VarveError ? withApplied(error, applied) : error;
}

/** The same error for a call that writes nothing of its caller's. */
export function withoutApplied(error: VarveError): VarveError {
  return error.applied === undefined ? error : rebuilt(error, undefined);
}

/** A copy: an error may have been told to others, too. */
function rebuilt(error: VarveError, applied: Applied | undefined): VarveError {
  const { code, message, cause, details } = error;
  const facts = applied === undefined ? { cause, details } : { cause, details, applied };
  const copy =
    error instanceof CorruptionError
      ? new CorruptionError(error.file, error.offset, error.reason, cause, error.position, applied)
      : new VarveError(code, message, facts);
  if (error.stack !== undefined) {
    copy.stack = error.stack;
  }
  return copy;
}

/** The code of an operating-system error such as `ENOSPC`, or undefined if it is none. */
export function systemCode(error: unknown): string | undefined {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
    return error.code;
  }
  return undefined;
}

/** True for an error of the operating system, as it is or as the cause of ours. */
export function isSystemError(error: unknown): boolean {
  const own = error instanceof VarveError ? error.cause : error;
  return !(own instanceof VarveError) && systemCode(own) !== undefined;
}

/** True if the operating system said that no more can be stored. */
export function isNoSpace(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG';
}

/**
 * True if the operating system had not enough of something (space, descriptors, memory): it may have more later. Of a sync that fails for want of
 * descriptors or memory nothing can be told, so that is none.
 */
export function isShortage(error: unknown): boolean {
  return isNoSpace(error) || (isExhausted(error) && !isFailedSync(error));
}

/** True if the process or the system has run out of descriptors or memory. */
export function isExhausted(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'EMFILE' || code === 'ENFILE' || code === 'ENOMEM';
}

function isFailedSync(error: unknown): boolean {
  const { syscall } = error as NodeJS.ErrnoException;
  return syscall === 'fsync' || syscall === 'fdatasync';
}

/** `applied`: of a write. */
export function closedError(applied?: Applied): VarveError {
  const facts = applied === undefined ? {} : { applied };
  return new VarveError('CLOSED', 'The store has been closed.', facts);
}

/** The error of a call that would write to a store that was opened for reading. */
export function readOnlyError(applied?: Applied): VarveError {
  const facts = applied === undefined ? {} : { applied };
  return new VarveError(
    'READ_ONLY',
    'The store was opened for reading only: open it without the option readOnly to write.',
    facts,
  );
}

/** Gives a failure of the operating system a code of ours; its own error is the cause. */
export function asVarveError(error: unknown, what: string, applied?: Applied): VarveError {
  if (error instanceof VarveError) {
    return error;
  }
  const facts = applied === undefined ? { cause: error } : { cause: error, applied };
  return new VarveError('UNAVAILABLE', `${what}: ${String(error)}.`, facts);
}
