/** What an event store is, whoever implements it. Everything above the store is written against this file. */
import type { MessagePort } from '../io/message-port.ts';
import type { EventToAppend, NewEvent, StoredEvent, StoredFields } from '../log/event.ts';
import type { DerivedProblem, DerivedReport } from '../derived/derived-report.ts';
import type { AuditReport } from '../log/audit.ts';
import type { JournalRecovery } from '../journal/recovery.ts';
import type { SegmentSummaryInfo } from '../log/event-log.ts';

export type { DerivedProblem, DerivedReport, EventToAppend, NewEvent, StoredEvent, StoredFields };

/**
 * What the stream must look like for an append to happen: `any`thing, `none` (no event yet), `exists` (at least one), or
 * the revision of its last event.
 */
export type ExpectedRevision = 'any' | 'none' | 'exists' | number;

export interface CommitOptions {
  /**
   * 1 to 1,024 bytes. The same key takes effect once in the life of the store: a repeat is answered with the first
   * result and `outcome: 'duplicate'`, and fails with `IDEMPOTENCY_CONFLICT` if its content differs.
   */
  readonly idempotencyKey?: string;
  /**
   * 1 to 128 bytes, with a key only: whose key it is, a tenant's for example. Scope and key together are the commit's identity: the same
   * key in two scopes, or in one and in none, is two keys.
   */
  readonly idempotencyScope?: string;
  /**
   * `durable` (default): resolve when the commit survives a power cut. `written`: resolve when it is in the file, before
   * the sync that follows at once; until then it is not visible, and a power cut may give its position to another.
   */
  readonly ack?: 'durable' | 'written';
  /** Ends the wait for room. Once the commit has a position it has no effect. */
  readonly signal?: AbortSignal;
}

/** What a commit was called by whoever made it. */
export interface CommitKey {
  readonly idempotencyKey: string;
  /** Left out, the key of no scope is meant. */
  readonly idempotencyScope?: string;
}

export interface AppendOptions extends CommitOptions {
  readonly expectedRevision?: ExpectedRevision;
}

/** Events for one stream in a commit. */
export interface CommitPart<Event extends NewEvent = NewEvent> {
  readonly stream: string;
  readonly events: readonly EventToAppend<Event>[];
  readonly expectedRevision?: ExpectedRevision;
}

export interface AppendResult {
  readonly outcome: 'appended' | 'duplicate';
  readonly firstPosition: number;
  readonly lastPosition: number;
  /** Of the first event appended: 0 if this append made the stream. */
  readonly firstRevision: number;
  /** Of the last event appended. */
  readonly revision: number;
  /** Recorded time of the commit, in ms since the epoch. */
  readonly time: number;
}

export interface CommitResult {
  readonly outcome: 'appended' | 'duplicate';
  readonly firstPosition: number;
  readonly lastPosition: number;
  readonly time: number;
  /** Each stream once, in order of first mention. */
  readonly streams: readonly CommittedStream[];
}

/** What a commit has added to one stream: the revisions from `firstRevision` to `revision`. */
export interface CommittedStream {
  readonly stream: string;
  /** Of the first event appended: 0 if the commit made the stream. */
  readonly firstRevision: number;
  /** Of the last event appended. */
  readonly revision: number;
}

export interface ReadQuery {
  /** Only events of this stream. */
  readonly stream?: string;
  /** With `stream`: only these revisions, both ends inclusive. */
  readonly revisions?: { readonly from?: number; readonly to?: number };
}

export interface ReadOptions {
  /** Only positions above this one; -1 for all of them. */
  readonly after?: number;
  /** Only positions below this one. */
  readonly before?: number;
  readonly direction?: 'forwards' | 'backwards';
  /** At most this many events. */
  readonly limit?: number;
  /** Stop before the stored size of what was read exceeds this; at least one event is read. */
  readonly maxBytes?: number;
  /**
   * Whether each event's data and metadata are compared with the SHA-256 digest in its header. Default true: bytes that were
   * changed on disk are never returned, even where every checksum has been made right. With false only checksums are looked at.
   */
  readonly checkDigests?: boolean;
  readonly signal?: AbortSignal;
}

/**
 * Events in order of position, read as they are asked for. What was visible when `read` was called is what it sees.
 * Memory is one buffer, whatever is read.
 */
