/**
 * Scenarios as text. A line is a level, a word a table: `number:min-max`, with `)` if its end is exclusive, `*size` (default 10), and
 * `!` if it is mostly deletions.
 */
import { describe, expect, it } from 'vitest';
import { LEVEL_COUNT, Levels } from '../manifest/levels.ts';
import type { TableMeta } from '../sstable/table-meta.ts';
import {
  type CompactionPlan,
  type Kept,
  NOTHING_KEPT,
  pickCompaction,
  pickManual,
} from './compaction-picker.ts';
import { debtOf, levelZeroDepth, pressureOf } from './compaction-pressure.ts';
import { type CompactionSettings, compactionSettings } from './compaction-settings.ts';

const settings: CompactionSettings = compactionSettings({
  memtableSize: 20,
  tableSizeMax: 10,
  levelBaseSize: 40,
  levelMultiplier: 4,
});
const text = new TextEncoder();
const idle: ReadonlySet<number> = new Set();
const noCursors: readonly undefined[] = Array.from({ length: LEVEL_COUNT }, () => undefined);

function levelsOf(picture: string): Levels {
  const tables: TableMeta[][] = Array.from({ length: LEVEL_COUNT }, () => []);
  for (const line of picture.trim().split('\n')) {
    const [level, ...words] = line.trim().split(/\s+/);
    tables[Number(level)] = words.map(tableOf);
  }
  return Levels.from(tables);
}

function tableOf(word: string): TableMeta {
  const parts = /^(\d+):(\w+)-(\w+)(\)?)(?:\*(\d+))?(!?)$/.exec(word)!;
  const [, number, min, max, exclusive, size, deletions] = parts;
  return {
    number: Number(number),
    size: Number(size ?? 10),
    count: 4,
    deleteCount: deletions === '!' ? 3 : 0,
    rangeDeleteCount: 0,
    rawSize: 10,
    minKey: text.encode(min),
    maxKey: text.encode(max),
    isMaxExclusive: exclusive === ')',
    minSequence: Number(number),
    maxSequence: Number(number),
    ingestSequence: undefined,
    digest: new Uint8Array(32),
  };
}

function numbersOf(tables: readonly TableMeta[]): string {
  return tables.map(({ number }) => number).join(' ');
}

function textOf(plan: CompactionPlan | 'busy' | undefined): string {
  if (plan === undefined || plan === 'busy') {
    return plan ?? 'nothing';
  }
  const what = plan.isTrivialMove ? 'move' : 'merge';
  const inputs = plan.inputs.map(numbersOf).join(' | ');
  const deeper = plan.deeper.length > 0 ? ` above ${numbersOf(plan.deeper)}` : '';
  return `${what} ${inputs} to ${plan.outputLevel}${deeper}`;
}

function picked(
  picture: string,
  busy: ReadonlySet<number> = idle,
  kept: Partial<Kept> = {},
): string {
  return textOf(
    pickCompaction(levelsOf(picture), noCursors, settings, busy, { ...NOTHING_KEPT, ...kept }),
  );
}

function scanned(picture: string, busy: ReadonlySet<number> = idle): string {
  return textOf(pickCompaction(levelsOf(picture), noCursors, settings, busy, NOTHING_KEPT, true));
}

describe('level 0', () => {
  it('is left alone below its trigger', () => {
    expect(picked('0 3:a-z 2:a-z 1:a-z')).toBe('nothing');
  });

  it('is merged whole, newest first, with all of level 1 in its range', () => {
    expect(
      picked('0 9:a-k 8:c-z 7:a-e 6:b-d\n1 1:c-e 2:f-g 3:zz-zzz\n2 4:a-b 5:y-z\n4 10:d-d'),
    ).toBe('merge 9 | 8 | 7 | 6 | 1 2 to 1 above 4 5 10');
  });

  it('is merged by its size, too', () => {
    expect(picked('0 3:a-z*70 2:a-z\n1 1:b-c')).toBe('merge 3 | 2 | 1 to 1');
  });

  it('is merged earlier once scans have paid for it', () => {
    expect(scanned('0 3:a-z 2:a-z\n1 1:b-c')).toBe('merge 3 | 2 | 1 to 1');
    expect(scanned('0 3:a-z 2:a-z\n1 1:b-c', new Set([1]))).toBe('nothing');
    expect(scanned('1 1:b-c')).toBe('nothing');
    // What is urgent comes first.
    const picture = '0 30:a-z\n1 1:a-b 2:c-d 3:e-f 4:g-h 5:i-j';
    expect(scanned(picture)).toBe(picked(picture));
    expect(picked(picture)).not.toBe('nothing');
  });

  it('of tables side by side moves down as it is', () => {
    expect(picked('0 8:g-h 7:e-f 6:c-d 5:a-b 4:o-p 3:m-n 2:k-l 1:i-j')).toBe(
      'move 8 | 7 | 6 | 5 | 4 | 3 | 2 | 1 to 1',
    );
  });

  it('of small tables side by side is merged rather than kept small', () => {
    const words = Array.from({ length: 8 }, (_, index) => `${index + 1}:${index}-${index}*1`);
    expect(picked(`0 ${words.join(' ')}`)).toBe('merge 8 | 7 | 6 | 5 | 4 | 3 | 2 | 1 to 1');
  });

  it('waits while one of its tables, or one below it, is busy', () => {
    const picture = '0 9:a-k 8:c-z 7:a-e 6:b-d\n1 1:c-e';
    expect(picked(picture, new Set([7]))).toBe('nothing');
    expect(picked(picture, new Set([1]))).toBe('nothing');
    expect(picked(picture, new Set([100]))).not.toBe('nothing');
  });
});

