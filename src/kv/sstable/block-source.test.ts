import { strictEqual } from 'node:assert';
import { setFlagsFromString } from 'node:v8';
import vm from 'node:vm';
import { describe, expect, it } from 'vitest';
import type { FileSystem } from '../../io/file-system.ts';
import { SimulatedFileSystem } from '../../testing/simulated-file-system.ts';
import { BlockCache } from './block-cache.ts';
import { ReadCounters } from './read-counters.ts';
import { entryAt, getFrom, makeSample, openSample, text } from './table-sample.ts';

const MiB = 1024 * 1024;

function keyOf(index: number): Uint8Array {
  return text(String(index).padStart(5, '0'));
}

describe('a cache of 128 times the size of its blocks', () => {
  it('keeps them, whatever that size is, and its memory is bounded', () => {
    for (const blockSize of [256, 1_000, 2_047, 4_096, 65_536, 500_000]) {
      for (const capacity of [128 * blockSize, 200 * blockSize]) {
        const cache = new BlockCache(capacity, blockSize);
        const fileSystem = new SimulatedFileSystem();
        const keys = ['a', 'b', 'c'].map(text);
        const value = new Uint8Array(Math.ceil(blockSize / 2));
        const entries = keys.map((key) => ({ key, sequence: 1, value }));
        const meta = makeSample(fileSystem, '/a.tbl', entries, { settings: { blockSize } });
        const counters = new ReadCounters();
        const reader = openSample(fileSystem, meta, { path: '/a.tbl', cache, counters });
        for (const key of [...keys, ...keys]) {
          expect(getFrom(reader, key)?.value).toHaveLength(value.length);
        }
        expect(counters.blockReads, `${blockSize} ${capacity}`).toBe(cache.count);
        const memory = cache.segments.reduce((sum, { bytes }) => sum + bytes.length, 0);
        expect(memory).toBeLessThanOrEqual(capacity);
        reader.close();
      }
    }
  });
});

describe('a block that is used again and again', () => {
  it.each(['get', 'seek'])('by %s stays in a cache that others pass through', (how) => {
    const fileSystem = new SimulatedFileSystem();
    const value = new Uint8Array(500);
    const entries = Array.from({ length: 1_000 }, (_, index) => {
      return { key: keyOf(index), sequence: 1, value };
    });
    const meta = makeSample(fileSystem, '/a.tbl', entries);
    const counters = new ReadCounters();
    const cache = new BlockCache(64 * 1024);
    const reader = openSample(fileSystem, meta, { path: '/a.tbl', cache, counters });
    const cursor = reader.cursor();
    for (let index = 1; index < 1_000; index += 1) {
      if (how === 'get') {
        strictEqual(getFrom(reader, keyOf(0))?.value?.length, 500);
      } else {
        cursor.seek(keyOf(0), 1);
      }
      strictEqual(getFrom(reader, keyOf(index))?.value?.length, 500);
    }
    expect(counters.blockReads).toBe(1_000);
    expect(cache.count).toBeLessThan(200);
    reader.close();
  });
});

describe('a table that has been read', () => {
  it('keeps no block that the cache did not take', async () => {
    setFlagsFromString('--expose-gc');
    const collect = vm.runInNewContext('gc') as () => void;
    const fileSystem = new SimulatedFileSystem();
    const cache = new BlockCache(MiB);
    const value = new Uint8Array(MiB);
    const readers = Array.from({ length: 8 }, (_, index) => {
      const entries = [{ key: text('a'), sequence: 1, value }];
      const path = `/${index}.tbl`;
      return openSample(fileSystem, makeSample(fileSystem, path, entries), { path, cache });
    });
    const settled = async (): Promise<number> => {
      // What one collection frees is counted at the latest by the next.
      for (let turn = 0; turn < 3; turn += 1) {
        collect();
        await new Promise(setImmediate);
      }
      return process.memoryUsage().arrayBuffers;
    };
    const before = await settled();
    for (const reader of readers) {
      expect(getFrom(reader, text('a'))?.value).toHaveLength(MiB);
    }
    expect((await settled()) - before).toBeLessThan(3 * MiB);
    for (const reader of readers) {
      reader.close();
    }
  });
});

describe('a read-ahead that fails half way', () => {
  it('leaves nothing behind that is taken for blocks', () => {
    const fileSystem = new SimulatedFileSystem();
    const value = new Uint8Array(100);
    const entries = Array.from({ length: 4_000 }, (_, index) => {
      return { key: keyOf(index), sequence: 1, value };
    });
    const meta = makeSample(fileSystem, '/a.tbl', entries);
    let isFailing = false;
    const reads = { count: 0 };
    const open: FileSystem['open'] = (path, mode) => {
      const file = fileSystem.open(path, mode);
      const read = file.read.bind(file);
      file.read = (target, offset) => {
        if (isFailing) {
          target.fill(0xee);
          throw new Error('on purpose');
        }
        reads.count += 1;
        return read(target, offset);
      };
      return file;
    };
    const failing = Object.assign(Object.create(fileSystem), { open }) as FileSystem;
    const reader = openSample(failing, meta, { path: '/a.tbl', cache: new BlockCache(0) });
    const cursor = reader.cursor();
    const countMax = reads.count + 4;
    let index = 0;
    // To the first block of a stretch of several.
    for (cursor.seekFirst(); reads.count < countMax; index += 1) {
      cursor.next();
    }
    isFailing = true;
    expect(() => cursor.seek(keyOf(3_000), 1)).toThrow('on purpose');
    isFailing = false;
    for (const sought of [index, index + 1, 3_000]) {
      cursor.seek(keyOf(sought), 1);
      expect(entryAt(cursor)?.key).toEqual(keyOf(sought));
    }
    reader.close();
  });
});
