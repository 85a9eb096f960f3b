/** The deleted ranges of a table. See docs/formats/table.md. */
import { assert } from '../../base/assert.ts';
import { compareKeys } from '../../base/compare-bytes.ts';
import { readUint64, viewOf, writeUint64 } from '../../base/integers.ts';
import type { Refusal } from '../../base/refusal.ts';
import type { RangeTombstone } from '../entries/range-tombstones.ts';
import { BOUND_SIZE_MAX, TRAILER_SIZE } from './format.ts';

/** Sequence (8), size of the start (4), size of the end (4). */
const FRAGMENT_HEAD_SIZE = 16;

export function fragmentSize({ start, end }: RangeTombstone): number {
  return FRAGMENT_HEAD_SIZE + start.length + end.length;
}

/** The payload of the part, with room for a trailer. */
export function encodeRangeTombstones(
  fragments: readonly RangeTombstone[],
): Uint8Array<ArrayBuffer> {
  const size = fragments.reduce((sum, fragment) => sum + fragmentSize(fragment), 0);
  const bytes = new Uint8Array(size + TRAILER_SIZE);
  const view = viewOf(bytes);
  let at = 0;
  for (const fragment of fragments) {
    const { start, end, sequence } = fragment;
    writeUint64(view, at, sequence);
    view.setUint32(at + 8, start.length, true);
    view.setUint32(at + 12, end.length, true);
    bytes.set(start, at + FRAGMENT_HEAD_SIZE);
    bytes.set(end, at + FRAGMENT_HEAD_SIZE + start.length);
    at += fragmentSize(fragment);
  }
  assert(at === size, 'the deleted ranges have the size that was foreseen');
  return bytes;
}

/** Returns a reason if the bytes can't be such a part. */
export function decodeRangeTombstones(payload: Uint8Array): RangeTombstone[] | Refusal {
  const view = viewOf(payload);
  const fragments: RangeTombstone[] = [];
  let at = 0;
  while (at < payload.length) {
    if (at + FRAGMENT_HEAD_SIZE > payload.length) {
      return { reason: 'a deleted range is cut short' };
    }
    const sequence = readUint64(view, at);
    const startEnd = at + FRAGMENT_HEAD_SIZE + view.getUint32(at + 8, true);
    const endEnd = startEnd + view.getUint32(at + 12, true);
    if (endEnd > payload.length || !Number.isSafeInteger(sequence)) {
      return { reason: 'a deleted range does not fit its part' };
    }
    const fragment: RangeTombstone = {
      start: payload.slice(at + FRAGMENT_HEAD_SIZE, startEnd),
      end: payload.slice(startEnd, endEnd),
      sequence,
    };
    const before = fragments.at(-1);
    if (!isRange(fragment) || (before !== undefined && !followsFragment(before, fragment))) {
      return { reason: 'the deleted ranges are out of order' };
    }
    fragments.push(fragment);
    at = endEnd;
  }
  return fragments;
}

function isRange({ start, end }: RangeTombstone): boolean {
  return (
    start.length <= BOUND_SIZE_MAX && end.length <= BOUND_SIZE_MAX && compareKeys(start, end) < 0
  );
}

/** Fragments either are the same range, from the newest to the oldest, or do not overlap. */
export function followsFragment(before: RangeTombstone, fragment: RangeTombstone): boolean {
  if (compareKeys(before.start, fragment.start) === 0) {
    return compareKeys(before.end, fragment.end) === 0 && fragment.sequence < before.sequence;
  }
  return compareKeys(before.end, fragment.start) <= 0;
}
