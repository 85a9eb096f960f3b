import { VarveError } from './errors.ts';

/** Checks an invariant of ours. Messages are literals: building one on every success costs more than the check. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) {
    fail(message);
  }
}

/** Reports a broken invariant together with the values that show it. */
export function fail(message: string, details: Readonly<Record<string, unknown>> = {}): never {
  throw new VarveError('INTERNAL', `Invariant broken: ${message}. Please report this.`, {
    details,
  });
}
