/**
 * Which tables hold versions that nobody can see any more. A snapshot keeps overwritten versions through flushes and merges; when it is
 * closed they stay in their tables until these are written anew. The manifest doesn't count them, and need not:
 *
 *   made since the store was opened   the snapshots are known that kept something in the table, if any did
 *   made before                       its snapshots are gone; the table itself says how many entries and how many keys it has
 */
import type { Clock } from '../../io/clock.ts';
import type { TableMeta } from '../sstable/table-meta.ts';
import type { SnapshotList } from './snapshot-list.ts';

/** Files that are looked at in one turn of the event loop: a few ms. */
const LOOKS_PER_TURN = 32;
const NOBODY: readonly number[] = Object.freeze([]);

export class HiddenVersions {
  readonly #snapshots: Pick<SnapshotList, 'sequences'>;
  readonly #keyCountOf: (table: TableMeta) => number;
  /** By table: the snapshots that may have kept versions in it when it was made. */
  readonly #keepers = new Map<number, readonly number[]>();
  /** Tables in which there was any. */
  readonly #kept = new Map<number, readonly number[]>();
  /** By table: entries beyond one a key, where somebody has looked. */
  readonly #counts = new Map<number, number>();

  /** `keyCountOf` gives the distinct keys of a table, from its file. */
  constructor(
    snapshots: Pick<SnapshotList, 'sequences'>,
    keyCountOf: (table: TableMeta) => number,
  ) {
    this.#snapshots = snapshots;
    this.#keyCountOf = keyCountOf;
  }

  /** Tables were made with these snapshots open. */
  made(tables: readonly TableMeta[], snapshots: readonly number[]): void {
    for (const { number, minSequence, maxSequence } of tables) {
      const keepers = snapshots.filter((at) => at >= minSequence && at < maxSequence);
      this.#keepers.set(number, keepers.length === 0 ? NOBODY : keepers);
      if (keepers.length > 0) {
        this.#kept.set(number, keepers);
      }
    }
  }

  /** Tables are not part of the store any more. */
  forget(tables: readonly TableMeta[]): void {
    for (const { number } of tables) {
      this.#keepers.delete(number);
      this.#kept.delete(number);
      this.#counts.delete(number);
    }
  }

  /** True if a snapshot may have kept versions in a table. */
  isKeeper(snapshot: number): boolean {
    return [...this.#kept.values()].some((keepers) => keepers.includes(snapshot));
  }

  /** About how many versions of a table would go if it were written anew. 0 for a table made before that nobody has looked at. */
  countIn(table: TableMeta): number {
    const keepers = this.#keepers.get(table.number);
    if (keepers === undefined) {
      return this.#counts.get(table.number) ?? 0;
    }
    if (keepers === NOBODY) {
      return 0;
    }
    const open = this.#snapshots.sequences();
    return keepers.every((keeper) => open.includes(keeper)) ? 0 : this.look(table);
  }

  /** Whether only a look at the file tells. */
  isUnknown({ number, count }: TableMeta): boolean {
    return count > 1 && !this.#keepers.has(number) && !this.#counts.has(number);
  }

  /** Looks at the files of tables that nobody knows about yet, letting others run in between. */
  async lookAt(tables: Iterable<TableMeta>, clock: Clock, hasEnded: () => boolean): Promise<void> {
    let looks = 0;
    for (const table of tables) {
      if (hasEnded() || !this.isUnknown(table)) {
        continue;
      }
      this.look(table);
      looks += 1;
      if (looks % LOOKS_PER_TURN === 0) {
        await clock.pause();
      }
    }
  }

  /** Looks at the file, if nobody has before. */
  look(table: TableMeta): number {
    let count = this.#counts.get(table.number);
    if (count === undefined) {
      count = this.#countFromFile(table);
      this.#counts.set(table.number, count);
    }
    return count;
  }

  #countFromFile(table: TableMeta): number {
    try {
      return table.count - this.#keyCountOf(table);
    } catch {
      // Nothing is gained by writing it anew if it can't be read: reads, merges and `verify` report that.
      return 0;
    }
  }
}
