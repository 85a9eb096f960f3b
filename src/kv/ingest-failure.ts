import { systemCode, VarveError } from '../base/errors.ts';

const MESSAGE = 'The entries could not be ingested';

/** An ingest has failed before anything of it could be seen, now or after a crash. What the caller's own entries throw stays as it is. */
export function notApplied(error: unknown): unknown {
  return failed(error, 'no');
}

/** It has failed while the manifest was replaced: only the next open knows. */
export function maybeApplied(error: unknown): unknown {
  return failed(error, 'unknown');
}

function failed(error: unknown, applied: 'no' | 'unknown'): unknown {
  if (error instanceof VarveError) {
    // What is wrong about the call, or has to do with no disk, says so itself.
    if (error.kind !== 'unavailable' || error.applied === 'no') {
      return error;
    }
    const { code, message, details, cause } = error;
    return new VarveError(code, message, { cause, details, applied });
  }
  return systemCode(error) === undefined
    ? error
    : new VarveError('UNAVAILABLE', `${MESSAGE}: ${String(error)}.`, { cause: error, applied });
}
