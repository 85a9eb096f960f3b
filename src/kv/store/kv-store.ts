import {
  checkCallback,
  checkRange,
  checkSignal,
  rejectUnknownNames,
} from '../../base/arguments.ts';
import { Ending } from '../../base/ending.ts';
import { asVarveError, closedError, readOnlyError, VarveError } from '../../base/errors.ts';
import type { DirectoryLock } from '../../io/file-system.ts';
import type {
  KvAsyncIterator,
  KvBatchOptions,
  KvBytes,
  KvDeleteOptions,
  KvEntry,
  KvInput,
  KvIterateOptions,
  KvIterator,
  KvListEntry,
  KvListOptions,
  KvOperation,
  KvPutOptions,
  KvRange,
  KvReadOptions,
  KvRecovery,
  KvRenameOptions,
  KvSnapshot,
  KvStats,
  KvStore,
  KvVerifyOptions,
  KvVerifyReport,
  KvWriteOptions,
} from './contract.ts';
import { type Found, makeFound } from '../entries/cursor.ts';
import { notWriting, writing } from './call-errors.ts';
import type { BatchBody } from './batch-body.ts';
import { CopySlab } from './copy-slab.ts';
import type { EntryBounds, EntryIterator } from '../tree/entry-iterator.ts';
import {
  boundsOf,
  checkRangeObject,
  keyBytesOf,
  ownCopyOf,
  ownKeysOf,
  SoughtKeys,
  type ValueCodec,
} from './kv-bytes.ts';
import { AsyncIterator, type ItemOf, ScanItems, SyncIterator } from './kv-iterator.ts';
import { Ingester } from './ingester.ts';
import { optionNames } from './option-names.ts';
import { Pace } from './pace.ts';
import { backupKv } from './kv-backup.ts';
import { listEntries } from './kv-listing.ts';
import type { KvWriter } from './kv-writer.ts';
import { checkFlags, checkList, entriesAsBytes } from './prepared-write.ts';
import { longestPrefixOf, renameOperations } from './path-keys.ts';
import type { TableMeta } from '../sstable/table-meta.ts';
import type { Tree, TreeParts } from '../tree/tree.ts';
import type { StoreLog } from './store-log.ts';
import { WriteCalls } from './write-calls.ts';

export interface KvStoreParts<Value> extends TreeParts {
  readonly tree: Tree;
  readonly log: StoreLog;
  readonly writer: KvWriter;
  /** `recheck`, of a store that is only read: throws if somebody has it open now. */
  readonly lock: Pick<DirectoryLock, 'release'> & { readonly recheck?: () => Promise<void> };
  readonly codec: ValueCodec<Value>;
  readonly recovery: KvRecovery;
}

type IngestedEntries<Value> =
  | Iterable<readonly [KvBytes, KvInput<Value>]>
  | AsyncIterable<readonly [KvBytes, KvInput<Value>]>;

/** What a value that is kept may keep from being reclaimed. */
const COPY_SLAB_SIZE = 8 * 1024;
export class LocalKvStore<Value> implements KvStore<Value> {
  readonly recovery: KvRecovery;
  readonly #parts: KvStoreParts<Value>;
  readonly #tree: Tree;
  readonly #codec: ValueCodec<Value>;
  readonly #writer: KvWriter;
  readonly #found: Found = makeFound();
  readonly #copies = new CopySlab(COPY_SLAB_SIZE);
  readonly #soughtKeys = new SoughtKeys();
  readonly #items: ScanItems<Value>;
  readonly #ingester: Ingester;
  readonly #calls: WriteCalls<Value>;
  readonly #pace: Pace;
  #closing: Promise<void> | undefined;

  constructor(parts: KvStoreParts<Value>) {
    this.#parts = parts;
    this.#tree = parts.tree;
    this.#codec = parts.codec;
    this.#items = new ScanItems(parts.codec);
    this.#writer = parts.writer;
    this.#pace = new Pace(parts.clock);
    this.recovery = parts.recovery;
    const { writer, codec, log, tree } = parts;
    this.#calls = new WriteCalls(writer, codec, log, () => this.#checkOpen());
    this.#ingester = new Ingester(writer, tree.maintenance);
  }

  get flushedPosition(): number {
    const { hasLog, flushedPosition } = this.#tree.state;
    return hasLog ? 0 : flushedPosition;
  }

