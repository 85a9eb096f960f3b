/**
 * Deleted ranges, cut into fragments that don't overlap, so that a lookup is one binary search:
 *
 *     [a ─────────── 5 ─────────── m)               [a, f) 5   [f, m) 9 5   [m, t) 9
 *               [f ──────── 9 ──────── t)
 *
 * Fragments that touch and say the same are one. A list holds a sequence per deletion, so many deletions of one range would
 * make it long: `add` drops those that no snapshot tells from a newer one, if it is told the snapshots.
 */
import { firstIndexWhere } from '../../base/binary-search.ts';
import { compareBytes, compareKeys } from '../../base/compare-bytes.ts';
import { assert } from '../../base/assert.ts';

/** The deletion of every key in [start, end) that was written before it. */
export interface RangeTombstone {
  readonly start: Uint8Array;
  readonly end: Uint8Array;
  readonly sequence: number;
}

/** [start, end), and the sequences of all deletions that cover it, newest first. */
export interface RangeFragment {
  readonly start: Uint8Array;
  readonly end: Uint8Array;
  readonly sequences: readonly number[];
}

export class RangeTombstones {
  /** Sorted, not overlapping; none is empty. */
  #fragments: RangeFragment[] = [];

  static from(tombstones: Iterable<RangeTombstone>): RangeTombstones {
    const made = new RangeTombstones();
    for (const tombstone of tombstones) {
      made.add(tombstone);
    }
    return made;
  }

  get isEmpty(): boolean {
    return this.#fragments.length === 0;
  }

  /** Valid until the next `add`. */
  get fragments(): readonly RangeFragment[] {
    return this.#fragments;
  }

  /**
   * Adds a deletion; its bytes are kept, not copied. An empty or inverted range deletes nothing. With `snapshots` (ascending,
   * all that read this list at less than its newest sequence), deletions that none of them needs are dropped.
   */
  add({ start, end, sequence }: RangeTombstone, snapshots?: readonly number[]): void {
    if (compareKeys(start, end) >= 0) {
      return;
    }
    const first = this.#firstEndingBehind(start, 0, start.length);
    const pieces: RangeFragment[] = [];
    let next = first;
    let reached = start;
    let fragment = this.#fragments[next];
    while (fragment !== undefined && compareKeys(fragment.start, end) < 0) {
      if (compareKeys(fragment.start, reached) < 0) {
        pushPiece(pieces, fragment.start, reached, fragment.sequences);
      } else {
        pushPiece(pieces, reached, fragment.start, [sequence]);
        reached = fragment.start;
      }
      const covered = compareKeys(fragment.end, end) < 0 ? fragment.end : end;
      pushPiece(pieces, reached, covered, withSequence(fragment.sequences, sequence, snapshots));
      pushPiece(pieces, covered, fragment.end, fragment.sequences);
      reached = fragment.end;
      next += 1;
      fragment = this.#fragments[next];
    }
    if (compareKeys(reached, end) < 0) {
      pushPiece(pieces, reached, end, [sequence]);
    }
    this.#replace(first, next, pieces);
  }

  /** The newest sequence, not greater than `sequence`, of a deletion that covers the key; 0 if there is none. */
  newestCovering(key: Uint8Array, keyStart: number, keyEnd: number, sequence: number): number {
    const index = this.#covering(key, keyStart, keyEnd);
    return index === -1 ? 0 : newestUpTo(this.#fragments[index]!.sequences, sequence);
  }

  /**
   * Where the run of fragments ends that covers the key at `sequence`, or undefined if none does. Of every key from there
   * back to this one, all that is not newer than `floor` is deleted for a reader at `sequence`.
   */
  endOfCover(
    key: Uint8Array,
    keyStart: number,
    keyEnd: number,
    sequence: number,
    floor: number = 0,
  ): Uint8Array | undefined {
    const fragments = this.#fragments;
    let index = this.#covering(key, keyStart, keyEnd);
    let end: Uint8Array | undefined;
    while (index !== -1 && index < fragments.length) {
      const fragment = fragments[index]!;
      const isConnected = end === undefined || compareKeys(end, fragment.start) === 0;
      if (!isConnected || newestUpTo(fragment.sequences, sequence) <= floor) {
        break;
      }
      end = fragment.end;
      index += 1;
    }
    return end;
  }

  /** Where the run of fragments starts that covers the key at `sequence`; the counterpart of `endOfCover`. */
  startOfCover(
    key: Uint8Array,
    keyStart: number,
    keyEnd: number,
    sequence: number,
    floor: number = 0,
  ): Uint8Array | undefined {
    const fragments = this.#fragments;
    let index = this.#covering(key, keyStart, keyEnd);
    let start: Uint8Array | undefined;
    while (index >= 0) {
      const fragment = fragments[index]!;
      const isConnected = start === undefined || compareKeys(fragment.end, start) === 0;
      if (!isConnected || newestUpTo(fragment.sequences, sequence) <= floor) {
        break;
      }
      start = fragment.start;
      index -= 1;
    }
    return start;
  }

  /** What there is of them in [from, to), in order of start, newest first. Undefined is no bound. */
  clip(from: Uint8Array | undefined, to: Uint8Array | undefined): RangeTombstone[] {
    const clipped: RangeTombstone[] = [];
    const fragments = this.#fragments;
    let index = from === undefined ? 0 : this.#firstEndingBehind(from, 0, from.length);
    for (; index < fragments.length; index += 1) {
      const fragment = fragments[index]!;
      const start =
        from !== undefined && compareKeys(fragment.start, from) < 0 ? from : fragment.start;
      const end = to !== undefined && compareKeys(to, fragment.end) < 0 ? to : fragment.end;
      if (compareKeys(start, end) >= 0) {
        break;
      }
      for (const sequence of fragment.sequences) {
        clipped.push({ start, end, sequence });
      }
    }
    return clipped;
  }

  /** The fragment that holds the key, or -1. */
  #covering(key: Uint8Array, keyStart: number, keyEnd: number): number {
    const fragments = this.#fragments;
    if (fragments.length === 0) {
      return -1;
    }
    const index = this.#firstEndingBehind(key, keyStart, keyEnd);
    if (index === fragments.length) {
      return -1;
    }
    const { start } = fragments[index]!;
    return compareBytes(start, 0, start.length, key, keyStart, keyEnd) <= 0 ? index : -1;
  }

