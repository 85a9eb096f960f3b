import { strictEqual } from 'node:assert';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  allEntries,
  inOrder,
  ListCursor,
  type ListEntry,
  shownEntry,
} from '../../testing/list-cursor.ts';
import { EntryKind } from '../entries/cursor.ts';
import { type RangeTombstone, RangeTombstones } from '../entries/range-tombstones.ts';
import type { TableMeta } from '../sstable/table-meta.ts';
import { deeperKeysOf } from './deeper-keys.ts';
import { EntryFilter } from './entry-filter.ts';

const keys = ['', '\0', 'a', 'a\0', 'aa', 'b', 'c', 'd'];
const NEWEST = 20;

interface Data {
  readonly entries: readonly ListEntry[];
  readonly ranges: readonly RangeTombstone[];
}

/** A write of a key or the deletion of a range; its place in the list gives its sequence. */
interface Write {
  readonly type: 'put' | 'delete' | 'deleteRange';
  readonly key: string;
  readonly end: string;
}

const write = fc.record<Write>({
  type: fc.constantFrom('put', 'put', 'delete', 'deleteRange'),
  key: fc.constantFrom(...keys),
  end: fc.constantFrom(...keys, 'e'),
});

function dataOf(writes: readonly Write[], firstSequence: number): Data {
  const entries: ListEntry[] = [];
  const ranges: RangeTombstone[] = [];
  writes.forEach(({ type, key, end }, index) => {
    const sequence = firstSequence + index;
    if (type === 'deleteRange') {
      ranges.push({ start: bytes(key), end: bytes(end), sequence });
    } else {
      const kind = type === 'put' ? EntryKind.put : EntryKind.delete;
      entries.push({ key, sequence, kind, value: `${sequence}` });
    }
  });
  return { entries, ranges };
}

/** What a reader at `sequence` sees of a key in all of the data. */
function read(data: readonly Data[], key: string, sequence: number): string | undefined {
  const entries = data.flatMap((one) => one.entries);
  const ranges = data.flatMap((one) => one.ranges);
  const versions = entries.filter((entry) => entry.key === key && entry.sequence <= sequence);
  const newest = versions.toSorted((left, right) => right.sequence - left.sequence)[0];
  const isDeleted = ranges.some(
    (range) =>
      range.sequence <= sequence &&
      range.sequence > (newest?.sequence ?? 0) &&
      Buffer.compare(range.start, bytes(key)) <= 0 &&
      Buffer.compare(bytes(key), range.end) < 0,
  );
  return newest === undefined || newest.kind === EntryKind.delete || isDeleted
    ? undefined
    : newest.value;
}

function filtered(data: Data, snapshots: readonly number[], deeper: readonly TableMeta[]): Data {
  const ranges = RangeTombstones.from(data.ranges);
  const filter = new EntryFilter(snapshots, ranges, deeperKeysOf(deeper));
  const cursor = new ListCursor(data.entries);
  const entries: ListEntry[] = [];
  let last: string | undefined;
  for (cursor.seekFirst(); cursor.isValid; cursor.next()) {
    const entry = shownEntry(cursor);
    if (filter.keeps(cursor)) {
      entries.push(entry);
    }
    expect(filter.isNewKey).toBe(entry.key !== last);
    last = entry.key;
  }
  return { entries, ranges: filter.survivingRanges() };
}

/** Tables that lie around the deeper data, each around a few of its keys. */
function tablesAround({ entries, ranges }: Data): TableMeta[] {
  const points = inOrder(entries).map(({ key }) => metaOf(bytes(key), bytes(key), false));
  const stretches = ranges
    .filter(({ start, end }) => Buffer.compare(start, end) < 0)
    .map(({ start, end }) => metaOf(start, end, true));
  return [...stretches, ...points];
}

const snapshotLists = fc
  .uniqueArray(fc.integer({ min: 0, max: NEWEST }), { maxLength: 4 })
  .map((list) => list.toSorted((left, right) => left - right));

