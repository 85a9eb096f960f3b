import { deepStrictEqual, ok, strictEqual } from 'node:assert';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../base/random.ts';
import { SimulatedFileSystem } from '../../testing/simulated-file-system.ts';
import { getFrom, makeSample, openSample, samplePath, text } from './table-sample.ts';
import { BlockCache, BlockPlaces } from './block-cache.ts';
import { ReadCounters } from './read-counters.ts';

const SEED = 77;
const KiB = 1024;

/** A payload that no other block has. */
function payloadOf(table: number, index: number, size: number): Uint8Array {
  const payload = new Uint8Array(size).fill(table * 37 + index);
  payload[0] = table;
  payload[size - 1] = index;
  return payload;
}

function insert(
  cache: BlockCache,
  places: BlockPlaces,
  index: number,
  payload: Uint8Array,
  heads: Uint32Array = new Uint32Array(0),
): void {
  // From the middle of an array, as blocks lie in what was read.
  const bytes = new Uint8Array(payload.length + 7);
  bytes.set(payload, 3);
  cache.insert(places, index, { bytes, start: 3, end: 3 + payload.length }, heads);
}

/** Up to three. */
function headsOf(index: number): Uint32Array {
  return new Uint32Array(index % 4).fill(index * 1_000_000_007);
}

const isKept = ({ slots }: BlockPlaces, index: number): boolean => slots[index] !== 0;

function checkContent(
  cache: BlockCache,
  tables: readonly BlockPlaces[],
  numbers: readonly number[],
  sizes: ReadonlyMap<string, number>,
): void {
  let count = 0;
  let size = 0;
  for (const [at, table] of tables.entries()) {
    for (const [index, slot] of table.slots.entries()) {
      if (slot !== 0) {
        const expected = sizes.get(`${numbers[at]} ${index}`)!;
        const payload = payloadOf(numbers[at]!, index, expected);
        strictEqual(Buffer.compare(cache.payloadAt(slot)!, payload), 0);
        const heads = headsOf(index);
        const { buffer, byteOffset } = cache.payloadAt(slot)!;
        const behind = new Uint32Array(buffer, byteOffset + expected, heads.length);
        deepStrictEqual(behind, heads);
        count += 1;
        size += Math.ceil((expected + heads.length * 4) / 8) * 8 + 16;
      }
    }
  }
  deepStrictEqual([cache.count, cache.size], [count, size]);
}

