import { readFileSync } from 'node:fs';
import { distanceOf, originHere } from './lock-place.ts';
import { probe, refusalProvesDeath } from './lock-socket.ts';
import { joinPath } from './path.ts';
import type { ClaimName } from './socket-claim.ts';

/** `doubtful`: it looks dead, and that is all there is to say from here. Nobody may remove it for that. */
export type ClaimPulse = 'live' | 'dead' | 'gone' | 'doubtful';

/** Whether the process that made a claim still lives. */
export async function pulseOf(folder: string, claim: ClaimName): Promise<ClaimPulse> {
  const pulse = await probe(joinPath(folder, claim.name));
  if (pulse === 'live' || pulse === 'gone') {
    return pulse;
  }
  return pulse === 'refused' && refusalProvesDeath() ? 'dead' : secondOpinion(claim);
}

/** The kernel's list of sockets shows those of this network namespace, and every system begins with an empty one. */
function secondOpinion({ id, origin }: ClaimName): ClaimPulse {
  const distance = distanceOf(origin, originHere());
  if (distance === 'other boot') {
    return 'dead';
  }
  const isListed = claimHasListener(id);
  if (isListed === true) {
    return 'live';
  }
  return isListed === false && distance === 'same list' ? 'dead' : 'doubtful';
}

/** One that is there may be missing once: the list is read in pieces, and sockets before it may come and go meanwhile. */
const LOOKS = 3;

/**
 * Whether the kernel lists a socket that was made for the claim, alive as long as its process. It lists the name that the socket
 * was made under, whatever has become of that. Undefined if the list can't be read.
 */
export function claimHasListener(id: string): boolean | undefined {
  try {
    for (let look = 0; look < LOOKS; look += 1) {
      if (readFileSync('/proc/net/unix', 'latin1').includes(`/.lock-temp-${id}-`)) {
        return true;
      }
    }
    return false;
  } catch {
    return undefined;
  }
}
