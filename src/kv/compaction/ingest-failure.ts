import { asVarveError, VarveError, withApplied } from '../../base/errors.ts';

/** An ingest has failed before anything of it could be seen, now or after a crash. */
export function notApplied(error: unknown): VarveError {
  return failed(error, 'no');
}

/** It has failed while the manifest was replaced: only the next open knows. */
export function maybeApplied(error: unknown): VarveError {
  return failed(error, 'unknown');
}

function failed(given: unknown, applied: 'no' | 'unknown'): VarveError {
  const error = asVarveError(given, 'The entries could not be ingested', applied);
  // What is wrong about the call, or has to do with no disk, says so itself.
  if (error.kind !== 'unavailable' || error.applied === 'no') {
    return withApplied(error, applied);
  }
  const { code, message, details, cause } = error;
  return new VarveError(code, message, { cause, details, applied });
}
