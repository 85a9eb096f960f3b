import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Cursor } from './cursor.ts';
import { LevelCursor } from '../sstable/level-cursor.ts';
import { mergeCursors } from './merge-cursor.ts';
import type { TableMeta } from '../sstable/table-meta.ts';
import { inOrder, ListCursor, type ListEntry, shownEntry } from '../../testing/list-cursor.ts';

const keys = ['', '\0', 'a', 'a\0', 'aa', 'b', 'ba', 'c'];

interface Move {
  readonly kind: 'seekFirst' | 'seekLast' | 'seek' | 'seekBefore' | 'next' | 'previous';
  readonly key: string;
  readonly sequence: number;
}

const someKey = fc.constantFrom(...keys, 'd');
const entry = fc.record({ key: someKey, sequence: fc.integer({ min: 1, max: 9 }) });
const moves = fc.array(
  fc.record({
    kind: fc.constantFrom<Move['kind']>(
      'seekFirst',
      'seekLast',
      'seek',
      'seekBefore',
      'next',
      'next',
      'next',
      'previous',
      'previous',
      'previous',
    ),
    key: someKey,
    sequence: fc.integer({ min: 0, max: 10 }),
  }),
  { minLength: 1, maxLength: 30 },
);

/** Makes the same moves on both and compares what they show. Moves that need a valid cursor are left out otherwise. */
function checkSameMoves(cursor: Cursor, model: Cursor, list: readonly Move[]): void {
  const shown: string[] = [];
  const expected: string[] = [];
  for (const move of list) {
    if (model.isValid || move.kind.startsWith('seek')) {
      shown.push(`${move.kind} ${moved(cursor, move)}`);
      expected.push(`${move.kind} ${moved(model, move)}`);
    }
  }
  expect(shown).toEqual(expected);
}

function moved(cursor: Cursor, { kind, key, sequence }: Move): string {
  const bytes = new Uint8Array(Buffer.from(key, 'latin1'));
  if (kind === 'seek') {
    cursor.seek(bytes, sequence);
  } else if (kind === 'seekBefore') {
    cursor.seekBefore(bytes);
  } else {
    cursor[kind]();
  }
  return cursor.isValid ? JSON.stringify(shownEntry(cursor)) : 'nothing';
}

function distinct(entries: readonly ListEntry[]): ListEntry[] {
  const byPlace = new Map(entries.map((one) => [`${one.key}|${one.sequence}`, one]));
  return [...byPlace.values()];
}

function made({ key, sequence }: { readonly key: string; readonly sequence: number }): ListEntry {
  return { key, sequence, value: `${key}@${sequence}`, kind: sequence % 3 === 0 ? 0 : 1 };
}

describe('a merge of cursors', () => {
  it('shows what one list of all entries shows, wherever it moves, and equal entries once', () => {
    const sources = fc.array(fc.array(entry, { maxLength: 8 }), { maxLength: 5 });
    fc.assert(
      fc.property(sources, moves, (given, list) => {
        const lists = given.map((one) => distinct(one.map(made)));
        const cursors = lists.map((one) => new ListCursor(one));
        const model = new ListCursor(distinct(lists.flat()));
        checkSameMoves(mergeCursors(cursors), model, list);
      }),
      { numRuns: 300 },
    );
  });

  it('is the source itself if there is only one', () => {
    const source = new ListCursor([]);
    expect(mergeCursors([source])).toBe(source);
    const none = mergeCursors([]);
    none.seekFirst();
    expect(none.isValid).toBe(false);
    none.seekBefore(new Uint8Array(1));
    expect(none.isValid).toBe(false);
  });

  it('is not valid after a source has failed, and goes on from the next seek', () => {
    const lists = [
      ['a', 'c'],
      ['b', 'd'],
    ].map((list) => list.map((key) => made({ key, sequence: 1 })));
    for (const kind of ['next', 'previous'] as const) {
      const sources = lists.map((list) => new ListCursor(list));
      const merged = mergeCursors(sources);
      merged.seek(new Uint8Array(Buffer.from('b')), 1);
      sources[1]!.failure = new Error('damage');
      expect(() => merged[kind]()).toThrow('damage');
      expect(merged.isValid).toBe(false);
      sources[1]!.failure = undefined;
      merged.seekLast();
      expect(shownEntry(merged).key).toBe('d');
      merged.previous();
      expect(shownEntry(merged).key).toBe('c');
    }
  });

  it('leaves the other sources where they are while one stays ahead', () => {
    const count = 100;
    const first = Array.from({ length: count }, (_, index) => String(index).padStart(3, '0'));
    const sources = [first, ['a'], ['b'], ['c']].map(
      (list) => new ListCursor(list.map((key) => made({ key, sequence: 1 }))),
    );
    const merged = mergeCursors(sources);
    merged.seekFirst();
    const others = sources.slice(1);
    const before = others.map(({ moveCount }) => moveCount);
    for (let step = 1; step < count; step += 1) {
      merged.next();
      expect(shownEntry(merged).key).toBe(first[step]);
    }
    expect(others.map(({ moveCount }) => moveCount)).toEqual(before);
  });
});