  get lastVersion(): number {
    return this.#writer.lastSequence;
  }

  getSync(key: KvBytes, options?: KvReadOptions): Value | undefined {
    const isBorrowed = options?.borrow === true;
    const found = this.#find(key, options);
    if (found === undefined) {
      return undefined;
    }
    return isBorrowed
      ? this.#codec.borrow(found.bytes, found.start, found.end)
      : this.#codec.copyFound(this.#copies, found);
  }

  async get(key: KvBytes, options?: KvReadOptions): Promise<Value | undefined> {
    const value = this.getSync(key, options);
    // What is borrowed ends with the turn.
    if (options?.borrow !== true && this.#pace.isDue()) {
      await this.#pace.pause();
    }
    return value;
  }

  getEntrySync(key: KvBytes, options?: KvReadOptions): KvEntry<Value> | undefined {
    const bytes = keyBytesOf(key);
    const found = this.#find(bytes, options);
    if (found === undefined) {
      return undefined;
    }
    const value = this.#codec.decode(found.bytes, found.start, found.end);
    return { key: ownCopyOf(bytes), value, version: found.sequence };
  }

  async getEntry(key: KvBytes, options?: KvReadOptions): Promise<KvEntry<Value> | undefined> {
    const entry = this.getEntrySync(key, options);
    if (this.#pace.isDue()) {
      await this.#pace.pause();
    }
    return entry;
  }

  async getMany(keys: readonly KvBytes[], options?: KvReadOptions): Promise<(Value | undefined)[]> {
    this.#checkOpen();
    checkList(keys, 'keys');
    // Everything is looked up as things are now, however long it takes.
    const held = options?.snapshot === undefined ? this.snapshot() : undefined;
    try {
      const read = { ...options, ...(held && { snapshot: held }), borrow: false };
      const values: (Value | undefined)[] = [];
      let sought = keys;
      for (let index = 0; index < sought.length; index += 1) {
        values.push(this.getSync(sought[index]!, read));
        if (this.#pace.isDue()) {
          // Order: copied before others run, who may use the memory for something else.
          sought = sought === keys ? ownKeysOf(keys) : sought;
          await this.#pace.pause();
        }
      }
      return values;
    } finally {
      held?.close();
    }
  }

  hasSync(key: KvBytes, options?: KvReadOptions): boolean {
    return this.#find(key, options) !== undefined;
  }

  async has(key: KvBytes, options?: KvReadOptions): Promise<boolean> {
    const isThere = this.hasSync(key, options);
    if (this.#pace.isDue()) {
      await this.#pace.pause();
    }
    return isThere;
  }

  put(key: KvBytes, value: KvInput<Value>, options: KvPutOptions = {}): Promise<number> {
    return this.#calls.put(key, value, options);
  }

  delete(key: KvBytes, options: KvDeleteOptions = {}): Promise<number> {
    return this.#calls.delete(key, options);
  }

  deleteRange(range: KvRange, options: KvWriteOptions = {}): Promise<number> {
    return writing(async () => {
      checkRangeObject(range);
      return this.batch([{ ...range, type: 'deleteRange' }], options);
    });
  }

  batch(operations: readonly KvOperation<Value>[], options: KvBatchOptions = {}): Promise<number> {
    return this.#calls.batch(operations, options);
  }

