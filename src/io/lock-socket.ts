import { connect, createServer, type Server } from 'node:net';
import { systemCode } from '../base/errors.ts';

/**
 * Listens on a Unix socket at `path`, for as long as this thread lives or until closed. Whoever connects is hung up on:
 * that the kernel accepts is all there is to say. Doesn't keep the process alive.
 */
export function listenAt(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer({ pauseOnConnect: true }, (socket) => {
      socket.on('error', ignore);
      socket.destroy();
    });
    server.once('error', reject);
    server.once('listening', () => {
      // From here on an error is a failed accept (too many open files). The kernel goes on queueing, the lock holds.
      server.on('error', ignore);
      resolve(server);
    });
    // `exclusive`: or the workers of a cluster share one socket. `writableAll`: connecting needs the write permission,
    // and an opener of another user must be able to see that the socket is dead.
    server.listen({ path, exclusive: true, writableAll: true });
    server.unref();
  });
}

/** `denied`: this user may not ask. `gone`: the name was removed meanwhile, by its owner or by somebody who found it dead. */
export type Pulse = 'live' | 'refused' | 'denied' | 'gone';

/**
 * Whether a refusal is the kernel's: nobody listens. Bun reports one also for a listener whose queue of connections is full
 * (EAGAIN), as that of a stopped process may be; Node and Deno tell the two apart.
 */
export function refusalProvesDeath(): boolean {
  return process.versions['bun'] === undefined && process.versions.uv !== undefined;
}

/**
 * Whether a process listens at `path`. The kernel answers for it: a blocked or stopped process counts as live. Sound
 * only for sockets made on this system, through this mount.
 */
export function probe(path: string): Promise<Pulse> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve('live');
    });
    socket.on('error', (error) => {
      const code = systemCode(error);
      if (ownFailures.has(code)) {
        reject(error);
      } else if (code === 'ECONNREFUSED') {
        resolve('refused');
      } else if (code === 'EACCES' || code === 'EPERM') {
        resolve('denied');
      } else if (code === 'ENOENT') {
        resolve('gone');
      } else {
        // EAGAIN, the queue is full, and whatever else: only a refusal proves that nobody listens.
        resolve('live');
      }
    });
  });
}

/** We could not even ask. */
const ownFailures: ReadonlySet<string | undefined> = new Set([
  'EMFILE',
  'ENFILE',
  'ENOBUFS',
  'ENOMEM',
]);

function ignore(): void {}
