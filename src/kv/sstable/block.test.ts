import { strictEqual } from 'node:assert';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SimulatedFileSystem } from '../../testing/simulated-file-system.ts';
import { SoughtHash } from './filter-part.ts';
import { wholeKeys } from './filter-rule.ts';
import { makeFound } from '../entries/cursor.ts';
import { BlockCache } from './block-cache.ts';
import { CursorMemoryPool } from './cursor-memory.ts';
import { ReadCounters } from './read-counters.ts';
import { getFrom, makeSample, openSample, samplePath } from './table-sample.ts';

const SEED = 411;

describe('a block of the cache', () => {
  /** Bytes that are hard for whoever compares four of them at a time: zeros, prefixes of one another, many alike. */
  const hardKeys = fc.uniqueArray(
    fc
      .array(fc.constantFrom(0, 0, 1, 0x61, 0xff), { maxLength: 9 })
      .map((bytes) => bytes.join(',')),
    { minLength: 60, maxLength: 400 },
  );

  it('gives every version of every key, and none of others, as the file does', () => {
    const hash = new SoughtHash();
    let restartCount = 0;
    const check = (names: readonly string[], versionCount: number, blockSize: number): void => {
      const keys = names
        .map((name) => Uint8Array.from(name === '' ? [] : name.split(','), Number))
        .toSorted((left, right) => Buffer.compare(left, right));
      const stored = keys.filter((_, index) => index % 3 !== 0);
      const entries = stored.flatMap((key) =>
        Array.from({ length: versionCount }, (_, age) => ({
          key,
          sequence: 100 - age,
          value: key,
        })),
      );
      const fileSystem = new SimulatedFileSystem();
      const meta = makeSample(fileSystem, samplePath, entries, {
        settings: { blockSize, filter: wholeKeys(0) },
      });
      const counters = new ReadCounters();
      const reader = openSample(fileSystem, meta, { counters });
      const found = makeFound();
      for (let round = 0; round < 2; round += 1) {
        for (const key of keys) {
          hash.begin(key);
          for (const sequence of [100, 101 - versionCount, 100 - versionCount]) {
            const isThere = stored.includes(key) && sequence > 100 - versionCount;
            strictEqual(reader.get(key, hash, sequence, found), isThere);
            strictEqual(isThere ? found.sequence : sequence, sequence);
          }
        }
      }
      restartCount += entries.length / 16 / counters.blockReads;
      reader.close();
    };
    fc.assert(
      fc.property(hardKeys, fc.constantFrom(1, 2, 20), fc.constantFrom(600, 4_096, 30_000), check),
      { numRuns: 15, seed: SEED },
    );
    // Restarts of a block, summed up over the runs: with one each there would be nothing to look for.
    expect(restartCount).toBeGreaterThan(48);
  });
});

function keyOf(index: number): Uint8Array {
  return Buffer.from(String(index).padStart(6, '0'));
}

describe('a table that is larger than the cache', () => {
  it('keeps what is read again and again, by gets and by scans', () => {
    const entries = Array.from({ length: 3_000 }, (_, index) => ({
      key: keyOf(index),
      sequence: 1,
      value: new Uint8Array(50),
    }));
    const fileSystem = new SimulatedFileSystem();
    const meta = makeSample(fileSystem, samplePath, entries, { settings: { blockSize: 1_024 } });
    const counters = new ReadCounters();
    const reader = openSample(fileSystem, meta, { counters, cache: new BlockCache(64 * 1024) });
    const readsOf = (read: () => void): number => {
      const before = counters.blockReads;
      read();
      return counters.blockReads - before;
    };
    let hotReads = 0;
    // Others are read once each time round: about one key of every block.
    for (let step = 0; step < 1_500; step += 1) {
      getFrom(reader, keyOf((step * 20) % 3_000));
      hotReads += readsOf(() => getFrom(reader, keyOf(7)));
      hotReads += readsOf(() => reader.cursor().seek(keyOf(1_500), 1));
    }
    expect(counters.blockReads).toBeGreaterThan(150);
    expect(hotReads).toBe(1);
    reader.close();
  });
});

describe('memory of cursors', () => {
  it('is used again, but for what is too large', () => {
    const pool = new CursorMemoryPool();
    const memory = pool.take();
    expect(pool.take()).not.toBe(memory);
    pool.give(memory);
    expect(pool.take()).toBe(memory);
    memory.block = new Uint8Array(1024 * 1024);
    pool.give(memory);
    expect(pool.take()).not.toBe(memory);
  });
});
