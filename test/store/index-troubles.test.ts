/** What befalls derived data while the store is open: appends wait or are refused, nothing is forgotten, and all is well when the trouble is over. */
import type { EventStore, VarveError } from 'varve';
import {
  collectGoals,
  type FaultKind,
  FaultPlan,
  type Operation,
  SimulatedClock,
  SimulatedFileSystem,
} from 'varve/testing';
import { describe, expect, it } from 'vitest';
import { filesOf } from './derived-damage.ts';
import { checkRepeats, checkStreams, History, openTiny, tiny } from './derived-history.ts';
import { call } from './workload.ts';

/** A disk whose faults are decided as it goes. */
class Troubled {
  strike: (operation: Operation) => FaultKind | undefined = () => undefined;
  readonly faults: FaultPlan = new FaultPlan({ when: (operation) => this.strike(operation) });
  readonly clock: SimulatedClock = new SimulatedClock({ tickMs: 1 });
  readonly disk: SimulatedFileSystem = new SimulatedFileSystem({ faults: this.faults });
  readonly history: History = new History({ seed: 5, mark: 't' }, this.disk);

  async open(indexMemoryBytes: number = 16 * 1024): Promise<EventStore> {
    return openTiny(this.disk, 7, { ...tiny, indexMemoryBytes }, this.clock);
  }

  async grow(store: EventStore, count: number): Promise<void> {
    for (let nth = 0; nth < count; nth += 1) {
      await this.history.commit(store);
    }
  }

  /** Until that many tables are in use at once. */
  async growToTables(count: number): Promise<void> {
    const store = await this.open();
    await this.grow(store, 40);
    while (store.stats().index.tables.count < count) {
      await this.history.commit(store);
    }
    await store.close();
  }

  /** Opens again, and finds everything. */
  async check(): Promise<void> {
    this.strike = () => undefined;
    const store = await this.open();
    await checkRepeats(store, this.history.repeatable);
    await checkStreams(store);
    await store.settled();
    await store.close();
  }
}

function writesDerived({ path, kind }: Operation): boolean {
  return path.includes('/derived/') && (kind === 'write' || kind === 'create');
}

/** A bit of each table's first block. Opening reads the ends of tables, and of the newest one how much there is in all. */
function damageBlocks(disk: SimulatedFileSystem): void {
  const tables = filesOf(disk).filter((path) => path.endsWith('.tbl'));
  expect(tables.length).toBeGreaterThan(2);
  tables.slice(0, -1).forEach((path) => disk.flipBit(path, 80, 3));
}

/** Appends to streams that are in memory, without a key, until one is refused or waits. */
async function fillTail(store: EventStore): Promise<VarveError> {
  for (let nth = 0; nth < 20_000; nth += 1) {
    try {
      await store.append('hot/0', [{ type: 'Filler' }]);
    } catch (error) {
      return error as VarveError;
    }
  }
  throw new Error('The tail has no bound.');
}

