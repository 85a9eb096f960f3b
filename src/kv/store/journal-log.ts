/** The log of a key-value store: a journal in a folder of its own, whose positions are sequences (`format.ts`). */
import { copyBytes } from '../../base/copy-bytes.ts';
import type { Ending } from '../../base/ending.ts';
import { CorruptionError, VarveError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import type { Random } from '../../base/random.ts';
import type { File, FileSystem } from '../../io/file-system.ts';
import { makeFolders } from '../../io/folders.ts';
import { readInto } from '../../io/read-into.ts';
import { joinPath } from '../../io/path.ts';
import { FRAME_TRAILER_SIZE, segmentName } from '../../journal/format.ts';
import { inlineWriter } from '../../journal/inline-writer.ts';
import { type FrameSlot, Journal, type JournalEvents } from '../../journal/journal.ts';
import { startNoWriter } from '../../journal/no-writer.ts';
import type { JournalSettings } from '../../journal/options.ts';
import { type OpenedJournal, readJournal, recoverJournal } from '../../journal/recovery.ts';
import { createJournal, removeInterruptedJournal } from '../../journal/new-journal.ts';
import { LOG_NAME, QUARANTINE_NAME } from '../manifest/folder.ts';
import type { Tree, TreeParts } from '../tree/tree.ts';
import type { FolderLog } from '../tree/tree-folder.ts';
import { WaiterList } from '../../collections/waiter-list.ts';
import type { BatchBody } from './batch-body.ts';
import { positionAfter, sequenceAt } from './format.ts';
import { KvLogEncoder } from './kv-log-encoder.ts';
import { kvLogWriterThread } from './kv-log-writer.ts';
import { applyOperation } from './kv-writer.ts';
import { LogTrimmer } from './log-trimmer.ts';
import { KV_SEGMENT_SIZE_MAX, type ResolvedKvOptions } from './options.ts';
import { PendingBatch } from './pending-batch.ts';
import type { LogEvents, StoreLog } from './store-log.ts';

/**
 * Memtables that hold less than this come back from the log at the next open rather than being flushed when the store is closed: reading so
 * much takes about as long as a flush, 5 to 10 ms.
 */
const REPLAYED_SIZE_MAX = 256 * 1024;
/** Limit where nothing was flushed before: starting the thread that flushes takes far longer. */
const REPLAYED_SIZE_MAX_AT_FIRST = 1024 * 1024;

export class JournalLog implements StoreLog {
  readonly found: StoreLog['found'];
  readonly lastSequence: number;
  writtenSize = 0;
  readonly #parts: TreeParts;
  readonly #tree: Tree;
  readonly #journal: Journal;
  readonly #trimmer: LogTrimmer;
  /** For a position to be durable. */
  readonly #waiters = new WaiterList();
  /** The writer's, once there is one. */
  readonly #file: File | undefined;
  /** Place of the batch that was begun. */
  #slot: FrameSlot | undefined;
  /** First position of the segment that the last batch is in. */
  #segment: number;

  /** Recovers the log: entries that the tables lack go into the tree's memtables. Throws `CORRUPT`. */
  constructor(parts: TreeParts, options: ResolvedKvOptions, tree: Tree, events: LogEvents) {
    const { directory, isNew } = tree.folder;
    const { fileSystem } = parts;
    const { recovered, replayed } = recoverLog(fileSystem, tree);
    const { wasClosed, quarantined } = recovered.recovery;
    this.found = {
      wasClosed: isNew || wasClosed,
      replayed,
      quarantined: quarantined && { file: quarantined.file, size: quarantined.size },
    };
    this.lastSequence = sequenceAt(recovered.end.position) - 1;
    this.#segment = recovered.segments.at(-1)!.header.firstPosition;
    this.#file = recovered.active?.file;
    this.#parts = parts;
    this.#tree = tree;
    const logDirectory = joinPath(directory, LOG_NAME);
    this.#trimmer = new LogTrimmer(fileSystem, logDirectory, recovered.segments, (paths, over) =>
      tree.maintenance.remove(paths, over),
    );
    this.#journal = startJournal(parts, options, tree, recovered, {
      ...events,
      durable: (position) => this.#waiters.advance(position, undefined),
      sealed: (firstPosition) => this.#trimmer.sealed(firstPosition),
      failed: (error) => {
        events.failed(error);
        this.#waiters.advance(Infinity, undefined);
      },
    });
  }

  get pendingSize(): number {
    return this.#journal.pendingSize;
  }

  checkPosition(): void {
    throw new VarveError(
      'INVALID_ARGUMENT',
      'Only a store without a log of its own is told the position of another.',
    );
  }

  hasRoom(size: number): boolean {
    if (!this.#journal.hasRoom(size)) {
      return false;
    }
    this.#journal.draw(size);
    return true;
  }

  begin(body: BatchBody): number {
    const slot = this.#journal.reserve(body.size);
    copyBytes(slot, slot.bodyStart, body, 0, body.size);
    this.#slot = slot;
    return sequenceAt(slot.firstPosition);
  }

  end(batch: PendingBatch): void {
    const slot = this.#slot!;
    this.writtenSize += slot.bodySize;
    if (slot.opensSegment) {
      this.#segment = slot.firstPosition;
    }
    batch.segment = this.#segment;
    this.#journal.publish(slot, batch.body.count, batch);
    this.#tree.memtables.endBatch(batch.firstPosition + batch.count, batch);
  }

  /** The body CRC of a frame that is durable. Where it can't be read, the next open has more to read. */
  markAt(place: unknown): Uint8Array | undefined {
    if (!(place instanceof PendingBatch)) {
      return place instanceof Uint8Array ? place : undefined;
    }
    const { segment, fileOffset, bodySize } = place;
    const { fileSystem } = this.#parts;
    const path = joinPath(this.#tree.folder.directory, LOG_NAME, segmentName(segment));
    const mark = new Uint8Array(FRAME_TRAILER_SIZE);
    try {
      const file = fileSystem.open(path, 'read');
      try {
        return readInto(file, mark, fileOffset + bodySize) === mark.length ? mark : undefined;
      } finally {
        file.close();
      }
    } catch {
      return undefined;
    }
  }

  poison(cause: unknown): void {
    this.#journal.poison(cause);
  }

  /** Resolves when everything up to a sequence is durable, or writing has ended: then to false. */
  async whenLogged(sequence: number): Promise<boolean> {
    const journal = this.#journal;
    const position = positionAfter(sequence);
    while (journal.durable < position && journal.failure === undefined) {
      journal.publishNow();
      await this.#waiters.wait(position);
    }
    return journal.failure === undefined;
  }

  flushed(sequence: number): void {
    this.#trimmer.trim(positionAfter(sequence));
  }

  whenIdle(): Promise<void> {
    return this.#journal.whenIdle();
  }

  async flushRest(ending: Ending): Promise<void> {
    const { maintenance, memtables } = this.#tree;
    const replayedMax =
      maintenance.counts.flushes > 0 ? REPLAYED_SIZE_MAX : REPLAYED_SIZE_MAX_AT_FIRST;
    if (this.#journal.failure === undefined && memtables.size > replayedMax) {
      await ending.tryTo('flush what is in memory', () => maintenance.flushRest());
    }
  }

  close(): Promise<void> {
    return this.#journal.close();
  }

  abandon(): void {
    this.#file?.close();
  }

  makeCopy(directory: string, identity: Uint8Array, lastSequence: number): void {
    const { fileSystem, random } = this.#parts;
    const place = { fileSystem, directory: joinPath(directory, LOG_NAME), identity };
    makeFolders(fileSystem, place.directory);
    // Everything is in tables: the copy's log begins after it.
    createJournal(place, random, positionAfter(lastSequence));
  }
}