export interface EventRead<Event extends NewEvent = NewEvent> extends AsyncIterableIterator<
  StoredEvent<Event>
> {
  /**
   * Position of the last event that was visible when `read` was called, whatever was asked for; -1 if there was none. What comes
   * later is `after` it: in another read, or when `waitFor` resolves for `asOf + 1`.
   */
  readonly asOf: number;
  /** Why it has ended: nothing more, or a bound of the options. Undefined until then. */
  readonly stopped: 'end' | 'limit' | 'bytes' | undefined;
  /** Position of the last event read, to continue `after` (or `before`) it. */
  readonly lastPosition: number | undefined;
}

export interface StreamsOptions {
  readonly prefix?: string;
  /** Rolls up everything that shares a name up to the next delimiter behind the prefix, as an object store's listing does. */
  readonly delimiter?: string;
  /** Only names behind this one, in order of their UTF-8 bytes. */
  readonly after?: string;
  readonly limit?: number;
}

export type StreamEntry =
  | {
      readonly kind: 'stream';
      readonly stream: string;
      /** Of its last visible event. */
      readonly revision: number;
      /** Of its last visible event. */
      readonly position: number;
    }
  | { readonly kind: 'prefix'; readonly prefix: string };

export interface StreamHead {
  /** Of the stream's last visible event. */
  readonly revision: number;
  readonly position: number;
  /** RFC 6962 leaf hash of that event: it commits to all events of the stream before it. */
  readonly leaf: Uint8Array;
}

export interface StoreStats {
  readonly watermarks: {
    /** Positions given: below it everything has been handed to the journal. */
    readonly appended: number;
    readonly written: number;
    readonly durable: number;
    readonly visible: number;
  };
  readonly streams: number;
  readonly segments: number;
  readonly idempotencyKeys: number;
  readonly suppliedIds: number;
  /** Commits given a position and not durable yet, and bytes of their frames. */
  readonly pending: { readonly commits: number; readonly bytes: number };
  /** Commits that wait for room. */
  readonly waiting: number;
  /** Clients in other threads. */
  readonly clients: number;
  readonly index: IndexStats;
  /** Why writing has ended, if it has. */
  readonly failure: string | undefined;
}

/** Data derived from the log, in numbers. */
export interface IndexStats {
  /** False while it is made again from the log: appends whose answer isn't in memory wait. */
  readonly isAnswering: boolean;
  /** Positions below it are in files. */
  readonly covered: number;
  /** The rest, in memory. */
  readonly tail: { readonly events: number; readonly bytes: number };
  /** Bytes of memory in all, and of it filters and indexes of tables, and blocks. */
  readonly memory: { readonly bytes: number; readonly tables: number; readonly blocks: number };
  readonly tables: { readonly count: number; readonly bytes: number };
  /** Since the store was opened: runs made of the log, merges, bytes written by both. */
  readonly work: { readonly runs: number; readonly merges: number; readonly bytesWritten: number };
  /** Since the store was opened: lookups that a table's filter was asked in, those that it answered, and blocks that were read. */
  readonly reads: {
    readonly filterChecks: number;
    readonly filterMisses: number;
    readonly blockReads: number;
  };
  /** Why the rest does not get into files, if that is so. It is tried again. */
  readonly failure: string | undefined;
}

/** What opening the store found and did. */
export interface StoreRecovery extends JournalRecovery {
  /** True if the store was made by this open. */
  readonly isNew: boolean;
  readonly events: number;
}

export interface VerifyOptions {
  /** Also decompresses and parses all data and metadata, as a read does. Default false: their bytes are checked, not what they say. */
  readonly payloads?: boolean;
  /** Called now and then with bytes checked and bytes in all. */
  readonly onProgress?: (progress: { readonly bytes: number; readonly bytesTotal: number }) => void;
  readonly signal?: AbortSignal;
}

/** The report of a log, and of what was derived from it. */
export interface StoreReport extends AuditReport {
  /**
   * Derived data compared with the log, in both directions; undefined where there is none. It has no part in `ok`, for damage of derived data costs no
   * event, but where it covers more than the log holds: then events are lost.
   */
  readonly derived: DerivedReport | undefined;
}

export interface BackupOptions {
  /**
   * Whether derived data is copied, too. Default true: the copy opens as fast as the store. Without it the copy is smaller, and its first open makes
   * derived data from the log.
   */
  readonly derived?: boolean;
}

