import { checkPath } from '../base/arguments.ts';
import { asVarveError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { type ResolvedComponents, resolveComponents } from '../io/components.ts';
import { makeFolders } from '../io/folders.ts';
import { type HeldFolder, holdFolder, readingFolder } from '../io/held-folder.ts';
import { absolutePath } from '../io/path.ts';
import { chooseThreads, type ThreadChoice } from '../io/thread-choice.ts';
import { inlineWriter } from '../journal/inline-writer.ts';
import { Journal, type JournalEvents, type JournalParts } from '../journal/journal.ts';
import type { JournalSettings } from '../journal/options.ts';
import { startNoWriter } from '../journal/no-writer.ts';
import type { JournalRecovery } from '../journal/recovery.ts';
import { noRoom, poisoned } from '../journal/write-failure.ts';
import type { ActiveSegment } from '../journal/writer.ts';
import { CodecRegistry } from '../log/codecs.ts';
import type { NewEvent } from '../log/event.ts';
import { oldestLeafFor } from '../log/leaf-ring.ts';
import { type LogWriterParts, logWriterThread } from '../log/log-writer.ts';
import { ColdReads } from './cold-reads.ts';
import { IndexOpening } from './index-opening.ts';
import { Sequencer } from './sequencer.ts';
import type { EventStore, StoreRecovery } from './contract.ts';
import { DuplicateFinder } from './duplicate-finder.ts';
import { LocalEventStore } from './event-store.ts';
import type { StoreIdentity } from './identity.ts';
import {
  type ResolvedOptions,
  resolveOptions,
  type StoreComponents,
  type StoreOptions,
} from './options.ts';
import { existingIdentity, inspectFolder, openIdentity, renewNames } from './store-folder.ts';
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
    return await assemble<Event>(heldParts, options, { directory, folder, identity, isNew });
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
    const place = { directory, folder, identity, isNew: false };
    return assemble<Event>({ ...parts, fileSystem }, options, place);
  });
}

/** Everything that belongs to one folder. */
interface Place {
  readonly directory: string;
  readonly folder: Pick<HeldFolder, 'held' | 'release'>;
  readonly identity: StoreIdentity;
  readonly isNew: boolean;
}

async function assemble<Event extends NewEvent>(
  parts: Components,
  options: ResolvedOptions,
  place: Place,
): Promise<EventStore<Event>> {
  const { directory, identity, folder, isNew } = place;
  const { fileSystem, codecs, clock, random, logger } = parts;
  const isReadOnly = options.readOnly;
  const opening = new IndexOpening({ ...parts, ...place, held: folder.held }, options);
  return opening.closingIfItFails(async () => {
    const { recovered, encoder, log, index, lastTime } = await opening.open();
    const { active, end } = recovered;
    if (active?.position === 0 && !isNew) {
      renewNames(fileSystem, directory);
    }
    const recovery = reportRecovery(
      recovered.recovery,
      end.position,
      { isNew, isReadOnly },
      logger,
    );
    const duplicates = new DuplicateFinder(log, index, codecs);
    // The journal speaks only after it has been given work, and by then all parts are there.
    const events: JournalEvents = {
      durable: (position) => {
        gate.advanced(position);
        index.advanced();
      },
      roomChanged: () => sequencer.admitWaiting(),
      noSpace: (cause) => sequencer.refuseWaiting(noRoom('append', cause)),
      sealed: (firstPosition) => log.sealed(firstPosition),
      failed: (error) => {
        sequencer.refuseWaiting(poisoned(error.cause, 'no'));
        gate.close(error);
      },
    };
    const settings = journalSettings(options);
    const logPlace = { fileSystem, directory: log.directory, identity: identity.bytes, encoder };
    const writers = writersOf({ ...parts, ...logPlace, held: folder.held }, settings, active);
    const journal = new Journal({ clock, random, logger, ...writers }, settings, end, events);
    duplicates.attach(journal);
    const gate = new VisibilityGate(journal);
    const leavesFrom = encoder.leavesFrom(end.position);
    const oldestLeaf = (position: number): number => oldestLeafFor(position, leavesFrom);
    const cold = new ColdReads({ index, log, journal, gate, duplicates, oldestLeaf });
    const state = { log, index, journal, duplicates, cold, oldestLeaf };
    const sequencer = new Sequencer({ ...parts, ...state, isReadOnly }, lastTime);
    index.start(log, () => gate.visible, {
      roomChanged: () => sequencer.admitWaiting(),
      troubled: (error) => sequencer.refuseWaiting(error),
    });
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

function journalSettings(options: ResolvedOptions): JournalSettings {
  return {
    segmentSizeMax: options.maxSegmentBytes,
    batchSizeMax: options.maxBatchBytes,
    pendingSizeMax: options.maxPendingBytes,
    maxDelayMs: options.maxDelayMs,
  };
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
