/** The key-value store behind the interface of abstract-level, which many packages are written for. */
import {
  type AbstractBatchOperation,
  type AbstractBatchOptions,
  type AbstractChainedBatch,
  type AbstractClearOptions,
  type AbstractDatabaseOptions,
  type AbstractDelOptions,
  type AbstractGetManyOptions,
  type AbstractGetOptions,
  type AbstractHasManyOptions,
  type AbstractHasOptions,
  AbstractIterator,
  AbstractLevel,
  type AbstractOpenOptions,
  type AbstractPutOptions,
  AbstractSnapshot,
} from 'abstract-level';
import { checkPath, checkRange } from '../../base/arguments.ts';
import { VarveError } from '../../base/errors.ts';
import { checkComponents } from '../../io/components.ts';
import { nodeClock } from '../../io/node-clock.ts';
import type {
  KvIterateOptions,
  KvIterator,
  KvOperation,
  KvRange,
  KvReadOptions,
  KvSnapshot,
  KvStore,
} from './contract.ts';
import { destroyFolder } from './destroy-folder.ts';
import { LevelError } from './level-error.ts';
import { kvComponentNames, openKv } from './open-kv.ts';
import type { KvComponents, KvOptions } from './options.ts';
import { Pace } from './pace.ts';
import { repairKv } from './kv-repair.ts';

/** What this database has beyond abstract-level's own options. */
export interface VarveLevelOptions<K, V> extends AbstractDatabaseOptions<K, V> {
  /** Settings of the store beneath. */
  readonly kv?: Omit<KvOptions, 'create' | 'values' | 'log'>;
  readonly components?: KvComponents;
}

export interface VarveWriteOptions {
  /** Resolve when the write survives a power cut. Default false: when it survives the end of the process. */
  readonly sync?: boolean;
}

export interface VarveIteratorOptions {
  /**
   * Bytes of keys and values after which `nextv()` gives what it has, however many entries were asked for; at least one. Default 1 MiB.
   */
  readonly highWaterMarkBytes?: number;
}

/** Names an encoding other than the database's own. */
export interface VarveRangeOptions {
  readonly keyEncoding?: string;
}

type Bytes = Uint8Array;

const HIGH_WATER_MARK = 1024 * 1024;
/** Keys that are deleted at once where they have to be looked for, and their bytes. */
const CLEAR_COUNT = 4_096;
const CLEAR_SIZE = 1024 * 1024;

/** Made by the base class. */
type SnapshotOptions = Readonly<Record<string, unknown>>;

interface WithSnapshot {
  readonly snapshot?: AbstractSnapshot | undefined;
}

interface RangeOptions {
  readonly gte?: Bytes;
  readonly gt?: Bytes;
  readonly lte?: Bytes;
  readonly lt?: Bytes;
}

interface IteratorOptions extends RangeOptions, WithSnapshot, VarveIteratorOptions {
  readonly keys?: boolean;
  readonly values?: boolean;
  readonly reverse?: boolean;
}

/** `getSync` is in abstract-level's code and not yet in its types. */
const supports: ConstructorParameters<typeof AbstractLevel>[0] & { readonly getSync: boolean } = {
  encodings: { view: true },
  has: true,
  getSync: true,
  seek: true,
  createIfMissing: true,
  errorIfExists: true,
  implicitSnapshots: true,
  explicitSnapshots: true,
  additionalMethods: { approximateSize: true, compactRange: true },
};

/**
 * A database of the Level family on a Varve key-value store. Writes are atomic and seen at once; they are durable when they resolve
 * if made with `sync: true`.
 */
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging -- only adds options to calls that the base class has
export class VarveLevel<K = string, V = string> extends AbstractLevel<Bytes, K, V> {
  readonly location: string;
  readonly #given: Pick<VarveLevelOptions<K, V>, 'kv' | 'components'>;
  /** One for all: work of many iterators is done in the same turn. */
  readonly #pace: Pace;
  #kv: KvStore | undefined;

  constructor(location: string, options: VarveLevelOptions<K, V> = {}) {
    const { kv, components, ...rest } = options;
    checkLocation(location);
    if (components !== undefined) {
      checkComponents(components, kvComponentNames);
    }
    super(supports, rest);
    this.location = location;
    this.#given = { ...(kv && { kv }), ...(components && { components }) };
    this.#pace = new Pace(components?.clock ?? nodeClock);
  }

