import { checkPath } from '../base/arguments.ts';
import { asVarveError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Random } from '../base/random.ts';
import type { Derived } from '../derived/contract.ts';
import { MemoryStreamIndex } from '../event-index/memory-stream-index.ts';
import {
  idempotencyKeys,
  MemoryIdempotencyIndex,
  suppliedIds,
} from '../idempotency/memory-index.ts';
import { type ResolvedComponents, resolveComponents } from '../io/components.ts';
import { makeFolders } from '../io/folders.ts';
import { type HeldFolder, holdFolder, readingFolder } from '../io/held-folder.ts';
import { absolutePath, joinPath } from '../io/path.ts';
import { chooseThreads, type ThreadChoice } from '../io/thread-choice.ts';
import { inlineWriter } from '../journal/inline-writer.ts';
import { Journal, type JournalEvents, type JournalParts } from '../journal/journal.ts';
import type { JournalSettings } from '../journal/options.ts';
import { startNoWriter } from '../journal/no-writer.ts';
import { type JournalRecovery, readJournal, recoverJournal } from '../journal/recovery.ts';
import { noRoom, poisoned } from '../journal/write-failure.ts';
import type { ActiveSegment } from '../journal/writer.ts';
import { CodecRegistry } from '../log/codecs.ts';
import type { NewEvent } from '../log/event.ts';
import { EventLog } from '../log/event-log.ts';
import type { RecordView } from '../log/record-view.ts';
import { MemoryLeafStore } from '../log/leaf-store.ts';
import { LogEncoder } from '../log/log-encoder.ts';
import { type LogWriterParts, logWriterThread } from '../log/log-writer.ts';
import { Sequencer } from './sequencer.ts';
import type { EventStore, StoreRecovery } from './contract.ts';
import { DuplicateFinder } from './duplicate-finder.ts';
import { LocalEventStore, type StoreParts } from './event-store.ts';
import type { StoreIdentity } from './identity.ts';
import {
  type ResolvedOptions,
  resolveOptions,
  type StoreComponents,
  type StoreOptions,
} from './options.ts';
import {
  existingIdentity,
  inspectFolder,
  LOG_DIRECTORY_NAME,
  openIdentity,
  QUARANTINE_DIRECTORY_NAME,
  renewNames,
} from './store-folder.ts';
import { VisibilityGate } from './visibility-gate.ts';

interface Components extends ResolvedComponents {
  readonly codecs: CodecRegistry;
  /** Where the log is written. */
  readonly threads: ThreadChoice;
}

const componentNames = new Set(['fileSystem', 'clock', 'random', 'logger', 'codecs', 'workers']);

/**
 * Opens the store in a folder, making it if there is none, and recovers it if it wasn't closed: everything acknowledged is
 * there, or this throws. Until `close` no one else can open it.
 *
 * Throws `LOCKED` (who holds it is in the message), `CORRUPT` (where is in the error; nothing was changed),
 * `FOREIGN_FILE`, `NOT_A_STORE`, `UNSUPPORTED_FORMAT`, `INVALID_ARGUMENT`, `UNAVAILABLE`.
 */
export async function open<Event extends NewEvent = NewEvent>(
  directory: string,
  options: StoreOptions = {},
  components: StoreComponents = {},
): Promise<EventStore<Event>> {
  const resolved = resolveOptions(options);
  checkPath(directory, 'Give the folder of the store.');
  const given = await resolveComponents(components, componentNames);
  const parts: Components = {
    ...given,
    threads: chooseThreads(resolved.background, components, given.logger),
    codecs: new CodecRegistry(components.codecs),
  };
  // Unknown names are refused before anything is touched.
  parts.codecs.named(resolved.compression);
  const path = absolutePath(directory);
  try {
    return await openFolder<Event>(parts, resolved, path);
  } catch (error) {
    throw asVarveError(error, `The store in ${path} can't be opened`);
  }
}

async function openFolder<Event extends NewEvent>(
  parts: Components,
  options: ResolvedOptions,
  directory: string,
): Promise<EventStore<Event>> {
  inspectFolder(parts.fileSystem, directory, options.create && !options.readOnly);
  if (options.readOnly) {
    return openToRead<Event>(parts, options, directory);
  }
  makeFolders(parts.fileSystem, directory);
  const folder = await holdFolder(parts.fileSystem, directory);
  try {
    const heldParts = { ...parts, fileSystem: folder.fileSystem };
    const { identity, isNew } = openIdentity(heldParts, directory);
    return assemble<Event>(heldParts, options, directory, folder, identity, isNew);
  } catch (error) {
    await folder.release();
    throw error;
  }
}

/** Nobody is kept away: an owner that comes later appends, and changes nothing that is read here. */
function openToRead<Event extends NewEvent>(
  parts: Components,
  options: ResolvedOptions,
  directory: string,
): Promise<EventStore<Event>> {
  return readingFolder(parts.fileSystem, directory, (folder) => {
    const { fileSystem } = folder;
    const identity = existingIdentity(fileSystem, directory);
    return assemble<Event>({ ...parts, fileSystem }, options, directory, folder, identity, false);
  });
}

