import { checkCallback, checkPath, checkSignal, rejectUnknownNames } from '../base/arguments.ts';
import { checkAborted } from '../base/aborted.ts';
import { asVarveError, CorruptionError } from '../base/errors.ts';
import { resolveComponents } from '../io/components.ts';
import { holdFolder } from '../io/held-folder.ts';
import { absolutePath } from '../io/path.ts';
import { audit } from './audit-folder.ts';
import type { IndexStats } from './contract.ts';
import { open } from './open-store.ts';
import type { StoreComponents } from './options.ts';
import { existingIdentity, inspectFolder } from './store-folder.ts';
import { closedIndexFolder } from './verify-store.ts';

export interface RebuildOptions {
  /** Called now and then: `verify` counts bytes of the log, `index` its positions. */
  readonly onProgress?: (progress: RebuildProgress) => void;
  readonly signal?: AbortSignal;
}

export interface RebuildProgress {
  readonly phase: 'verify' | 'index';
  readonly done: number;
  readonly total: number;
}

const optionNames = new Set(['onProgress', 'signal']);
const componentNames = new Set(['fileSystem', 'clock', 'random', 'logger', 'codecs', 'workers']);

/**
 * Removes what was derived from the log of a closed store, and makes it again. The log is verified first: what is derived from a damaged one is the only
 * witness of what it held, and is kept. Aborted while it is made, the rest is made by the next open.
 *
 * Throws `CORRUPT` for a log that is damaged, having changed nothing, `ABORTED`, and what `open` throws.
 */
export async function rebuildIndex(
  directory: string,
  options: RebuildOptions = {},
  components: StoreComponents = {},
): Promise<IndexStats> {
  rejectUnknownNames(options, optionNames, 'option');
  checkCallback('onProgress', options.onProgress);
  checkSignal(options.signal);
  checkAborted(options.signal);
  checkPath(directory, 'Give the folder of the store.');
  const { onProgress, signal } = options;
  const given = await resolveComponents(components, componentNames);
  const path = absolutePath(directory);
  const report = await audit(
    path,
    {
      onProgress: ({ bytes, bytesTotal }) =>
        onProgress?.({ phase: 'verify', done: bytes, total: bytesTotal }),
      ...(signal && { signal }),
    },
    { ...(components.fileSystem && { fileSystem: components.fileSystem }), clock: given.clock },
  );
  const damage = report.findings.find(({ severity }) => severity === 'damage');
  if (damage !== undefined) {
    const { file, offset, reason, position } = damage;
    throw new CorruptionError(file, offset, `${reason}; nothing was changed`, undefined, position);
  }
  await discardIndex(given, path);
  const store = await open(
    path,
    {
      create: false,
      onProgress: ({ positions, positionsTotal }) =>
        onProgress?.({ phase: 'index', done: positions, total: positionsTotal }),
      ...(signal && { signal }),
    },
    components,
  );
  try {
    await store.settled();
    return store.stats().index;
  } finally {
    await store.close();
  }
}

async function discardIndex(
  given: Awaited<ReturnType<typeof resolveComponents>>,
  path: string,
): Promise<void> {
  try {
    inspectFolder(given.fileSystem, path, false);
    const folder = await holdFolder(given.fileSystem, path);
    try {
      const { fileSystem } = folder;
      const { bytes } = existingIdentity(fileSystem, path);
      const parts = { ...given, fileSystem, identity: bytes };
      closedIndexFolder(parts, path, false, () => {}).remove();
    } finally {
      await folder.release();
    }
  } catch (error) {
    throw asVarveError(error, `Derived data in ${path} can't be removed`);
  }
}
