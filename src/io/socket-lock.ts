import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
} from 'node:fs';
import { type ClaimPulse, claimHasListener, pulseOf } from './claim-pulse.ts';
import { systemCode } from '../base/errors.ts';
import { identityOf } from './directory-identity.ts';
import type { DirectoryLock, HeldDirectory } from './file-system.ts';
import { holderFileName, readHeldClaim, readHolder, writeHolder } from './lock-holder.ts';
import { placeOf } from './lock-place.ts';
import {
  contendedError,
  doubtfulError,
  heldError,
  outOfSightError,
  unlockableError,
} from './lock-refusal.ts';
import { openSign } from './lock-sign.ts';
import { joinPath } from './path.ts';
import { removeNameIfPossible } from './remove-name.ts';
import { type ClaimName, heldNameOf, parseClaimName, SocketClaim } from './socket-claim.ts';
import { ownTimers } from './own-timers.ts';

/**
 * A directory lock without flock, which Node does not have. The kernel knows which Unix sockets have a listener, so a
 * socket in the directory is a sign of life that no crash leaves behind and no reused process id can forge.
 *
 *   listen at .lock-temp-<id>           nobody may take a socket for dead between its making and its listening
 *   rename to .lock-claim-<id>          from here on everybody sees that we want the lock
 *   list the directory once, probe the claims of others:
 *     dead                              remove it
 *     live and held, or a lower id      withdraw: LOCKED
 *     neither can be told (Bun)         withdraw: LOCKED
 *     live with a higher id             it will withdraw, or it has won and will say so: wait for either
 *   only then link .lock-held-<id>      ours
 *
 * Two can't both win: each lists after its claim is visible, so at least one of them sees the other. If that one has the
 * higher id it withdraws, else it waits until the other one has withdrawn or holds. Claims that are not in the list saw
 * ours and wait for us or withdraw, so newcomers can't keep us waiting; and who waits, waits for a higher id, so nobody
 * waits in a circle. The claim stays beside `held`: during a rename a concurrent listing may show neither name. Names are
 * never used twice, so removing a dead one can't hit a live one.
 *
 * Places that can't see each other's sockets (`placeOf`) refuse each other: see `outOfSightError`.
 *
 * Somebody may remove the names of a claim that is held. Its holder notices before it writes next (`HeldFileSystem`). Until then
 * the file LOCK says under which claim it holds this directory, and the kernel's list whether that still listens: LOCKED.
 */
export async function lockBySocket(directory: string): Promise<DirectoryLock> {
  const descriptor = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  // A socket's path may have 107 bytes. This one is short and stays right when the directory is renamed.
  const folder = `/proc/self/fd/${descriptor}`;
  let sign: ReturnType<typeof openSign>;
  try {
    const identity = identityOf(fstatSync(descriptor, { bigint: true }));
    const claim = await holdClaim(directory, folder, identity);
    try {
      sign = openSign(joinPath(folder, claim.names[0]!));
      await removeDead(folder, claim);
    } catch (error) {
      claim.withdraw();
      throw error;
    }
    const held = { path: directory, anchor: folder, identity, names: claim.names, sign };
    let released: Promise<void> | undefined;
    return {
      held,
      release: () => {
        released ??= release(claim, held, [descriptor, sign?.descriptor]);
        return released;
      },
    };
  } catch (error) {
    closeAll([descriptor, sign?.descriptor]);
    throw error;
  }
}

/**
 * Throws `LOCKED` if a claim in the directory is live, or might be. On a medium that can't be written no claim can have been made where it is
 * now: those that can't be judged came with a copy, and are passed over.
 */
export async function checkUnlockedBySocket(directory: string): Promise<void> {
  const descriptor = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  const folder = `/proc/self/fd/${descriptor}`;
  try {
    if (!existsSync(folder)) {
      throw unlockableError(directory, '/proc is not mounted');
    }
    const claims = listClaims(folder).filter(({ kind }) => kind !== 'temp');
    const place = claims.length === 0 ? undefined : placeOf(folder);
    const doubtful: ClaimName[] = [];
    for (const claim of claims) {
      const pulse = claim.place === place ? await pulseOf(folder, claim) : 'doubtful';
      if (pulse === 'live') {
        throw heldError(directory, readHolder(joinPath(folder, holderFileName), claim.id));
      }
      if (pulse === 'doubtful') {
        doubtful.push(claim);
      }
    }
    if (doubtful.length > 0 && !isUnwritable(folder)) {
      refuseIfOutOfSight(directory, folder, doubtful);
    }
    refuseIfNamesWereRemoved(
      directory,
      folder,
      identityOf(fstatSync(descriptor, { bigint: true })),
    );
  } finally {
    closeSync(descriptor);
  }
}

function isUnwritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return false;
  } catch (error) {
    return systemCode(error) === 'EROFS';
  }
}

/** Makes a claim and wins, or leaves nothing of it. */
async function holdClaim(
  directory: string,
  folder: string,
  identity: string,
): Promise<SocketClaim> {
  if (!existsSync(folder)) {
    throw unlockableError(directory, '/proc is not mounted');
  }
  const claim = await SocketClaim.make(directory, folder, placeOf(folder));
  try {
    await win(directory, folder, claim);
    refuseIfNamesWereRemoved(directory, folder, identity);
    claim.hold();
    writeHolder(joinPath(folder, holderFileName), claim.id, identity);
    return claim;
  } catch (error) {
    claim.withdraw();
    throw error;
  }
}