  /**
   * Removes a database that is not open: its files, and its folders if nothing else is in them. Throws `LEVEL_LOCKED` if it is open,
   * `NOT_A_STORE` if the folder holds something else.
   */
  static async destroy(location: string): Promise<void> {
    checkLocation(location);
    try {
      await destroyFolder(location);
    } catch (error) {
      throw asLevelError(error);
    }
  }

  /**
   * Makes the manifest of a database that can't be opened anew, from its tables. What can't be used is moved to its `quarantine`: what only
   * that held is lost. Does nothing to one that is whole.
   */
  static async repair(location: string): Promise<void> {
    checkLocation(location);
    try {
      const report = await repairKv(location, { apply: true, setAsideUndecided: true });
      if (report.outcome === 'refused') {
        throw new VarveError('CORRUPT', `The database in ${location} can't be repaired.`, {
          details: { report },
        });
      }
    } catch (error) {
      throw asLevelError(error);
    }
  }

  /** The store beneath, while the database is open. */
  get kv(): KvStore {
    if (this.#kv === undefined) {
      throw new VarveError('CLOSED', 'The database is not open.');
    }
    return this.#kv;
  }

  async _open(options: AbstractOpenOptions): Promise<void> {
    const { createIfMissing = true, errorIfExists = false } = options;
    const kv = await this.#openKv(createIfMissing);
    if (errorIfExists && !kv.recovery.isNew) {
      await kv.close();
      throw new VarveError('INVALID_ARGUMENT', `The database in ${this.location} exists already.`);
    }
    this.#kv = kv;
  }

  async #openKv(create: boolean): Promise<KvStore> {
    try {
      return await openKv(this.location, { ...this.#given.kv, create }, this.#given.components);
    } catch (error) {
      throw asLevelError(error);
    }
  }

  async _close(): Promise<void> {
    const kv = this.#kv;
    this.#kv = undefined;
    await kv?.close();
  }

  _getSync(key: Bytes, options: AbstractGetOptions<K, V> & WithSnapshot): Bytes | undefined {
    return this.kv.getSync(key, readOptions(options));
  }

  async _get(
    key: Bytes,
    options: AbstractGetOptions<K, V> & WithSnapshot,
  ): Promise<Bytes | undefined> {
    return this.kv.get(key, readOptions(options));
  }

  async _getMany(
    keys: Bytes[],
    options: AbstractGetManyOptions<K, V> & WithSnapshot,
  ): Promise<(Bytes | undefined)[]> {
    return this.kv.getMany(keys, readOptions(options));
  }

  async _has(key: Bytes, options: AbstractHasOptions<K> & WithSnapshot): Promise<boolean> {
    return this.kv.has(key, readOptions(options));
  }

  async _hasMany(
    keys: Bytes[],
    options: AbstractHasManyOptions<K> & WithSnapshot,
  ): Promise<boolean[]> {
    const held = options.snapshot === undefined ? this.kv.snapshot() : undefined;
    try {
      const read = held === undefined ? readOptions(options) : { snapshot: held };
      const found: boolean[] = [];
      for (const key of keys) {
        found.push(this.kv.hasSync(key, read));
        if (this.#pace.isDue()) {
          await this.#pace.pause();
        }
      }
      return found;
    } finally {
      held?.close();
    }
  }

  async _put(
    key: Bytes,
    value: Bytes,
    options: AbstractPutOptions<K, V> & VarveWriteOptions,
  ): Promise<void> {
    await this.kv.put(key, value, ackOf(options));
  }

  async _del(key: Bytes, options: AbstractDelOptions<K> & VarveWriteOptions): Promise<void> {
    await this.kv.delete(key, ackOf(options));
  }

  async _batch(
    operations: AbstractBatchOperation<this, Bytes, Bytes>[],
    options: AbstractBatchOptions<K, V> & VarveWriteOptions,
  ): Promise<void> {
    const batch = operations.map((operation): KvOperation<Bytes> => {
      const { key } = operation;
      return operation.type === 'put'
        ? { type: 'put', key, value: operation.value }
        : { type: 'delete', key };
    });
    await this.kv.batch(batch, ackOf(options));
  }

  async _clear(options: AbstractClearOptions<K> & WithSnapshot): Promise<void> {
    const range = rangeOf(options as RangeOptions);
    const { limit = -1, reverse = false, snapshot } = options;
    if (limit < 0 && snapshot === undefined) {
      await this.kv.deleteRange({ gte: '', ...range }, { ack: 'written' });
      return;
    }
    await this.#deleteKeys({ ...range, ...readOptions(options), reverse, limit });
  }

  /** In pieces: there may be more keys than one batch takes, and others run in between. */
  async #deleteKeys(options: KvIterateOptions): Promise<void> {
    const keys = this.kv.iterateSync({ ...options, keysOnly: true });
    try {
      for (let piece = await this.#nextPiece(keys); piece.length > 0;) {
        await this.kv.batch(piece, { ack: 'written' });
        piece = await this.#nextPiece(keys);
      }
    } finally {
      keys.close();
    }
  }

