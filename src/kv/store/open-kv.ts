import { compactionSettings } from '../compaction/compaction-settings.ts';
import { wholeKeys } from '../sstable/filter-rule.ts';
import {
  type TreeSettings,
  openTree,
  type Tree,
  type TreeParts,
  type StartedTree,
} from '../tree/tree.ts';
import { checkPath } from '../../base/arguments.ts';
import { asVarveError, readOnlyError, VarveError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { reached } from '../../base/reached.ts';
import { resolveComponents } from '../../io/components.ts';
import { makeFolders, syncParents } from '../../io/folders.ts';
import { type HeldFolder, holdFolder, readingFolder } from '../../io/held-folder.ts';
import { absolutePath } from '../../io/path.ts';
import { checkUnlocked } from '../../io/unlocked.ts';
import { chooseThreads } from '../../io/thread-choice.ts';
import { logHoldsFrames } from '../../journal/new-journal.ts';
import { noRoom, poisoned } from '../../journal/write-failure.ts';
import type { TreeOwner } from '../tree/maintenance-parts.ts';
import type { KvRecovery, KvStore } from './contract.ts';
import { guardRefusal } from './guards.ts';
import { JournalLog, logOfFolder } from './journal-log.ts';
import { bytesCodec, jsonCodec, type ValueCodec } from './kv-bytes.ts';
import { type KvStoreParts, LocalKvStore } from './kv-store.ts';
import { KvWriter } from './kv-writer.ts';
import {
  type KvComponents,
  type KvOptions,
  type ResolvedKvOptions,
  resolveKvOptions,
} from './options.ts';
import type { PendingBatch } from './pending-batch.ts';
import { type LogEvents, NoLog, type StoreLog } from './store-log.ts';

type ResolvedKvComponents = Omit<TreeParts, 'held'>;

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
  const given = await resolveComponents(components, kvComponentNames);
  const threads = chooseThreads(resolved.background, components, given.logger);
  const path = absolutePath(directory);
  const codec: ValueCodec<unknown> = resolved.values === 'json' ? jsonCodec : bytesCodec;
  try {
    return (await openFolder({ ...given, threads }, resolved, path, codec)) as KvStore<never>;
  } catch (error) {
    throw asVarveError(error, `The store in ${path} can't be opened`);
  }
}

async function openFolder<Value>(
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
    const recheck = (): Promise<void> => checkUnlocked(fileSystem, directory);
    return readingFolder(fileSystem, directory, (folder) =>
      openStore(parts, options, directory, codec, { ...folder, recheck }),
    );
  }
  makeFolders(fileSystem, directory);
  syncParents(fileSystem, directory);
  const lock = await holdFolder(fileSystem, directory);
  try {
    return openStore(parts, options, directory, codec, lock);
  } catch (error) {
    await lock.release();
    throw error;
  }
}

function openStore<Value>(
  components: ResolvedKvComponents,
  options: ResolvedKvOptions,
  directory: string,
  codec: ValueCodec<Value>,
  lock: HeldFolder & KvStoreParts<Value>['lock'],
): KvStore<Value> {
  const { fileSystem, held } = lock;
  const parts: TreeParts = { ...components, fileSystem, held };
  // Tree and log speak only after they have been given work, and by then all parts are there.
  const owner: TreeOwner = {
    whenLogged: (sequence) => log.whenLogged(sequence),
    markAt: (place) => log.markAt(place),
    flushed: (sequence) => log.flushed(sequence),
    progress: () => writer.admitWaiting(),
    lost: (error) => log.poison(error),
  };
  const events: LogEvents = {
    roomChanged: () => writer.admitWaiting(),
    noSpace: (cause) => writer.refuseWaiting(noRoom('write', cause)),
    failed: (error) => {
      writer.close(poisoned(error.cause, 'no'));
      tree.maintenance.logFailed(error);
    },
  };
  const { create, readOnly } = options;
  const logHoldsWrites = (logDirectory: string): boolean =>
    logHoldsFrames(fileSystem, logDirectory);
  const tree = openTree(parts, directory, treeSettings(options), owner, {
    create,
    logHoldsWrites,
    ...(options.log && { log: logOfFolder(fileSystem, parts.random, directory) }),
  });
  const log = options.log ? new JournalLog(parts, options, tree, events) : new NoLog(tree, events);
  const refusal = ({ guards }: PendingBatch): VarveError | undefined =>
    guardRefusal(tree, writer.lastSequence, guards);
  const writer: KvWriter = new KvWriter({ tree, log, clock: parts.clock, refusal });
  const { orphans, isNameDurable } = startOrAbandon(tree, log);
  if (readOnly) {
    writer.close(readOnlyError('no'));
  } else if (isNameDurable) {
    // No manifest that may come back needs more of the log.
    log.flushed(tree.state.flushedSequence);
  }
  const recovery = reportRecovery(tree, log, orphans, parts.logger);
  return new LocalKvStore({ ...parts, tree, log, writer, recovery, lock, codec });
}

function startOrAbandon(tree: Tree, log: StoreLog): StartedTree {
  try {
    return tree.start();
  } catch (error) {
    log.abandon();
    throw error;
  }
}

function reportRecovery(
  { folder: { isNew, discarded }, isReadOnly }: Tree,
  { found }: StoreLog,
  orphans: readonly string[],
  logger: Logger,
): KvRecovery {
  const recovery = { isNew, ...found, orphans, discarded };
  if (!found.wasClosed || orphans.length > 0 || discarded !== undefined) {
    reached('recovered a key-value store');
    logger({
      level: found.quarantined === undefined && discarded === undefined ? 'info' : 'warn',
      event: isReadOnly ? 'not-closed' : 'recovered',
      message: isReadOnly
        ? 'The key-value store was not closed before, and is read as the next open will recover it.'
        : 'The key-value store was not closed before and has been recovered.',
      details: recovery,
    });
  }
  return recovery;
}

function treeSettings(options: ResolvedKvOptions): TreeSettings {
  return {
    readOnly: options.readOnly,
    blockCacheSize: options.blockCacheBytes,
    openCountMax: options.maxOpenFiles,
    tables: {
      blockSize: options.blockBytes,
      tableSizeMax: options.tableBytes,
      filter: wholeKeys(options.filterBitsPerKey),
      compression: options.compression,
    },
    compaction: compactionSettings({
      levelZeroTables: options.levelZeroTables,
      memtableSize: options.memtableBytes,
      tableSizeMax: options.tableBytes,
      levelBaseSize: options.levelBaseBytes,
      levelMultiplier: options.levelMultiplier,
    }),
  };
}
