/**
 * What goes on beside an ingest. It counts as written at one moment and shows at a later one: between the two nobody may see half of it, or
 * the wrong order. Each test strikes at every turn of the event loop, and says how often it has struck between the two.
 */
import type { KvOptions, KvStore, VarveError } from 'varve/kv';
import { FaultPlan, SeededRandom, SimulatedClock, SimulatedFileSystem } from 'varve/testing';
import { describe, expect, it } from 'vitest';
import { codeOf, disk, openOn, text } from './open.ts';

const lossy = { keep: 'none', sector: 512, directory: 'ordered' } as const;
/** Of an ingest of a few entries, with some to spare. */
const TURN_COUNT = 14;

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) {
    await new Promise(setImmediate);
  }
}

interface Strike {
  readonly kv: KvStore;
  readonly fileSystem: SimulatedFileSystem;
  /** The version of the ingest of `m` and `zz`. */
  readonly ingested: Promise<number>;
  /** Whether that is over. */
  readonly isOver: () => boolean;
}

/** A store with `a` in it, `delay` turns after an ingest was begun. */
async function strikeAt(delay: number, options: KvOptions = {}): Promise<Strike> {
  const fileSystem = disk();
  const kv = await openOn(fileSystem, options);
  await kv.put('a', '1');
  let isOver = false;
  const ingested = kv.ingest([
    ['m', 'ingested'],
    ['zz', 'ingested'],
  ]);
  const over = (): void => void (isOver = true);
  ingested.then(over, over);
  await turns(delay);
  return { kv, fileSystem, ingested, isOver: () => isOver };
}

function contentOf(kv: KvStore, options = {}): Record<string, string> {
  const pairs = [...kv.iterateSync(options)].map(([key, value]) => [text(key), text(value)]);
  return Object.fromEntries(pairs) as Record<string, string>;
}

/** What is there now is there after a power cut, and after closing. */
async function expectKept({ kv, fileSystem }: Strike, options: KvOptions = {}): Promise<void> {
  const content = contentOf(kv);
  const cut = await openOn(fileSystem.crashClone(new SeededRandom(1), lossy), options);
  expect(contentOf(cut)).toEqual(content);
  expect(cut.lastVersion).toBe(kv.lastVersion);
  await cut.close();
  await kv.close();
  const again = await openOn(fileSystem, options);
  expect(contentOf(again)).toEqual(content);
  expect(again.recovery.orphans).toEqual([]);
  await again.compact();
  expect(contentOf(again)).toEqual(content);
  await again.close();
}

/** Strikes at every turn; `strike` says whether it was between the moment at which the ingest counts and that at which it shows. */
async function sweep(strike: (delay: number) => Promise<boolean>): Promise<void> {
  let hitCount = 0;
  for (let delay = 0; delay < TURN_COUNT; delay += 1) {
    hitCount += (await strike(delay)) ? 1 : 0;
  }
  expect(hitCount, 'turns at which it was between').toBeGreaterThan(0);
  expect(hitCount).toBeLessThan(TURN_COUNT);
}