function assemble<Event extends NewEvent>(
  parts: Components,
  options: ResolvedOptions,
  directory: string,
  folder: Pick<HeldFolder, 'held' | 'release'>,
  identity: StoreIdentity,
  isNew: boolean,
): EventStore<Event> {
  const { fileSystem, random, codecs, clock, logger } = parts;
  const logDirectory = joinPath(directory, LOG_DIRECTORY_NAME);
  const indexes = makeIndexes(random);
  const { keys, ids, streams } = indexes;
  let lastTime = 0;
  const encoder = new LogEncoder(new MemoryLeafStore(), (record) => {
    lastTime = record.time;
    return replay(indexes.derived, record) ?? streams.replayedStream;
  });
  const place = { fileSystem, directory: logDirectory, identity: identity.bytes, encoder };
  const quarantineDirectory = joinPath(directory, QUARANTINE_DIRECTORY_NAME);
  const isReadOnly = options.readOnly;
  const recovered = isReadOnly
    ? readJournal(place)
    : recoverJournal({ ...place, quarantineDirectory });
  const { active, end } = recovered;
  return closingIfItFails(active, () => {
    if (active?.position === 0 && !isNew) {
      renewNames(fileSystem, directory);
    }
    const opening = { isNew, isReadOnly };
    const recovery = reportRecovery(recovered.recovery, end.position, opening, logger);
    const log = new EventLog(fileSystem, logDirectory, recovered.segments, options.maxOpenFiles);
    const duplicates = new DuplicateFinder(log, keys, ids, codecs);
    // The journal speaks only after it has been given work, and by then all parts are there.
    const events: JournalEvents = {
      durable: (position) => gate.advanced(position),
      roomChanged: () => sequencer.admitWaiting(),
      noSpace: (cause) => sequencer.refuseWaiting(noRoom('append', cause)),
      sealed: (firstPosition) => log.sealed(firstPosition),
      failed: (error) => {
        sequencer.refuseWaiting(poisoned(error.cause, 'no'));
        gate.close(error);
      },
    };
    const settings = journalSettings(options);
    const writers = writersOf({ ...parts, ...place, held: folder.held }, settings, active);
    const journal = new Journal({ clock, random, logger, ...writers }, settings, end, events);
    duplicates.attach(journal);
    const gate = new VisibilityGate(journal);
    const state = { log, ...indexes, journal, duplicates };
    const sequencer = new Sequencer({ ...parts, ...state, isReadOnly }, lastTime);
    const payloads = {
      codec: codecs.named(options.compression),
      compressionMinBytes: options.compressionMinBytes,
    };
    const own = { directory, lock: folder, identity, recovery, isReadOnly };
    return new LocalEventStore<Event>({ ...parts, ...state, ...own, sequencer, gate, payloads });
  });
}

type WriterPlace = Pick<LogWriterParts, 'directory' | 'identity' | 'held' | 'encoder' | 'threads'> &
  Pick<Components, 'fileSystem' | 'clock'>;

/** How the log gets its writer; without a segment to write in, it has none. */
function writersOf(
  place: WriterPlace,
  settings: JournalSettings,
  active: ActiveSegment | undefined,
): Pick<JournalParts, 'startWriter' | 'startInline'> {
  if (active === undefined) {
    return { startWriter: startNoWriter, startInline: startNoWriter };
  }
  const startInline = inlineWriter(place, settings, active);
  const startWriter = place.threads.usesThreads
    ? logWriterThread({ ...place, startInline }, settings, active)
    : startInline;
  return { startWriter, startInline };
}

/** The segment to write in is nobody's if the store is not made. */
function closingIfItFails<Store>(active: ActiveSegment | undefined, make: () => Store): Store {
  try {
    return make();
  } catch (error) {
    active?.file.close();
    throw error;
  }
}

function journalSettings(options: ResolvedOptions): JournalSettings {
  return {
    segmentSizeMax: options.maxSegmentBytes,
    batchSizeMax: options.maxBatchBytes,
    pendingSizeMax: options.maxPendingBytes,
    maxDelayMs: options.maxDelayMs,
  };
}

function makeIndexes(random: Random): Pick<StoreParts, 'streams' | 'keys' | 'ids' | 'derived'> {
  const streams = new MemoryStreamIndex();
  const keys = new MemoryIdempotencyIndex(random, idempotencyKeys);
  const ids = new MemoryIdempotencyIndex(random, suppliedIds);
  return { streams, keys, ids, derived: [streams, keys, ids] };
}

/** Gives a record to all that do not cover it. Returns what is wrong with it, if anything is. */
function replay(all: readonly Derived[], record: RecordView): string | undefined {
  const { position } = record;
  for (const derived of all) {
    const problem = position < derived.covered ? undefined : derived.replay(record);
    if (problem !== undefined) {
      return problem;
    }
  }
  return undefined;
}

function reportRecovery(
  recovery: JournalRecovery,
  events: number,
  { isNew, isReadOnly }: { readonly isNew: boolean; readonly isReadOnly: boolean },
  logger: Logger,
): StoreRecovery {
  if (!recovery.wasClosed && !isNew) {
    logger({
      level: (recovery.quarantined ?? recovery.torn) === undefined ? 'info' : 'warn',
      event: isReadOnly ? 'not-closed' : 'recovered',
      message: isReadOnly
        ? 'The store was not closed before, and is read as the next open will recover it.'
        : 'The store was not closed before and has been recovered.',
      details: { events, ...recovery },
    });
  }
  return { ...recovery, isNew, events };
}