describe('a level that is too large', () => {
  const picture = '1 1:a-b 2:c-d 3:e-f 4:g-h 5:i-j\n2 11:a-c 12:d-f 13:g-z\n3 20:a-m*90 21:n-z*90';

  it('gives the run with the least below it to the next level', () => {
    // 1 alone meets 11 (ratio 1), 1 and 2 meet 11 and 12 (1), 1 to 3 the same two (2/3), 1 to 4 all three (3/4).
    expect(picked(picture)).toBe('merge 1 2 3 | 11 12 to 2 above 20');
  });

  it('goes on behind its cursor, and round', () => {
    const cursors = [undefined, text.encode('f')];
    const plan = pickCompaction(levelsOf(picture), cursors, settings, idle)!;
    expect(textOf(plan)).toBe('merge 4 5 | 13 to 2 above 20 21');
    expect(plan.cursorKey).toEqual(text.encode('j'));
    expect(
      textOf(pickCompaction(levelsOf(picture), [undefined, plan.cursorKey], settings, idle)),
    ).toBe('merge 1 2 3 | 11 12 to 2 above 20');
  });

  it('leaves what is busy to whoever is busy with it, and doesn’t count it', () => {
    const larger = picture.replace('5:i-j', '5:i-j 6:k-l 7:m-n');
    expect(picked(larger, new Set([12, 3]))).toBe('merge 1 | 11 to 2 above 20');
    expect(picked(picture, new Set([12]))).toBe('merge 1 | 11 to 2 above 20');
    expect(picked(picture, new Set([1, 2]))).toBe('nothing');
  });

  it('moves a table that meets nothing', () => {
    expect(picked('1 1:a-b 2:c-d 3:e-f 4:g-h 5:i-j\n2 11:c-z')).toBe('move 1 to 2');
  });

  it('does not move a table over much that it would have to be merged with next', () => {
    const below = Array.from(
      { length: 11 },
      (_, index) => `${20 + index}:a${index + 10}-a${index + 10}`,
    );
    expect(picked(`1 1:a-b 2:c-d 3:e-f 4:g-h 5:i-j\n2 11:c-z\n3 ${below.join(' ')}`)).toContain(
      'merge 1 to 2',
    );
  });

  it('ends where a range is exclusive: what begins there may stay', () => {
    expect(picked('1 1:a-c) 2:c-d 3:e-f 4:g-h 5:i-j\n2 10:b-c) 11:cc-z*90')).toBe(
      'merge 1 | 10 to 2',
    );
  });

  it('the more urgent level comes first', () => {
    const crowded = Array.from(
      { length: 20 },
      (_, index) => `${20 + index}:a${index + 10}-a${index + 10}`,
    );
    expect(picked(`1 1:a-b 2:c-d 3:e-f 4:g-h*11\n2 ${crowded.join(' ')} 41:b-c*150`)).toContain(
      'to 3',
    );
  });
});

describe('deletions', () => {
  it('go down although the level is small enough', () => {
    expect(picked('1 1:a-b! 2:c-d\n2 3:a-a\n3 4:b-c')).toBe('merge 1 | 3 to 2 above 4');
    expect(picked('1 1:a-b! 2:c-d\n3 4:b-c')).toBe('merge 1 to 2 above 4');
  });

  it('are dropped in their place where nothing lies deeper', () => {
    expect(picked('1 1:a-b! 2:c-d\n2 4:x-y')).toBe('merge 1 to 1');
    expect(picked('6 1:a-b!')).toBe('merge 1 to 6');
  });

  it('wait for the snapshots that need them', () => {
    expect(picked('1 5:a-b!\n2 4:a-b', idle, { oldestSnapshot: 4 })).toBe('nothing');
    expect(picked('1 5:a-b!\n2 4:a-b', idle, { oldestSnapshot: 5 })).toBe('merge 5 | 4 to 2');
  });

  it('of ranges count for many', () => {
    const levels = Levels.from([[], [{ ...tableOf('5:a-b'), rangeDeleteCount: 1 }]]);
    expect(textOf(pickCompaction(levels, noCursors, settings, idle))).toBe('merge 5 to 1');
  });
});

/** Table 5 has so many versions that nobody sees. */
function hiding(count: number): Kept {
  return { ...NOTHING_KEPT, hiddenIn: ({ number }) => (number === 5 ? count : 0) };
}

