import type { VarveError } from '../base/errors.ts';
import type { Answers } from '../derived/answers.ts';
import type { PendingCommit } from './pending-commit.ts';
import type { PreparedCommit } from './prepared-commit.ts';

/** A commit that waits for room, or for what is being read for it. */
export interface Waiting {
  readonly commit: PreparedCommit;
  readonly pending: PendingCommit;
  /** What was read for it. */
  answers: Answers | undefined;
  isReading: boolean;
  /** Why it can't be decided. */
  failure: VarveError | undefined;
}
