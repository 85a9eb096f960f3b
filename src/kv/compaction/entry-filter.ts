/**
 * Which entries survive. Snapshots cut the sequences into stripes; no reader tells apart what lies in one stripe:
 *
 *     sequences   1 2 3 4 5 6 7 8 9 10 …
 *     snapshots         S     S
 *     stripes     └─ 0 ─┘└ 1 ┘└─ 2 ─ …        readers at the newest sequence see the last one
 *
 * Of a key's versions the newest in each stripe survives, unless a deleted range of the same stripe covers it. A deletion in
 * stripe 0 hides nothing but what lies deeper, so it goes when nothing does. The same holds for deleted ranges.
 */
import { compareBytes } from '../../base/compare-bytes.ts';
import { type Cursor, EntryKind } from '../entries/cursor.ts';
import {
  neededSequences,
  type RangeTombstone,
  type RangeTombstones,
  stripeOf,
} from '../entries/range-tombstones.ts';
import type { DeeperKeys } from './deeper-keys.ts';

export class EntryFilter {
  /** The entry given last has another key than the one before. */
  isNewKey = false;
  readonly #snapshots: readonly number[];
  readonly #rangeTombstones: RangeTombstones;
  readonly #hasRanges: boolean;
  readonly #deeper: DeeperKeys;
  #key: Uint8Array = new Uint8Array(256);
  /** -1 before the first entry. */
  #keySize = -1;
  #stripe = -1;

  /** `snapshots` ascend; `rangeTombstones` are those of all sources. */
  constructor(snapshots: readonly number[], rangeTombstones: RangeTombstones, deeper: DeeperKeys) {
    this.#snapshots = snapshots;
    this.#rangeTombstones = rangeTombstones;
    this.#hasRanges = !rangeTombstones.isEmpty;
    this.#deeper = deeper;
  }

  /** Whether the entry survives. Is asked about all entries, in internal order. */
  keeps(entry: Cursor): boolean {
    const { keyBytes, keyStart, keyEnd, sequence } = entry;
    const stripe = stripeOf(sequence, this.#snapshots);
    this.isNewKey = this.#takeKey(keyBytes, keyStart, keyEnd);
    if (!this.isNewKey && stripe === this.#stripe) {
      return false;
    }
    this.#stripe = stripe;
    if (this.#hasRanges) {
      // What is newest in the stripe hides the entry even if it is dropped itself.
      const newestSeen = this.#snapshots[stripe] ?? Number.MAX_SAFE_INTEGER;
      const ranges = this.#rangeTombstones;
      if (ranges.newestCovering(keyBytes, keyStart, keyEnd, newestSeen) > sequence) {
        return false;
      }
    }
    const isNeeded =
      entry.kind === EntryKind.put ||
      stripe > 0 ||
      this.#deeper.mayHold(keyBytes, keyStart, keyEnd);
    return isNeeded;
  }

  /** The deleted ranges that survive, in order of start, newest first. */
  survivingRanges(): RangeTombstone[] {
    const survivors: RangeTombstone[] = [];
    for (const { start, end, sequences } of this.#rangeTombstones.fragments) {
      const mayHold = this.#deeper.mayHoldIn(start, end);
      for (const sequence of neededSequences(sequences, this.#snapshots)) {
        if (mayHold || stripeOf(sequence, this.#snapshots) > 0) {
          survivors.push({ start, end, sequence });
        }
      }
    }
    return survivors;
  }

  /** Keeps the key, for its bytes don't stay. False if it is the one before. */
  #takeKey(bytes: Uint8Array, start: number, end: number): boolean {
    const size = end - start;
    if (size === this.#keySize && compareBytes(this.#key, 0, size, bytes, start, end) === 0) {
      return false;
    }
    if (size > this.#key.length) {
      this.#key = new Uint8Array(2 * size);
    }
    const key = this.#key;
    for (let index = 0; index < size; index += 1) {
      key[index] = bytes[start + index]!;
    }
    this.#keySize = size;
    return true;
  }
}
