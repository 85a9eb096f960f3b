/** Key-value stores on simulated disks, for tests. */
import { type KvComponents, type KvOptions, type KvStore, openKv, VarveError } from 'varve/kv';
import { SeededRandom, SimulatedFileSystem } from 'varve/testing';

export function disk(): SimulatedFileSystem {
  return new SimulatedFileSystem();
}

/** The store in `/kv`. */
export function openOn(
  fileSystem: SimulatedFileSystem,
  options: KvOptions = {},
  components: KvComponents = {},
): Promise<KvStore> {
  const random = new SeededRandom(1);
  return openKv('/kv', options, { fileSystem, random, ...components });
}

/** Of the VarveError that a call rejects with; undefined if it succeeds; the error as text if it is another. */
export async function codeOf(
  call: Promise<unknown> | (() => unknown),
): Promise<string | undefined> {
  try {
    await (typeof call === 'function' ? call() : call);
    return undefined;
  } catch (error) {
    return error instanceof VarveError ? error.code : String(error);
  }
}

export function text(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : Buffer.from(bytes).toString();
}
