import { describe, expect, it } from 'vitest';
import { insertEntry } from '../../testing/insert-entry.ts';
import { EntryKind } from '../entries/cursor.ts';
import { Levels } from '../manifest/levels.ts';
import type { Memtable } from '../memtable/memtable.ts';
import { MemtableQueue } from './memtable-queue.ts';
import { ReadState } from './read-state.ts';
import { TableSet } from './table-set.ts';

function none(): never {
  throw new Error('there are no tables');
}

class Filling {
  readonly queue: MemtableQueue;
  readonly memtables: Set<Memtable> = new Set<Memtable>();
  #sequence = 0;

  constructor(sizeTarget: number) {
    const state = new ReadState(
      [],
      new TableSet({ open: none, openAsync: none, unused: none }, Levels.empty, 1),
    );
    this.queue = new MemtableQueue(state, { sizeTarget, isShared: false }, () => {});
  }

  put(keySize: number, valueSize: number): void {
    this.#sequence += 1;
    const key = new Uint8Array(keySize).fill(this.#sequence);
    const memtable = this.queue.memtableFor(keySize, valueSize);
    insertEntry(memtable, key, this.#sequence, EntryKind.put, new Uint8Array(valueSize));
    this.memtables.add(memtable);
  }

  get arenaSizes(): readonly number[] {
    return [...this.memtables].map(({ arena }) => arena.size);
  }
}

describe('writers of a queue of memtables', () => {
  it.each([1, 7, 50])('wait when three are full, with batches of %i entries', (batchCount) => {
    const filling = new Filling(4_096);
    const { queue } = filling;
    while (queue.hasRoom) {
      for (let index = 0; index < batchCount; index += 1) {
        filling.put(4, 100);
      }
      expect(filling.memtables.size).toBeLessThan(10);
    }
    // As documented: three memtables and a batch.
    expect(queue.size).toBeGreaterThanOrEqual(3 * 4_096);
    expect(queue.size).toBeLessThan(3 * 4_096 + (batchCount + 3) * 200);
    queue.freeze();
    queue.dropOldest(queue.frozenCount - 2);
    expect(queue.hasRoom).toBe(true);
  });
});

describe('memtables that are flushed together', () => {
  it('stay the same ones when more are frozen meanwhile', () => {
    const filling = new Filling(4_096);
    const { queue } = filling;
    queue.beginBatch(1);
    filling.put(4, 3_000);
    queue.freeze();
    filling.put(4, 3_000);
    queue.endBatch(undefined);
    const group = queue.oldestGroup();
    expect(group).toHaveLength(2);
    filling.put(4, 3_000);
    queue.freeze();
    expect(group).toHaveLength(2);
    queue.dropOldest(group.length);
    expect(queue.oldestGroup().map(({ maxSequence }) => maxSequence)).toEqual([3]);
  });
});

describe('memtables of a small target', () => {
  it('take a batch much larger than one of them in about as much memory as it has bytes', () => {
    const filling = new Filling(4_096);
    for (let index = 0; index < 1_000; index += 1) {
      filling.put(6, 4_000);
    }
    const sizes = filling.arenaSizes;
    expect(sizes.length).toBeGreaterThan(300);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(16 * 1_024);
    expect(sizes.reduce((sum, size) => sum + size)).toBeLessThan(3 * 4_000_000);
  });

  it('are as small when every entry needs one of its own', () => {
    const filling = new Filling(4_096);
    for (let index = 0; index < 50; index += 1) {
      filling.put(100, 20_000);
    }
    expect(filling.arenaSizes).toHaveLength(50);
    expect(Math.max(...filling.arenaSizes)).toBeLessThan(40_000);
  });

  it.each([4_096, 65_536])('have the room that was asked for, whatever it is (%i)', (target) => {
    const filling = new Filling(target);
    const keySizes = [0, 1, 7, 255, 4_000, 4_096, 8_192, 65_535];
    const valueSizes = [0, 1, 100, 4_079, 4_096, 8_193, 65_536, 1_000_003];
    for (let round = 0; round < 3; round += 1) {
      for (const keySize of keySizes) {
        for (const valueSize of round === 2 ? valueSizes.toReversed() : valueSizes) {
          filling.put(keySize, valueSize);
        }
      }
    }
    const count = [...filling.memtables].reduce((sum, { entryCount }) => sum + entryCount, 0);
    expect(count).toBe(3 * keySizes.length * valueSizes.length);
  });

  it('use ordinary arenas again, and only those', () => {
    const filling = new Filling(4_096);
    filling.put(4, 100_000);
    filling.put(4, 100);
    filling.queue.freeze();
    const [large, ordinary] = [...filling.memtables].map(({ arena }) => arena);
    filling.queue.dropOldest(filling.queue.frozenCount);
    for (let index = 0; index < 3; index += 1) {
      filling.put(4, 100);
      filling.queue.freeze();
    }
    const later = [...filling.memtables].slice(2).map(({ arena }) => arena);
    expect(later).toContain(ordinary);
    expect(later).not.toContain(large);
  });
});
