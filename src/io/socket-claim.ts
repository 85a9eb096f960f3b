import { randomBytes } from 'node:crypto';
import { linkSync, renameSync } from 'node:fs';
import type { Server } from 'node:net';
import { systemCode } from '../base/errors.ts';
import { originHere } from './lock-place.ts';
import { unlockableError } from './lock-refusal.ts';
import { listenAt } from './lock-socket.ts';
import { joinPath } from './path.ts';
import { removeNameIfPossible } from './remove-name.ts';

/** What a name in the directory says: `.lock-<kind>-<id>-<place>`, with `x<origin>` behind the place if that is known. */
export interface ClaimName {
  readonly name: string;
  readonly kind: (typeof kinds)[number];
  readonly id: string;
  readonly place: string;
  /** See `originHere`. */
  readonly origin: string | undefined;
}

export function parseClaimName(name: string): ClaimName | undefined {
  const match = namePattern.exec(name);
  const [, kindName, id, place, origin] = match ?? [];
  const kind = kinds.find((candidate) => candidate === kindName);
  return kind === undefined || id === undefined || place === undefined
    ? undefined
    : { name, kind, id, place, origin };
}

/** The name under which `claim` says that it has won. */
export function heldNameOf(claim: ClaimName): ClaimName {
  return { ...claim, name: nameOf('held', claim), kind: 'held' };
}

/** Our claim to a directory: a listening socket and its names. `socket-lock.ts` tells what they mean. */
export class SocketClaim {
  /** Random; of two claims the lower one decides first. */
  readonly id: string;
  readonly place: string;
  /** Where it was made. */
  readonly origin: string | undefined;
  readonly #directory: string;
  readonly #folder: string;
  readonly #server: Server;

  private constructor(facts: ClaimFacts, server: Server) {
    this.id = facts.id;
    this.place = facts.place;
    this.origin = facts.origin;
    this.#directory = facts.directory;
    this.#folder = facts.folder;
    this.#server = server;
  }

  /** Claims `directory`, which is addressed as `folder`. The claim is listening before it can be seen. */
  static async make(directory: string, folder: string, place: string): Promise<SocketClaim> {
    for (let attempt = 1; ; attempt += 1) {
      const id = randomBytes(8).toString('hex');
      const facts = { directory, folder, place, id, origin: originHere() };
      let claim: SocketClaim | undefined;
      try {
        claim = new SocketClaim(facts, await listenIn(facts));
        renameSync(claim.#path('temp'), claim.#path('claim'));
        return claim;
      } catch (error) {
        claim?.withdraw();
        // A new holder tidied up and took our socket for dead, because it wasn't listening yet.
        if (systemCode(error) !== 'ENOENT' || attempt === attemptCountMax) {
          throw error;
        }
      }
    }
  }

  /** Says that the claim has won. */
  hold(): void {
    try {
      linkSync(this.#path('claim'), this.#path('held'));
    } catch (error) {
      if (unsupportedCodes.has(systemCode(error))) {
        throw unlockableError(this.#directory, 'its file system has no hard links', error);
      }
      throw error;
    }
  }

  /** The names that stand for the lock while it is held. */
  get names(): readonly string[] {
    return [nameOf('claim', this), nameOf('held', this)];
  }

  /** Gives the claim up at once: nothing of it is left when this returns. */
  withdraw(): void {
    // Order: `held` goes before the claim, so whoever waits for a claim and finds it gone need not look for `held`.
    for (const kind of kinds) {
      removeNameIfPossible(this.#path(kind));
    }
    // From here on a name that could not be removed is dead.
    this.#server.close();
  }

  #path(kind: ClaimName['kind']): string {
    return joinPath(this.#folder, nameOf(kind, this));
  }
}

interface ClaimFacts {
  readonly directory: string;
  readonly folder: string;
  readonly place: string;
  readonly id: string;
  readonly origin: string | undefined;
}

const kinds = ['held', 'claim', 'temp'] as const;
// The place in its older form has no origin. Who knows only that form takes the newer one for another place, and refuses.
const namePattern = /^\.lock-(temp|claim|held)-([0-9a-f]{16})-([0-9a-z]+?)(?:x([0-9a-f]{16}))?$/;

const attemptCountMax = 10;

/** What bind, chmod and link say on file systems that don't know sockets or hard links. */
const unsupportedCodes: ReadonlySet<string | undefined> = new Set([
  'EINVAL',
  'EMLINK',
  'ENOSYS',
  'ENOTSUP',
  'EOPNOTSUPP',
  'EPERM',
]);

async function listenIn({ directory, folder, ...claim }: ClaimFacts): Promise<Server> {
  try {
    return await listenAt(joinPath(folder, nameOf('temp', claim)));
  } catch (error) {
    if (unsupportedCodes.has(systemCode(error))) {
      throw unlockableError(directory, 'its file system has no Unix sockets', error);
    }
    if (systemCode(error) === 'EROFS') {
      const advice = 'open it with the option readOnly, or make it writable';
      throw unlockableError(directory, 'its file system is read-only', error, advice);
    }
    if (systemCode(error) === 'EACCES') {
      const advice = 'open it with the option readOnly, or have its folder made writable';
      throw unlockableError(directory, 'this user may not write there', error, advice);
    }
    throw error;
  }
}

function nameOf(
  kind: ClaimName['kind'],
  { id, place, origin }: Pick<ClaimName, 'id' | 'place' | 'origin'>,
): string {
  return `.lock-${kind}-${id}-${place}${origin === undefined ? '' : `x${origin}`}`;
}