  #firstEndingBehind(key: Uint8Array, keyStart: number, keyEnd: number): number {
    const fragments = this.#fragments;
    let low = 0;
    let high = fragments.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const { end } = fragments[middle]!;
      if (compareBytes(end, 0, end.length, key, keyStart, keyEnd) > 0) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
  }

  /** Puts pieces in the place of the fragments from `first` up to `next`; neighbours may continue them. */
  #replace(first: number, next: number, pieces: RangeFragment[]): void {
    assert(pieces.length > 0, 'a deletion leaves a piece at least');
    const before = this.#fragments[first - 1];
    const after = this.#fragments[next];
    let from = first;
    let to = next;
    if (before !== undefined && continues(before, pieces[0]!)) {
      pieces[0] = { ...pieces[0]!, start: before.start };
      from -= 1;
    }
    const last = pieces.length - 1;
    if (after !== undefined && continues(pieces[last]!, after)) {
      pieces[last] = { ...pieces[last]!, end: after.end };
      to += 1;
    }
    if (pieces.length <= SPLICE_MAX) {
      this.#fragments.splice(from, to - from, ...pieces);
    } else {
      const kept = this.#fragments;
      this.#fragments = kept.slice(0, from).concat(pieces, kept.slice(to));
    }
  }
}

/** Arguments of a call lie on the stack. */
const SPLICE_MAX = 1_000;

/**
 * Of the sequences of one place, newest first, those that a reader can tell apart: the newest one, and for each snapshot the
 * newest that is not newer than it.
 */
export function neededSequences(
  sequences: readonly number[],
  snapshots: readonly number[],
): readonly number[] {
  let lastStripe = -1;
  const needed = sequences.filter((sequence) => {
    const stripe = stripeOf(sequence, snapshots);
    const isNewest = stripe !== lastStripe;
    lastStripe = stripe;
    return isNewest;
  });
  return needed.length === sequences.length ? sequences : needed;
}

/**
 * Readers see the same of all sequences in a stripe: the index of the oldest snapshot that is not older than `sequence`, or
 * how many there are if all are older.
 */
export function stripeOf(sequence: number, snapshots: readonly number[]): number {
  return firstIndexWhere(snapshots.length, (index) => snapshots[index]! >= sequence);
}

function newestUpTo(sequences: readonly number[], sequence: number): number {
  if (sequences[0]! <= sequence) {
    return sequences[0]!;
  }
  return (
    sequences[firstIndexWhere(sequences.length, (index) => sequences[index]! <= sequence)] ?? 0
  );
}

function withSequence(
  sequences: readonly number[],
  sequence: number,
  snapshots: readonly number[] | undefined,
): readonly number[] {
  if (sequence > sequences[0]!) {
    // The newest one, nearly always. Who told of no snapshots may add many: one copy each, and no search.
    const newer = [sequence].concat(sequences);
    return snapshots === undefined ? newer : neededSequences(newer, snapshots);
  }
  const older = sequences.findIndex((other) => other <= sequence);
  const index = older === -1 ? sequences.length : older;
  const all =
    sequences[index] === sequence
      ? sequences
      : [...sequences.slice(0, index), sequence, ...sequences.slice(index)];
  return snapshots === undefined ? all : neededSequences(all, snapshots);
}

/** Adds [start, end) unless it is empty, to the piece before if that says the same. */
function pushPiece(
  pieces: RangeFragment[],
  start: Uint8Array,
  end: Uint8Array,
  sequences: readonly number[],
): void {
  if (compareKeys(start, end) >= 0) {
    return;
  }
  const piece = { start, end, sequences };
  const last = pieces.at(-1);
  if (last !== undefined && continues(last, piece)) {
    pieces[pieces.length - 1] = { start: last.start, end, sequences };
  } else {
    pieces.push(piece);
  }
}

function continues(left: RangeFragment, right: RangeFragment): boolean {
  return compareKeys(left.end, right.start) === 0 && areSame(left.sequences, right.sequences);
}

function areSame(left: readonly number[], right: readonly number[]): boolean {
  return (
    left === right ||
    (left.length === right.length &&
      left[0] === right[0] &&
      left.every((sequence, index) => sequence === right[index]))
  );
}
