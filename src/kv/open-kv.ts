import { asVarveError, VarveError } from '../base/errors.ts';
import { guardedLogger, type Logger, silentLogger } from '../base/logger.ts';
import type { Random } from '../base/random.ts';
import type { Clock } from '../io/clock.ts';
import { type ComponentModule, isComponentModule } from '../io/component.ts';
import type { FileSystem } from '../io/file-system.ts';
import { fileSystemOf } from '../io/file-system-of.ts';
import { makeFolders, syncParents } from '../io/folders.ts';
import { holdFolder } from '../io/held-folder.ts';
import { nodeClock } from '../io/node-clock.ts';
import { nodeRandom } from '../io/node-random.ts';
import { absolutePath } from '../io/path.ts';
import { canShareMemory } from '../io/thread.ts';
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
export interface ResolvedKvComponents {
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Whether the log is written and tables are made on threads of their own. */
  readonly usesThreads: boolean;
  /** How these get their file system; undefined for the operating system's. */
  readonly namedFileSystem: ComponentModule | undefined;
}

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
  if (typeof directory !== 'string' || directory === '') {
    throw new VarveError('INVALID_ARGUMENT', 'Give the folder of the store.');
  }
  const parts = await resolveComponents(resolved, components);
  const path = absolutePath(directory);
  const codec: ValueCodec<unknown> = resolved.values === 'json' ? jsonCodec : bytesCodec;
  try {
    return (await openLocked(parts, resolved, path, codec)) as KvStore<never>;
  } catch (error) {
    throw asVarveError(error, `The store in ${path} can't be opened`);
  }
}

async function resolveComponents(
  options: ResolvedKvOptions,
  { fileSystem: given, clock, random, logger }: KvComponents,
): Promise<ResolvedKvComponents> {
  const namedFileSystem = given !== undefined && isComponentModule(given) ? given : undefined;
  const hasObject = given !== undefined && namedFileSystem === undefined;
  const canUseThreads = !hasObject && canShareMemory();
  if (options.background === 'thread' && !canUseThreads) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      hasObject
        ? 'Threads must make the file system themselves: name it by its module, { module, options }.'
        : 'There are no threads with shared memory here: leave the option background to "auto".',
    );
  }
  return {
    fileSystem: await fileSystemOf(given),
    clock: clock ?? nodeClock,
    random: random ?? nodeRandom,
    logger: guardedLogger(logger ?? silentLogger),
    usesThreads: options.background !== 'inline' && canUseThreads,
    namedFileSystem,
  };
}

async function openLocked<Value>(
  parts: ResolvedKvComponents,
  options: ResolvedKvOptions,
  directory: string,
  codec: ValueCodec<Value>,
): Promise<KvStore<Value>> {
  const { fileSystem } = parts;
  if (!options.create && fileSystem.stat(directory) === undefined) {
    throw new VarveError('NOT_A_STORE', `There is no store: ${directory} does not exist.`, {
      details: { directory },
    });
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