describe('a block cache', () => {
  it('gives back what was put in and never holds more than its capacity, whatever comes and goes', () => {
    const random = new SeededRandom(SEED);
    for (const capacity of [16 * KiB, 100_000, 700_000]) {
      const cache = new BlockCache(capacity);
      const tables = Array.from({ length: 4 }, () => new BlockPlaces(100));
      const numbers = [0, 1, 2, 3];
      const sizes = new Map<string, number>();
      let closedCount = 0;
      let evictedCount = 0;
      for (let step = 0; step < 2_500; step += 1) {
        const at = random.below(4);
        const table = tables[at]!;
        const index = random.below(100);
        const name = `${numbers[at]} ${index}`;
        if (isKept(table, index)) {
          table.marks[index] = 1;
        } else {
          evictedCount += sizes.has(name) ? 1 : 0;
          const size = 2 + random.below(random.chance(0.1) ? capacity / 20 : 1_500);
          const heads = headsOf(index);
          insert(cache, table, index, payloadOf(numbers[at]!, index, size), heads);
          sizes.set(name, size);
        }
        if (random.chance(0.002)) {
          cache.dropAll(table);
          strictEqual(
            table.slots.every((slot) => slot === 0),
            true,
          );
          tables[at] = new BlockPlaces(100);
          numbers[at] = 4 + closedCount;
          closedCount += 1;
        }
        if (step % 50 === 0) {
          ok(cache.size <= capacity);
          checkContent(cache, tables, numbers, sizes);
        }
      }
      const memory = cache.segments.reduce((sum, { bytes }) => sum + bytes.length, 0);
      expect(memory).toBeLessThanOrEqual(capacity);
      expect(closedCount).toBeGreaterThan(2);
      strictEqual(capacity > 500_000 || evictedCount > 100, true, String(evictedCount));
      for (const table of tables) {
        cache.dropAll(table);
      }
      deepStrictEqual([cache.size, cache.count], [0, 0]);
    }
  });

  it('gives room back when it gets less, and uses it again when it gets more', () => {
    const random = new SeededRandom(SEED);
    const most = 300_000;
    const cache = new BlockCache(most);
    const tables = Array.from({ length: 3 }, () => new BlockPlaces(200));
    const numbers = [0, 1, 2];
    const sizes = new Map<string, number>();
    let fullest = 0;
    for (let round = 0; round < 120; round += 1) {
      const capacity = random.chance(0.1) ? 0 : random.below(most * 1.3);
      cache.resize(capacity);
      checkContent(cache, tables, numbers, sizes);
      for (let step = random.below(400); step > 0; step -= 1) {
        const at = random.below(3);
        const index = random.below(200);
        if (isKept(tables[at]!, index)) {
          tables[at]!.marks[index] = 1;
        } else {
          const size = 2 + random.below(1_500);
          insert(cache, tables[at]!, index, payloadOf(at, index, size), headsOf(index));
          sizes.set(`${at} ${index}`, size);
        }
      }
      const memory = cache.segments.reduce((sum, { bytes }) => sum + bytes.length, 0);
      ok(memory <= capacity, `${memory} of ${capacity}`);
      strictEqual(cache.capacity, capacity);
      fullest = Math.max(fullest, cache.size);
      checkContent(cache, tables, numbers, sizes);
    }
    expect(fullest).toBeGreaterThan(most / 2);
    for (const table of tables) {
      cache.dropAll(table);
    }
    deepStrictEqual([cache.size, cache.count], [0, 0]);
  });

  it('drops what was not used before what was', () => {
    const cache = new BlockCache(32 * KiB);
    const places = new BlockPlaces(500);
    for (let index = 0; index < 500; index += 1) {
      insert(cache, places, index, payloadOf(0, index, 500));
      places.marks[0] = 1;
    }
    expect(isKept(places, 0)).toBe(true);
    expect(isKept(places, 1)).toBe(false);
    expect(isKept(places, 499)).toBe(true);
  });

  it('finds room where all of it is in use', () => {
    const cache = new BlockCache(32 * KiB);
    const places = new BlockPlaces(500);
    for (let index = 0; index < 500; index += 1) {
      insert(cache, places, index, payloadOf(0, index, 500));
      places.marks.fill(1);
      strictEqual(isKept(places, index), true);
    }
    expect(cache.size).toBeGreaterThan(24 * KiB);
  });

  it('gives the room of closed tables to others before it drops anything', () => {
    const cache = new BlockCache(64 * KiB);
    const kept = new BlockPlaces(50);
    const closed = new BlockPlaces(60);
    // Side by side: no segment is without blocks of either.
    for (let index = 0; index < 50; index += 1) {
      insert(cache, kept, index, payloadOf(0, index, 488));
      insert(cache, closed, index, payloadOf(1, index, 488));
    }
    cache.dropAll(closed);
    const others = new BlockPlaces(40);
    for (let index = 0; index < 40; index += 1) {
      insert(cache, others, index, payloadOf(2, index, 488));
    }
    expect(kept.slots.every((slot) => slot !== 0)).toBe(true);
    expect(others.slots.every((slot) => slot !== 0)).toBe(true);
    expect(cache.payloadAt(kept.slots[7]!)).toEqual(payloadOf(0, 7, 488));
  });

  it('keeps no block that would drive out too many others, and without capacity none', () => {
    const cache = new BlockCache(64 * KiB);
    const places = new BlockPlaces(2);
    insert(cache, places, 0, new Uint8Array(2 * KiB - 15));
    expect(cache.count).toBe(0);
    insert(cache, places, 1, new Uint8Array(2 * KiB - 16));
    expect(cache.count).toBe(1);
    for (const capacity of [0, 1, 100]) {
      const none = new BlockCache(capacity);
      insert(none, new BlockPlaces(1), 0, new Uint8Array(40));
      expect([none.count, none.size]).toEqual([0, 0]);
    }
  });

  it('stays within its capacity under values of 100 KiB', () => {
    const fileSystem = new SimulatedFileSystem();
    const value = new Uint8Array(100 * KiB);
    const entries = Array.from({ length: 12 }, (_, index) => ({
      key: text(`k${String(index).padStart(2, '0')}`),
      sequence: 1,
      value,
    }));
    const meta = makeSample(fileSystem, samplePath, entries);
    for (const [capacity, keptCount] of [
      [16 * KiB * KiB, 12],
      [4 * KiB * KiB, 0],
    ] as const) {
      const cache = new BlockCache(capacity);
      const counters = new ReadCounters();
      const reader = openSample(fileSystem, meta, { cache, counters });
      for (const { key } of entries) {
        expect(Buffer.compare(getFrom(reader, key)!.value!, value)).toBe(0);
        expect(cache.size).toBeLessThanOrEqual(capacity);
      }
      expect(cache.count).toBe(keptCount);
      expect(counters.blockReads).toBe(12);
      reader.close();
      expect(cache.size).toBe(0);
    }
  });
});
