import type { Derived } from '../derived/contract.ts';

/**
 * Answers "which positions may hold this key of this scope?". Scope and key are one name: the same key in another scope is another. An index never says yes: what it names is confirmed against the log by
 * whoever asks. It never forgets either: a key that was added is named by `candidates` for the life of the store. A lookup
 * that can't be answered throws; it is never answered with "not seen".
 */
export interface IdempotencyIndex extends Derived {
  /** Notes that the key stands in the log at `position`. The empty scope is one like any other. */
  add(scope: string, key: string, position: number): void;
  /** Positions where the key may stand, the likeliest first; empty means it surely was never added. */
  candidates(scope: string, key: string): readonly number[];
  /** Keys held. */
  readonly count: number;
}
