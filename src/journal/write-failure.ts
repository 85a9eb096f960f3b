import { type Applied, isExhausted, VarveError } from '../base/errors.ts';
import { isHoldLost } from '../io/held-folder.ts';
import { isStartFailure, isStartShortage } from '../io/thread.ts';

/** What the operator is told once, while writes are refused. */
export function scarcityOf(cause: unknown): string {
  return isOutOfHandles(cause)
    ? 'There are no file descriptors or memory left: writes are refused until there are.'
    : 'There is no space: writes are refused until there is.';
}

/** The error of a write that found no room to be prepared: nothing was changed, and a later one tries again. */
export function noRoom(what: 'append' | 'write', cause: unknown): VarveError {
  const message = isOutOfHandles(cause)
    ? `There are no file descriptors or memory left for this ${what}: free some, or raise the limit, and retry.`
    : `There is no space for this ${what}: free some and retry.`;
  return new VarveError('UNAVAILABLE', `${message} Nothing was changed.`, { cause, applied: 'no' });
}

/** What everybody hears who isn't asking about a commit of their own. */
export function writingEnded(cause: unknown): VarveError {
  if (isHoldLost(cause)) {
    return new VarveError('POISONED', cause.message, { cause, details: cause.details });
  }
  const message = isStartFailure(cause)
    ? `Writing to the store could not begin. ${cause.message}`
    : 'Writing to the store has failed and ended: close the store and open it again.';
  return new VarveError('POISONED', message, { cause });
}

/** The error of a commit that could not be written, and of every one after it. */
export function poisoned(cause: unknown, applied: Applied): VarveError {
  const what = applied === 'no' ? 'was not applied' : 'may or may not have been applied';
  if (isHoldLost(cause)) {
    const message = `${cause.message} This append ${what}.`;
    return new VarveError('POISONED', message, { cause, applied, details: cause.details });
  }
  const message = isStartFailure(cause)
    ? `Writing to the store could not begin, and this append ${what}. ${cause.message}`
    : `Writing to the store has failed, and this append ${what}: close the store, open it again and retry.`;
  return new VarveError('POISONED', message, { cause, applied });
}

function isOutOfHandles(cause: unknown): boolean {
  return isExhausted(cause) || (cause instanceof VarveError && isStartShortage(cause));
}