describe('the cursor of a level', () => {
  /** Cuts sorted entries into tables, between keys; a table may hold nothing but a deleted range. */
  const cuts = fc.array(fc.constantFrom(...keys), { maxLength: 4 });

  it('shows what one list of all entries shows, wherever it moves', () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 12 }), cuts, moves, (given, at, list) => {
        const entries = inOrder(distinct(given.map(made)));
        const tables = tablesOf(entries, [...new Set(at)].toSorted());
        const model = new ListCursor(entries);
        const open = ({ number }: TableMeta): Cursor => new ListCursor(tables[number]!.entries);
        const metas = tables.map(({ meta }) => meta);
        checkSameMoves(new LevelCursor(metas, open), model, list);
      }),
      { numRuns: 300 },
    );
  });

  it('opens a table when it is reached, not before, and once while it stays there', () => {
    const entries = ['a', 'b', 'c', 'd', 'e', 'f'].map((key) => made({ key, sequence: 1 }));
    const tables = tablesOf(entries, ['c', 'e']);
    const opened: number[] = [];
    const level = new LevelCursor(
      tables.map(({ meta }) => meta),
      ({ number }) => {
        opened.push(number);
        return new ListCursor(tables[number]!.entries);
      },
    );
    level.seek(new Uint8Array(Buffer.from('c')), 9);
    level.next();
    level.seek(new Uint8Array(Buffer.from('c')), 9);
    expect(opened).toEqual([1]);
    level.next();
    level.next();
    expect(shownEntry(level).key).toBe('e');
    expect(opened).toEqual([1, 2]);
    level.seekBefore(new Uint8Array(0));
    expect(level.isValid).toBe(false);
    level.seek(new Uint8Array([0xff]), 9);
    expect(level.isValid).toBe(false);
    expect(opened).toEqual([1, 2]);
  });
});

function tablesOf(
  entries: readonly ListEntry[],
  cuts: readonly string[],
): { meta: TableMeta; entries: ListEntry[] }[] {
  const bounds = ['', ...cuts.filter((cut) => cut !== ''), '\xff'];
  return bounds.slice(0, -1).map((from, number) => {
    const to = bounds[number + 1]!;
    const own = entries.filter(({ key }) => key >= from && key < to);
    // Every other table says that a range is deleted as far as the next one begins.
    const isWide = own.length === 0 || number % 2 === 0;
    const minKey = isWide ? from : own[0]!.key;
    const maxKey = isWide ? to : own.at(-1)!.key;
    return { meta: metaOf(number, minKey, maxKey, isWide), entries: own };
  });
}

function metaOf(
  number: number,
  minKey: string,
  maxKey: string,
  isMaxExclusive: boolean,
): TableMeta {
  return {
    number,
    size: 1_000,
    count: 1,
    deleteCount: 0,
    rangeDeleteCount: 0,
    rawSize: 100,
    minKey: new Uint8Array(Buffer.from(minKey, 'latin1')),
    maxKey: new Uint8Array(Buffer.from(maxKey, 'latin1')),
    isMaxExclusive,
    minSequence: 1,
    maxSequence: 9,
    ingestSequence: undefined,
    digest: new Uint8Array(32),
  };
}
