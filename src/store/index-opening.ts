/** Log and derived data of a folder, opened together: each tells the other how much of it can be believed. */
import { checkAborted } from '../base/aborted.ts';
import { assert } from '../base/assert.ts';
import { CorruptionError, isShortage } from '../base/errors.ts';
import { reached } from '../base/reached.ts';
import { DerivedIndex } from '../derived/derived-index.ts';
import type { Coverage, IndexTree } from '../derived/index-tree.ts';
import { addRun } from '../derived/indexer.ts';
import {
  DERIVED_DIRECTORY_NAME,
  IndexFolder,
  type IndexFolderParts,
} from '../derived/open-index.ts';
import { type IndexSettings, indexSettings } from '../derived/settings.ts';
import { SECRET_SIZE } from '../derived/format.ts';
import { joinPath } from '../io/path.ts';
import { KnownPositionError } from '../journal/known-position.ts';
import { inspectJournal, type OpenedJournal } from '../journal/recovery.ts';
import { EventLog } from '../log/event-log.ts';
import { LogEncoder } from '../log/log-encoder.ts';
import { recordsOf } from '../log/log-range.ts';
import { RecordView } from '../log/record-view.ts';
import type { StoreIdentity } from './identity.ts';
import type { ResolvedOptions } from './options.ts';
import { LOG_DIRECTORY_NAME, QUARANTINE_DIRECTORY_NAME } from './store-folder.ts';

export interface IndexOpeningParts extends Omit<
  IndexFolderParts,
  'quarantineDirectory' | 'storeIdentity'
> {
  readonly identity: StoreIdentity;
}

export interface OpenedParts {
  readonly recovered: OpenedJournal;
  readonly encoder: LogEncoder;
  readonly log: EventLog;
  readonly index: DerivedIndex;
  /** Of the last event; 0 if there is none. */
  readonly lastTime: number;
}

/** The log as it was looked at, before anything is changed. */
interface LookedAt {
  readonly encoder: LogEncoder;
  readonly journal: OpenedJournal;
  /** Everything below this position is proved to be durable. */
  readonly durable: number;
  readonly repair: () => OpenedJournal;
  readonly log: EventLog;
}

/** What so many generations hold is read into memory, twice as fast as a run is made of it (measured); the indexer makes the runs then. */
const REPLAYED_GENERATIONS = 4;

/** Tables that are made at open before they are merged: each takes a file descriptor, and a line in each manifest. */
const HELD_TABLES_MAX = 64;

/** Memory of an event that isn't in the tree, at most, about. */
const TAIL_SIZE_PER_EVENT = 160;

export class IndexOpening {
  readonly #parts: IndexOpeningParts;
  readonly #options: ResolvedOptions;
  readonly #settings: IndexSettings;
  readonly #folder: IndexFolder;
  #tree: IndexTree | undefined;
  #index: DerivedIndex | undefined;
  #isStarted = false;
  /** There is no room for a tree now. */
  #isWithout = false;
  /** What is given back if the store is not made. */
  readonly #closing: (() => void)[] = [];

