import { checkPath } from '../../base/arguments.ts';
import { asVarveError, VarveError } from '../../base/errors.ts';
import { type ResolvedComponents, resolveComponents } from '../../io/components.ts';
import { makeFolders, syncParents } from '../../io/folders.ts';
import { holdFolder, readingFolder } from '../../io/held-folder.ts';
import { absolutePath } from '../../io/path.ts';
import { checkUnlocked } from '../../io/unlocked.ts';
import { chooseThreads, type ThreadChoice } from '../../io/thread-choice.ts';
import type { KvStore } from './contract.ts';
import { openFolder } from './kv-folder.ts';
import { bytesCodec, jsonCodec, type ValueCodec } from './kv-bytes.ts';
import { startEngine } from './kv-engine.ts';
import { LocalKvStore } from './kv-store.ts';
import {
  type KvComponents,
  type KvOptions,
  type ResolvedKvOptions,
  resolveKvOptions,
} from './options.ts';

/** The parts of a store that its caller may replace. */
export interface ResolvedKvComponents extends ResolvedComponents {
  /** Where the log is written and tables are made. */
  readonly threads: ThreadChoice;
}

export const kvComponentNames: ReadonlySet<string> = new Set([
  'fileSystem',
  'clock',
  'random',
  'logger',
  'workers',
]);

/**
 * Opens the key-value store in a folder, making it if there is none, and recovers it if it wasn't closed: every write acknowledged as
 * durable is there, or this throws. Until `close` no one else can open it.
 *
 * Throws `LOCKED`, `CORRUPT` (where is in the error; nothing was changed), `FOREIGN_FILE`, `NOT_A_STORE`, `UNSUPPORTED_FORMAT`,
 * `INVALID_ARGUMENT`, `UNAVAILABLE`.
 */
export async function openKv<Value = unknown>(
  directory: string,
  options: KvOptions & { readonly values: 'json' },
  components?: KvComponents,
): Promise<KvStore<Value>>;
export async function openKv(
  directory: string,
  options?: KvOptions,
  components?: KvComponents,
): Promise<KvStore>;
export async function openKv(
  directory: string,
  options: KvOptions = {},
  components: KvComponents = {},
): Promise<KvStore<never>> {
  const resolved = resolveKvOptions(options);
  checkPath(directory, 'Give the folder of the store.');
  const parts = await resolveKvComponents(resolved, components);
  const path = absolutePath(directory);
  const codec: ValueCodec<unknown> = resolved.values === 'json' ? jsonCodec : bytesCodec;
  try {
    return (await openLocked(parts, resolved, path, codec)) as KvStore<never>;
  } catch (error) {
    throw asVarveError(error, `The store in ${path} can't be opened`);
  }
}

async function resolveKvComponents(
  options: ResolvedKvOptions,
  components: KvComponents,
): Promise<ResolvedKvComponents> {
  const given = await resolveComponents(components, kvComponentNames);
  return {
    ...given,
    threads: chooseThreads(options.background, 'background', components, given.logger),
  };
}

async function openLocked<Value>(
  parts: ResolvedKvComponents,
  options: ResolvedKvOptions,
  directory: string,
  codec: ValueCodec<Value>,
): Promise<KvStore<Value>> {
  const { fileSystem } = parts;
  const mayCreate = options.create && !options.readOnly;
  const found = fileSystem.stat(directory);
  if (found !== undefined && found.kind !== 'directory') {
    throw new VarveError('NOT_A_STORE', `${directory} is not a folder.`, {
      details: { directory },
    });
  }
  if (!mayCreate && found === undefined) {
    throw new VarveError('NOT_A_STORE', `There is no store: ${directory} does not exist.`, {
      details: { directory },
    });
  }
  if (options.readOnly) {
    return openToRead(parts, options, directory, codec);
  }
  makeFolders(fileSystem, directory);
  syncParents(fileSystem, directory);
  const lock = await holdFolder(fileSystem, directory);
  try {
    const heldParts = { ...parts, fileSystem: lock.fileSystem, held: lock.held };
    const folder = openFolder(heldParts, options, directory);
    return new LocalKvStore({ ...startEngine(heldParts, options, folder), lock, codec });
  } catch (error) {
    await lock.release();
    throw error;
  }
}

function openToRead<Value>(
  parts: ResolvedKvComponents,
  options: ResolvedKvOptions,
  directory: string,
  codec: ValueCodec<Value>,
): Promise<KvStore<Value>> {
  const recheck = (): Promise<void> => checkUnlocked(parts.fileSystem, directory);
  return readingFolder(parts.fileSystem, directory, (lock) => {
    const own = { ...parts, fileSystem: lock.fileSystem, held: undefined };
    const folder = openFolder(own, options, directory);
    return new LocalKvStore({ ...startEngine(own, options, folder), lock, codec, recheck });
  });
}
