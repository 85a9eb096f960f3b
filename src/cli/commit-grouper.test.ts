import { describe, expect, it } from 'vitest';
import { CommitGrouper, type LineCommit, partsOf } from './commit-grouper.ts';
import type { ParsedLine } from './event-line.ts';

function line(number: number, fields: Partial<ParsedLine> = {}): ParsedLine {
  return {
    number,
    size: 10,
    stream: 'a',
    event: { type: 'T' },
    key: undefined,
    scope: undefined,
    group: undefined,
    commit: undefined,
    isErased: false,
    ...fields,
  };
}

function exported(number: number, index: number, count: number): ParsedLine {
  return line(number, { commit: { index, count } });
}

/** First and last line of each commit. */
function group(lines: readonly ParsedLine[]): [number, number][] {
  const grouper = new CommitGrouper();
  const commits: (LineCommit | undefined)[] = lines.map((each) => grouper.add(each));
  commits.push(grouper.end());
  return commits
    .filter((commit) => commit !== undefined)
    .map(({ firstLine, lastLine }) => [firstLine, lastLine]);
}

describe('CommitGrouper', () => {
  it('makes one commit of each line without a group', () => {
    expect(group([line(1), line(2), line(3)])).toEqual([
      [1, 1],
      [2, 2],
      [3, 3],
    ]);
  });

  it('puts neighbours of one group together', () => {
    const groups = ['x', 'x', 'y', undefined, 'x', undefined, undefined, 'z'];
    expect(group(groups.map((value, index) => line(index + 1, { group: value })))).toEqual([
      [1, 2],
      [3, 3],
      [4, 4],
      [5, 5],
      [6, 6],
      [7, 7],
      [8, 8],
    ]);
  });

  it('hands out a group only when it is known to be complete', () => {
    const grouper = new CommitGrouper();
    expect(grouper.add(line(1, { group: 'x' }))).toBeUndefined();
    expect(grouper.add(line(2, { group: 'x' }))).toBeUndefined();
    expect(grouper.add(line(3, { group: 'y' }))).toMatchObject({ firstLine: 1, lastLine: 2 });
  });

  it('follows the commits of an export', () => {
    expect(group([exported(1, 0, 2), exported(2, 1, 2), exported(3, 0, 1)])).toEqual([
      [1, 2],
      [3, 3],
    ]);
    expect(() => group([exported(1, 1, 2)])).toThrow(/first ones are missing/);
    expect(() => group([exported(1, 0, 2), exported(2, 0, 1)])).toThrow(/doesn't go on/);
    expect(() => group([exported(1, 0, 3), exported(2, 1, 3)])).toThrow(/ends inside a commit/);
    expect(() => group([exported(1, 0, 2), line(2)])).toThrow(/is not complete/);
  });

  it('refuses a commit with two keys or scopes, and one with too many events', () => {
    expect(() =>
      group([line(1, { group: 'x', key: 'a' }), line(2, { group: 'x', key: 'b' })]),
    ).toThrow(/key "b" instead of "a"/);
    expect(() =>
      group([
        line(1, { group: 'x', key: 'a', scope: 's' }),
        line(2, { group: 'x', key: 'a', scope: 't' }),
      ]),
    ).toThrow(/scope "t" instead of "s"/);
    expect(() =>
      group([line(1, { group: 'x', key: 'a' }), line(2, { group: 'x', key: 'a', scope: 't' })]),
    ).toThrow(/scope "t" instead of none/);
    const many = Array.from({ length: 65_536 }, (_, index) => line(index + 1, { group: 'x' }));
    expect(() => group(many)).toThrow(
      expect.objectContaining({ line: 65_536, code: 'LIMIT_EXCEEDED' }),
    );
  });

  it('keeps the order of events over streams', () => {
    const streams = ['a', 'a', 'b', 'a'].map((stream, index) =>
      line(index, { stream, event: { type: String(index) } }),
    );
    expect(partsOf(streams)).toEqual([
      { stream: 'a', events: [{ type: '0' }, { type: '1' }] },
      { stream: 'b', events: [{ type: '2' }] },
      { stream: 'a', events: [{ type: '3' }] },
    ]);
  });
});