describe('the filter of a merge', () => {
  it('changes no answer, at any snapshot or now, whatever lies deeper', () => {
    const writes = fc.array(write, { maxLength: 14 });
    fc.assert(
      fc.property(
        fc.array(write, { maxLength: 4 }),
        writes,
        snapshotLists,
        (deeperWrites, upperWrites, snapshots) => {
          const deeper = dataOf(deeperWrites, 1);
          const upper = dataOf(upperWrites, 5);
          const kept = filtered(upper, snapshots, tablesAround(deeper));
          const ask = (data: Data): string =>
            [...snapshots, NEWEST]
              .flatMap((sequence) => keys.map((key) => read([data, deeper], key, sequence) ?? '-'))
              .join(' ');
          strictEqual(ask(kept), ask(upper));
        },
      ),
      { numRuns: 250 },
    );
  });

  it('leaves one version of each key and no deletion if there is no snapshot and nothing deeper', () => {
    fc.assert(
      fc.property(fc.array(write, { maxLength: 18 }), (writes) => {
        const upper = dataOf(writes, 1);
        const kept = filtered(upper, [], []);
        expect(kept.ranges).toEqual([]);
        expect(kept.entries.filter(({ kind }) => kind === EntryKind.delete)).toEqual([]);
        const alive = keys.filter((key) => read([upper], key, NEWEST) !== undefined);
        expect(kept.entries.map(({ key }) => key)).toEqual(alive);
      }),
      { seed: 2, numRuns: 100 },
    );
  });

  it('keeps no version that no reader can see', () => {
    fc.assert(
      fc.property(fc.array(write, { maxLength: 14 }), snapshotLists, (writes, snapshots) => {
        const kept = filtered(dataOf(writes, 1), snapshots, []);
        const seen = new Set(
          [...snapshots, NEWEST].flatMap((sequence) =>
            keys.map((key) => read([kept], key, sequence)),
          ),
        );
        const puts = kept.entries.filter(({ kind }) => kind === EntryKind.put);
        expect(puts.filter(({ value }) => !seen.has(value))).toEqual([]);
      }),
      { seed: 3, numRuns: 100 },
    );
  });

  it('keeps a deletion for what may lie deeper, and only where it may', () => {
    const writes: Write[] = ['a', 'b', 'c'].map((key) => ({ type: 'delete', key, end: '' }));
    const upper = dataOf([...writes, { type: 'deleteRange', key: 'd', end: 'e' }], 5);
    const left = (deeper: readonly TableMeta[]): string => {
      const { entries, ranges } = filtered(upper, [], deeper);
      return `${entries.map(({ key }) => key).join('')}+${ranges.length}`;
    };
    expect(left([])).toBe('+0');
    expect(left([around('b', 'b', false)])).toBe('b+0');
    expect(left([around('a', 'c', true)])).toBe('ab+0');
    expect(left([around('a', 'c', true), around('a', 'c', false)])).toBe('abc+0');
    expect(left([around('0', 'b', false), around('a', 'a', false)])).toBe('ab+0');
    expect(left([around('c\0', 'd', true)])).toBe('+0');
    expect(left([around('c\0', 'd', false)])).toBe('+1');
    expect(left([around('dd', 'de', false)])).toBe('+1');
    expect(left([around('e', 'f', false)])).toBe('+0');
  });

  it('takes keys of any size', () => {
    const long = 'k'.repeat(65_535);
    const entries = [long, long.slice(1), long.slice(2)].flatMap((key) => [
      { key, sequence: 2, kind: EntryKind.put, value: 'new' },
      { key, sequence: 1, kind: EntryKind.put, value: 'old' },
    ]);
    const kept = filtered({ entries, ranges: [] }, [], []);
    expect(kept.entries.map(({ value }) => value)).toEqual(['new', 'new', 'new']);
    expect(allEntries(new ListCursor(kept.entries))).toHaveLength(3);
  });
});

function around(min: string, max: string, isMaxExclusive: boolean): TableMeta {
  return metaOf(bytes(min), bytes(max), isMaxExclusive);
}

function bytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'latin1'));
}

function metaOf(minKey: Uint8Array, maxKey: Uint8Array, isMaxExclusive: boolean): TableMeta {
  return {
    number: 1,
    size: 1_000,
    count: 1,
    deleteCount: 0,
    rangeDeleteCount: 0,
    rawSize: 100,
    minKey,
    maxKey,
    isMaxExclusive,
    minSequence: 1,
    maxSequence: 9,
    ingestSequence: undefined,
    digest: new Uint8Array(32),
  };
}
