/**
 * What goes on beside an ingest. It counts as written at one moment and shows at a later one: between the two nobody may see half of it, or
 * the wrong order. Each test strikes at every turn of the event loop, and says how often it has struck between the two.
 */
import type { KvOptions, KvStore } from 'varve/kv';
import { SeededRandom, type SimulatedFileSystem } from 'varve/testing';
import { describe, expect, it } from 'vitest';
import { turns } from '../turns.ts';
import { codeOf, contentOf, disk, lossy, openOn, text } from './simulated-store.ts';

/** Of an ingest of a few entries, with some to spare. */
const TURN_COUNT = 14;

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

/** Steps of promises, all within one turn of the event loop. */
async function steps(count: number): Promise<void> {
  for (let step = 0; step < count; step += 1) {
    await Promise.resolve();
  }
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
      await steps(10);
      await kv.settled();
      // One that came to wait while writes were held has not been asked for yet.
      if (kv.stats().pending.waiting === 0) {
        await steps(1);
        expect(isCompacted, `delay ${delay}`).toBe(true);
      }
      await Promise.all([ingested, compacted]);
      await kv.close();
    }
  });
});

/** What fails is the n-th of these operations, counted from the call of ingest. */
