import { describe, expect, it } from 'vitest';
import { runBlocking } from '../../io/steps.ts';
import { FaultPlan } from '../../testing/fault-plan.ts';
import { SimulatedFileSystem } from '../../testing/simulated-file-system.ts';
import { EntryKind } from '../entries/cursor.ts';
import { BlockCache } from './block-cache.ts';
import { wholeKeys } from './filter-rule.ts';
import { ReadCounters } from './read-counters.ts';
import { TableBuilder } from './table-builder.ts';
import { transferOf } from './table-file.ts';
import { TableReader } from './table-reader.ts';
import { getFrom, openSample, sampleIdentity, samplePath, scanAll, text } from './table-sample.ts';

describe('a table', () => {
  it('is read by its image as from its file, but for the blocks', () => {
    let isCounted = false;
    const read: number[] = [];
    const faults = new FaultPlan({
      when: ({ kind, size = 0 }) => {
        if (isCounted && kind === 'read') {
          read.push(size);
        }
        return undefined;
      },
    });
    const fileSystem = new SimulatedFileSystem({ faults });
    const builder = new TableBuilder(fileSystem.open(samplePath, 'create'), {
      identity: sampleIdentity,
      number: 1,
      level: 0,
      inputs: [],
      outputIndex: 0,
      settings: { blockSize: 128, tableSizeMax: 1, filter: wholeKeys(10), compression: 'none' },
    });
    builder.addRangeTombstone(text('a'), text('b'), 9);
    for (let index = 0; index < 500; index += 1) {
      const key = text(`k${String(index).padStart(8, '0')}`);
      builder.add(key, 0, key.length, 1, EntryKind.put, key, 0, key.length);
    }
    const meta = runBlocking(builder.finish(true));
    const image = structuredClone(builder.image, { transfer: transferOf([builder.image]) });
    isCounted = true;
    const cache = new BlockCache(1024 * 1024);
    const counters = new ReadCounters();
    const given = TableReader.open(
      fileSystem,
      samplePath,
      meta,
      sampleIdentity,
      cache,
      counters,
      image,
    );
    expect(getFrom(given, text('k99'))).toBe(undefined);
    expect(read).toEqual([]);
    expect(getFrom(given, text('k00000123'))?.sequence).toBe(1);
    expect(read).toHaveLength(1);
    expect(read[0]).toBeLessThan(200);
    isCounted = false;
    const own = openSample(fileSystem, meta);
    expect(scanAll(given.cursor())).toEqual(scanAll(own.cursor()));
    expect(given.rangeTombstones()).toEqual(own.rangeTombstones());
    expect(given.memorySize).toBe(own.memorySize);
    expect(given.origin).toEqual(own.origin);
    given.verify();
  });
});
