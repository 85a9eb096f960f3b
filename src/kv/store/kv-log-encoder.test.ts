import { describe, expect, it } from 'vitest';
import { viewOf } from '../../base/integers.ts';
import type { FrameBody } from '../../journal/encoder.ts';
import { OffsetTable } from '../../journal/offset-table.ts';
import { encodeOperation, OPERATION_HEADER_SIZE, OperationKind } from './format.ts';
import { KvLogEncoder } from './kv-log-encoder.ts';

const key = Buffer.from('key');
const size = OPERATION_HEADER_SIZE + key.length;

function bodyOf(firstPosition: number, count: number): FrameBody {
  const bytes = Buffer.alloc(4 + count * size);
  for (let index = 0; index < count; index += 1) {
    encodeOperation(bytes, 4 + index * size, OperationKind.delete, key, new Uint8Array(0));
  }
  const view = viewOf(bytes);
  return { bytes, view, start: 4, size: count * size, firstPosition, count, fileOffset: 100 };
}

describe('the frames of a log that is read back', () => {
  it.each([
    [0, [11, 12, 13]],
    [10, [11, 12, 13]],
    [11, [11, 12, 13]],
    [12, [11, 12, 13]],
    [13, []],
    [14, []],
  ])('are shown whole unless tables hold all of them (up to %i)', (covered, expected) => {
    const seen: number[] = [];
    const offsets = new OffsetTable();
    const encoder = new KvLogEncoder((_kind, sequence) => seen.push(sequence), covered);
    expect(encoder.replay(bodyOf(10, 3), offsets)).toBeUndefined();
    expect(seen).toEqual(expected);
    expect([offsets.count, offsets.at(0), offsets.at(2)]).toEqual([3, 100, 100]);
  });

  it('are refused if they hold anything but their operations, where it matters', () => {
    const body = bodyOf(10, 3);
    body.bytes[4] = 99;
    const replay = (covered: number): string | undefined =>
      new KvLogEncoder(() => {}, covered).replay(body, new OffsetTable());
    expect(replay(12)).toMatch('of no known kind');
    expect(replay(13)).toBeUndefined();
  });
});
