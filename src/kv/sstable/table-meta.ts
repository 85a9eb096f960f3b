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
}