describe('a full disk under derived data', () => {
  it('takes appends up to the bound of memory, then refuses them, and goes on when there is space', async () => {
    const troubled = new Troubled();
    const { history, clock } = troubled;
    // Generations of 320, and a bound of several.
    const store = await troubled.open(640 * 1024);
    await troubled.grow(store, 60);
    troubled.strike = (operation) => (writesDerived(operation) ? 'ENOSPC' : undefined);
    const before = store.head;
    const refused = await fillTail(store);
    expect(refused).toMatchObject({ code: 'UNAVAILABLE', applied: 'no' });
    expect(store.head).toBeGreaterThan(before + 1_000);
    const { index, failure } = store.stats();
    expect(failure).toBeUndefined();
    expect(index.failure).toBeDefined();
    expect(index.tail.events).toBeGreaterThan(1_000);
    const keyed = store.append('hot/1', [{ type: 'T' }], { idempotencyKey: 'while full' });
    await expect(keyed).rejects.toMatchObject({ code: 'UNAVAILABLE', applied: 'no' });
    await expect(store.settled()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    // Nothing is forgotten meanwhile, and reads go on.
    await checkRepeats(store, history.repeatable);
    await checkStreams(store);
    troubled.strike = () => undefined;
    // It tries again by itself.
    clock.advance(60_000);
    await store.settled();
    expect(store.stats().index.failure).toBeUndefined();
    const again = await store.append('hot/1', [{ type: 'T' }], { idempotencyKey: 'while full' });
    expect(again.outcome).toBe('appended');
    await troubled.grow(store, 20);
    await store.close();
    await troubled.check();
  });

  it('does not keep the store from closing, whatever waits', async () => {
    const troubled = new Troubled();
    const store = await troubled.open();
    await troubled.grow(store, 10);
    troubled.strike = (operation) => (writesDerived(operation) ? 'ENOSPC' : undefined);
    await fillTail(store);
    const late = store.append('hot/1', [{ type: 'T' }]);
    await expect(late).rejects.toMatchObject({ code: 'UNAVAILABLE', applied: 'no' });
    await store.close();
    await troubled.check();
  });
});

describe('a table that can not be opened for a moment', () => {
  it('keeps no append waiting for ever', async () => {
    const troubled = new Troubled();
    const store = await troubled.open();
    let struck = 0;
    for (let nth = 0; nth < 60; nth += 1) {
      // The first lookup opens what the indexer has just made, in place.
      troubled.strike = ({ kind, path, async }) => {
        const isHit = kind === 'open' && path.endsWith('.tbl') && !async && struck <= nth;
        struck += isHit ? 1 : 0;
        return isHit ? 'EIO' : undefined;
      };
      await store.settled().catch(() => {});
      const commits = Array.from({ length: 3 }, (_, index) =>
        store.append(`new/${nth}`, [{ type: 'T' }], { idempotencyKey: `new-${nth}-${index}` }),
      );
      for (const answer of await Promise.allSettled(commits)) {
        if (answer.status === 'rejected') {
          expect(answer.reason).toMatchObject({ code: 'UNAVAILABLE', applied: 'no' });
        }
      }
      troubled.strike = () => undefined;
      await troubled.history.commit(store);
    }
    expect(struck).toBeGreaterThan(5);
    troubled.strike = () => undefined;
    await store.settled();
    await store.close();
    await troubled.check();
  });
});

describe('a damaged tree that is made again while the store is open', () => {
  it('keeps appends waiting in the order of their calls, those too that only need an id', async () => {
    const troubled = new Troubled();
    const { history } = troubled;
    await troubled.growToTables(3);
    damageBlocks(troubled.disk);
    const store = await troubled.open();
    await store.append('warm', [{ type: 'T' }]);
    const { head } = store;
    // A read meets the damage, which nobody waits behind.
    for (const { parts } of history.repeatable) {
      if (store.stats().index.isAnswering) {
        await store.streamHead(parts[0]!.stream).catch(() => {});
      }
    }
    expect(store.stats().index.isAnswering).toBe(false);
    const hot = store.append('warm', [{ type: 'T' }]);
    const keyed = store.append('warm', [{ type: 'T' }], { idempotencyKey: 'fresh' });
    expect(await hot).toMatchObject({ outcome: 'appended', firstPosition: head });
    expect(await keyed).toMatchObject({ outcome: 'appended', firstPosition: head + 1 });
    await checkRepeats(store, history.repeatable);
    await store.settled();
    await store.close();
    await troubled.check();
  });
});

describe('a damaged tree that can not be replaced', () => {
  it('is tried again: cold appends are refused meanwhile, and all is well when the trouble is over', async () => {
    const troubled = new Troubled();
    const { history, clock } = troubled;
    await troubled.growToTables(3);
    damageBlocks(troubled.disk);
    const store = await troubled.open();
    troubled.strike = ({ path, kind }) =>
      path.includes('/derived/') && kind !== 'read' && kind !== 'open' ? 'EIO' : undefined;
    const { parts, options } = history.repeatable[0]!;
    for (let attempt = 0; attempt < 2; attempt += 1) {
      await expect(call(store, parts, options)).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        applied: 'no',
      });
    }
    expect(store.stats().index).toMatchObject({ isAnswering: false });
    expect(store.stats().index.failure).toBeDefined();
    await expect(store.settled()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    const refused = await fillTail(store);
    expect(refused).toMatchObject({ code: 'UNAVAILABLE', applied: 'no' });
    // The log can be verified all the same, and the report says what could not be.
    const report = await store.verify();
    expect(report).toMatchObject({ ok: true, events: store.head, derived: { ok: false } });
    troubled.strike = () => undefined;
    clock.advance(60_000);
    await checkRepeats(store, history.repeatable);
    await store.settled();
    expect(store.stats().index).toMatchObject({ isAnswering: true, failure: undefined });
    await checkStreams(store);
    await store.close();
    await troubled.check();
  });

  it('does not keep the store from closing', async () => {
    const troubled = new Troubled();
    await troubled.growToTables(3);
    damageBlocks(troubled.disk);
    const store = await troubled.open();
    troubled.strike = (operation) => (writesDerived(operation) ? 'ENOSPC' : undefined);
    const { parts, options } = troubled.history.repeatable[0]!;
    await expect(call(store, parts, options)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await fillTail(store);
    await store.close();
    await troubled.check();
  });
});

describe('damage that a merge meets first', () => {
  it('has the tree made again, and nobody waits for it or hears of it', async () => {
    const goals = new Set<string>();
    const troubled = new Troubled();
    const { history, disk } = troubled;
    await troubled.growToTables(3);
    damageBlocks(disk);
    collectGoals(goals);
    const store = await troubled.open();
    for (let nth = 0; nth < 80; nth += 1) {
      await store.append('hot/0', [{ type: 'Filler' }]);
    }
    await store.settled();
    collectGoals(undefined);
    expect([...goals]).toContain('set a tree of derived data aside');
    const { streams, idempotencyKeys, index } = store.stats();
    expect(index).toMatchObject({ isAnswering: true, failure: undefined });
    expect(streams).toBeGreaterThan(4);
    expect(idempotencyKeys).toBeGreaterThan(4);
    await checkRepeats(store, history.repeatable);
    await checkStreams(store);
    await store.close();
    await troubled.check();
  });
});

describe('a folder of derived data that somebody removes while the store is open', () => {
  it.each(['files', 'folder'] as const)('is made again (%s)', async (what) => {
    const troubled = new Troubled();
    const { history, disk } = troubled;
    await troubled.growToTables(3);
    const store = await troubled.open();
    await troubled.grow(store, 5);
    filesOf(disk).forEach((path) => disk.removeFile(path));
    if (what === 'folder') {
      disk.rename('/store/derived', '/elsewhere');
    }
    await troubled.grow(store, 60);
    await store.settled();
    expect(store.stats().index).toMatchObject({ isAnswering: true, failure: undefined });
    await checkRepeats(store, history.repeatable);
    await checkStreams(store);
    await store.close();
    await troubled.check();
  });
});

describe('a disk that has no room for derived data at open', () => {
  it.each(['nothing is there', 'a tree is there', 'the folder was removed'] as const)(
    'does not keep a store that fits into memory from opening (%s)',
    async (what) => {
      const troubled = new Troubled();
      const { history, clock, disk } = troubled;
      const memory = 1024 * 1024;
      const first = await troubled.open();
      await troubled.grow(first, 40);
      await first.settled();
      await first.close();
      if (what !== 'a tree is there') {
        filesOf(disk).forEach((path) => disk.removeFile(path));
      }
      if (what === 'the folder was removed') {
        disk.rename('/store/derived', '/elsewhere');
      }
      troubled.strike = ({ path, kind }) =>
        path.includes('/derived') && ['create', 'write', 'makeDirectory'].includes(kind)
          ? 'ENOSPC'
          : undefined;
      const store = await troubled.open(memory);
      await checkRepeats(store, history.repeatable);
      await checkStreams(store);
      await troubled.grow(store, 20);
      await checkRepeats(store, history.repeatable);
      troubled.strike = () => undefined;
      clock.advance(60_000);
      await store.settled();
      expect(store.stats().index).toMatchObject({ isAnswering: true, failure: undefined });
      await checkRepeats(store, history.repeatable);
      await checkStreams(store);
      await store.close();
      await troubled.check();
    },
  );

  it('does not keep it from closing, and from opening again', async () => {
    const troubled = new Troubled();
    const { history } = troubled;
    troubled.strike = ({ path, kind }) =>
      path.includes('/derived') && ['create', 'write', 'makeDirectory'].includes(kind)
        ? 'ENOSPC'
        : undefined;
    for (let turn = 0; turn < 3; turn += 1) {
      const store = await troubled.open(1024 * 1024);
      await troubled.grow(store, 20);
      await checkRepeats(store, history.repeatable);
      await store.close();
    }
    await troubled.check();
  });
});
