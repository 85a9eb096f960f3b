import { describe, expect, it } from 'vitest';
import { type Evidence, type PlacedTable, placeTables } from './placement.ts';

const text = new TextEncoder();

/** `number@level:min-max:firstSequence-lastSequence` */
function tableOf(word: string): PlacedTable {
  const [, number, level, min, max, first, last] = /^(\d+)@(\d):(\w+)-(\w+):(\d+)-(\d+)$/.exec(
    word,
  )!;
  return {
    madeFor: Number(level),
    meta: {
      number: Number(number),
      size: 1,
      count: 1,
      deleteCount: 0,
      rangeDeleteCount: 0,
      rawSize: 1,
      minKey: text.encode(min),
      maxKey: text.encode(max),
      isMaxExclusive: false,
      minSequence: Number(first),
      maxSequence: Number(last),
      ingestSequence: undefined,
      digest: new Uint8Array(32),
    },
  };
}

/** The levels from the top, or what can't be told apart. `newer`: pairs of which the first is known to be the newer. */
function placed(words: string, newer: readonly (readonly [number, number])[] = []): string {
  const pairs = new Set(newer.map((pair) => pair.join()));
  const evidenceOf = (left: number, right: number): Evidence => {
    const isNewer = pairs.has(`${left},${right}`);
    const isOlder = pairs.has(`${right},${left}`);
    if (isNewer && isOlder) {
      return 'contradiction';
    }
    return isNewer ? 'newer' : isOlder ? 'older' : 'none';
  };
  const placement = placeTables(words.split(' ').map(tableOf), evidenceOf);
  if ('undecided' in placement) {
    return `not ${placement.undecided.toSorted((left, right) => left - right).join(' ')}`;
  }
  const levels = placement.levels.map((tables) => tables.map(({ number }) => number).join(' '));
  return levels.join('|').replace(/\|+$/, '');
}

describe('tables without a manifest', () => {
  it('stay where they were made for, if that fits', () => {
    expect(placed('1@2:a-c:1-9 2@1:a-d:5-12 3@1:e-f:1-9 4@0:a-f:13-20 5@0:a-f:21-29')).toBe(
      '4 5|2 3|1',
    );
  });

  it('of one level that overlap: the one made later was made when the other had moved on', () => {
    expect(placed('1@1:a-f:1-20 2@1:c-d:3-19')).toBe('|2|1');
    expect(placed('2@1:c-d:3-19 1@1:a-f:1-20')).toBe('|2|1');
  });

  it('go below a table of a deeper level that holds newer versions', () => {
    // Flushed, moved down untouched, and a merge into level 1 came over it.
    expect(placed('1@0:d-f:10-20 9@1:a-f:1-30', [[9, 1]])).toBe('|9|1');
    expect(placed('1@0:d-f:10-20 9@1:a-f:1-30', [[1, 9]])).toBe('1|9');
    expect(placed('1@0:d-f:10-20 9@1:a-f:21-30')).toBe('|9|1');
  });

  it('push down what is below them in their turn', () => {
    expect(placed('1@1:a-z:1-9 2@1:a-z:2-8 3@1:a-z:3-7 4@2:a-b:1-9')).toBe('|3|2|1|4');
  });

  it('of level 0 stay there in order of age, and only if there is one', () => {
    expect(placed('1@0:a-z:1-9 2@0:a-z:10-19')).toBe('1 2');
    expect(placed('1@0:a-z:1-12 2@0:a-z:10-19')).toBe('2|1');
    expect(placed('1@0:a-c:1-12 2@0:d-z:10-19')).toBe('1 2');
  });

  it('that contradict one another, or go round in a circle, are not placed', () => {
    expect(
      placed('1@1:a-z:1-9 2@1:a-z:2-8', [
        [1, 2],
        [2, 1],
      ]),
    ).toBe('not 1 2');
    const circle = placed('1@1:a-z:1-9 2@1:a-z:2-8 3@1:a-z:3-7', [
      [1, 2],
      [2, 3],
      [3, 1],
    ]);
    expect(circle).toContain('not');
  });
});