/** The log that a store's folder has. */
export function logOfFolder(
  fileSystem: FileSystem,
  random: Random,
  storeDirectory: string,
): FolderLog {
  const directory = joinPath(storeDirectory, LOG_NAME);
  return {
    create: (identity) => {
      if (!fileSystem.makeDirectory(directory)) {
        removeInterruptedJournal(fileSystem, directory);
      }
      createJournal({ fileSystem, directory, identity }, random);
    },
    check: () => {
      if (fileSystem.stat(directory) === undefined) {
        throw new CorruptionError(
          directory,
          undefined,
          'the folder of the log is missing, and what was written last with it',
        );
      }
    },
  };
}

function recoverLog(
  fileSystem: FileSystem,
  tree: Tree,
): { readonly recovered: OpenedJournal; readonly replayed: number } {
  const { directory } = tree.folder;
  const { flushedSequence, flushedPosition, flushedMark, lastSequence, identity } = tree.state;
  const logDirectory = joinPath(directory, LOG_NAME);
  let replayed = 0;
  const encoder = new KvLogEncoder(
    (kind, sequence, source, keyStart, valueStart, end) => {
      // Above what was flushed, a table has a sequence only if it was ingested, and then nothing else has it.
      if (sequence > flushedSequence) {
        applyOperation(tree.memtables, kind, sequence, source, keyStart, valueStart, end);
        replayed += 1;
      }
    },
    flushedSequence,
    (position, mark) => tree.memtables.endBatch(position, mark),
  );
  const mark = flushedMark.subarray(0, FRAME_TRAILER_SIZE);
  const isKnown = mark.some((byte) => byte !== 0);
  const place = {
    fileSystem,
    directory: logDirectory,
    identity,
    encoder,
    retainedFrom: positionAfter(flushedSequence),
    known: isKnown ? { position: flushedPosition, mark } : undefined,
  };
  const quarantineDirectory = joinPath(directory, QUARANTINE_NAME);
  const recovered = tree.isReadOnly
    ? readJournal(place)
    : recoverJournal({ ...place, quarantineDirectory });
  const { position } = recovered.end;
  if (position < positionAfter(lastSequence)) {
    recovered.active?.file.close();
    throw new VarveError(
      'CORRUPT',
      `The log in ${logDirectory} ends with write ${position}, and tables hold write ${lastSequence}: it is not the log of these tables.`,
      { details: { file: logDirectory, position, lastSequence } },
    );
  }
  return { recovered, replayed };
}

function startJournal(
  { fileSystem, clock, random, logger, threads, held }: TreeParts,
  options: ResolvedKvOptions,
  tree: Tree,
  { active, end }: OpenedJournal,
  events: JournalEvents,
): Journal {
  const settings: JournalSettings = {
    segmentSizeMax: KV_SEGMENT_SIZE_MAX,
    batchSizeMax: options.maxBatchBytes,
    pendingSizeMax: options.maxPendingBytes,
    maxDelayMs: options.maxDelayMs,
    frameSizeMax: limits.batchFrameSizeMax,
  };
  const common = { clock, random, logger };
  if (active === undefined) {
    const none = { startWriter: startNoWriter, startInline: startNoWriter };
    return new Journal({ ...common, ...none }, settings, end, events);
  }
  const directory = joinPath(tree.folder.directory, LOG_NAME);
  const place = { directory, identity: tree.state.identity };
  const encoder = new KvLogEncoder();
  const startInline = inlineWriter({ ...place, fileSystem, encoder, clock }, settings, active);
  const startWriter = threads.usesThreads
    ? kvLogWriterThread({ ...place, threads, held, startInline }, settings, active)
    : startInline;
  return new Journal({ ...common, startWriter, startInline }, settings, end, events);
}