describe('versions that nobody sees any more', () => {
  it('have their table written anew where it is, if they are many', () => {
    expect(picked('1 5:a-b\n2 4:a-b', idle, hiding(2))).toBe('merge 5 to 1 above 4');
    expect(picked('2 5:a-b\n1 6:c-d', idle, hiding(2))).toBe('merge 5 to 2');
    expect(picked('1 5:a-b\n2 4:a-b', idle, hiding(1))).toBe('nothing');
    expect(picked('1 5:a-b\n2 4:a-b', new Set([5]), hiding(2))).toBe('nothing');
  });

  it('go with a merge by hand, even a single one', () => {
    const range = { from: undefined, to: undefined };
    const levels = levelsOf('1 5:a-b 6:c-d');
    expect(textOf(pickManual(levels, range, 1, settings, idle, hiding(1)))).toBe('merge 5 to 1');
    expect(textOf(pickManual(levels, range, 1, settings, idle))).toBe('nothing');
  });
});

describe('a merge by hand', () => {
  const levels = levelsOf('0 9:a-k\n1 1:c-e 2:f-g! 3:h-z\n2 4:a-b 5:y-z\n4 10:d-d 11:q-r!');
  const by = (level: number, from?: string, to?: string, busy = idle): string => {
    const range = {
      from: from === undefined ? undefined : text.encode(from),
      to: to === undefined ? undefined : text.encode(to),
    };
    return textOf(pickManual(levels, range, level, settings, busy));
  };

  it('takes a level’s tables of the range to the next level, as long as something lies deeper', () => {
    expect(by(0)).toBe('merge 9 | 1 2 3 to 1 above 4 5 10 11');
    expect(by(1)).toBe('merge 1 2 3 | 5 to 2 above 10 11');
    expect(by(1, 'd', 'd')).toBe('move 1 to 2 above 10');
    expect(by(2, 'a', 'b')).toBe('nothing');
  });

  it('drops deletions at the bottom, and asks for nothing else there', () => {
    expect(by(1, 'f', 'f')).toBe('merge 2 to 1');
    expect(by(4)).toBe('merge 11 to 4');
    expect(by(4, 'd', 'd')).toBe('nothing');
    expect(by(0, 'x')).toBe('nothing');
  });

  it('says when somebody else is at it', () => {
    expect(by(1, undefined, undefined, new Set([3]))).toBe('busy');
    expect(by(0, undefined, undefined, new Set([9]))).toBe('busy');
  });

  it('is done in steps of bounded size', () => {
    const words = Array.from(
      { length: 90 },
      (_, index) => `${index + 1}:a${index + 10}-a${index + 10}`,
    );
    const many = levelsOf(`1 ${words.join(' ')}\n2 100:a-z`);
    const range = { from: undefined, to: undefined };
    const plan = pickManual(many, range, 1, settings, idle) as CompactionPlan;
    expect(plan.inputs[0]!.length).toBeGreaterThan(5);
    expect(plan.inputs[0]!.length).toBeLessThan(40);
  });
});

describe('pressure', () => {
  it('counts the tables that a read meets: the parts of one flush are one', () => {
    expect(levelZeroDepth(levelsOf('0 4:a-b 3:c-d 2:a-b 1:c-d'), settings)).toBe(2);
    expect(levelZeroDepth(levelsOf('0 2:a-m) 1:m-z'), settings)).toBe(1);
    expect(levelZeroDepth(levelsOf('0 2:a-m 1:m-z'), settings)).toBe(2);
    expect(levelZeroDepth(Levels.empty, settings)).toBe(0);
  });

  it('grows with the depth of level 0', () => {
    const pressures = [0, 7, 8, 19, 20].map((count) => {
      const words = Array.from({ length: count }, (_, index) => `${index + 1}:a-b`);
      return pressureOf(levelsOf(`0 ${words.join(' ')}`), settings);
    });
    expect(pressures).toEqual(['none', 'none', 'slow', 'slow', 'stop']);
  });

  it('grows with what waits to be rewritten', () => {
    const levels = levelsOf('1 1:a-b*140\n2 2:a-c*100\n3 3:a-z*600');
    // 100 too much in level 1 meet 100 / 140 of level 2; 40 of them are too much there and meet three times as much.
    const debt = 100 * (1 + 100 / 140) + 40 * (1 + 600 / 200);
    expect(debtOf(levels, settings)).toBeCloseTo(debt);
    expect(pressureOf(levels, { ...settings, debtSlow: debt + 1, debtStop: debt + 2 })).toBe(
      'none',
    );
    expect(pressureOf(levels, { ...settings, debtSlow: debt - 1, debtStop: debt + 2 })).toBe(
      'slow',
    );
    expect(pressureOf(levels, { ...settings, debtSlow: 1, debtStop: debt - 1 })).toBe('stop');
    expect(debtOf(levelsOf('1 1:a-b*40'), settings)).toBe(0);
  });
});
