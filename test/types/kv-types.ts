/** What the compiler knows of keys and values. Nothing here runs: see event-types.ts. */
import {
  type KvAsyncIterator,
  type KvEntry,
  type KvIterateOptions,
  type KvIterator,
  type KvListEntry,
  type KvStore,
  openKv,
} from 'varve/kv';
import { VarveLevel } from 'varve/level';
import { type Equal, is } from './equal.ts';

interface Photo {
  readonly size: number;
  readonly title?: string;
}

async function bytes(): Promise<void> {
  const kv = await openKv('./kv');
  is<Equal<typeof kv, KvStore>>();
  await kv.put('k', 'text');
  await kv.put(new Uint8Array(1), new Uint8Array(1), { ifAbsent: true });
  // @ts-expect-error -- values are bytes here
  await kv.put('k', { size: 1 });
  // @ts-expect-error -- misspelt
  await kv.put('k', 'v', { ifAbsents: true });
  const value = await kv.get('k');
  is<Equal<typeof value, Uint8Array | undefined>>();
  // @ts-expect-error -- it may not be there
  void value.length;
  await kv.batch([
    { type: 'put', key: 'k', value: 'v' },
    { type: 'deleteRange', prefix: 'a' },
  ]);
  // @ts-expect-error -- a deletion has no value
  await kv.batch([{ type: 'delete', key: 'k', value: 'v' }]);
}

async function json(): Promise<void> {
  const any = await openKv('./kv', { values: 'json' });
  is<Equal<typeof any, KvStore<unknown>>>();
  await any.put('k', [1, { a: null }]);
  const kv = await openKv<Photo>('./kv', { values: 'json' });
  is<Equal<typeof kv, KvStore<Photo>>>();
  await kv.put('k', { size: 1 });
  // @ts-expect-error -- not a photo
  await kv.put('k', 'text');
  const entry = await kv.getEntry('k');
  is<Equal<typeof entry, KvEntry<Photo> | undefined>>();
  await kv.batch([{ type: 'put', key: 'k', value: { size: 2, title: 'x' } }]);
  // @ts-expect-error -- not a photo
  await kv.batch([{ type: 'put', key: 'k', value: { length: 2 } }]);
  await kv.ingest([['k', { size: 1 }]]);
  await copies(kv, kv);
}

/** Code for values of any type that somebody else names. */
async function copies<Value>(source: KvStore<Value>, target: KvStore<Value>): Promise<void> {
  for (const [key, value] of source.iterateSync()) {
    await target.put(key, value);
    await target.batch([{ type: 'put', key, value }]);
  }
  await target.ingest(source.iterate());
}

function iterates(kv: KvStore<Photo>, options: KvIterateOptions): void {
  const pairs = kv.iterateSync({ gte: 'a', keysOnly: false });
  is<Equal<typeof pairs, KvIterator<[Uint8Array, Photo]>>>();
  const keys = kv.iterateSync({ keysOnly: true });
  is<Equal<typeof keys, KvIterator<Uint8Array>>>();
  const either = kv.iterateSync(options);
  is<Equal<typeof either, KvIterator<Uint8Array | [Uint8Array, Photo]>>>();
  const asyncEither = kv.iterate(options);
  is<Equal<typeof asyncEither, KvAsyncIterator<Uint8Array | [Uint8Array, Photo]>>>();
  const asyncKeys = kv.iterate({ keysOnly: true });
  is<Equal<typeof asyncKeys, KvAsyncIterator<Uint8Array>>>();
}

function lists(kv: KvStore<Photo>): void {
  for (const entry of kv.list('photos/', { delimiter: '/' })) {
    is<Equal<typeof entry, KvListEntry<Photo>>>();
    if (entry.type === 'prefix') {
      is<Equal<typeof entry.prefix, Uint8Array>>();
      // @ts-expect-error -- what is rolled up has no value
      void entry.value;
    } else {
      is<Equal<typeof entry.value, Photo>>();
    }
  }
}

async function level(): Promise<void> {
  const texts = new VarveLevel('./level');
  await texts.put('k', 'v');
  await texts.put('k', 'v', { sync: true });
  // @ts-expect-error -- values are strings here
  await texts.put('k', { size: 1 });
  const db = new VarveLevel<string, Photo>('./level', { valueEncoding: 'json' });
  await db.put('k', { size: 1 }, { sync: true });
  await db.put('k', 'v', { valueEncoding: 'utf8', sync: true });
  await db.del('k', { sync: true });
  await db.batch([{ type: 'put', key: 'k', value: { size: 1 } }], { sync: true });
  await db.batch().put('k', { size: 2 }).write({ sync: true });
  const value = await db.get('k');
  is<Equal<typeof value, Photo | undefined>>();
  for await (const [key, photo] of db.iterator({ gte: 'a' })) {
    is<Equal<typeof key, string>>();
    is<Equal<typeof photo, Photo>>();
  }
  // @ts-expect-error -- misspelt
  await db.put('k', { size: 1 }, { sinc: true });
  is<Equal<typeof db.kv, KvStore>>();
}

export const checked: readonly unknown[] = [bytes, json, iterates, lists, level];
