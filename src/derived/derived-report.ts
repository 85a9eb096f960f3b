/** What comparing derived data with the log has found. */

export interface DerivedProblem {
  /** What is wrong, in a sentence. */
  readonly what: string;
  /**
   * Which entries: `keys`, `ids`, `heads`, `events` of streams, `counts`; `tables` if files are damaged, `unread` if they can't be read
   * now, `log` if that can't be compared with.
   */
  readonly entries: 'keys' | 'ids' | 'heads' | 'events' | 'counts' | 'tables' | 'unread' | 'log';
  /** It is among these positions. */
  readonly firstPosition?: number;
  readonly lastPosition?: number;
  readonly stream?: string;
  readonly file?: string;
  readonly offset?: number;
}

/** Derived data, compared with the log. Damage of it costs no event: it is made again from the log. */
export interface DerivedReport {
  /** Everything was compared and is as it must be. */
  readonly ok: boolean;
  /** Positions below it are covered. */
  readonly covered: number;
  /** Entries of tables that were looked at. */
  readonly entries: number;
  /** At most 1,000; `problemCount` counts all. */
  readonly problems: readonly DerivedProblem[];
  readonly problemCount: number;
}
