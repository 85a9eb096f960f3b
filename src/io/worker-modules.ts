import { rejectUnknownNames } from '../base/arguments.ts';
import { VarveError } from '../base/errors.ts';

/**
 * The files that threads run, for programs whose bundler has moved them: one for each thread that the store has. Each is made from the
 * entry of the same name in `varve/workers/`, by the same version of this package. docs/bundling.md shows how.
 */
export interface WorkerModules {
  /** Writes the log of an event store: `varve/workers/event-log`. */
  readonly eventLog?: URL;
  /** Writes the log of a key-value store: `varve/workers/kv-log`. */
  readonly kvLog?: URL;
  /** Makes and merges tables: `varve/workers/kv-background`. */
  readonly kvBackground?: URL;
  /** Makes and merges tables of data that is derived from an event log: `varve/workers/index-background`. */
  readonly indexBackground?: URL;
}

/** A thread's program: what it is called, which it says itself when it has started, and where it is. */
export interface WorkerFile {
  readonly name: string;
  /** Throws if that isn't known: what a bundler makes need not know where it is. */
  readonly locate: () => URL;
}

const names: ReadonlySet<string> = new Set<keyof WorkerModules>([
  'eventLog',
  'kvLog',
  'kvBackground',
  'indexBackground',
]);

/** Throws `INVALID_ARGUMENT`. */
export function checkWorkers(given: WorkerModules): void {
  if (typeof given !== 'object' || given === null) {
    throw new VarveError('INVALID_ARGUMENT', 'The component workers must be an object of URLs.');
  }
  rejectUnknownNames(given, names, 'worker');
  for (const [name, module] of Object.entries(given)) {
    if (module !== undefined && !isUrl(module)) {
      throw new VarveError(
        'INVALID_ARGUMENT',
        `The file of the worker ${name} must be a URL, as new URL(…, import.meta.url) or pathToFileURL(…) gives it.`,
      );
    }
  }
}

/** By its shape: test runners have realms of their own, with another class of that name. */
function isUrl(value: unknown): boolean {
  return typeof (value as { readonly href?: unknown } | null)?.href === 'string';
}

/** `standard` tells where the file is in the package as it is published. */
export function workerFile(
  name: keyof WorkerModules,
  given: WorkerModules,
  standard: () => URL,
): WorkerFile {
  const named = given[name];
  return { name, locate: () => (named === undefined ? locate(standard) : new URL(named.href)) };
}

function locate(standard: () => URL): URL {
  try {
    return standard();
  } catch (cause) {
    // Bundlers leave import.meta empty where the result is CommonJS.
    throw new VarveError('UNAVAILABLE', 'the bundle does not know where it is', { cause });
  }
}
