/** The interface of the key-value store. */
import type { TableMeta } from '../sstable/table-meta.ts';
import type { Snapshot as KvSnapshot } from '../tree/snapshot-list.ts';
import type { TreeStats, VerifyOptions, VerifyReport } from '../tree/tree-reports.ts';

export type { LevelStats as KvLevelStats } from '../tree/tree-reports.ts';
export type { KvSnapshot, VerifyOptions as KvVerifyOptions, VerifyReport as KvVerifyReport };

/** Keys and values are bytes; a string stands for its UTF-8. */
export type KvBytes = Uint8Array | string;

/** What may be given as a value: in a store of bytes a string, too. */
export type KvInput<Value> = Value | (Value extends Uint8Array ? string : never);

export interface KvRange {
  /** At or behind this key. */
  readonly gte?: KvBytes;
  /** Behind this key. */
  readonly gt?: KvBytes;
  /** At or before this key. */
  readonly lte?: KvBytes;
  /** Before this key. */
  readonly lt?: KvBytes;
  /** Only keys that begin with this. Bounds narrow it further. */
  readonly prefix?: KvBytes;
}

export interface KvReadOptions {
  /** Read as things were when the snapshot was made. Default: now. */
  readonly snapshot?: KvSnapshot;
  /**
   * Give views into the store's own memory instead of copies. They are valid until the next call of any method or the next step of
   * any iterator of this store, and no longer than the turn of the event loop that got them; they must not be changed.
   */
  readonly borrow?: boolean;
}

export interface KvIterateOptions extends KvRange, KvReadOptions {
  /** From the last key to the first. */
  readonly reverse?: boolean;
  /** At most so many entries. */
  readonly limit?: number;
  /** Give keys instead of pairs. */
  readonly keysOnly?: boolean;
  /** Stay open at the end, so that `seek` can go back: the iterator must be closed then. Default false. */
  readonly keepOpen?: boolean;
}

export interface KvListOptions extends Pick<KvReadOptions, 'snapshot'> {
  /** What ends a component of a key: what lies behind it is rolled up. Without it every key is listed. */
  readonly delimiter?: KvBytes;
  /** Go on behind this key or rolled-up prefix. */
  readonly after?: KvBytes;
  readonly limit?: number;
}

/** One line of a listing: a key, or everything that begins with a prefix. */
export type KvListEntry<Value> =
  | {
      readonly type: 'key';
      readonly key: Uint8Array;
      readonly value: Value;
      readonly version: number;
    }
  | { readonly type: 'prefix'; readonly prefix: Uint8Array };

export interface KvEntry<Value> {
  readonly key: Uint8Array;
  readonly value: Value;
  /** Grows with every write to the store; two writes never share one. */
  readonly version: number;
}

export interface KvWriteOptions {
  /**
   * `durable` (default): resolve when the write survives a power cut. `written`: when it is in the log file, which survives the end of
   * the process; it is synced right afterwards. A store without a log resolves at once.
   */
  readonly ack?: 'durable' | 'written';
  /** For a store without a log: how far its owner's own log is covered by this write and all before it. */
  readonly position?: number;
  /** Ends the call with `ABORTED`, `applied: 'no'`, while the write waits for room. Afterwards it has no effect. */
  readonly signal?: AbortSignal;
}

export interface KvPutOptions extends KvWriteOptions {
  /** Only if the key isn't there; otherwise `CONDITION_FAILED`. */
  readonly ifAbsent?: boolean;
  /** Only if the key's version is this one; otherwise `CONDITION_FAILED`. */
  readonly ifVersion?: number;
}

export interface KvDeleteOptions extends KvWriteOptions {
  readonly ifVersion?: number;
}

/** What must hold for a batch to be applied. Looked at before the batch's own operations. */
export type KvGuard =
  | { readonly key: KvBytes; readonly version: number }
  | { readonly key: KvBytes; readonly absent: true }
  | { readonly prefix: KvBytes; readonly empty: true };

export interface KvBatchOptions extends KvWriteOptions {
  readonly guards?: readonly KvGuard[];
}

/** Later operations of a batch win over earlier ones on the same key. */
export type KvOperation<Value> =
  | { readonly type: 'put'; readonly key: KvBytes; readonly value: KvInput<Value> }
  | { readonly type: 'delete'; readonly key: KvBytes }
  | ({ readonly type: 'deleteRange' } & KvRange);

export interface KvRenameOptions extends KvWriteOptions {
  /** Rename every key that begins with `from`, so that it begins with `to`. Default false: the one key. */
  readonly prefix?: boolean;
  /** Let keys that are already there be replaced. Default false: `CONDITION_FAILED`. */
  readonly overwrite?: boolean;
}

/**
 * Entries in key order, as they were when the iterator was made. Not used to its end, it must be closed: it keeps files and memory from
 * being reclaimed.
 */
export interface KvIterator<Item> extends IterableIterator<Item> {
  /** Goes on at `key`, or at what follows it in the iterator's direction. A key outside of its range ends it. */
  seek(key: KvBytes): void;
  return(): IteratorResult<Item>;
  close(): void;
}

export interface KvAsyncIterator<Item> extends AsyncIterableIterator<Item> {
  seek(key: KvBytes): void;
  return(): Promise<IteratorResult<Item>>;
  close(): Promise<void>;
}

/** What opening found. */
export interface KvRecovery {
  readonly isNew: boolean;
  /** False if the process or machine stopped before `close`. Of a store without a log it can't be told: always true. */
  readonly wasClosed: boolean;
  /** Writes that came back from the log. */
  readonly replayed: number;
  /** Bytes of a torn tail of the log, which nothing proved durable, and the file that keeps them. */
  readonly quarantined: { readonly file: string; readonly size: number } | undefined;
  /** Left over from work that was interrupted; removed. */
  readonly orphans: readonly string[];
  /** A store without a log whose tables could not be trusted was emptied: why. Its owner fills it again. */
  readonly discarded: string | undefined;
}