describe('beside an ingest', () => {
  it('a snapshot never changes', () =>
    sweep(async (delay) => {
      const { kv, ingested, isOver } = await strikeAt(delay);
      const isPending = !isOver();
      const snapshot = kv.snapshot();
      const iterator = kv.iterateSync({ keepOpen: true });
      const first = contentOf(kv, { snapshot });
      const version = await ingested;
      expect(contentOf(kv, { snapshot })).toEqual(first);
      expect(Object.keys(first)).toEqual(snapshot.version < version ? ['a'] : ['a', 'm', 'zz']);
      expect([...iterator].map(([key]) => text(key))).toEqual(Object.keys(first));
      await kv.compact();
      expect(contentOf(kv, { snapshot })).toEqual(first);
      await kv.close();
      return isPending && snapshot.version === version - 1;
    }));

  it('a put that wants its key absent finds out about the ingested one', () =>
    sweep(async (delay) => {
      const strike = await strikeAt(delay);
      const { kv, ingested, isOver } = strike;
      const isPending = !isOver();
      const put = kv.put('m', 'put', { ifAbsent: true });
      const [version, outcome] = await Promise.all([
        ingested,
        put.catch((error: { code: string }) => error.code),
      ]);
      if (outcome === 'CONDITION_FAILED') {
        expect(text(kv.getSync('m'))).toBe('ingested');
      } else {
        // It came before: what is ingested is newer.
        expect(outcome).toBeLessThan(version);
        expect(kv.getEntrySync('m')).toMatchObject({ version });
      }
      expect(text(kv.getSync('m'))).toBe('ingested');
      await expectKept(strike);
      return isPending && outcome === 'CONDITION_FAILED';
    }));

  it.each([true, false])('writes go on after it, and win (log: %s)', (log) =>
    sweep(async (delay) => {
      const strike = await strikeAt(delay, { log });
      const { kv, ingested, isOver } = strike;
      const isPending = !isOver();
      const puts = Promise.all([kv.put('m', 'later'), kv.delete('zz'), kv.put('n', 'later')]);
      const [version, [put, deleted, last]] = await Promise.all([ingested, puts]);
      expect([deleted, last]).toEqual([put + 1, put + 2].map((one) => one + gapAt(one)));
      function gapAt(one: number): number {
        return put < version && one >= version ? 1 : 0;
      }
      expect(text(kv.getSync('m'))).toBe(put > version ? 'later' : 'ingested');
      expect(kv.hasSync('zz')).toBe(deleted < version);
      expect(text(kv.getSync('n'))).toBe('later');
      expect(kv.lastVersion).toBe(Math.max(version, last));
      if (log) {
        await expectKept(strike, { log });
      } else {
        await kv.close();
      }
      return isPending && put > version;
    }),
  );

  it('a deleted range without an end takes along what was ingested before it', () =>
    sweep(async (delay) => {
      const strike = await strikeAt(delay);
      const { kv, ingested, isOver } = strike;
      const isPending = !isOver();
      const [version, deleted] = await Promise.all([ingested, kv.deleteRange({ gte: 'b' })]);
      // `zz` lies behind the last key that can be seen meanwhile.
      expect(Object.keys(contentOf(kv))).toEqual(deleted > version ? ['a'] : ['a', 'm', 'zz']);
      await expectKept(strike);
      return isPending && deleted > version;
    }));

  it('another one waits its turn, and the later one wins', () =>
    sweep(async (delay) => {
      const strike = await strikeAt(delay);
      const { kv, ingested, isOver } = strike;
      const isPending = !isOver();
      const second = kv.ingest([
        ['l', 'second'],
        ['m', 'second'],
      ]);
      const put = kv.put('l', 'put');
      const versions = await Promise.all([ingested, second, put]);
      expect(new Set(versions).size).toBe(3);
      const winner = versions[0] < versions[1] ? 'second' : 'ingested';
      expect(text(kv.getSync('m'))).toBe(winner);
      expect(text(kv.getSync('l'))).toBe(versions[1] < versions[2] ? 'put' : 'second');
      expect(text(kv.getSync('zz'))).toBe('ingested');
      await expectKept(strike);
      return isPending;
    }));

  it('close answers everybody, and keeps what was said to be written', () =>
    sweep(async (delay) => {
      const { kv, fileSystem, ingested, isOver } = await strikeAt(delay);
      const isPending = !isOver();
      const put = kv.put('n', 'put');
      const closed = kv.close();
      const [ingestCode, putCode] = await Promise.all([codeOf(ingested), codeOf(put)]);
      await closed;
      expect([undefined, 'CLOSED']).toContain(ingestCode);
      expect(putCode).toBeUndefined();
      const { operations } = fileSystem;
      await turns(30);
      expect(fileSystem.operations).toBe(operations);
      const again = await openOn(fileSystem);
      const wanted = ingestCode === undefined ? ['a', 'm', 'n', 'zz'] : ['a', 'n'];
      expect(Object.keys(contentOf(again))).toEqual(wanted);
      expect(again.recovery.wasClosed).toBe(true);
      await again.close();
      return isPending && ingestCode === undefined;
    }));

  it('and its end, with nothing else to wait for, close comes to its own', async () => {
    for (let delay = 0; delay < TURN_COUNT; delay += 1) {
      const { kv, fileSystem, ingested } = await strikeAt(delay);
      const closed = kv.close();
      const code = await codeOf(ingested);
      await closed;
      expect([undefined, 'CLOSED']).toContain(code);
      const again = await openOn(fileSystem);
      expect(again.hasSync('m')).toBe(code === undefined);
      expect(await again.put('b', '')).toBeGreaterThan(1);
      await again.close();
    }
  });

  it('compactions that are asked for find the levels as it leaves them', async () => {
    const base = disk();
    const first = await openOn(base);
    for (const keys of ['mo', 'ab', 'ab', 'ab', 'yz', 'yz', 'yz']) {
      await first.ingest(keys.split('').map((key) => [key, '1']));
    }
    expect(new Set(first.tables().map(({ level }) => level)).size).toBeGreaterThan(2);
    await first.close();
    for (let delay = 0; delay < TURN_COUNT; delay += 1) {
      const events: string[] = [];
      const logger = ({ event }: { event: string }): void => void events.push(event);
      const kv = await openOn(base.clone(), {}, { logger });
      const ingested = kv.ingest([['n', '2']]);
      await turns(delay);
      const compacted = kv.compact();
      await Promise.all([ingested, compacted, kv.settled()]);
      expect(kv.stats().background.error).toBeUndefined();
      expect(events).not.toContain('background-failed');
      expect(Object.keys(contentOf(kv)).join('')).toBe('abmnoyz');
      expect(await kv.verify()).toMatchObject({ ok: true });
      await kv.close();
    }
  });

  it('a store has not settled while a compaction waits for it', async () => {
    for (let delay = 0; delay < TURN_COUNT; delay += 1) {
      const { kv, ingested } = await strikeAt(delay);
      let isCompacted = false;
      const compacted = kv.compact().then(() => (isCompacted = true));
      for (let step = 0; step < 10; step += 1) {
        await Promise.resolve();
      }
      await kv.settled();
      // One that came to wait while writes were held has not been asked for yet.
      if (kv.stats().pending.waiting === 0) {
        await Promise.resolve();
        expect(isCompacted, `delay ${delay}`).toBe(true);
      }
      await Promise.all([ingested, compacted]);
      await kv.close();
    }
  });
});

/** What fails is the n-th of these operations, counted from the call of ingest. */
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
  { keep: 'random', sector: 512, directory: 'any' },
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

describe('what a failed ingest says', () => {
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
