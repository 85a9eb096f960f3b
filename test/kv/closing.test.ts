/** What a store that is closed leaves to the next open, and who hears of what could not be done. */
import type { LogEntry } from 'varve';
import type { KvOptions, KvStore } from 'varve/kv';
import { FaultPlan, SimulatedFileSystem } from 'varve/testing';
import { describe, expect, it } from 'vitest';
import { codeOf, disk, openOn, text } from './simulated-store.ts';

describe('close', () => {
  it.each([
    [100, false, true],
    [100, true, true],
    [600, false, true],
    [600, true, false],
    [1_500, false, false],
  ])(
    'leaves %i KiB to be read from the log, having flushed before: %s, or not: %s',
    async (size, hasFlushed, isReplayed) => {
      const fileSystem = disk();
      const kv = await openOn(fileSystem);
      await kv.put('first', '1');
      if (hasFlushed) {
        await kv.flush();
      }
      await kv.put('rest', new Uint8Array(size * 1024));
      await kv.close();
      const again = await openOn(fileSystem);
      const expected = isReplayed ? (hasFlushed ? 1 : 2) : 0;
      expect(again.recovery).toMatchObject({ wasClosed: true, replayed: expected });
      expect(again.getSync('rest')).toHaveLength(size * 1024);
      await again.close();
    },
  );
});

/** A disk that takes no more bytes of some files from `fill` on. */
class FullDisk {
  readonly fileSystem: SimulatedFileSystem;
  readonly entries: LogEntry[] = [];
  #isFull: (path: string) => boolean = () => false;

  constructor() {
    const faults = new FaultPlan({
      when: ({ kind, path }) =>
        ['write', 'truncate', 'sync', 'create'].includes(kind) && this.#isFull(path)
          ? 'ENOSPC'
          : undefined,
    });
    this.fileSystem = new SimulatedFileSystem({ faults });
  }

  fill(isFull: (path: string) => boolean): void {
    this.#isFull = isFull;
  }

  open(options: KvOptions = {}): Promise<KvStore> {
    return openOn(this.fileSystem, options, { logger: (entry) => this.entries.push(entry) });
  }

  get undone(): string[] {
    return this.entries
      .filter(({ event }) => event === 'not-at-rest')
      .map(({ message }) => message);
  }
}

describe('close on a full disk', () => {
  it('succeeds where the log holds all that was acknowledged, and tells the logger what is undone', async () => {
    const full = new FullDisk();
    const kv = await full.open();
    await kv.put('a', new Uint8Array(1_500 * 1024));
    full.fill((path) => path.endsWith('.tbl'));
    await kv.close();
    expect(full.undone).toEqual([expect.stringContaining('could not flush what is in memory')]);
    full.fill(() => false);
    const again = await full.open();
    expect(again.recovery).toMatchObject({ replayed: 1, quarantined: undefined });
    expect(again.getSync('a')).toHaveLength(1_500 * 1024);
    await again.close();
  });

  it('succeeds where only the log could not be left at rest', async () => {
    const full = new FullDisk();
    const kv = await full.open();
    await kv.put('a', '1');
    full.fill((path) => path.includes('/log/'));
    await kv.close();
    expect(full.undone).toEqual([expect.stringContaining('could not leave the log at rest')]);
    full.fill(() => false);
    const again = await full.open();
    expect(again.recovery.wasClosed).toBe(false);
    expect(text(again.getSync('a'))).toBe('1');
    await again.close();
  });

  it('rejects without a log: what was answered is lost', async () => {
    const full = new FullDisk();
    const kv = await full.open({ log: false });
    await kv.put('a', '1');
    full.fill((path) => path.endsWith('.tbl'));
    expect(await codeOf(kv.close())).toBe('UNAVAILABLE');
    full.fill(() => false);
    const again = await full.open({ log: false });
    expect(again.hasSync('a')).toBe(false);
    await again.close();
  });
});

describe('a store that is closed while tables are ingested', () => {
  it.each([0, 1, 2, 3, 4, 5, 6, 7])(
    'answers every call, the second ingest behind a first one, too (%i turns later)',
    async (turnCount) => {
      const options: KvOptions = { memtableBytes: 16 * 1024, background: 'inline' };
      const kv = await openOn(disk(), options);
      const calls: Promise<unknown>[] = [];
      for (let index = 0; index < 12; index += 1) {
        calls.push(kv.put(`k${index}`, new Uint8Array(1_500)));
      }
      for (const index of [0, 1]) {
        calls.push(kv.ingest([[`z${index}`, '1']]));
      }
      for (let turn = 0; turn < turnCount; turn += 1) {
        await new Promise(setImmediate);
        calls.push(kv.put(`a${turn}`, new Uint8Array(1_500)));
      }
      const outcomes = Promise.allSettled(calls);
      await kv.close();
      for (const outcome of await outcomes) {
        if (outcome.status === 'rejected') {
          expect(outcome.reason).toMatchObject({ code: 'CLOSED' });
        }
      }
    },
  );
});
