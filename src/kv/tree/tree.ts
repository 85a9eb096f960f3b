/**
 * Sorted tables with memtables in front of them, and their upkeep: the engine of a key-value store, and of data that is derived from a log.
 * It has no log and no lock, makes no promise for a write, and checks no caller's arguments.
 *
 *   owner ── sequences, entries ──▶ memtables ── flush ──▶ tables ── merge ──▶ deeper levels
 *         ◀── flushed up to ──                     ◀── reads ──
 *
 * What is only in memory is lost with the process. `flushedSequence` and `flushedPosition` of the manifest say what is not: the owner inserts
 * the rest again from its log, then calls `start`.
 */
import type { TreeStats, VerifyOptions, VerifyReport } from './tree-reports.ts';
import { CorruptionError, systemCode, VarveError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { Random } from '../../base/random.ts';
import type { Clock } from '../../io/clock.ts';
import type { FileSystem, HeldDirectory } from '../../io/file-system.ts';
import type { ThreadChoice } from '../../io/thread-choice.ts';
import type { WorkerFile } from '../../io/worker-modules.ts';
import type { Background } from '../compaction/background.ts';
import { inlineBackground, InlineJobs } from '../compaction/inline-background.ts';
import { CountedTableNumbers } from '../compaction/table-numbers.ts';
import type { TableSource } from '../compaction/table-source.ts';
import { type StartJobs, threadBackground } from '../compaction/thread-background.ts';
import { WatchedBackground } from '../compaction/watched-background.ts';
import type { Found } from '../entries/cursor.ts';
import type { ManifestState } from '../manifest/format.ts';
import { LEVEL_COUNT } from '../manifest/levels.ts';
import { discardTables, type TidiedFolder, tidyFolder } from '../manifest/manifest-store.ts';
import { BlockCache } from '../sstable/block-cache.ts';
import { tablePath, tablesDirectory } from '../sstable/names.ts';
import { ReadCounters } from '../sstable/read-counters.ts';
import { readKeyCount, type TableImage } from '../sstable/table-file.ts';
import type { TableMeta } from '../sstable/table-meta.ts';
import { TableReader } from '../sstable/table-reader.ts';
import { DirectLookups } from './direct-lookups.ts';
import { type EntryBounds, EntryIterator } from './entry-iterator.ts';
import { HiddenVersions } from './hidden-versions.ts';
import { Maintenance } from './maintenance.ts';
import type { MaintenanceSettings, TreeOwner } from './maintenance-parts.ts';
import { MemtableQueue } from './memtable-queue.ts';
import { OpenIterators } from './open-iterators.ts';
import { openTables, type OpenTablesOptions } from './open-tables.ts';
import { ReadState } from './read-state.ts';
import { SnapshotList } from './snapshot-list.ts';
import { TableSet } from './table-set.ts';
import { type OpenedFolder, openTreeFolder, type TreeFolderOptions } from './tree-folder.ts';
import { verifyTables } from './verify-tables.ts';

export interface TreeParts {
  readonly fileSystem: FileSystem;
  /** The folder that is held, for a thread to work in. */
  readonly held: HeldDirectory | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Where tables are made. */
  readonly threads: ThreadChoice;
  /** What the background makes tables of by itself, if it is to (`Maintenance.makeBuilt`). */
  readonly source?: TreeSource;
}

/** One source in two forms: an object for this thread, and the program of another one that has such an object. */
export interface TreeSource {
  readonly inline: TableSource;
  readonly worker: WorkerFile | undefined;
}

export interface TreeSettings extends MaintenanceSettings {
  readonly blockCacheSize: number;
  /** Tables kept open. */
  readonly openCountMax: number;
  /** Nobody has locked the folder, and nothing in it is changed: never flushed, never merged. */
  readonly readOnly: boolean;
}

/** Opens the tree in a locked folder, or makes one. Throws what `openTreeFolder` throws. */
export function openTree(
  parts: TreeParts,
  directory: string,
  settings: TreeSettings,
  owner: TreeOwner,
  options: Omit<TreeFolderOptions, 'readOnly'> = { create: true },
): Tree {
  const { readOnly } = settings;
  const folder = openTreeFolder(parts, directory, { ...options, readOnly });
  return new Tree(parts, settings, folder, owner);
}

/** Result of starting a tree. */
export interface StartedTree {
  /** Paths of tables that no manifest named, removed or set aside. */
  readonly orphans: readonly string[];
  /** The manifest's name is durable: what only an older one needs may go. */
  readonly isNameDurable: boolean;
}

/** A tree that has just been made has nothing to remove. */
const NOTHING_TIDIED: TidiedFolder = { removed: [], setAside: [], isNameDurable: true };

export class Tree {
  readonly folder: OpenedFolder;
  /** Takes what is written. */
  readonly memtables: MemtableQueue;
  readonly tables: TableSet;
  readonly snapshots: SnapshotList;
  readonly iterators: OpenIterators = new OpenIterators();
  readonly maintenance: Maintenance;
  readonly isReadOnly: boolean;
  readonly #parts: TreeParts;
  readonly #cache: BlockCache;
  readonly #counters = new ReadCounters();
  readonly #reads: ReadState;
  /** For an owner who must not read files where it decides. */
  readonly lookups: DirectLookups;

  /** Reads work at once. Nothing is changed on disk, and `owner` is told nothing, before `start`. */
  constructor(parts: TreeParts, settings: TreeSettings, folder: OpenedFolder, owner: TreeOwner) {
    const { state } = folder;
    const { usesThreads } = parts.threads;
    this.#parts = parts;
    this.folder = folder;
    this.isReadOnly = settings.readOnly;
    this.#cache = new BlockCache(settings.blockCacheSize, settings.tables.blockSize);
    this.snapshots = new SnapshotList((sequence) => this.maintenance.snapshotClosed(sequence));
    const schedule = (): void => this.maintenance.schedule();
    const access = {
      open: (meta: TableMeta, image?: TableImage) => this.#openTable(meta, image),
      openAsync: (meta: TableMeta) => this.#openTableAsync(meta),
      unused: (meta: TableMeta) => this.maintenance.discard([meta]),
      scanned: schedule,
    };
    this.tables = new TableSet(access, state.levels, settings.openCountMax);
    this.#reads = new ReadState([], this.tables);
    this.lookups = new DirectLookups(this.#reads, this.tables);
    this.memtables = new MemtableQueue(
      this.#reads,
      { sizeTarget: settings.compaction.memtableSize, isShared: usesThreads },
      schedule,
      () => this.#readers(),
    );
    this.memtables.active.maxSequence = state.flushedSequence;
    this.memtables.active.position = state.flushedPosition;
    const numbers = CountedTableNumbers.startingAt(folder.nextTableNumber, usesThreads);
    const { clock, logger } = parts;
    const { tables, memtables, snapshots } = this;
    this.maintenance = new Maintenance(
      {
        directory: folder.directory,
        clock,
        logger,
        background: startBackground(parts, folder, numbers, (error) => owner.lost(error)),
        tables,
        memtables,
        snapshots,
        hidden: new HiddenVersions(snapshots, (meta) => this.#keyCountOf(meta)),
        numbers,
        owner,
      },
      settings,
      state,
    );
  }

  /** What the manifest says, durably. */
  get state(): ManifestState {
    return this.maintenance.state;
  }

  /**
   * Upkeep begins: the owner's log has been checked, and everything that it holds and tables don't has been inserted. Order: what no manifest
   * names is removed only now, for a log that is refused must leave the folder as it was.
   */
  start(): StartedTree {
    if (this.isReadOnly) {
      return { orphans: [], isNameDurable: false };
    }
    const { directory, state, plan } = this.folder;
    const { fileSystem } = this.#parts;
    const tidied = plan && tidyFolder(fileSystem, directory, { state, plan });
    this.maintenance.start();
    const { removed, setAside, isNameDurable } = tidied ?? NOTHING_TIDIED;
    const orphans = [...removed, ...setAside].map((number) => tablePath(directory, number));
    return { orphans, isNameDurable };
  }

  /** Finds what a reader at `sequence` sees of a key. False if that is nothing. */
  get(key: Uint8Array, sequence: number, found: Found): boolean {
    return this.#reads.get(key, sequence, found);
  }

  /**
   * What a reader at `sequence` sees within bounds, one after the other. Must be closed. `fillCache`: false for a walk through everything, which would
   * drive out what lookups need.
   */
  entries(
    bounds: EntryBounds,
    sequence: number,
    isReverse = false,
    fillCache = true,
  ): EntryIterator {
    return new EntryIterator(this.#reads, bounds, { sequence, isReverse, fillCache });
  }

  /** About how many bytes the keys from `start` up to `end` take; undefined: to the last one. */
  sizeOf(start: Uint8Array, end: Uint8Array | undefined): number {
    const { memtables } = this.#reads;
    return memtables.reduce(
      (sum, memtable) => sum + memtable.sizeOf(start, end),
      this.tables.sizeOf(start, end),
    );
  }

  /** Grows whenever other tables than before are read: answers that name the same one are of the same tables. */
  get version(): number {
    return this.tables.version;
  }

  /** Bytes of filters and indexes in memory. They have no bound but the number of tables that may be open. */
  get tableMemory(): number {
    return this.tables.memorySize;
  }

  /** Gives blocks in memory another bound; those above it are dropped at once. No more than the first one is of use. */
  resizeCache(size: number): void {
    this.#cache.resize(size);
  }

  /**
   * Opens all tables, so that direct lookups find them in memory, if as many may be open. Rejects with `CORRUPT` where one is not what the manifest
   * says, with `ABORTED`, and with `CLOSED` if the tree is closed meanwhile.
   */
  openTables(options: OpenTablesOptions = {}): Promise<void> {
    return openTables(this.tables, this.#parts.clock, options);
  }

  /** Reads every table to its end. Rejects with `ABORTED`, and with `CLOSED` if the tree is closed meanwhile. */
  verify(options: VerifyOptions = {}): Promise<VerifyReport> {
    return verifyTables(this.tables, this.#parts.clock, options);
  }

  stats(): TreeStats {
    const { maintenance, memtables } = this;
    const { levels, flushedSequence } = this.state;
    return {
      levels: Array.from({ length: LEVEL_COUNT }, (_, level) => ({
        tableCount: levels.countOf(level),
        size: levels.sizeOf(level),
      })),
      memtables: { count: memtables.frozenCount + 1, size: memtables.size },
      flushedVersion: flushedSequence,
      pressure: { state: maintenance.pressure, debt: maintenance.debt },
      background: {
        ...maintenance.counts,
        error: maintenance.error,
      },
      reads: Object.assign({}, this.#counters),
      cache: { size: this.#cache.size, capacity: this.#cache.capacity },
      snapshots: this.snapshots.count,
      openTables: this.tables.openCount,
    };
  }

  /** Ends what is under way. What is only in memory is lost: `maintenance.flushRest` comes before, for those who want to keep it. */
  async close(): Promise<void> {
    this.iterators.closeAll();
    const answered = this.lookups.close();
    try {
      await this.maintenance.close();
    } finally {
      // Order: no file is closed that is being read.
      await answered;
      this.tables.close();
    }
  }

  /**
   * Closes the tree and removes its files: everything in it can be made again, in the same folder. Work that is under way ends; files that are gone
   * are no hindrance, nor are those that can't be known again, if strangers are set aside.
   */
  async discard(): Promise<void> {
    const { directory, strangers } = this.folder;
    const { identity } = this.state;
    await this.close();
    discardTables(this.#parts.fileSystem, directory, { identity, strangers });
  }

  #readers(): number[] {
    return [...this.snapshots.sequences(), ...this.iterators.sequences].sort(
      (left, right) => left - right,
    );
  }

  #openTable(meta: TableMeta, image: TableImage | undefined): TableReader {
    const { fileSystem } = this.#parts;
    const { directory, state } = this.folder;
    const { identity } = state;
    const path = tablePath(directory, meta.number);
    const cache = this.#cache;
    try {
      return TableReader.open(fileSystem, path, meta, identity, cache, this.#counters, image);
    } catch (error) {
      throw this.isReadOnly ? asReplaced(error, path) : error;
    }
  }

  async #openTableAsync(meta: TableMeta): Promise<TableReader> {
    const { fileSystem, clock } = this.#parts;
    const { directory, state } = this.folder;
    const { identity } = state;
    const path = tablePath(directory, meta.number);
    const cache = this.#cache;
    const pause = (): Promise<void> => clock.pause();
    try {
      return await TableReader.openAsync(
        fileSystem,
        path,
        meta,
        identity,
        cache,
        this.#counters,
        pause,
      );
    } catch (error) {
      throw this.isReadOnly ? asReplaced(error, path) : error;
    }
  }

  /** Somebody has removed the folder that tables are made in. */
  get isFolderGone(): boolean {
    const { directory } = this.folder;
    return this.#parts.fileSystem.stat(tablesDirectory(directory)) === undefined;
  }

  #keyCountOf(meta: TableMeta): number {
    const { directory, state } = this.folder;
    const path = tablePath(directory, meta.number);
    return readKeyCount(this.#parts.fileSystem, path, meta, state.identity);
  }
}

/** All tables were there when the tree was opened for reading: an owner has come, and has removed what it replaced. */
function asReplaced(error: unknown, path: string): unknown {
  const isMissing = error instanceof CorruptionError && systemCode(error.cause) === 'ENOENT';
  return isMissing
    ? new VarveError(
        'UNAVAILABLE',
        `The table ${path} is gone: somebody has opened the store for writing and replaced it; open the store again.`,
        { cause: error, details: { file: path } },
      )
    : error;
}

function startBackground(
  { fileSystem, clock, threads, held, source }: TreeParts,
  { directory, state }: OpenedFolder,
  numbers: CountedTableNumbers,
  lost: (error: VarveError) => void,
): Background {
  const { identity } = state;
  const common = { fileSystem, directory, identity, numbers, failedSyncs: { count: 0 } };
  const inlineParts = { ...common, source: source?.inline };
  if (!threads.usesThreads) {
    return new WatchedBackground(inlineBackground(inlineParts, clock), lost);
  }
  const startInline: StartJobs = (report) => new InlineJobs(inlineParts, clock, report);
  const place = { directory, identity, held, numbers: numbers.words, worker: source?.worker };
  const background = threadBackground({ ...place, threads, startInline });
  return new WatchedBackground(background, lost);
}
