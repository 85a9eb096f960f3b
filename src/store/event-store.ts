/** The store of one folder, open: checks calls, hands commits to the sequencer, reads through the visibility gate. */
import {
  checkBoolean,
  checkPath,
  checkRange,
  checkSignal,
  rejectUnknownNames,
} from '../base/arguments.ts';
import {
  asFailedWrite,
  asVarveError,
  readOnlyError,
  VarveError,
  withoutApplied,
} from '../base/errors.ts';
import { sha256 } from '../base/digest.ts';
import { Ending } from '../base/ending.ts';
import type { Logger } from '../base/logger.ts';
import type { Answers } from '../derived/answers.ts';
import type { DerivedIndex } from '../derived/derived-index.ts';
import { Axis } from '../derived/format.ts';
import { DERIVED_DIRECTORY_NAME } from '../derived/open-index.ts';
import { indexStats } from './index-stats.ts';
import { StreamReader } from '../event-index/stream-reader.ts';
import type { Random } from '../base/random.ts';
import type { Clock } from '../io/clock.ts';
import type { DirectoryLock, FileSystem } from '../io/file-system.ts';
import type { MessagePort } from '../io/message-port.ts';
import type { Journal } from '../journal/journal.ts';
import type { CodecRegistry } from '../log/codecs.ts';
import type { EventToAppend, NewEvent, StoredEvent } from '../log/event.ts';
import { decodeEvent } from '../log/event-decoder.ts';
import type { EventLog, SegmentSummaryInfo } from '../log/event-log.ts';
import { RecordView } from '../log/record-view.ts';
import { absolutePath, joinPath } from '../io/path.ts';
import { backupStore } from './backup.ts';
import { checkVerifyOptions } from './audit-folder.ts';
import { type Sequencer } from './sequencer.ts';
import { aborted } from '../base/aborted.ts';
import type {
  AppendOptions,
  AppendResult,
  BackupOptions,
  BackupResult,
  CommitKey,
  CommitOptions,
  CommitPart,
  CommitResult,
  EventRead,
  EventStore,
  ReadOptions,
  ReadQuery,
  StoreRecovery,
  StoreReport,
  StoreStats,
  StreamEntry,
  StreamHead,
  StreamsOptions,
  VerifyOptions,
} from './contract.ts';
import type { DuplicateFinder } from './duplicate-finder.ts';
import { PlannedRead, planRead, type ReadParts } from './event-read.ts';
import { checkCommitKey, checkStreamName, checkText } from './names.ts';
import type { PayloadSettings } from './payload.ts';
import { PendingAppend, type PendingCommit, PendingParts } from './pending-commit.ts';
import {
  CommitDraft,
  prepareAppend,
  prepareCommit,
  type PreparedCommit,
  type PrepareSettings,
} from './prepared-commit.ts';
import { ShareHub } from './share-hub.ts';
import { type ListingPlan, planListing, StreamListing } from './stream-listing.ts';
import { verifyLogAlone, verifyStore } from './verify-store.ts';
import type { VisibilityGate } from './visibility-gate.ts';
import { limits } from '../base/limits.ts';
import type { StoreIdentity } from './identity.ts';

const waitOptionNames = new Set(['signal']);
const backupOptionNames = new Set(['derived']);
const noOptions = Object.freeze({});

export interface StoreParts {
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly directory: string;
  readonly lock: Pick<DirectoryLock, 'release'>;
  readonly identity: StoreIdentity;
  readonly journal: Journal;
  readonly log: EventLog;
  readonly index: DerivedIndex;
  readonly codecs: CodecRegistry;
  readonly duplicates: DuplicateFinder;
  readonly sequencer: Sequencer;
  readonly gate: VisibilityGate;
  readonly payloads: PayloadSettings;
  readonly recovery: StoreRecovery;
  readonly isReadOnly: boolean;
}