async function release(
  claim: SocketClaim,
  { anchor }: HeldDirectory,
  descriptors: readonly (number | undefined)[],
): Promise<void> {
  const holderPath = joinPath(anchor, holderFileName);
  // Order: LOCK is ours only while the lock is. Another's is there if our names were removed.
  if (readHolder(holderPath, claim.id) !== undefined) {
    removeNameIfPossible(holderPath);
  }
  claim.withdraw();
  // The next opener may succeed from here on.
  await removeDead(anchor, claim);
  closeAll(descriptors);
}

function closeAll(descriptors: readonly (number | undefined)[]): void {
  for (const descriptor of descriptors) {
    if (descriptor !== undefined) {
      closeSync(descriptor);
    }
  }
}

/** A holder whose names in the directory were removed still listens. */
function refuseIfNamesWereRemoved(directory: string, folder: string, identity: string): void {
  const note = readHeldClaim(joinPath(folder, holderFileName), identity);
  if (note !== undefined && claimHasListener(note.claim) === true) {
    throw heldError(directory, note.holder);
  }
}

/** How long to wait for claims that have to decide first; their processes may be stopped or busy. */
const patienceMs = 5_000;
const waitMsMax = 16;

/** Throws `LOCKED` unless the claim is the one that may hold. */
async function win(directory: string, folder: string, claim: SocketClaim): Promise<void> {
  const others = listClaims(folder).filter(({ id, kind }) => id !== claim.id && kind !== 'temp');
  const inSight = others.filter(({ place }) => place === claim.place);
  for (const other of inSight.filter(({ kind }) => kind === 'held')) {
    await refuseIfHeld(directory, folder, other);
  }
  const undecided: ClaimName[] = [];
  for (const other of inSight.filter(({ kind }) => kind === 'claim')) {
    if (await isLive(directory, folder, other)) {
      if (other.id < claim.id) {
        throw contendedError(directory);
      }
      undecided.push(other);
    }
  }
  refuseIfOutOfSight(
    directory,
    folder,
    others.filter(({ place }) => place !== claim.place),
  );
  const deadlineMs = ownTimers.elapsedMs() + patienceMs;
  for (const other of undecided) {
    await waitForDecision(directory, folder, other, deadlineMs);
  }
}

async function refuseIfHeld(directory: string, folder: string, held: ClaimName): Promise<void> {
  if (await isLive(directory, folder, held)) {
    throw heldError(directory, readHolder(joinPath(folder, holderFileName), held.id));
  }
}

function refuseIfOutOfSight(directory: string, folder: string, claims: readonly ClaimName[]): void {
  if (claims.length > 0) {
    const paths = claims.map(({ name }) => joinPath(directory, name));
    const holders = claims.map(({ id }) => readHolder(joinPath(folder, holderFileName), id));
    const holder = holders.find((found) => found !== undefined);
    throw outOfSightError(directory, holder, paths);
  }
}

/** Returns when the other claim is gone. */
async function waitForDecision(
  directory: string,
  folder: string,
  other: ClaimName,
  deadlineMs: number,
): Promise<void> {
  for (let waitMs = 1; await isLive(directory, folder, other); waitMs = nextWait(waitMs)) {
    await refuseIfHeld(directory, folder, heldNameOf(other));
    if (ownTimers.elapsedMs() > deadlineMs) {
      throw contendedError(directory);
    }
    await new Promise((resolve) => {
      ownTimers.setTimeout(resolve, waitMs);
    });
  }
}

function nextWait(waitMs: number): number {
  return Math.min(2 * waitMs, waitMsMax);
}

/** Removes the name if it is dead. Throws `LOCKED` if that can't be told. */
async function isLive(directory: string, folder: string, claim: ClaimName): Promise<boolean> {
  const pulse = await removeIfDead(folder, claim);
  if (pulse === 'doubtful') {
    const paths = listClaims(folder)
      .filter(({ id }) => id === claim.id)
      .map(({ name }) => joinPath(directory, name));
    throw doubtfulError(directory, readHolder(joinPath(folder, holderFileName), claim.id), paths);
  }
  return pulse === 'live';
}

async function removeIfDead(folder: string, claim: ClaimName): Promise<ClaimPulse> {
  const pulse = await pulseOf(folder, claim);
  if (pulse === 'dead') {
    removeNameIfPossible(joinPath(folder, claim.name));
  }
  return pulse;
}

/**
 * Removes what killed openers have left, if it can. An opener that is between making its socket and listening looks dead,
 * too: it finds its name gone and starts again.
 */
async function removeDead(folder: string, own: SocketClaim): Promise<void> {
  try {
    for (const other of listClaims(folder)) {
      if (other.place === own.place && other.id !== own.id) {
        await removeIfDead(folder, other);
      }
    }
  } catch {
    // Too many open files, or the directory itself is gone. The next opener will do it.
  }
}

function listClaims(folder: string): ClaimName[] {
  return readdirSync(folder)
    .map(parseClaimName)
    .filter((claim) => claim !== undefined);
}