  async #nextPiece(keys: KvIterator<Bytes>): Promise<KvOperation<Bytes>[]> {
    const piece: KvOperation<Bytes>[] = [];
    for (let size = 0; piece.length < CLEAR_COUNT && size < CLEAR_SIZE;) {
      const { done, value: key } = keys.next();
      if (done === true) {
        break;
      }
      piece.push({ type: 'delete', key });
      size += key.length;
      if (this.#pace.isDue()) {
        await this.#pace.pause();
      }
    }
    return piece;
  }

  /** About how many bytes the keys from `start` up to `end` and their values take, on disk and in memory. */
  async approximateSize(start: K, end: K, options?: VarveRangeOptions): Promise<number>;
  async approximateSize(
    start: unknown,
    end: unknown,
    options: Required<VarveRangeOptions>,
  ): Promise<number>;
  async approximateSize(
    start: unknown,
    end: unknown,
    options: VarveRangeOptions = {},
  ): Promise<number> {
    await this.#whenOpen('approximateSize');
    const [gte, lt] = this.#keysOf(start, end, options);
    return this.kv.sizeOf({ gte, lt });
  }

  /** Merges the tables that hold keys from `start` to `end`, and gives back what was deleted or overwritten. */
  async compactRange(start: K, end: K, options?: VarveRangeOptions): Promise<void>;
  async compactRange(
    start: unknown,
    end: unknown,
    options: Required<VarveRangeOptions>,
  ): Promise<void>;
  async compactRange(start: unknown, end: unknown, options: VarveRangeOptions = {}): Promise<void> {
    await this.#whenOpen('compactRange');
    const [gte, lte] = this.#keysOf(start, end, options);
    await this.kv.compact({ gte, lte });
  }

  async #whenOpen(call: string): Promise<void> {
    if (this.status === 'opening') {
      await this.deferAsync(async () => undefined);
    }
    if (this.status !== 'open') {
      throw new LevelError(
        'LEVEL_DATABASE_NOT_OPEN',
        `Database is not open: cannot call ${call}()`,
      );
    }
  }

  #keysOf(start: unknown, end: unknown, { keyEncoding }: VarveRangeOptions): [Bytes, Bytes] {
    if (start === undefined || start === null || end === undefined || end === null) {
      throw new VarveError('INVALID_ARGUMENT', 'Give the first key and the last: start and end.');
    }
    // Its format is always that of views: no other is supported.
    const encoding = this.keyEncoding<unknown, unknown>(keyEncoding as never);
    return [encoding.encode(start), encoding.encode(end)];
  }

  _iterator(options: IteratorOptions): LevelIterator<this, K, V> {
    // Order: opened before the base class knows of the iterator, which it would have to close if this failed.
    return new LevelIterator(this, options, openInner(this.kv, options), this.#pace);
  }

  _snapshot(options: SnapshotOptions): AbstractSnapshot {
    return new LevelSnapshot(options, this.kv.snapshot());
  }
}

/** The base class's calls, with the options that are this one's. */
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging -- as above
export interface VarveLevel<K, V> {
  put(key: K, value: V): Promise<void>;
  put<Key = K, Value = V>(
    key: Key,
    value: Value,
    options: AbstractPutOptions<Key, Value> & VarveWriteOptions,
  ): Promise<void>;
  del(key: K): Promise<void>;
  del<Key = K>(key: Key, options: AbstractDelOptions<Key> & VarveWriteOptions): Promise<void>;
  batch(operations: AbstractBatchOperation<this, K, V>[]): Promise<void>;
  batch<Key = K, Value = V>(
    operations: AbstractBatchOperation<this, Key, Value>[],
    options: AbstractBatchOptions<Key, Value> & VarveWriteOptions,
  ): Promise<void>;
  batch(): AbstractChainedBatch<this, K, V>;
}

