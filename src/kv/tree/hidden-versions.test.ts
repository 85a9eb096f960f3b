import { describe, expect, it } from 'vitest';
import { HiddenVersions } from './hidden-versions.ts';
import type { TableMeta } from '../sstable/table-meta.ts';

const bytes = new Uint8Array(0);

function table(number: number, minSequence: number, maxSequence: number): TableMeta {
  return {
    number,
    size: 1,
    count: 10,
    deleteCount: 0,
    rangeDeleteCount: 0,
    rawSize: 1,
    minKey: bytes,
    maxKey: bytes,
    isMaxExclusive: false,
    minSequence,
    maxSequence,
    ingestSequence: undefined,
    digest: bytes,
  };
}

/** Each table has six keys; `looks` counts how often that was asked. */
class World {
  open: number[] = [];
  looks = 0;
  readonly hidden = new HiddenVersions({ sequences: () => this.open }, () => {
    this.looks += 1;
    return 6;
  });
}

describe('hidden versions', () => {
  it('are there when a snapshot that kept them has been closed, and not before', () => {
    const world = new World();
    world.open = [5];
    const made = table(1, 1, 10);
    world.hidden.made([made], [5]);
    expect([world.hidden.countIn(made), world.looks]).toEqual([0, 0]);
    expect([world.hidden.isKeeper(5), world.hidden.isKeeper(6)]).toEqual([true, false]);
    world.open = [7];
    expect([world.hidden.countIn(made), world.looks]).toEqual([4, 1]);
    expect([world.hidden.countIn(made), world.looks]).toEqual([4, 1]);
  });

  it('are in no table whose sequences no snapshot divided', () => {
    const world = new World();
    for (const [number, snapshots] of [[], [0], [10], [11]].entries()) {
      const made = table(number, 1, 10);
      world.hidden.made([made], snapshots);
      expect(world.hidden.countIn(made)).toBe(0);
      expect(world.hidden.isUnknown(made)).toBe(false);
    }
    expect(world.looks).toBe(0);
  });

  it('of a table made before are unknown until its file is looked at', () => {
    const world = new World();
    const old = table(1, 1, 10);
    expect([world.hidden.isUnknown(old), world.hidden.countIn(old)]).toEqual([true, 0]);
    expect(world.hidden.look(old)).toBe(4);
    expect([world.hidden.isUnknown(old), world.hidden.countIn(old)]).toEqual([false, 4]);
    world.hidden.forget([old]);
    expect([world.hidden.isUnknown(old), world.hidden.countIn(old)]).toEqual([true, 0]);
  });

  it('of a table that can not be read count as none', () => {
    const hidden = new HiddenVersions({ sequences: () => [] }, () => {
      throw new Error('damaged');
    });
    expect(hidden.look(table(1, 1, 10))).toBe(0);
  });
});
