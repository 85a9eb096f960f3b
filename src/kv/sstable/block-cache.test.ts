import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../base/random.ts';
import { SimulatedFileSystem } from '../../testing/simulated-file-system.ts';
import { getFrom, makeSample, openSample, samplePath, text } from './table-sample.ts';
import { Block } from './block.ts';
import { BlockBuilder } from './block-builder.ts';
import { BlockCache, BlockPlaces } from './block-cache.ts';
import { EntryKind } from '../cursor.ts';
import { ReadCounters } from './read-counters.ts';

const SEED = 77;

function blockOf(size: number): Block {
  const builder = new BlockBuilder(64);
  const value = new Uint8Array(size);
  builder.add(0, text('k'), 0, 1, 1, EntryKind.put, value, 0, size);
  const payloadSize = builder.finish();
  return new Block(builder.bytes.slice(0, payloadSize), 0, payloadSize, 'file', 0);
}

const places = (count: number): BlockPlaces => new BlockPlaces(count);

describe('a block cache', () => {
  it('never holds more than its capacity, whatever comes and goes', () => {
    const random = new SeededRandom(SEED);
    const cache = new BlockCache(50_000);
    const tables = [places(40), places(40), places(40)];
    for (let step = 0; step < 1_500; step += 1) {
      const table = random.pick(tables);
      const index = random.below(40);
      if (table.blocks[index] !== undefined) {
        table.marks[index] = 1;
      } else {
        cache.insert(table, index, blockOf(random.below(4_000)));
      }
      if (random.chance(0.01)) {
        const at = tables.indexOf(table);
        cache.dropAll(table);
        tables[at] = places(40);
      }
      const kept = tables.flatMap(({ blocks }) => blocks).filter((each) => each !== undefined);
      const payloads = tables.flatMap((each) => each.payloads).filter((each) => each !== undefined);
      const size = kept.reduce((sum, each) => sum + each.bytes.buffer.byteLength + 400, 0);
      expect([cache.size, cache.count]).toEqual([size, kept.length]);
      expect(kept.every(({ bytes }, at) => payloads[at] === bytes)).toBe(true);
      expect(payloads).toHaveLength(kept.length);
      expect(size).toBeLessThanOrEqual(cache.capacity);
    }
    expect(cache.count).toBeGreaterThan(10);
  });

  it('drops what was not used before what was', () => {
    const cache = new BlockCache(20 * (1_000 + 500));
    const table = places(500);
    cache.insert(table, 0, blockOf(1_000));
    for (let index = 1; index < 500; index += 1) {
      table.marks[0] = 1;
      cache.insert(table, index, blockOf(1_000));
    }
    expect(table.blocks[0]).toBeDefined();
    expect(table.blocks[1]).toBeUndefined();
    expect(table.blocks[499]).toBeDefined();
  });

  it('keeps no block larger than an eighth of it, and without capacity none', () => {
    const cache = new BlockCache(16_000);
    const table = places(2);
    cache.insert(table, 0, blockOf(1_700));
    expect(cache.count).toBe(0);
    cache.insert(table, 1, blockOf(1_400));
    expect(cache.count).toBe(1);
    const none = new BlockCache(0);
    none.insert(places(1), 0, blockOf(1));
    expect([none.count, none.size]).toEqual([0, 0]);
  });

  it('stays within its capacity under values of 1 MiB', () => {
    const fileSystem = new SimulatedFileSystem();
    const value = new Uint8Array(1024 * 1024);
    const entries = Array.from({ length: 12 }, (_, index) => ({
      key: text(`k${String(index).padStart(2, '0')}`),
      sequence: 1,
      value,
    }));
    const meta = makeSample(fileSystem, samplePath, entries);
    for (const [capacity, count] of [
      [10 * 1024 * 1024, 9],
      [4 * 1024 * 1024, 0],
    ] as const) {
      const cache = new BlockCache(capacity);
      const counters = new ReadCounters();
      const reader = openSample(fileSystem, meta, { cache, counters });
      for (const { key } of entries) {
        getFrom(reader, key);
        expect(cache.size).toBeLessThanOrEqual(capacity);
      }
      expect(cache.count).toBe(count);
      expect(counters.blockReads).toBe(12);
      reader.close();
      expect(cache.size).toBe(0);
    }
  });
});
