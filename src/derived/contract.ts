import type { VarveError } from '../base/errors.ts';
import type { RecordView } from '../log/record-view.ts';

/**
 * A structure that is computed from the log and may be thrown away: an index, whether it lies in memory or in files. The log is the only
 * authority; what is derived is only ever behind it. Its life: made or opened, the log replayed from `covered` on, then told of each
 * commit as it gets its position, closed.
 */
export interface Derived {
  /** Positions below it need not be replayed when the store is opened next. 0 for what lies in memory. */
  readonly covered: number;
  /** Why it can't answer any more. A structure that has failed throws when it is asked, and never answers wrongly. */
  readonly failure: VarveError | undefined;
  /** Takes in the next record at or above `covered`, at open. Returns what is wrong with the record, if that shows here. */
  replay(record: RecordView): string | undefined;
  /** Resolves when everything below `position`, which must be durable, is covered, or can't be: `failure` says why. */
  flush(position: number): Promise<void>;
  /** Gives back what it holds. What isn't covered is replayed at the next open. */
  close(): Promise<void>;
}
