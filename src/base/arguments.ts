/** Checks of what callers give, for the doors. */
import { VarveError } from './errors.ts';

/** A misspelt option must not pass as its default: `expectedRevison` would be a lost update. */
export function rejectUnknownNames(given: object, known: ReadonlySet<string>, what: string): void {
  if (typeof given !== 'object' || given === null) {
    throw new VarveError('INVALID_ARGUMENT', `Give an object here: each ${what} has a name.`);
  }
  // Own or inherited: whatever a reader of the object would see.
  for (const name in given) {
    if (!known.has(name)) {
      throw new VarveError(
        'INVALID_ARGUMENT',
        `There is no ${what} ${JSON.stringify(name)}; there are: ${[...known].join(', ')}.`,
      );
    }
  }
}

/** An option that is there and undefined is not given. */
export function withoutUndefined<Options extends object>(given: Options): Options {
  return Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined),
  ) as Options;
}

export function checkRange(name: string, value: number, min: number, max: number): void {
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `${name} must be a whole number from ${min} to ${max}, not ${String(value)}.`,
    );
  }
}

export function checkBoolean(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'boolean') {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `${name} must be true or false, not ${JSON.stringify(value)}.`,
    );
  }
}

export function checkChoice(name: string, value: unknown, choices: readonly string[]): void {
  if (!choices.includes(value as string)) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `The option ${name} must be one of ${choices.join(', ')}, not ${JSON.stringify(value)}.`,
    );
  }
}

/** Signals of any realm: what counts is what is used of them. */
export function checkSignal(signal: AbortSignal | undefined): void {
  const isUsable =
    signal === undefined ||
    (typeof signal === 'object' &&
      signal !== null &&
      typeof signal.aborted === 'boolean' &&
      typeof signal.addEventListener === 'function' &&
      typeof signal.removeEventListener === 'function');
  if (!isUsable) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      'signal must be an AbortSignal: give controller.signal, not the controller.',
    );
  }
}

/** A path that can be one: text, not empty, without a zero byte. `ask` says what to give. */
export function checkPath(path: unknown, ask: string): asserts path is string {
  if (typeof path !== 'string' || path === '' || path.includes('\0')) {
    throw new VarveError('INVALID_ARGUMENT', ask);
  }
}

export function checkCallback(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'function') {
    throw new VarveError('INVALID_ARGUMENT', `${name} must be a function.`);
  }
}
