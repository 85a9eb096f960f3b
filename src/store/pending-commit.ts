import type { VarveError } from '../base/errors.ts';
import { PendingFrame } from '../journal/pending-frame.ts';
import type { CommitResult } from './contract.ts';

/** What has become of a commit: a promise in the making, and those whose answers depend on it. */
export class PendingCommit extends PendingFrame {
  readonly #result: CommitResult;
  readonly #resolve: (result: CommitResult) => void;
  readonly #reject: (error: VarveError) => void;
  #followers: Follower[] | undefined;

  constructor(
    result: CommitResult,
    isWrittenEnough: boolean,
    resolve: (result: CommitResult) => void,
    reject: (error: VarveError) => void,
  ) {
    super(isWrittenEnough);
    this.#result = result;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Someone whose answer may be given only when this commit is durable, and who fails if it fails. */
  follow(follower: Follower): void {
    (this.#followers ??= []).push(follower);
  }

  written(): void {
    this.#resolve(this.#result);
  }

  durable(): void {
    this.#resolve(this.#result);
    for (const follower of this.#followers ?? []) {
      follower.answer();
    }
  }

  failed(error: VarveError): void {
    this.#reject(error);
    for (const follower of this.#followers ?? []) {
      follower.reject(error);
    }
  }
}

export interface Follower {
  answer(): void;
  reject(error: VarveError): void;
}
