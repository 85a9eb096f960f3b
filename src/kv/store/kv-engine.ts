/** Puts a store together from the parts of its folder: tables, memtables filled from the log, writer, maintenance. */
import { CorruptionError, readOnlyError, systemCode, VarveError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import type { Logger } from '../../base/logger.ts';
import { reached } from '../../base/reached.ts';
import type { FileSystem, HeldDirectory } from '../../io/file-system.ts';
import { joinPath } from '../../io/path.ts';
import { inlineWriter } from '../../journal/inline-writer.ts';
import { Journal, type JournalEvents } from '../../journal/journal.ts';
import type { JournalSettings } from '../../journal/options.ts';
import { startNoWriter } from '../../journal/no-writer.ts';
import { type OpenedJournal, readJournal, recoverJournal } from '../../journal/recovery.ts';
import { noRoom, poisoned } from '../../journal/write-failure.ts';
import type { Background } from '../compaction/background.ts';
import { compactionSettings } from '../compaction/compaction-settings.ts';
import { inlineBackground, InlineJobs } from '../compaction/inline-background.ts';
import { CountedTableNumbers } from '../compaction/table-numbers.ts';
import { type StartJobs, threadBackground } from '../compaction/thread-background.ts';
import { WatchedBackground } from '../compaction/watched-background.ts';
import type { KvRecovery } from './contract.ts';
import { guardRefusal } from './guards.ts';
import { HiddenVersions } from '../tree/hidden-versions.ts';
import type { OpenedFolder } from './kv-folder.ts';
import { OpenIterators } from './kv-iterator.ts';
import { KvLogEncoder } from './kv-log-encoder.ts';
import { kvLogWriterThread } from './kv-log-writer.ts';
import { LogDurability } from './log-durability.ts';
import { type FileRemoval, LogTrimmer } from './log-trimmer.ts';
import { applyOperation, KvWriter, type KvWriterParts } from './kv-writer.ts';
import { Maintenance } from '../tree/maintenance.ts';
import type { MaintenanceSettings } from '../tree/maintenance-parts.ts';
import { LOG_NAME, QUARANTINE_NAME } from '../manifest/folder.ts';
import { MemtableQueue } from '../tree/memtable-queue.ts';
import { tablePath } from '../sstable/names.ts';
import type { ResolvedKvComponents } from './open-kv.ts';
import { KV_SEGMENT_SIZE_MAX, type ResolvedKvOptions } from './options.ts';
import { ReadState } from '../tree/read-state.ts';
import { SnapshotList } from '../tree/snapshot-list.ts';
import { BlockCache } from '../sstable/block-cache.ts';
import { ReadCounters } from '../sstable/read-counters.ts';
import { readKeyCount } from '../sstable/table-file.ts';
import { TableReader } from '../sstable/table-reader.ts';
import { TableSet } from '../tree/table-set.ts';

/** A store's parts, at work. */
export interface KvEngine extends ResolvedKvComponents {
  readonly directory: string;
  readonly isReadOnly: boolean;
  readonly journal: Journal | undefined;
  readonly writer: KvWriter;
  readonly memtables: MemtableQueue;
  readonly state: ReadState;
  readonly tables: TableSet;
  readonly maintenance: Maintenance;
  readonly snapshots: SnapshotList;
  readonly iterators: OpenIterators;
  readonly cache: BlockCache;
  readonly counters: ReadCounters;
  readonly recovery: KvRecovery;
}

/** Components that work in a folder that is held. */
export interface HeldKvComponents extends ResolvedKvComponents {
  readonly held: HeldDirectory | undefined;
}

export function startEngine(
  parts: HeldKvComponents,
  options: ResolvedKvOptions,
  folder: OpenedFolder,
): KvEngine {
  const cache = new BlockCache(options.blockCacheBytes, options.blockBytes);
  const counters = new ReadCounters();
  const { readOnly } = options;
  const upkeep = (): Maintenance | undefined => (readOnly ? undefined : maintenance);
  const snapshots = new SnapshotList((sequence) => upkeep()?.snapshotClosed(sequence));
  const iterators = new OpenIterators();
  const remove: FileRemoval = (paths, over) => upkeep()?.remove(paths, over);
  const scanned = (): void => upkeep()?.schedule();
  const tables = openTables(parts, options, folder, { cache, counters, remove, scanned });
  const state = new ReadState([], tables);
  const queue = { sizeTarget: options.memtableBytes, isShared: parts.threads.usesThreads };
  const memtables = emptyMemtables(folder, state, queue, () => upkeep()?.schedule());
  let maintenance: Maintenance | undefined;
  const log = options.log ? recoverLog(parts, folder, memtables, readOnly) : undefined;
  const lastSequence = Math.max(folder.state.lastSequence, log?.recovered.end.position ?? 0);
  const trimmer =
    log && new LogTrimmer(parts.fileSystem, log.directory, log.recovered.segments, remove);
  // The journal speaks only after it has been given work, and by then all parts are there.
  const events = journalEvents(() => ({ writer, maintenance, trimmer, durability }));
  const journal = log && startJournal(parts, options, folder, log, events);
  const durability = new LogDurability(journal);
  const numbers = CountedTableNumbers.startingAt(folder.nextTableNumber, parts.threads.usesThreads);
  const hidden = hiddenVersionsOf(parts, folder, snapshots);
  const rest = { tables, memtables, snapshots, hidden, numbers };
  const started = new Maintenance(
    {
      ...parts,
      ...rest,
      background: startBackground(parts, folder, numbers, (error) => writer.endWriting(error)),
      flushed: (sequence) => trimmer?.trim(sequence),
      whenLogged: (sequence) => durability.reaches(sequence),
      discard: (made) => remove(made.map(({ number }) => tablePath(folder.directory, number))),
      progress: () => writer.drain(),
    },
    maintenanceSettings(options),
    folder.state,
  );
  maintenance = started;
  const readers = (): number[] => readersOf(snapshots, iterators);
  const clients = { clock: parts.clock, journal, memtables, state, readers };
  const writer = makeWriter({ ...clients, maintenance: started }, lastSequence);
  if (readOnly) {
    writer.close(readOnlyError('no'));
  } else {
    trimmer?.trim(coveredSequence(folder));
    started.schedule();
  }
  const recovery = reportRecovery(folder, log, readOnly, parts.logger);
  const { directory } = folder;
  const made = {
    directory,
    isReadOnly: readOnly,
    journal,
    writer,
    memtables,
    state,
    tables,
    snapshots,
    iterators,
  };
  return { ...parts, ...made, maintenance: started, cache, counters, recovery };
}

interface JournalListeners {
  readonly writer: KvWriter;
  readonly maintenance: Maintenance | undefined;
  readonly trimmer: LogTrimmer | undefined;
  readonly durability: LogDurability;
}

function journalEvents(listeners: () => JournalListeners): JournalEvents {
  return {
    durable: (position) => listeners().durability.advanced(position),
    roomChanged: () => listeners().writer.drain(),
    noSpace: (cause) => listeners().writer.refuseWaiting(noRoom('write', cause)),
    sealed: (firstPosition) => listeners().trimmer?.sealed(firstPosition),
    failed: (error) => {
      const { writer, maintenance, durability } = listeners();
      writer.refuseWaiting(poisoned(error.cause, 'no'));
      maintenance?.logFailed(error);
      durability.failed();
    },
  };
}

interface WriterClients extends Pick<KvWriterParts, 'clock' | 'journal' | 'memtables' | 'readers'> {
  readonly maintenance: Maintenance;
  readonly state: ReadState;
}

function makeWriter(
  { maintenance, state, ...parts }: WriterClients,
  lastSequence: number,
): KvWriter {
  const writer: KvWriter = new KvWriter(
    {
      ...parts,
      pressure: () => maintenance.pressure,
      flushError: () => maintenance.flushError,
      compactionError: () => maintenance.compactionError,
      refusal: (batch) => guardRefusal(state, writer.lastSequence, batch.guards),
      failed: (error) => maintenance.logFailed(error),
    },
    lastSequence,
  );
  return writer;
}

function emptyMemtables(
  { state }: OpenedFolder,
  ...parts: ConstructorParameters<typeof MemtableQueue>
): MemtableQueue {
  const memtables = new MemtableQueue(...parts);
  memtables.active.maxSequence = state.lastSequence;
  memtables.active.position = state.flushedPosition;
  return memtables;
}

/** Up to which no manifest that may come back needs the log. */
function coveredSequence({ state, isNameDurable }: OpenedFolder): number {
  return isNameDurable ? state.flushedSequence : 0;
}

function openTables(
  { fileSystem }: { readonly fileSystem: FileSystem },
  options: ResolvedKvOptions,
  { directory, state }: OpenedFolder,
  parts: {
    readonly cache: BlockCache;
    readonly counters: ReadCounters;
    readonly remove: FileRemoval;
    readonly scanned: () => void;
  },
): TableSet {
  const { cache, counters, remove, scanned } = parts;
  const { identity, levels } = state;
  return new TableSet(
    {
      open: (meta) => {
        const path = tablePath(directory, meta.number);
        try {
          return TableReader.open(fileSystem, path, meta, identity, cache, counters);
        } catch (error) {
          throw options.readOnly ? asReplaced(error, path) : error;
        }
      },
      unused: ({ number }) => remove([tablePath(directory, number)]),
      scanned,
    },
    levels,
    options.maxOpenFiles,
  );
}

function hiddenVersionsOf(
  { fileSystem }: ResolvedKvComponents,
  { directory, state }: OpenedFolder,
  snapshots: SnapshotList,
): HiddenVersions {
  return new HiddenVersions({
    snapshots: () => snapshots.sequences(),
    keyCountOf: (meta) =>
      readKeyCount(fileSystem, tablePath(directory, meta.number), meta, state.identity),
  });
}

/** All tables were there when the store was opened for reading: an owner has come, and has removed what it replaced. */
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

interface OpenedLog {
  readonly directory: string;
  readonly recovered: OpenedJournal;
  readonly replayedCount: number;
}

/** What the log holds and the tables don't goes into memtables. */
function recoverLog(
  { fileSystem }: ResolvedKvComponents,
  { directory, state }: OpenedFolder,
  memtables: MemtableQueue,
  isReadOnly: boolean,
): OpenedLog {
  const logDirectory = joinPath(directory, LOG_NAME);
  const { flushedSequence, lastSequence } = state;
  let replayedCount = 0;
  const encoder = new KvLogEncoder((kind, sequence, key, value) => {
    // Above what was flushed, a table has a sequence only if it was ingested, and then nothing else has it.
    if (sequence > flushedSequence) {
      const memtable = memtables.memtableFor(key.length, value.length);
      if (replayedCount === 0) {
        memtable.maxSequence = flushedSequence;
      }
      applyOperation(memtable, kind, sequence, key, value);
      replayedCount += 1;
    }
  }, flushedSequence);
  const place = {
    fileSystem,
    directory: logDirectory,
    identity: state.identity,
    encoder,
    retainedFrom: flushedSequence,
  };
  const quarantineDirectory = joinPath(directory, QUARANTINE_NAME);
  const recovered = isReadOnly
    ? readJournal(place)
    : recoverJournal({ ...place, quarantineDirectory });
  const { position } = recovered.end;
  if (position < lastSequence) {
    recovered.active?.file.close();
    throw new VarveError(
      'CORRUPT',
      `The log in ${logDirectory} ends with write ${position}, and tables hold write ${lastSequence}: it is not the log of these tables.`,
      { details: { file: logDirectory, position, lastSequence } },
    );
  }
  return { directory: logDirectory, recovered, replayedCount };
}

function startJournal(
  parts: HeldKvComponents,
  options: ResolvedKvOptions,
  { state }: OpenedFolder,
  { directory, recovered }: OpenedLog,
  events: JournalEvents,
): Journal {
  const { fileSystem, clock, random, logger } = parts;
  const settings: JournalSettings = {
    segmentSizeMax: KV_SEGMENT_SIZE_MAX,
    batchSizeMax: options.maxBatchBytes,
    pendingSizeMax: options.maxPendingBytes,
    maxDelayMs: options.maxDelayMs,
    frameSizeMax: limits.batchFrameSizeMax,
  };
  const place = { directory, identity: state.identity };
  const { active, end } = recovered;
  const common = { clock, random, logger };
  if (active === undefined) {
    const none = { startWriter: startNoWriter, startInline: startNoWriter };
    return new Journal({ ...common, ...none }, settings, end, events);
  }
  const encoder = new KvLogEncoder();
  const startInline = inlineWriter({ ...place, fileSystem, encoder, clock }, settings, active);
  const { threads, held } = parts;
  const startWriter = threads.usesThreads
    ? kvLogWriterThread({ ...place, threads, held, startInline }, settings, active)
    : startInline;
  return new Journal({ ...common, startWriter, startInline }, settings, end, events);
}

function startBackground(
  { fileSystem, clock, threads, held }: HeldKvComponents,
  { directory, state }: OpenedFolder,
  numbers: CountedTableNumbers,
  lost: (error: VarveError) => void,
): Background {
  const { identity } = state;
  const inlineParts = { fileSystem, directory, identity, numbers, failedSyncs: { count: 0 } };
  if (!threads.usesThreads) {
    return new WatchedBackground(inlineBackground(inlineParts, clock), lost);
  }
  const startInline: StartJobs = (report) => new InlineJobs(inlineParts, clock, report);
  const place = { directory, identity, held, numbers: numbers.words };
  const background = threadBackground({ ...place, threads, startInline });
  return new WatchedBackground(background, lost);
}

function maintenanceSettings(options: ResolvedKvOptions): MaintenanceSettings {
  return {
    tables: {
      blockSize: options.blockBytes,
      tableSizeMax: options.tableBytes,
      filterBitsPerKey: options.filterBitsPerKey,
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

function readersOf(snapshots: SnapshotList, iterators: OpenIterators): number[] {
  return [...snapshots.sequences(), ...iterators.sequences].sort((left, right) => left - right);
}

function reportRecovery(
  { isNew, orphans, discarded }: OpenedFolder,
  log: OpenedLog | undefined,
  isReadOnly: boolean,
  logger: Logger,
): KvRecovery {
  const found = log?.recovered.recovery;
  const wasClosed = isNew || (found?.wasClosed ?? true);
  const quarantined = found?.quarantined && {
    file: found.quarantined.file,
    size: found.quarantined.size,
  };
  const replayed = log?.replayedCount ?? 0;
  const recovery = { isNew, wasClosed, replayed, quarantined, orphans, discarded };
  if (!wasClosed || orphans.length > 0 || discarded !== undefined) {
    reached('recovered a key-value store');
    logger({
      level: quarantined === undefined && discarded === undefined ? 'info' : 'warn',
      event: isReadOnly ? 'not-closed' : 'recovered',
      message: isReadOnly
        ? 'The key-value store was not closed before, and is read as the next open will recover it.'
        : 'The key-value store was not closed before and has been recovered.',
      details: recovery,
    });
  }
  return recovery;
}
