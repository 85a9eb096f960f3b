/** What runs this program, where that makes a difference. */

// Order: not imported from node:process. Whoever imports a name from there has Node make process.stdout, and a pipe non-blocking by it.
const { bun, deno } = process.versions;

/** Undefined for Node.js. Other runtimes say whose interfaces they have, and who they are besides. */
const otherRuntime: string | undefined = bun === undefined ? deno && 'Deno' : 'Bun';

/**
 * Why a store can't have threads of its own here; undefined if it can. Other runtimes have threads, too, but not as Node's: in Deno they share
 * memory at the cost of seconds and can't be asked for messages, and in neither is it tried what becomes of a store when they end.
 */
export function whyNoThreads(): string | undefined {
  if (otherRuntime !== undefined) {
    return `Varve has no threads of its own under ${otherRuntime}`;
  }
  return typeof SharedArrayBuffer === 'function'
    ? undefined
    : 'There are no threads with shared memory here';
}
