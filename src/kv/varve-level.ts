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
import { VarveError } from '../base/errors.ts';
import type {
  KvIterator,
  KvOperation,
  KvRange,
  KvReadOptions,
  KvSnapshot,
  KvStore,
} from './contract.ts';
import { openKv } from './open-kv.ts';
import type { KvComponents, KvOptions } from './options.ts';

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

type Bytes = Uint8Array;

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

interface IteratorOptions extends RangeOptions, WithSnapshot {
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
};

/**
 * A database of the Level family on a Varve key-value store. Writes are atomic and seen at once; they are durable when they resolve
 * if made with `sync: true`.
 */
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging -- only adds options to calls that the base class has
export class VarveLevel<K = string, V = string> extends AbstractLevel<Bytes, K, V> {
  readonly location: string;
  readonly #given: Pick<VarveLevelOptions<K, V>, 'kv' | 'components'>;
  #kv: KvStore | undefined;

  constructor(location: string, options: VarveLevelOptions<K, V> = {}) {
    const { kv, components, ...rest } = options;
    if (typeof location !== 'string' || location === '') {
      throw new VarveError('INVALID_ARGUMENT', 'Give the folder of the database.');
    }
    super(supports, rest);
    this.location = location;
    this.#given = { ...(kv && { kv }), ...(components && { components }) };
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
    const kv = await openKv(
      this.location,
      { ...this.#given.kv, create: createIfMissing },
      this.#given.components,
    );
    if (errorIfExists && !kv.recovery.isNew) {
      await kv.close();
      throw new VarveError('INVALID_ARGUMENT', `The database in ${this.location} exists already.`);
    }
    this.#kv = kv;
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
    return this.kv.getSync(key, readOptions(options));
  }

  async _getMany(
    keys: Bytes[],
    options: AbstractGetManyOptions<K, V> & WithSnapshot,
  ): Promise<(Bytes | undefined)[]> {
    return this.kv.getMany(keys, readOptions(options));
  }

  async _has(key: Bytes, options: AbstractHasOptions<K> & WithSnapshot): Promise<boolean> {
    return this.kv.hasSync(key, readOptions(options));
  }

  async _hasMany(
    keys: Bytes[],
    options: AbstractHasManyOptions<K> & WithSnapshot,
  ): Promise<boolean[]> {
    const read = readOptions(options);
    return keys.map((key) => this.kv.hasSync(key, read));
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
    const keys = this.kv.iterateSync({
      ...range,
      ...readOptions(options),
      reverse,
      limit,
      keysOnly: true,
    });
    const batch = Array.from(keys, (key): KvOperation<Bytes> => ({ type: 'delete', key }));
    await this.kv.batch(batch, { ack: 'written' });
  }

  _iterator(options: IteratorOptions): LevelIterator<this, K, V> {
    // Order: opened before the base class knows of the iterator, which it would have to close if this failed.
    return new LevelIterator(this, options, openInner(this.kv, options));
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
  const { values = true, reverse = false, snapshot } = options;
  if (snapshot instanceof LevelSnapshot && snapshot.isClosed) {
    // The base class refuses every use of it.
    return kv.iterateSync({ limit: 0 });
  }
  const given = { ...rangeOf(options), ...readOptions(options), reverse, keepOpen: true };
  return values ? kv.iterateSync(given) : kv.iterateSync({ ...given, keysOnly: true });
}

class LevelIterator<Database, K, V> extends AbstractIterator<Database, K, V> {
  readonly #inner: InnerIterator;
  readonly #hasKeys: boolean;

  constructor(database: Database, options: IteratorOptions, inner: InnerIterator) {
    super(database, options as never);
    this.#inner = inner;
    this.#hasKeys = options.keys ?? true;
  }

  async _next(): Promise<Entry | undefined> {
    const { done, value } = this.#inner.next();
    return done === true ? undefined : this.#entryOf(value);
  }

  async _nextv(size: number): Promise<Entry[]> {
    const entries: Entry[] = [];
    while (entries.length < size) {
      const { done, value } = this.#inner.next();
      if (done === true) {
        break;
      }
      entries.push(this.#entryOf(value));
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
