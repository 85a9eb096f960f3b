/** Positions of the log that a tree's caller keeps: from the first up to the second, which is not among them. */
export interface Stretch {
  readonly from: number;
  readonly to: number;
}

/** What is known of a table without opening it: kept in the manifest. */
export interface TableMeta {
  /** Never used twice in a store; gives the file its name. */
  readonly number: number;
  /** Of the file. */
  readonly size: number;
  /** Entries, all versions of all keys. */
  readonly count: number;
  /** Of them, deletions of single keys. */
  readonly deleteCount: number;
  /** Fragments of deleted ranges. */
  readonly rangeDeleteCount: number;
  /** Bytes of keys and values, as given. */
  readonly rawSize: number;
  /** No key in the table, and no start of a deleted range, is smaller. */
  readonly minKey: Uint8Array;
  /** No key in the table is greater, and no deleted range ends behind it. */
  readonly maxKey: Uint8Array;
  /** `maxKey` is only the end of a deleted range: the table says nothing about that key itself. */
  readonly isMaxExclusive: boolean;
  readonly minSequence: number;
  readonly maxSequence: number;
  /** An ingested table: every entry in it counts as written with this sequence, whatever the file says. */
  readonly ingestSequence: number | undefined;
  /** SHA-256 over the file, but for the footer that holds it. */
  readonly digest: Uint8Array;
  /** All entries come from these positions; undefined if nobody knows. */
  readonly stretch?: Stretch | undefined;
}

/** Of what is made of some tables. */
export function joinedStretch(tables: readonly TableMeta[]): Stretch | undefined {
  let joined = tables[0]?.stretch;
  for (const { stretch } of tables) {
    joined =
      joined && stretch
        ? { from: Math.min(joined.from, stretch.from), to: Math.max(joined.to, stretch.to) }
        : undefined;
  }
  return joined;
}