  constructor(parts: IndexOpeningParts, options: ResolvedOptions) {
    const { directory, identity } = parts;
    this.#parts = parts;
    this.#options = options;
    this.#settings = indexSettings(options.indexMemoryBytes, options.readOnly);
    const quarantineDirectory = joinPath(directory, QUARANTINE_DIRECTORY_NAME);
    this.#folder = new IndexFolder(
      { ...parts, quarantineDirectory, storeIdentity: identity.bytes },
      this.#settings,
      {
        lost: () => {
          // The log's writer notices the same, and ends writing.
        },
        damaged: (error) => this.#index?.noteDamage(error),
      },
    );
  }

  /**
   * Order: everything is checked before the log is changed, and runs are made only of what is proved to be durable. What the tree doesn't cover then
   * goes into memory.
   */
  async open(): Promise<OpenedParts> {
    const looked = await this.#lookAtBoth();
    const end = looked.journal.end.position;
    const { generationCount, readOnly } = this.#settings;
    const uncovered = end - (this.#tree?.covered ?? 0);
    if (!readOnly && uncovered > REPLAYED_GENERATIONS * generationCount) {
      await this.#catchUp(looked.log, looked.durable, end);
    }
    const index = this.#makeIndex();
    const lastTime = await this.#replay(index, looked.log, end);
    looked.log.close();
    const recovered = looked.repair();
    const log = this.#logOf(recovered);
    this.#closing.push(() => recovered.active?.file.close());
    if (!readOnly) {
      this.#adoptTree(index, end);
    }
    return { recovered, encoder: looked.encoder, log, index, lastTime };
  }

  /** Where there is no room for a tree, and memory holds everything, it is made later. */
  #adoptTree(index: DerivedIndex, end: number): void {
    const tree = this.#tree ?? (this.#isWithout ? undefined : this.#makeTree(index.secret, end));
    if (tree !== undefined) {
      // The catch-up has started it.
      this.#start(tree);
      index.adopt(tree);
      return;
    }
    index.adoptLater(async () => {
      const made = this.#folder.discard('there was no room for it', index.secret);
      assert(made !== undefined, 'only who may write makes a tree');
      made.tree.start();
      return made;
    });
  }

  /** An empty tree; undefined if there is no room for one, and memory can hold everything up to `end`. */
  #makeTree(secret: Uint8Array | undefined, end: number): IndexTree | undefined {
    try {
      this.#tree = this.#folder.make(secret);
    } catch (error) {
      if (!isShortage(error) || !this.#fits(end)) {
        throw error;
      }
      this.#report('Derived data can not be written now.', 0, end, error);
      this.#isWithout = true;
    }
    return this.#tree;
  }

  /** Whether memory can hold so many events. */
  #fits(count: number): boolean {
    return count * TAIL_SIZE_PER_EVENT < this.#settings.memorySize / 2;
  }

  /** Gives back everything that was opened, if the store is not made. */
  async closingIfItFails<Store>(make: () => Promise<Store>): Promise<Store> {
    try {
      return await make();
    } catch (error) {
      for (const close of this.#closing) {
        close();
      }
      // What failed first is what the caller hears.
      await this.#index?.close().catch(() => {});
      await this.#tree?.tree.close().catch(() => {});
      throw error;
    }
  }

  #makeIndex(): DerivedIndex {
    const { clock, logger, random } = this.#parts;
    const secret = this.#tree?.secret ?? new Uint8Array(SECRET_SIZE);
    if (this.#tree === undefined) {
      random.fill(secret);
    }
    const replace = this.#settings.readOnly
      ? undefined
      : (tree: IndexTree): Promise<IndexTree> => this.#replaceOpen(tree);
    const parts = { clock, logger, secret, replace };
    this.#index = new DerivedIndex(parts, this.#settings, this.#tree);
    return this.#index;
  }

  /** Order: the log is held against the manifest before anything is set aside, or what tells of lost events would be gone. */
  async #lookAtBoth(): Promise<LookedAt> {
    const known = this.#folder.readKnown();
    try {
      const looked = this.#look(known);
      this.#tree = await this.#openTree(looked.journal.end.position);
      return looked;
    } catch (error) {
      if (!(error instanceof KnownPositionError)) {
        throw error;
      }
      if (error.refusal === 'shorter') {
        throw this.#lostEvents(error, known!);
      }
      reached('derived data of another log was set aside');
      this.#tree = this.#folder.discard(error, undefined);
      return this.#look(undefined);
    }
  }

  async #openTree(end: number): Promise<IndexTree | undefined> {
    try {
      return await this.#folder.openExisting();
    } catch (error) {
      if (!isShortage(error) || this.#settings.readOnly || !this.#fits(end)) {
        throw error;
      }
      this.#report('Derived data can not be opened now.', 0, end, error);
      this.#isWithout = true;
      return undefined;
    }
  }

  #look(known: Coverage | undefined): LookedAt {
    const { fileSystem, directory, identity } = this.#parts;
    const encoder = new LogEncoder();
    const place = {
      fileSystem,
      directory: joinPath(directory, LOG_DIRECTORY_NAME),
      identity: identity.bytes,
      encoder,
      known,
      // What the tree doesn't cover is read for it, or into memory, with all checks.
      passesSealed: true,
      quarantineDirectory: joinPath(directory, QUARANTINE_DIRECTORY_NAME),
    };
    const { found, durable, repair } = inspectJournal(place);
    const log = this.#logOf(found);
    const looked = { encoder, journal: found, durable, log };
    return { ...looked, repair: this.#settings.readOnly ? () => found : repair };
  }

  #logOf({ segments }: OpenedJournal): EventLog {
    const { fileSystem, directory, identity } = this.#parts;
    const place = {
      directory: joinPath(directory, LOG_DIRECTORY_NAME),
      identity: identity.bytes,
    };
    const log = new EventLog(fileSystem, place, segments, this.#options.maxOpenFiles);
    this.#closing.push(() => log.close());
    return log;
  }

  /** A tree is written only from what is durable: events that it knows have been in the log. */
  #lostEvents(error: KnownPositionError, { position: covered }: Coverage): CorruptionError {
    const derived = joinPath(this.#parts.directory, DERIVED_DIRECTORY_NAME);
    const { position } = error;
    return new CorruptionError(
      error.file ?? this.#parts.directory,
      error.offset,
      `the log ends before position ${String(position)}, and derived data was made from events up to position ${covered - 1}: they are lost. Put the log back; or move ${derived} away, to accept the log without them`,
      error,
      position,
    );
  }

  /** Has runs made of what lies below `to`. */
  async #catchUp(log: EventLog, to: number, end: number): Promise<void> {
    const tree = this.#tree ?? (this.#isWithout ? undefined : this.#makeTree(undefined, end));
    if (tree === undefined) {
      return;
    }
    this.#start(tree);
    if (tree.covered >= to) {
      return;
    }
    reached('derived data was made at open');
    const { maintenance } = tree.tree;
    this.#report('Derived data is made from the log.', tree.covered, end);
    try {
      await this.#makeRuns(tree, log, to, end);
    } finally {
      maintenance.holdsMerges = false;
      maintenance.schedule();
    }
  }

  async #makeRuns(tree: IndexTree, log: EventLog, to: number, end: number): Promise<void> {
    const { runCount } = this.#settings;
    const { onProgress, signal } = this.#options;
    const { maintenance } = tree.tree;
    while (tree.covered < to) {
      checkAborted(signal);
      const { covered } = tree;
      const wanted = covered + runCount;
      try {
        maintenance.holdsMerges = tree.unmergedCount < HELD_TABLES_MAX;
        if (!maintenance.holdsMerges) {
          reached('merged while derived data was made at open');
          await maintenance.settled();
        }
        const next = wanted >= to ? to : log.borderAtOrBehind(wanted);
        await addRun(tree, log, { from: covered, to: next });
      } catch (error) {
        if (!isShortage(error) || !this.#fits(end - tree.covered)) {
          throw error;
        }
        // Memory takes the rest, and it is tried again while the store is open.
        this.#report('Derived data can not be written now.', tree.covered, end, error);
        return;
      }
      onProgress?.({ phase: 'index', positions: tree.covered, positionsTotal: end });
    }
  }

  #start(tree: IndexTree): void {
    if (!this.#isStarted) {
      this.#isStarted = true;
      tree.tree.start();
    }
  }

  #report(message: string, position: number, end: number, cause?: unknown): void {
    const details = { position, end, ...(cause === undefined ? {} : { cause }) };
    const level = cause === undefined ? 'info' : 'warn';
    this.#parts.logger({ level, event: 'index-rebuilt', message, details });
  }

  /** Returns the time of the last event, 0 if there is none. */
  async #replay(index: DerivedIndex, log: EventLog, end: number): Promise<number> {
    const { fileSystem, clock } = this.#parts;
    const from = index.tail.end;
    let lastTime = 0;
    for (const record of from < end ? recordsOf(fileSystem, log.rangeOf(from, end)) : []) {
      if (record === undefined) {
        await clock.pause();
        continue;
      }
      const problem = index.replay(record);
      if (problem !== undefined) {
        throw new CorruptionError(
          record.file,
          record.fileOffset,
          problem,
          undefined,
          record.position,
        );
      }
      lastTime = record.time;
    }
    if (from === end && end > 0) {
      const record = new RecordView();
      log.readRecord(end - 1, record, false);
      lastTime = record.time;
    }
    return lastTime;
  }

  async #replaceOpen(tree: IndexTree): Promise<IndexTree> {
    const reason = 'damage was found while it was in use';
    const replaced = await this.#folder.replace(tree, reason, tree.secret);
    assert(replaced !== undefined, 'only who may write replaces a tree');
    replaced.tree.start();
    return replaced;
  }
}