class LevelSnapshot extends AbstractSnapshot {
  readonly inner: KvSnapshot;
  isClosed = false;

  constructor(options: SnapshotOptions, inner: KvSnapshot) {
    // @ts-expect-error -- the base class takes its owner from the options; its types don't say so
    super(options);
    this.inner = inner;
  }

  async _close(): Promise<void> {
    this.isClosed = true;
    this.inner.close();
  }
}

type Entry = [Bytes | undefined, Bytes | undefined];
type InnerIterator = KvIterator<[Bytes, Bytes]> | KvIterator<Bytes>;

/** The limit is the base class's business. */
function openInner(kv: KvStore, options: IteratorOptions): InnerIterator {
  const { values = true, reverse = false, snapshot, highWaterMarkBytes } = options;
  if (highWaterMarkBytes !== undefined) {
    checkRange('highWaterMarkBytes', highWaterMarkBytes, 0, Number.MAX_SAFE_INTEGER);
  }
  if (snapshot instanceof LevelSnapshot && snapshot.isClosed) {
    // The base class refuses every use of it.
    return kv.iterateSync({ limit: 0 });
  }
  const given = { ...rangeOf(options), ...readOptions(options), reverse, keepOpen: true };
  return values ? kv.iterateSync(given) : kv.iterateSync({ ...given, keysOnly: true });
}

class LevelIterator<Database, K, V> extends AbstractIterator<Database, K, V> {
  readonly #inner: InnerIterator;
  readonly #pace: Pace;
  readonly #hasKeys: boolean;
  readonly #highWaterMark: number;

  constructor(database: Database, options: IteratorOptions, inner: InnerIterator, pace: Pace) {
    super(database, options as never);
    this.#inner = inner;
    this.#pace = pace;
    this.#hasKeys = options.keys ?? true;
    this.#highWaterMark = options.highWaterMarkBytes ?? HIGH_WATER_MARK;
  }

  async _next(): Promise<Entry | undefined> {
    // Order: others run before the entry is taken: what is read is given.
    if (this.#pace.isDue()) {
      await this.#pace.pause();
    }
    const { done, value } = this.#inner.next();
    return done === true ? undefined : this.#entryOf(value);
  }

  async _nextv(size: number): Promise<Entry[]> {
    const entries: Entry[] = [];
    let bytes = 0;
    while (entries.length < size && (bytes <= this.#highWaterMark || entries.length === 0)) {
      const { done, value } = this.#inner.next();
      if (done === true) {
        break;
      }
      const entry = this.#entryOf(value);
      entries.push(entry);
      const entrySize = (entry[0]?.length ?? 0) + (entry[1]?.length ?? 0);
      bytes += entrySize;
      if (this.#pace.isDue(entrySize)) {
        await this.#pace.pause();
      }
    }
    return entries;
  }

  _seek(target: Bytes): void {
    this.#inner.seek(target);
  }

  async _close(): Promise<void> {
    this.#inner.close();
  }

  #entryOf(item: [Bytes, Bytes] | Bytes): Entry {
    if (item instanceof Uint8Array) {
      return [item, undefined];
    }
    return this.#hasKeys ? item : [undefined, item[1]];
  }
}

function checkLocation(location: string): void {
  checkPath(location, 'Give the folder of the database.');
}

/** Programs of the family look for one code: another process has the database open. */
function asLevelError(error: unknown): unknown {
  return error instanceof VarveError && error.code === 'LOCKED'
    ? new LevelError('LEVEL_LOCKED', error.message, error)
    : error;
}

/** abstract-level's rules: `gte` goes before `gt`, `lte` before `lt`. */
function rangeOf({ gte, gt, lte, lt }: RangeOptions): KvRange {
  return {
    ...(gte !== undefined ? { gte } : gt !== undefined ? { gt } : {}),
    ...(lte !== undefined ? { lte } : lt !== undefined ? { lt } : {}),
  };
}

function readOptions({ snapshot }: WithSnapshot): KvReadOptions {
  return snapshot === undefined ? {} : { snapshot: (snapshot as LevelSnapshot).inner };
}

function ackOf({ sync = false }: VarveWriteOptions): { readonly ack: 'durable' | 'written' } {
  return { ack: sync ? 'durable' : 'written' };
}