  rename(from: KvBytes, to: KvBytes, options: KvRenameOptions = {}): Promise<number> {
    return writing(async () => {
      rejectUnknownNames(options, optionNames.rename, 'option');
      this.#checkOpen();
      const { prefix: isPrefix = false, overwrite: mayOverwrite = false, ...rest } = options;
      checkFlags({ prefix: isPrefix, overwrite: mayOverwrite });
      const names = { from: ownCopyOf(keyBytesOf(from)), to: ownCopyOf(keyBytesOf(to)) };
      const work = { ...names, isPrefix, mayOverwrite };
      let count = 0;
      // When it is its turn: everything written before is renamed along.
      const plan = (): BatchBody => {
        const body = renameOperations((bounds) => this.#entries(bounds), work);
        count = body.count / 2;
        return body;
      };
      await this.#calls.planned(plan, rest);
      return count;
    });
  }

  ingest(
    entries: IngestedEntries<Value>,
    options: Pick<KvWriteOptions, 'position'> = {},
  ): Promise<number> {
    return writing(async () => {
      rejectUnknownNames(options, optionNames.ingest, 'option');
      this.#checkOpen();
      this.#checkWritable();
      const { position } = options;
      if (position !== undefined) {
        this.#parts.log.checkPosition(position);
      }
      try {
        return await this.#ingester.ingest(entriesAsBytes(entries, this.#codec), position);
      } catch (error) {
        const isCut = error instanceof VarveError && error.code === 'ABORTED';
        throw isCut && this.#closing !== undefined ? closedError() : error;
      }
    });
  }

  iterateSync(options: KvIterateOptions & { readonly keysOnly: true }): KvIterator<Uint8Array>;
  iterateSync(options?: KvIterateOptions): KvIterator<[Uint8Array, Value]>;
  iterateSync(options: KvIterateOptions = {}): KvIterator<Uint8Array | [Uint8Array, Value]> {
    rejectUnknownNames(options, optionNames.iterate, 'option');
    this.#checkOpen();
    const { limit = Infinity, keysOnly = false, borrow = false, reverse = false } = options;
    const { keepOpen = false } = options;
    checkFlags({ keysOnly, borrow, reverse, keepOpen });
    if (limit !== Infinity) {
      checkRange('limit', limit, -1, Number.MAX_SAFE_INTEGER);
    }
    const bounds = boundsOf(options);
    const entries =
      bounds === undefined || limit === 0
        ? undefined
        : this.#tree.entries(bounds, this.#sequenceOf(options), reverse);
    const items = this.#items;
    const keyOf = borrow ? items.borrowedKey : items.key;
    const pairOf = borrow ? items.borrowedPair : items.pair;
    const itemOf: ItemOf<Uint8Array | [Uint8Array, Value]> = keysOnly ? keyOf : pairOf;
    const count = limit < 0 ? Infinity : limit;
    return new SyncIterator(entries, this.#tree.iterators, itemOf, count, keepOpen);
  }

  iterate(options: KvIterateOptions & { readonly keysOnly: true }): KvAsyncIterator<Uint8Array>;
  iterate(options?: KvIterateOptions): KvAsyncIterator<[Uint8Array, Value]>;
  iterate(options: KvIterateOptions = {}): KvAsyncIterator<Uint8Array | [Uint8Array, Value]> {
    return new AsyncIterator(this.iterateSync(options), this.#parts.clock, this.#pace);
  }

  list(prefix: KvBytes, options: KvListOptions = {}): IterableIterator<KvListEntry<Value>> {
    this.#checkOpen();
    const sequence = this.#sequenceOf(options);
    const open = (bounds: EntryBounds): EntryIterator => this.#tree.entries(bounds, sequence);
    const { iterators } = this.#tree;
    return listEntries(ownCopyOf(keyBytesOf(prefix)), options, this.#codec, iterators, open);
  }

  longestPrefix(path: KvBytes, options?: KvReadOptions): KvEntry<Value> | undefined {
    this.#checkOpen();
    const sequence = this.#sequenceOf(options);
    return longestPrefixOf(keyBytesOf(path), this.#codec, (bounds) =>
      this.#tree.entries(bounds, sequence, true),
    );
  }

  async count(
    prefix: KvBytes,
    limit: number = Number.MAX_SAFE_INTEGER,
  ): Promise<{ count: number; isExact: boolean }> {
    checkRange('limit', limit, 0, Number.MAX_SAFE_INTEGER);
    this.#checkOpen();
    const bounds = boundsOf({ prefix });
    const entries = new SyncIterator(
      bounds && this.#entries(bounds),
      this.#tree.iterators,
      () => undefined,
      Infinity,
    );
    let count = 0;
    for await (const _ of new AsyncIterator(entries, this.#parts.clock, this.#pace)) {
      if (count === limit) {
        return { count, isExact: false };
      }
      count += 1;
    }
    return { count, isExact: true };
  }

  sizeOf(range: KvRange): number {
    this.#checkOpen();
    checkRangeObject(range);
    const bounds = boundsOf(range);
    return bounds === undefined ? 0 : this.#tree.sizeOf(bounds.start, bounds.end);
  }

  snapshot(): KvSnapshot {
    this.#checkOpen();
    return this.#tree.snapshots.add(this.#writer.lastSequence);
  }

  flush(): Promise<void> {
    return notWriting(() => this.#flush());
  }

  async #flush(): Promise<void> {
    this.#checkOpen();
    this.#checkWritable();
    await this.#writer.waitingDecided();
    await this.#tree.maintenance.flush();
  }

  compact(range: KvRange = {}): Promise<void> {
    return notWriting(async () => {
      this.#checkOpen();
      this.#checkWritable();
      checkRangeObject(range);
      const bounds = boundsOf(range);
      if (bounds !== undefined) {
        const { maintenance } = this.#tree;
        await maintenance.compactRange(bounds.start, bounds.end, () => this.#flush());
      }
    });
  }

  settled(): Promise<void> {
    return notWriting(async () => {
      this.#checkOpen();
      if (!this.#tree.isReadOnly) {
        await this.#tree.maintenance.settled();
      }
    });
  }

  async verify(options: KvVerifyOptions = {}): Promise<KvVerifyReport> {
    this.#checkOpen();
    rejectUnknownNames(options, optionNames.verify, 'option');
    checkSignal(options.signal);
    checkCallback('onProgress', options.onProgress);
    const report = await this.#tree.verify(options);
    if (!report.ok) {
      // What an owner does who has come meanwhile may look like damage.
      await this.#parts.lock.recheck?.();
    }
    return report;
  }

  backup(directory: string): Promise<void> {
    return notWriting(async () => {
      this.#checkOpen();
      await this.#flush();
      try {
        const { fileSystem, clock, log } = this.#parts;
        await backupKv(fileSystem, clock, this.#tree, log, directory);
      } catch (error) {
        throw asVarveError(error, `The store could not be backed up to ${directory}`);
      }
    });
  }

  tables(): readonly (TableMeta & { readonly level: number })[] {
    return this.#tree.tables.current.handles.flatMap((handles, level) =>
      handles.map(({ meta }) => ({ ...meta, level })),
    );
  }

  stats(): KvStats {
    const { log } = this.#parts;
    const { lastSequence, waitingCount, rawSize } = this.#writer;
    return {
      ...this.#tree.stats(),
      lastVersion: lastSequence,
      pending: { bytes: log.pendingSize, waiting: waitingCount },
      written: { raw: rawSize, log: log.writtenSize },
    };
  }

  async close(): Promise<void> {
    this.#closing ??= this.#close();
    await this.#closing;
  }

  /** Answers writes that came before, and lets nobody in any more. Rejects with what may have been lost, having tried everything. */
  async #close(): Promise<void> {
    const { log, lock, logger } = this.#parts;
    const ending = new Ending(logger);
    this.#tree.iterators.closeAll();
    await this.#writer.waitingDecided();
    this.#writer.close(closedError('no'));
    await ending.attempt(() => log.whenIdle());
    if (!this.#tree.isReadOnly) {
      await log.flushRest(ending);
    }
    await ending.tryTo('end the work in the background', () => this.#tree.close());
    await ending.attempt(() => log.close(), 'leave the log at rest');
    await ending.attempt(() => lock.release());
    ending.throwFirst('The store was closed, and not everything could be put in order');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #find(key: KvBytes, options: KvReadOptions | undefined): Found | undefined {
    this.#checkOpen();
    // Order: options first, for a getter among them may read another key, which would take the place of this one's bytes.
    const sequence = this.#sequenceOf(options);
    const found = this.#found;
    return this.#tree.get(this.#soughtKeys.bytesOf(key), sequence, found) ? found : undefined;
  }

  #entries(bounds: EntryBounds): EntryIterator {
    return this.#tree.entries(bounds, this.#writer.lastSequence);
  }

  #sequenceOf(options: Pick<KvReadOptions, 'snapshot'> | undefined): number {
    const snapshot = options?.snapshot;
    if (snapshot === undefined) {
      return this.#writer.lastSequence;
    }
    if (!this.#tree.snapshots.has(snapshot)) {
      throw new VarveError(
        'INVALID_ARGUMENT',
        'This snapshot is closed, or of another store: make a new one.',
      );
    }
    return snapshot.version;
  }

  #checkWritable(): void {
    if (this.#tree.isReadOnly) {
      throw readOnlyError();
    }
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) {
      throw closedError();
    }
  }
}
