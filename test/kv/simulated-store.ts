/** Key-value stores on simulated disks, for tests. */
import {
  type KvComponents,
  type KvOptions,
  type KvRange,
  type KvReadOptions,
  type KvStore,
  openKv,
  VarveError,
} from 'varve/kv';
import {
  type CrashChoice,
  FaultPlan,
  type Operation,
  SeededRandom,
  SimulatedFileSystem,
} from 'varve/testing';

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

export function filled(size: number, byte: number): Uint8Array {
  return new Uint8Array(size).fill(byte);
}

/** Keys are short but for some of one byte over and over: those are written as their size. */
export function keysOf(kv: KvStore, range: KvRange = {}): string[] {
  return [...kv.iterateSync({ ...range, keysOnly: true })].map((key) =>
    key.length < 100 ? text(key)! : `${key[0]} x ${key.length}`,
  );
}

/** A disk with faults that strike while they are armed. */
export function faulty(strikes: (operation: Operation) => boolean): {
  readonly fileSystem: SimulatedFileSystem;
  readonly arm: (isArmed: boolean) => void;
} {
  let isArmed = false;
  const faults = new FaultPlan({
    when: (operation) => (isArmed && strikes(operation) ? 'EIO' : undefined),
  });
  return { fileSystem: new SimulatedFileSystem({ faults }), arm: (value) => (isArmed = value) };
}

export function tablesOn(fileSystem: SimulatedFileSystem): string[] {
  return fileSystem.paths().filter((path) => path.endsWith('.tbl'));
}

/** A power cut that loses all that is not durable. */
export const lossy: CrashChoice = { keep: 'none', sector: 512, directory: 'ordered' };

/** The store after a power cut. */
export function afterPowerCut(
  fileSystem: SimulatedFileSystem,
  options?: KvOptions,
): Promise<KvStore> {
  return openOn(fileSystem.crashClone(new SeededRandom(1), lossy), options);
}

/** So small that every job makes many. */
export const smallTables: KvOptions = { tableBytes: 1_024, blockBytes: 64 };

export function contentOf(kv: KvStore, options: KvReadOptions = {}): Record<string, string> {
  const pairs = [...kv.iterateSync(options)].map(([key, value]) => [text(key), text(value)]);
  return Object.fromEntries(pairs) as Record<string, string>;
}
