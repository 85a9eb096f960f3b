import { type Applied, type ErrorKind, VarveError } from '../index.ts';

/** What the process ends with. Stable: scripts rely on it. */
export const ExitCode = {
  ok: 0,
  damageFound: 1,
  invalid: 2,
  conflict: 3,
  unavailable: 4,
  damaged: 5,
  notFound: 6,
  internal: 70,
  interrupted: 130,
} as const;

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** As `varve --help` lists them. */
export const exitCodeHelp: readonly (readonly [ExitCode, string])[] = [
  [ExitCode.ok, 'done'],
  [ExitCode.damageFound, 'verify found damage, or repair has something to do'],
  [ExitCode.invalid, 'the call or its input is wrong: fix it'],
  [ExitCode.conflict, 'somebody else was first, or a key was used before for other content'],
  [ExitCode.unavailable, 'the store is in use, or the disk is full: try later'],
  [ExitCode.damaged, 'the store is damaged and was not opened: see verify, repair'],
  [ExitCode.notFound, 'there is no such event or key'],
  [ExitCode.internal, 'a defect of varve: please report it'],
  [ExitCode.interrupted, 'stopped by Ctrl-C'],
];

const exitCodeOfKind: Readonly<Record<ErrorKind, ExitCode>> = {
  invalid: ExitCode.invalid,
  conflict: ExitCode.conflict,
  unavailable: ExitCode.unavailable,
  data: ExitCode.damaged,
  closed: ExitCode.internal,
  internal: ExitCode.internal,
};

/** A failure that the command itself finds: what is wrong, and what to do about it. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: ExitCode;
  readonly code: string;
  readonly advice: string | undefined;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    message: string,
    facts: {
      readonly exitCode?: ExitCode;
      readonly code?: string;
      readonly advice?: string | undefined;
      readonly details?: Readonly<Record<string, unknown>>;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.exitCode = facts.exitCode ?? ExitCode.invalid;
    this.code = facts.code ?? 'INVALID_ARGUMENT';
    this.advice = facts.advice;
    this.details = facts.details ?? {};
  }
}

/** What to tell about a failure, whoever threw it. */
export interface Failure {
  readonly exitCode: ExitCode;
  readonly code: string;
  readonly message: string;
  readonly advice: string | undefined;
  readonly details: Readonly<Record<string, unknown>>;
  /** Of a failed write: whether it took effect. */
  readonly applied?: Applied | undefined;
}

export function describeFailure(error: unknown): Failure {
  return { ...describe(error), applied: appliedOf(error) };
}

/** The command tells of what the store refused in its own words; the store's are the cause. */
function appliedOf(error: unknown): Applied | undefined {
  let inner = error;
  while (inner instanceof Error && !(inner instanceof VarveError)) {
    inner = inner.cause;
  }
  return inner instanceof VarveError ? inner.applied : undefined;
}

function describe(error: unknown): Failure {
  if (error instanceof CommandError) {
    const { exitCode, code, message, advice, details } = error;
    return { exitCode, code, message, advice, details };
  }
  if (error instanceof VarveError) {
    const { code, message, details } = error;
    return {
      exitCode: exitCodeOfKind[error.kind],
      code,
      message: withCause(message, error),
      advice: adviceFor(error),
      details,
    };
  }
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
  if (code !== undefined && /^E[A-Z0-9]+$/.test(code)) {
    const message = (error as Error).message;
    const exitCode = code === 'ENOENT' ? ExitCode.invalid : ExitCode.unavailable;
    return { exitCode, code, message, advice: undefined, details: {} };
  }
  return {
    exitCode: ExitCode.internal,
    code: 'INTERNAL',
    message: error instanceof Error ? (error.stack ?? error.message) : String(error),
    advice: 'This is a defect of varve: please report it with the lines above.',
    details: {},
  };
}

function withCause(message: string, { cause, kind }: VarveError): string {
  return cause instanceof Error && kind === 'unavailable' && !message.includes(cause.message)
    ? `${message} (${cause.message})`
    : message;
}

function adviceFor({ code }: VarveError): string | undefined {
  if (code === 'NOT_A_STORE') {
    return 'varve import and varve append make a store in a new or empty folder.';
  }
  if (code === 'CORRUPT') {
    return 'Nothing was changed. varve verify <dir> lists all damage, varve dump <dir> shows the files.';
  }
  return undefined;
}
