import { unlinkSync } from 'node:fs';

/** Removes a name that does no harm if it stays: whatever keeps it from being removed is ignored. */
export function removeNameIfPossible(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Not there, somebody else was faster, or another user's in a sticky directory.
  }
}
