/**
 * Errors between threads. A structured clone keeps neither class nor fields, so an error travels as plain data and is built
 * again on the other side: same class, code, message, facts, and the chain of causes.
 */
import { types } from 'node:util';
import {
  type Applied,
  CorruptionError,
  type ErrorCode,
  RevisionConflictError,
  VarveError,
} from './errors.ts';

/** An error as plain data; can be cloned. */
export interface PackedError {
  readonly type: 'varve' | 'revision-conflict' | 'corruption' | 'plain';
  readonly name: string;
  readonly message: string;
  readonly stack?: string;
  /** What else there is of it: of ours `applied` and `details`, of the operating system's its code and call. */
  readonly facts: Readonly<Record<string, unknown>>;
  readonly cause?: PackedCause;
}

/** What was thrown may be anything; what isn't an error travels as it is, or as text. */
type PackedCause = { readonly error: PackedError } | { readonly value: unknown };

/** Causes of causes beyond this depth are told as text; a chain may even be a circle. */
const CAUSE_DEPTH_MAX = 8;

/** Fields of the errors that Node makes for the operating system. */
const systemFields = ['code', 'errno', 'syscall', 'path', 'dest', 'address', 'port'];

/** Never throws, whatever it is given. */
export function packError(error: unknown): PackedError {
  return isError(error)
    ? pack(error, 0)
    : { type: 'plain', name: 'Error', message: textOf(error), facts: {} };
}

/** The error that was packed: `instanceof` holds for our classes and for JavaScript's own. */
export function unpackError(packed: PackedError): Error {
  const cause = packed.cause === undefined ? undefined : unpackCause(packed.cause);
  const error = rebuild(packed, cause);
  if (packed.stack !== undefined) {
    defineHidden(error, 'stack', packed.stack);
  }
  return error;
}

function pack(error: Error, depth: number): PackedError {
  const { stack, cause } = error;
  return {
    type: typeOf(error),
    name: textOf(error.name),
    message: textOf(error.message),
    facts: error instanceof VarveError ? ownFacts(error) : systemFacts(error),
    ...(typeof stack === 'string' ? { stack } : {}),
    ...(cause === undefined ? {} : { cause: packCause(cause, depth + 1) }),
  };
}

function typeOf(error: Error): PackedError['type'] {
  if (error instanceof RevisionConflictError) {
    return 'revision-conflict';
  }
  if (error instanceof CorruptionError) {
    return 'corruption';
  }
  return error instanceof VarveError ? 'varve' : 'plain';
}

function ownFacts({ code, applied, details }: VarveError): PackedError['facts'] {
  const cloneable = Object.entries(details).map(([name, value]) => [name, cloneableOf(value)]);
  const outcome = applied === undefined ? {} : { applied };
  return { code, ...outcome, details: Object.fromEntries(cloneable) };
}

function systemFacts(error: Error): PackedError['facts'] {
  const fields = error as unknown as Readonly<Record<string, unknown>>;
  const present = systemFields.filter((name) => fields[name] !== undefined);
  return Object.fromEntries(present.map((name) => [name, cloneableOf(fields[name])]));
}

function packCause(cause: unknown, depth: number): PackedCause {
  if (!isError(cause)) {
    return { value: cloneableOf(cause) };
  }
  return depth < CAUSE_DEPTH_MAX ? { error: pack(cause, depth) } : { value: textOf(cause) };
}

function unpackCause(cause: PackedCause): unknown {
  return 'error' in cause ? unpackError(cause.error) : cause.value;
}

function rebuild(packed: PackedError, cause: unknown): Error {
  const { facts, message } = packed;
  const details = (facts['details'] ?? {}) as Readonly<Record<string, unknown>>;
  if (packed.type === 'revision-conflict') {
    const { stream, expected, actual } = details as unknown as RevisionConflictError;
    return new RevisionConflictError(stream, expected, actual);
  }
  if (packed.type === 'corruption') {
    const { file, offset, reason, position } = details as unknown as CorruptionError;
    return new CorruptionError(file, offset, reason, cause, position);
  }
  if (packed.type === 'varve') {
    const code = facts['code'] as ErrorCode;
    const applied = facts['applied'] as Applied | undefined;
    const known = applied === undefined ? { cause, details } : { cause, details, applied };
    return new VarveError(code, message, known);
  }
  return rebuildPlain(packed, cause);
}

function rebuildPlain({ name, message, facts }: PackedError, cause: unknown): Error {
  const make = builtIn.find((candidate) => candidate.name === name) ?? Error;
  const error = new make(message, cause === undefined ? undefined : { cause });
  if (error.name !== name) {
    defineHidden(error, 'name', name);
  }
  return Object.assign(error, facts);
}

const builtIn: readonly ErrorConstructor[] = [
  Error,
  TypeError,
  RangeError,
  SyntaxError,
  ReferenceError,
  EvalError,
  URIError,
];

function isError(value: unknown): value is Error {
  return types.isNativeError(value) || value instanceof Error;
}

function cloneableOf(value: unknown): unknown {
  try {
    structuredClone(value);
    return value;
  } catch {
    return textOf(value);
  }
}

function textOf(value: unknown): string {
  try {
    return String(value);
  } catch {
    return 'a value that has no text';
  }
}

function defineHidden(error: Error, name: string, value: string): void {
  Object.defineProperty(error, name, { value, configurable: true, writable: true });
}
