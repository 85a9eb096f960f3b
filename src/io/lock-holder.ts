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

/** The file that tells people who holds the lock. It never gives anybody the lock: a stale, torn or missing one does no harm. */
export const holderFileName = 'LOCK';

/** Says that this process holds the lock of the directory with this identity, under the claim `claimId`. */
export function writeHolder(path: string, claimId: string, directory: string): void {
  const holder: LockHolder = {
    pid: process.pid,
    host: hostname(),
    since: new Date().toISOString(),
  };
  // What a killed holder has left may belong to another user: it can be removed, not overwritten.
  removeNameIfPossible(path);
  try {
    writeFileSync(path, `${JSON.stringify({ ...holder, claim: claimId, directory })}\n`);
  } catch {
    // A full disk must not keep a store from being opened, and the lock holds without this file.
  }
}

/** What the file says about the holder of the claim, or undefined if it speaks of another one or of none. */
export function readHolder(path: string, claimId: string): LockHolder | undefined {
  const note = readNote(path);
  return note?.claim === claimId ? holderOf(note) : undefined;
}

/** The claim under which the file says that this very directory is held; a copied file speaks of another one. */
export function readHeldClaim(
  path: string,
  directory: string,
): { readonly claim: string; readonly holder: LockHolder } | undefined {
  const note = readNote(path);
  return typeof note?.claim === 'string' && note.directory === directory
    ? { claim: note.claim, holder: holderOf(note) }
    : undefined;
}

type HolderNote = LockHolder & { readonly claim?: unknown; readonly directory?: unknown };

function readNote(path: string): HolderNote | undefined {
  try {
    const note: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return isHolder(note) ? note : undefined;
  } catch {
    return undefined;
  }
}

function holderOf({ pid, host, since }: LockHolder): LockHolder {
  return { pid, host, since };
}

function isHolder(value: unknown): value is HolderNote {
  if (typeof value !== 'object' || value === null) {
    return false;
  }
  const { pid, host, since } = value as Partial<Record<keyof LockHolder, unknown>>;
  return typeof pid === 'number' && typeof host === 'string' && typeof since === 'string';
}