export class LocalEventStore<Event extends NewEvent> implements EventStore<Event> {
  readonly recovery: StoreRecovery;
  readonly #parts: StoreParts;
  readonly #listing: StreamListing;
  readonly #readParts: ReadParts;
  readonly #record = new RecordView();
  /** Backups and audits under way. */
  readonly #running = new Set<Promise<unknown>>();
  /** Made when the store is shared for the first time. */
  #hub: ShareHub | undefined;
  #closing: Promise<void> | undefined;
  readonly #settings: PrepareSettings;
  /** What the last append was prepared in. */
  #spareDraft: CommitDraft | undefined;

  constructor(parts: StoreParts) {
    this.#parts = parts;
    this.#settings = { ...parts.payloads, index: parts.index };
    this.recovery = parts.recovery;
    this.#listing = new StreamListing(parts.index);
    this.#readParts = {
      log: parts.log,
      index: parts.index,
      codecs: parts.codecs,
      clock: parts.clock,
      checkReadable: () => this.#checkOpen(),
    };
  }

  get id(): string {
    return this.#parts.identity.id;
  }

  get head(): number {
    return this.#parts.gate.visible;
  }

  append(
    stream: string,
    events: readonly EventToAppend<Event>[],
    options: AppendOptions = noOptions,
  ): Promise<AppendResult> {
    return new Promise((resolve, reject) => {
      try {
        this.#checkOpen();
        // The caller's own code runs while its objects are read, and may append: then there is no spare draft.
        const spare = this.#spareDraft ?? new CommitDraft();
        this.#spareDraft = undefined;
        const draft = prepareAppend(stream, events, options, this.#settings, spare);
        const pending = new PendingAppend(draft.ack === 'written', resolve, reject);
        if (this.#submit(draft, pending) && draft.clear()) {
          this.#spareDraft = draft;
        }
      } catch (error) {
        reject(asFailedWrite(error, 'no'));
      }
    });
  }

  commit(
    parts: readonly CommitPart<Event>[],
    options: CommitOptions = noOptions,
  ): Promise<CommitResult> {
    return new Promise((resolve, reject) => {
      try {
        this.#checkOpen();
        const prepared = prepareCommit(parts, options, this.#settings);
        const { stream } = prepared.parts[0]!;
        const wantsWritten = prepared.ack === 'written';
        this.#submit(prepared, new PendingParts(wantsWritten, stream, resolve, reject));
      } catch (error) {
        reject(asFailedWrite(error, 'no'));
      }
    });
  }

  read(query: ReadQuery = {}, options: ReadOptions = {}): EventRead<Event> {
    this.#checkOpen();
    return new PlannedRead<Event>(this.#readParts, planRead(query, options, this.head));
  }

  async get(position: number): Promise<StoredEvent<Event> | undefined> {
    this.#checkOpen();
    checkRange('position', position, 0, Number.MAX_SAFE_INTEGER);
    return position < this.head ? this.#reading(() => this.#eventAt(position)) : undefined;
  }

  async getById(id: string): Promise<StoredEvent<Event> | undefined> {
    this.#checkOpen();
    checkText('id', id, limits.idSizeMax);
    const { head } = this;
    return this.#asking(Axis.id, '', id, (answers) => {
      const position = this.#parts.duplicates.findId(id, head, answers);
      return position === undefined ? undefined : this.#eventAt(position);
    });
  }

  async findCommit(key: CommitKey): Promise<CommitResult | undefined> {
    this.#checkOpen();
    const checked = checkCommitKey(key);
    const { sequencer, duplicates, gate } = this.#parts;
    await sequencer.waitingDecided();
    const { idempotencyScope = '', idempotencyKey } = checked;
    const found = await this.#asking(Axis.key, idempotencyScope, idempotencyKey, (answers) =>
      duplicates.findCommit(checked, answers),
    );
    if (found !== undefined) {
      await gate.waitFor(found.restsOn, undefined);
    }
    return found?.result;
  }

  streams(options: StreamsOptions = {}): AsyncIterableIterator<StreamEntry> {
    this.#checkOpen();
    return this.#list(planListing(options, this.head));
  }

  async streamHead(stream: string): Promise<StreamHead | undefined> {
    this.#checkOpen();
    checkStreamName(stream);
    const { index, log } = this.#parts;
    const { head } = this;
    await index.whenAnswering();
    return this.#reading(() => {
      const reader = new StreamReader(index, stream);
      const count = reader.countBelow(head);
      if (count === 0) {
        return undefined;
      }
      const position = reader.positionAt(count - 1, true);
      log.readRecord(position, this.#record);
      return { revision: count - 1, position, leaf: sha256(this.#record.leafInput) };
    });
  }

  segments(): readonly SegmentSummaryInfo[] {
    this.#checkOpen();
    return this.#parts.log.describe(this.head);
  }

  async flush(): Promise<void> {
    this.#checkOpen();
    const { sequencer, gate, journal } = this.#parts;
    await sequencer.waitingDecided();
    journal.publishNow();
    await gate.waitFor(journal.appended - 1, undefined);
  }

  async waitFor(position: number, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    this.#checkOpen();
    checkRange('position', position, -1, Number.MAX_SAFE_INTEGER);
    rejectUnknownNames(options, waitOptionNames, 'option');
    checkSignal(options.signal);
    if (this.#parts.isReadOnly && position >= this.head) {
      // Nothing ever becomes visible here.
      throw readOnlyError();
    }
    await this.#parts.gate.waitFor(position, options.signal);
  }

  backup(directory: string, options: BackupOptions = noOptions): Promise<BackupResult> {
    return this.#whileOpen(`The backup to ${directory} failed`, async () => {
      checkPath(directory, 'Give the folder to back up to.');
      rejectUnknownNames(options, backupOptionNames, 'option');
      checkBoolean('derived', options.derived);
      const { fileSystem, clock, log } = this.#parts;
      const index = options.derived === false ? undefined : this.#parts.index.tree;
      const source = { directory: this.#parts.directory, identity: this.#parts.identity.bytes };
      const checkContinue = (): void => this.#checkOpen();
      const mayLink = !this.#parts.isReadOnly;
      const parts = { fileSystem, clock, log, index, mayLink, checkContinue };
      return backupStore(parts, source, absolutePath(directory), this.head);
    });
  }

  verify(options: VerifyOptions = {}): Promise<StoreReport> {
    return this.#whileOpen('The log can not be read', async () => {
      const checked = checkVerifyOptions(options);
      const { fileSystem, clock, random, codecs, log, identity, index } = this.#parts;
      const { directory } = log;
      const { tree } = index;
      const parts = { fileSystem, clock, random, codecs, directory, identity: identity.bytes };
      const auditOptions = {
        ...checked,
        end: this.head,
        isSealed: (firstPosition: number) => log.isSealed(firstPosition),
        checkContinue: () => this.#checkOpen(),
      };
      if (!index.isAnswering) {
        return verifyLogAlone(parts, auditOptions, joinPath(directory, DERIVED_DIRECTORY_NAME));
      }
      const derived = tree && { index: tree, isCurrent: () => index.tree === tree };
      const report = await verifyStore(parts, auditOptions, derived);
      const wrong = report.derived?.problems.find(({ entries }) => entries !== 'unread');
      if (report.ok && wrong !== undefined && !this.#parts.isReadOnly) {
        // A whole log, and other answers than it gives: nobody may be answered from there any more.
        index.noteWrong(tree!, wrong.what);
      }
      return report;
    });
  }

  stats(): StoreStats {
    const { journal, log, index, sequencer, gate } = this.#parts;
    const { keys, ids } = index.counts;
    const { appended, written, durable, failure } = journal;
    return {
      watermarks: { appended, written, durable, visible: gate.visible },
      streams: this.#listing.count(gate.visible),
      segments: log.segmentCount,
      idempotencyKeys: keys,
      suppliedIds: ids,
      pending: { commits: journal.pendingCount, bytes: journal.pendingSize },
      waiting: sequencer.waitingCount,
      clients: this.#hub?.clientCount ?? 0,
      index: indexStats(index),
      failure: failure === undefined ? undefined : String(failure.cause),
    };
  }

  settled(): Promise<void> {
    return this.#whileOpen('Derived data can not be brought up to date', () =>
      this.#parts.index.settled(),
    );
  }

  share(): MessagePort {
    this.#checkOpen();
    const { clock, sequencer, gate, payloads } = this.#parts;
    this.#hub ??= new ShareHub({
      id: this.id,
      clock,
      sequencer,
      gate,
      payloads,
      store: {
        get: (position) => this.get(position),
        getById: (id) => this.getById(id),
        findCommit: (key) => this.findCommit(key),
        streamHead: (stream) => this.streamHead(stream),
        flush: () => this.flush(),
        waitFor: (position, options) => this.waitFor(position, options),
        read: (plan) => {
          this.#checkOpen();
          return new PlannedRead(this.#readParts, plan);
        },
        list: (plan) => {
          this.#checkOpen();
          return this.#list(plan);
        },
      },
    });
    return this.#hub.share();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    const { journal, log, lock, sequencer, gate, logger } = this.#parts;
    const ending = new Ending(logger);
    await ending.attempt(async () => {
      await Promise.allSettled(this.#running);
      await this.#hub?.takeRest();
      await sequencer.waitingDecided();
      await journal.whenIdle();
    });
    await ending.attempt(() => journal.close(), 'leave the log at rest');
    gate.close(closed());
    this.#hub?.close();
    await ending.attempt(() => this.#parts.index.close());
    log.close();
    await ending.attempt(() => lock.release());
    ending.throwFirst(
      'The store could not be left at rest. Nothing acknowledged is lost: the next open recovers it',
    );
  }

  #list(plan: ListingPlan): AsyncGenerator<StreamEntry, void, undefined> {
    return this.#listing.list(plan, this.#parts.clock, () => this.#checkOpen());
  }

  /** False if the commit waits. */
  #submit(prepared: PreparedCommit, pending: PendingCommit): boolean {
    // The caller's own code may have run while its objects were read.
    this.#checkOpen();
    if (prepared.signal?.aborted === true) {
      throw aborted(prepared.signal);
    }
    return this.#parts.sequencer.take(prepared, pending);
  }

  #eventAt(position: number): StoredEvent<Event> {
    this.#parts.log.readRecord(position, this.#record);
    return this.#decode(this.#record);
  }

  /** The type of an event's data is the caller's word: the store keeps what it was given. */
  #decode(record: RecordView): StoredEvent<Event> {
    return decodeEvent(record, this.#parts.codecs) as StoredEvent<Event>;
  }

  /** Runs work that takes its time; closing the store ends it and waits until it has ended. */
  async #whileOpen<Result>(what: string, work: () => Promise<Result>): Promise<Result> {
    this.#checkOpen();
    const running = work();
    this.#running.add(running);
    try {
      return await running;
    } catch (error) {
      throw asVarveError(error, what);
    } finally {
      this.#running.delete(running);
    }
  }

  #reading<Result>(read: () => Result): Result {
    try {
      return read();
    } catch (error) {
      const failure = this.#parts.index.asReadFailure(error);
      throw withoutApplied(asVarveError(failure, 'The log can not be read'));
    }
  }

  /** Asks about a key or an id. */
  async #asking<Result>(
    axis: typeof Axis.key | typeof Axis.id,
    scope: string,
    text: string,
    ask: (answers: Answers) => Result,
  ): Promise<Result> {
    const { index } = this.#parts;
    await index.whenAnswering();
    return this.#reading(() => ask(index.answersInPlace(axis, scope, text)));
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) {
      throw closed();
    }
    this.#parts.gate.checkReadable();
  }
}

function closed(): VarveError {
  return new VarveError('CLOSED', 'The store has been closed: open it again.');
}
