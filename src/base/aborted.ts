import { VarveError } from './errors.ts';

/** The error of a call that its signal has ended. `applied`: of a write. */
export function aborted(signal: AbortSignal | undefined, applied?: 'no'): VarveError {
  const facts = { cause: signal?.reason as unknown };
  return new VarveError(
    'ABORTED',
    'The call was aborted by its signal.',
    applied === undefined ? facts : { ...facts, applied },
  );
}

/** Throws `ABORTED` if the signal has aborted. */
export function checkAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) {
    throw aborted(signal);
  }
}
