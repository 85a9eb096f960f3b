import { describe, expect, it } from 'vitest';
import { type Lineage, type TableWithOrigin, traceLineage } from './lineage.ts';

/** `number<input,input#place` and `.` if it is the last output; without inputs it was flushed, with its number as its sequence. */
function tableOf(word: string): TableWithOrigin {
  const [, number, inputs, place, last] = /^(\d+)(?:<([\d,]+))?#(\d)(\.?)$/.exec(word)!;
  return {
    meta: {
      number: Number(number),
      size: 1,
      count: 1,
      deleteCount: 0,
      rangeDeleteCount: 0,
      rawSize: 1,
      minKey: Uint8Array.of(1),
      maxKey: Uint8Array.of(2),
      isMaxExclusive: false,
      minSequence: Number(number),
      maxSequence: Number(number),
      ingestSequence: undefined,
      digest: new Uint8Array(32),
    },
    madeFor: inputs === undefined ? 0 : 1,
    inputs: inputs?.split(',').map(Number) ?? [],
    outputIndex: Number(place),
    isLastOutput: last === '.',
  };
}

function traced(words: string, logStart = Infinity, unreadable: readonly number[] = []): string {
  const tables = words.split(' ').map(tableOf);
  const present = new Set([...tables.map(({ meta }) => meta.number), ...unreadable]);
  const lineage: Lineage = traceLineage(tables, present, (sequence) => logStart <= sequence);
  const { needed, replaced, unfinished, undecided } = lineage;
  const numbers = needed.map(({ meta }) => meta.number);
  return [numbers, replaced, unfinished, undecided].map((part) => part.join(' ')).join(' | ');
}

describe('without a manifest, needed | replaced | unfinished | undecided are', () => {
  it.each([
    ['flushes', '1#0. 2#0. 3#0.', '1 2 3 |  |  | '],
    ['a finished merge and its inputs', '1#0. 2#0. 3<1,2#0 4<1,2#1.', '3 4 | 1 2 |  | '],
    ['an interrupted merge and its inputs', '1#0. 2#0. 3<1,2#0 4<1,2#1', '1 2 |  | 3 4 | '],
    ['a merge without its first output', '1#0. 2#0. 4<1,2#1.', '1 2 |  | 4 | '],
    ['what is left of an old merge', '2#0. 3<1,2#0', '3 | 2 |  | '],
    ['a merge done again', '1#0. 2#0. 3<1,2#0 5<1,2#0 6<1,2#1.', '5 6 | 1 2 | 3 | '],
    ['what is left of a merge done again', '3<1,2#0 5<1,2#0 6<1,2#1.', '5 6 |  | 3 | '],
    ['a merge whose output was merged on', '1#0. 3<1#0 6<3,5#0.', '6 | 1 3 |  | '],
    ['a merge whose lost output may have been', '1#0. 3<1#0 6<4,5#0.', '1 6 |  |  | 3'],
    ['two merges on their way', '1#0. 2#0. 3<1#0. 4<2#0', '2 3 | 1 | 4 | '],
  ])('%s', (_what, words, expected) => {
    expect(traced(words)).toBe(expected);
  });

  it('an input that can’t be read is there all the same', () => {
    expect(traced('1#0. 3<1,2#0', Infinity, [2])).toBe('1 |  | 3 | ');
  });

  it('the newest flush may be unfinished, if the log has it', () => {
    expect(traced('1#0. 2#0', 1)).toBe('1 |  | 2 | ');
    expect(traced('1#0. 2#0', 2)).toBe('1 2 |  |  | ');
    expect(traced('1#0 2#0.', 0)).toBe('1 2 |  |  | ');
  });
});
