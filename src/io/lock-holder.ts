import { readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { removeNameIfPossible } from './remove-name.ts';

/** Who holds a directory's lock, as it said itself. */
export interface LockHolder {
  readonly pid: number;
  readonly host: string;
  /** ISO 8601. */
  readonly since: string;
}

/** The file that tells people who holds the lock. It decides nothing: a stale, torn or missing one does no harm. */
export const holderFileName = 'LOCK';

/** Says that this process holds the lock, under the claim `claimId`. */
export function writeHolder(path: string, claimId: string): void {
  const holder: LockHolder = {
    pid: process.pid,
    host: hostname(),
    since: new Date().toISOString(),
  };
  // What a killed holder has left may belong to another user: it can be removed, not overwritten.
  removeNameIfPossible(path);
  try {
    writeFileSync(path, `${JSON.stringify({ ...holder, claim: claimId })}\n`);
  } catch {
    // A full disk must not keep a store from being opened, and the lock holds without this file.
  }
}

/** What the file says about the holder of the claim, or undefined if it speaks of another one or of none. */
export function readHolder(path: string, claimId: string): LockHolder | undefined {
  let holder: unknown;
  try {
    holder = JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
  if (!isHolder(holder) || holder.claim !== claimId) {
    return undefined;
  }
  return { pid: holder.pid, host: holder.host, since: holder.since };
}

function isHolder(value: unknown): value is LockHolder & { readonly claim: string } {
  if (typeof value !== 'object' || value === null) {
    return false;
  }
  const { pid, host, since } = value as Partial<Record<keyof LockHolder, unknown>>;
  return typeof pid === 'number' && typeof host === 'string' && typeof since === 'string';
}