/** What a backup has done. */
export interface BackupResult {
  /** False if an older backup was brought up to date. */
  readonly isNew: boolean;
  /** Events that the copy holds. */
  readonly events: number;
  /** Positions below it are covered by the copy's derived data; undefined if none was copied. */
  readonly derived: number | undefined;
  /** Bytes that were copied or linked now. */
  readonly bytes: number;
}

/** What every thread can do with a store: the one that opened it, and those that are attached to it. */
export interface StoreClient<Event extends NewEvent = NewEvent> {
  /** Identity of the store: a UUID, made once. */
  readonly id: string;
  /** Positions that are visible: the next event gets this one or a higher one. */
  readonly head: number;

  /**
   * Appends events to one stream, all or none. When it resolves they survive a power cut, unless `ack` says otherwise.
   * Reads `events` during the call. Throws `REVISION_CONFLICT`, `IDEMPOTENCY_CONFLICT`, `INVALID_ARGUMENT`,
   * `LIMIT_EXCEEDED`, `ABORTED`, `UNAVAILABLE` (no space), `POISONED`, `CLOSED`.
   */
  append(
    stream: string,
    events: readonly EventToAppend<Event>[],
    options?: AppendOptions,
  ): Promise<AppendResult>;
  /** Appends events to several streams, all or none; positions follow the order given. As `append` otherwise. */
  commit(parts: readonly CommitPart<Event>[], options?: CommitOptions): Promise<CommitResult>;
  /** Events by query, in order. A stream that doesn't exist has no events. */
  read(query?: ReadQuery, options?: ReadOptions): EventRead<Event>;
  /** The event at a position, or undefined if none is visible there. Reads that event only. */
  get(position: number): Promise<StoredEvent<Event> | undefined>;
  /** The event with this id, or undefined. */
  getById(id: string): Promise<StoredEvent<Event> | undefined>;
  /**
   * What a repeat of the commit with this idempotency key would be answered, or undefined if there is none. What was appended before in this thread
   * is decided first, and a commit in flight is waited for: the answer is of what is durable.
   */
  findCommit(key: CommitKey): Promise<CommitResult | undefined>;
  /** Streams in order of their names' UTF-8 bytes. */
  streams(options?: StreamsOptions): AsyncIterableIterator<StreamEntry>;
  streamHead(stream: string): Promise<StreamHead | undefined>;
  /** Resolves when everything appended before the call is durable. */
  flush(): Promise<void>;
  /** Resolves when the event at `position` is visible; for -1 at once. */
  waitFor(position: number, options?: { readonly signal?: AbortSignal }): Promise<void>;
  /** Waits for what is in flight. The owner then leaves the folder at rest and unlocked; a client leaves the store as it is. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** An open store, in the thread that opened it: the owner. */
export interface EventStore<Event extends NewEvent = NewEvent> extends StoreClient<Event> {
  readonly recovery: StoreRecovery;
  segments(): readonly SegmentSummaryInfo[];
  /**
   * Copies the store to a new folder, consistently and while it is written: sealed segments and tables as hard links where the file
   * system allows it. Where an older backup of this store is, only what is new is copied; it stays openable all the time. The copy is durable when it
   * resolves, and holds everything visible at the call. Throws `INVALID_ARGUMENT` for a folder of anything else, and for a copy that was opened
   * and appended to; `LOCKED` while somebody has the copy open.
   */
  backup(directory: string, options?: BackupOptions): Promise<BackupResult>;
  /**
   * Recomputes every checksum, hash and link of what is visible, and checks sizes, limits and text: what it calls whole can be
   * read, but for payloads that can't be decompressed or parsed, which the option `payloads` looks for. What was derived from the log
   * is compared with it, in `derived` of the report: if it is wrong, it is made again. Damage is in the report, not thrown.
   */
  verify(options?: VerifyOptions): Promise<StoreReport>;
  stats(): StoreStats;
  /**
   * Resolves when what is derived from the log has caught up: everything that is to be in files is there, and nothing is left to merge. Rejects
   * with `UNAVAILABLE` if that can't be done now; it is tried again later.
   */
  settled(): Promise<void>;
  /**
   * A port for one more thread: transfer it there and `attach` to it. Throws `CLOSED`, and `UNSUPPORTED_FORMAT` where there
   * is no shared memory.
   */
  share(): MessagePort;
}