export interface KvStats extends TreeStats {
  readonly lastVersion: number;
  readonly pending: { readonly bytes: number; readonly waiting: number };
  /** Bytes of keys and values accepted, and of the bodies of the log's frames for them. */
  readonly written: { readonly raw: number; readonly log: number };
}

/**
 * An ordered, durable store of byte keys. Keys have up to 65,535 bytes, a key and its value up to 16 MiB; both may be empty.
 * A write is visible to every read of this store when its call returns (or, where it has to wait for room, when it is its turn), and
 * durable as its `ack` says. One thread owns a store.
 *
 * Errors: `CONDITION_FAILED`, `INVALID_ARGUMENT`, `LIMIT_EXCEEDED`, `UNAVAILABLE` (no space, or the background can't keep up because it
 * fails), `POISONED` (the log could not be written), `CORRUPT`, `CLOSED`.
 */
export interface KvStore<Value = Uint8Array> {
  readonly recovery: KvRecovery;
  /** Of a store without a log: what its owner need not replay. 0 at first. */
  readonly flushedPosition: number;
  readonly lastVersion: number;

  getSync(key: KvBytes, options?: KvReadOptions): Value | undefined;
  get(key: KvBytes, options?: KvReadOptions): Promise<Value | undefined>;
  getEntrySync(key: KvBytes, options?: KvReadOptions): KvEntry<Value> | undefined;
  getEntry(key: KvBytes, options?: KvReadOptions): Promise<KvEntry<Value> | undefined>;
  getMany(keys: readonly KvBytes[], options?: KvReadOptions): Promise<(Value | undefined)[]>;
  hasSync(key: KvBytes, options?: KvReadOptions): boolean;
  has(key: KvBytes, options?: KvReadOptions): Promise<boolean>;

  /** Resolves to the version of the entry. */
  put(key: KvBytes, value: KvInput<Value>, options?: KvPutOptions): Promise<number>;
  /** Deleting what isn't there is no error. */
  delete(key: KvBytes, options?: KvDeleteOptions): Promise<number>;
  /**
   * Deletes every key in the range, in time that doesn't depend on how many there are. The range has a bound: `{ gte: '' }` is that of
   * all keys.
   */
  deleteRange(range: KvRange, options?: KvWriteOptions): Promise<number>;
  /** All or nothing, for every reader and after every crash; up to 64 MiB. Resolves to the version of the last operation. */
  batch(operations: readonly KvOperation<Value>[], options?: KvBatchOptions): Promise<number>;
  /** Resolves to the number of keys renamed. One batch, with a batch's limit of 64 MiB. */
  rename(from: KvBytes, to: KvBytes, options?: KvRenameOptions): Promise<number>;

  /**
   * Adds entries whose keys strictly ascend, as tables made straight from them: nothing is logged, and merged only later. They all become
   * visible and durable at once, when this resolves, as written at the version it resolves to; until then nothing of them shows. Writes go on
   * while tables are made and wait while they are added; those after that have higher versions, and win. Throws `INVALID_ARGUMENT` for keys out of order, having changed nothing.
   */
  ingest(
    entries:
      | Iterable<readonly [KvBytes, KvInput<Value>]>
      | AsyncIterable<readonly [KvBytes, KvInput<Value>]>,
    options?: Pick<KvWriteOptions, 'position'>,
  ): Promise<number>;

  iterateSync(options: KvIterateOptions & { readonly keysOnly: true }): KvIterator<Uint8Array>;
  iterateSync(
    options?: KvIterateOptions & { readonly keysOnly?: false },
  ): KvIterator<[Uint8Array, Value]>;
  iterateSync(options: KvIterateOptions): KvIterator<Uint8Array | [Uint8Array, Value]>;
  iterate(options: KvIterateOptions & { readonly keysOnly: true }): KvAsyncIterator<Uint8Array>;
  iterate(
    options?: KvIterateOptions & { readonly keysOnly?: false },
  ): KvAsyncIterator<[Uint8Array, Value]>;
  iterate(options: KvIterateOptions): KvAsyncIterator<Uint8Array | [Uint8Array, Value]>;
  list(prefix: KvBytes, options?: KvListOptions): IterableIterator<KvListEntry<Value>>;
  /** The entry with the longest key that `path` begins with. */
  longestPrefix(path: KvBytes, options?: KvReadOptions): KvEntry<Value> | undefined;
  /** Keys that begin with `prefix`, counted up to `limit`. */
  count(prefix: KvBytes, limit?: number): Promise<{ count: number; isExact: boolean }>;
  /** About how many bytes the keys of a range take: of tables, and of memory for what is in no table yet. */
  sizeOf(range: KvRange): number;

  snapshot(): KvSnapshot;
  /** Everything written so far is in tables when this resolves. */
  flush(): Promise<void>;
  /**
   * Merges the tables that hold keys of the range, down to the last level that does. What was deleted or overwritten is given back then, unless a
   * snapshot that is open needs it.
   */
  compact(range?: KvRange): Promise<void>;
  /** Resolves when nothing is left to flush or to compact. Rejects if that can't be reached. */
  settled(): Promise<void>;
  /** Reads every table to its end, in this thread; others go on between two tables. Rejects with `ABORTED`, `CLOSED`, `UNAVAILABLE`. */
  verify(options?: VerifyOptions): Promise<VerifyReport>;
  /** Copies the store as it is now into an empty or new folder, while it is being written. Tables are hard-linked where possible. */
  backup(directory: string): Promise<void>;
  tables(): readonly (TableMeta & { readonly level: number })[];
  stats(): KvStats;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
