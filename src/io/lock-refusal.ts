import { VarveError } from '../base/errors.ts';
import type { LockHolder } from './lock-holder.ts';

/** Somebody of this system has the lock. `holder` is undefined if it hasn't said who it is. */
export function heldError(directory: string, holder: LockHolder | undefined): VarveError {
  const who = holder === undefined ? 'a process that has not said who it is' : name(holder);
  return new VarveError(
    'LOCKED',
    `${directory} is in use by ${who}: close the store there, or end that process, and open it again.`,
    { details: { directory, holder } },
  );
}

/** Others are asking for the lock at this moment; which of them gets it is not known yet. */
export function contendedError(directory: string): VarveError {
  return new VarveError(
    'LOCKED',
    `${directory} is being opened by another process at this moment: try again.`,
    { details: { directory, holder: undefined } },
  );
}

/** Somebody whose life can't be seen from here, on another host or another mount, has claimed the lock. */
export function outOfSightError(
  directory: string,
  holder: LockHolder | undefined,
  claimPaths: readonly string[],
): VarveError {
  return unaskableError(directory, holder, claimPaths, 'on another host or mount');
}

/** A claim looks dead, but this runtime says the same of a holder that is only slow to answer. */
export function doubtfulError(
  directory: string,
  holder: LockHolder | undefined,
  claimPaths: readonly string[],
): VarveError {
  return unaskableError(directory, holder, claimPaths, 'in another container');
}

function unaskableError(
  directory: string,
  holder: LockHolder | undefined,
  claimPaths: readonly string[],
  where: string,
): VarveError {
  const who = holder === undefined ? 'a process' : name(holder);
  const command = ['rm', '--', ...claimPaths.map(quoteForShell)].join(' ');
  return new VarveError(
    'LOCKED',
    `${directory} is in use by ${who} ${where}, which can't be asked from here: close the store there, ` +
      `or, once it is certain that the process has ended, clear its claim with: ${command}`,
    { details: { directory, holder, claimPaths, command } },
  );
}

/** The system or the file system has nothing to lock with. */
export function unlockableError(
  directory: string,
  reason: string,
  cause?: unknown,
  advice = 'put the store on a local file system',
): VarveError {
  return new VarveError(
    'UNAVAILABLE',
    `${directory} can't be locked, because ${reason}: ${advice}.`,
    { cause, details: { directory } },
  );
}

function name({ pid, host, since }: LockHolder): string {
  return `process ${pid} on host ${host} since ${since}`;
}

function quoteForShell(path: string): string {
  return `'${path.replaceAll("'", "'\\''")}'`;
}
