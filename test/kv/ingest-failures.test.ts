/** An ingest that fails: what it leaves behind, and what it says of itself. */
import type { VarveError } from 'varve/kv';
import { FaultPlan, SeededRandom, SimulatedClock, SimulatedFileSystem } from 'varve/testing';
import { describe, expect, it } from 'vitest';
import { turns } from '../turns.ts';
import { codeOf, contentOf, disk, lossy, openOn, text } from './simulated-store.ts';

/** Of an ingest of a few entries, with some to spare. */
const TURN_COUNT = 14;

async function ingestWithFault(
  isCounted: (kind: string, path: string) => boolean,
  nth: number,
): Promise<string | undefined> {
  let left = Infinity;
  const when = ({ kind, path }: { kind: string; path: string }): 'EIO' | undefined => {
    left -= isCounted(kind, path) ? 1 : 0;
    return isCounted(kind, path) && left === 0 ? 'EIO' : undefined;
  };
  const fileSystem = new SimulatedFileSystem({ faults: new FaultPlan({ when }) });
  const clock = new SimulatedClock();
  const kv = await openOn(fileSystem, {}, { clock });
  await kv.put('a', '1');
  left = nth;
  const ingested = codeOf(kv.ingest([['m', 'ingested']]));
  const puts: Promise<string | undefined>[] = [];
  for (let turn = 0; turn < TURN_COUNT; turn += 1) {
    await turns(1);
    puts.push(codeOf(kv.put('m', `put ${turn}`)));
  }
  const code = await ingested;
  expect(await Promise.all(puts)).toEqual(puts.map(() => undefined));
  expect(text(kv.getSync('m'))).toBe(`put ${TURN_COUNT - 1}`);
  clock.advance(60_000);
  await kv.settled();
  expect(await kv.put('after', '1')).toBe(kv.lastVersion);
  await kv.ingest([['m', 'again']]);
  expect(contentOf(kv)).toEqual({ a: '1', after: '1', m: 'again' });
  const cut = await openOn(fileSystem.crashClone(new SeededRandom(1), lossy));
  expect(contentOf(cut)).toEqual({ a: '1', after: '1', m: 'again' });
  await cut.close();
  await kv.close();
  return code;
}

describe('an ingest that fails', () => {
  it.each([
    ['a manifest', (kind: string, path: string) => kind === 'rename' && path.includes('manifest')],
    ['a table', (kind: string, path: string) => kind === 'create' && path.endsWith('.tbl')],
    [
      'the tables’ folder',
      (kind: string, path: string) => kind === 'syncDirectory' && path === '/kv/tables',
    ],
    ['a table’s sync', (kind: string, path: string) => kind === 'sync' && path.endsWith('.tbl')],
  ])('lets writes go on, whenever it fails (%s)', async (_, isCounted) => {
    const codes: (string | undefined)[] = [];
    for (let nth = 1; nth <= 3; nth += 1) {
      codes.push(await ingestWithFault(isCounted, nth));
    }
    expect(codes[0]).toBe('UNAVAILABLE');
    expect(codes.slice(1).every((code) => code === undefined || code === 'UNAVAILABLE')).toBe(true);
  });
});

const cuts = [
  lossy,
  { keep: 'all', sector: 512, directory: 'ordered' },
  ...Array.from({ length: 8 }, () => ({ keep: 'random', sector: 512, directory: 'any' }) as const),
] as const;

/** An ingest of whose operations as `isCounted` says the n-th fails, and `count` in a row; what it rejected with, and what is there then. */
async function failedIngest(
  isCounted: (kind: string, path: string) => boolean,
  nth: number,
  count: number,
): Promise<{ readonly error: VarveError; readonly shows: Set<string>; readonly tables: string[] }> {
  let passed = -Infinity;
  const when = ({ kind, path }: { kind: string; path: string }): 'EIO' | undefined => {
    passed += isCounted(kind, path) ? 1 : 0;
    return isCounted(kind, path) && passed >= nth && passed < nth + count ? 'EIO' : undefined;
  };
  const fileSystem = new SimulatedFileSystem({ faults: new FaultPlan({ when }) });
  const kv = await openOn(fileSystem, {}, { clock: new SimulatedClock() });
  await kv.put('a', '1');
  await kv.flush();
  passed = 0;
  const error = await kv.ingest([['m', 'ingested']]).then(
    () => expect.fail('it succeeded'),
    (caught: unknown) => caught as VarveError,
  );
  expect(kv.hasSync('m')).toBe(false);
  await turns(5);
  const tables = fileSystem.list('/kv/tables').map(({ name }) => name);
  const shows = new Set<string>();
  for (const [seed, cut] of cuts.entries()) {
    const after = await openOn(fileSystem.crashClone(new SeededRandom(seed), cut));
    shows.add(Object.keys(contentOf(after)).join(' '));
    await after.close();
  }
  // A later manifest decides: then nothing lies about any more.
  await kv.put('b', '1');
  await kv.flush();
  await kv.settled();
  expect(fileSystem.list('/kv/tables')).toHaveLength(kv.tables().length);
  await kv.close();
  return { error, shows, tables };
}

const ofTable = (kind: string, path: string): boolean => kind === 'create' && path.endsWith('.tbl');
const ofManifest = (wanted: string) => (kind: string, path: string) =>
  kind === wanted && path.includes('manifest');
const ofName = (kind: string, path: string): boolean => kind === 'syncDirectory' && path === '/kv';

async function* failing(own: Error): AsyncGenerator<readonly [string, string]> {
  yield ['a', '1'];
  throw own;
}

describe('the error of an ingest', () => {
  // The first manifest is that of the flush before it, the second its own, the third takes that back.
  it.each([
    ['making a table', ofTable, 1, 1],
    ['the flush before it', ofManifest('create'), 1, 1],
    ['making the new manifest', ofManifest('create'), 2, 1],
    ['making the new manifest durable', ofManifest('sync'), 2, 1],
    ['putting the new manifest in its place, once', ofManifest('rename'), 2, 1],
    ['making its name durable, once', ofName, 2, 1],
  ])(
    'is that it did not happen, and so it is, after %s failed',
    async (_, isCounted, nth, count) => {
      const { error, shows, tables } = await failedIngest(isCounted, nth, count);
      expect(error).toMatchObject({ code: 'UNAVAILABLE', applied: 'no' });
      expect(shows).toEqual(new Set(['a']));
      expect(tables).toHaveLength(1);
    },
  );

  it('is that nobody knows, if it could not be taken back either', async () => {
    const { error, shows, tables } = await failedIngest(ofName, 2, 2);
    expect(error).toMatchObject({ code: 'UNAVAILABLE', applied: 'unknown' });
    expect(shows).toEqual(new Set(['a', 'a m']));
    expect(tables).toHaveLength(2);
  });

  it('is what the caller’s own entries threw, and that a closed store took nothing', async () => {
    const kv = await openOn(disk());
    const missing = Object.assign(new Error('no such file, open entries.csv'), { code: 'ENOENT' });
    for (const own of [new Error('mine'), missing]) {
      await expect(kv.ingest(failing(own))).rejects.toBe(own);
    }
    const ingested = kv.ingest([['m', '1']]);
    const closed = kv.close();
    await expect(ingested).rejects.toMatchObject({ code: 'CLOSED', applied: 'no' });
    await closed;
  });
});
