/** A commit in flight, from the call to the answer: one object, whatever waits for it. */
import { type VarveError, withApplied } from '../base/errors.ts';
import { PendingFrame } from '../journal/pending-frame.ts';
import type { AppendResult, CommitResult } from './contract.ts';

/** Made by whoever submits a commit; told once what became of it, by `appended`, `repeated` or `reject`. */
export abstract class PendingCommit extends PendingFrame {
  /** Recorded time of the commit. Known, like what follows and `firstPosition`, from when the commit has its position. */
  time = 0;
  /** Of the commit's last event. */
  revision = 0;
  /** With more than one part: each stream once, with its revisions. */
  streams: CommitResult['streams'] | undefined;
  #isTold = false;
  #followers: Follower[] | undefined;

  /** Of the commit's first event, if it has one part: revisions have no gaps. */
  get firstRevision(): number {
    return this.revision - this.count + 1;
  }

  get lastPosition(): number {
    return this.firstPosition + this.count - 1;
  }

  /** The commit is where its maker wants it: durable, or written. */
  abstract appended(): void;
  /** It was appended before; this is what was answered then. */
  abstract repeated(result: CommitResult): void;
  /** It was refused, or lost: the error says whether it took effect. */
  protected abstract refused(error: VarveError): void;

  reject(error: VarveError): void {
    this.refused(withApplied(error, 'unknown'));
  }

  /** Someone whose answer may be given only when this commit is durable, and who fails if it fails. */
  follow(follower: Follower): void {
    (this.#followers ??= []).push(follower);
  }

  written(): void {
    this.#isTold = true;
    this.appended();
  }

  durable(): void {
    if (!this.#isTold) {
      this.appended();
    }
    if (this.#followers !== undefined) {
      for (const follower of this.#followers) {
        follower.answer();
      }
    }
  }

  failed(error: VarveError): void {
    if (!this.#isTold) {
      this.reject(error);
    }
    for (const follower of this.#followers ?? []) {
      follower.reject(error);
    }
  }
}

export interface Follower {
  answer(): void;
  reject(error: VarveError): void;
}

/** Answered as `append` answers. */
export class PendingAppend extends PendingCommit {
  readonly #resolve: (result: AppendResult) => void;
  readonly #reject: (error: VarveError) => void;

  constructor(
    wantsWritten: boolean,
    resolve: (result: AppendResult) => void,
    reject: (error: VarveError) => void,
  ) {
    super(wantsWritten);
    this.#resolve = resolve;
    this.#reject = reject;
  }

  appended(): void {
    const { firstPosition, lastPosition, firstRevision, revision, time } = this;
    const outcome = 'appended';
    this.#resolve({ outcome, firstPosition, lastPosition, firstRevision, revision, time });
  }

  repeated({ outcome, firstPosition, lastPosition, streams, time }: CommitResult): void {
    const { firstRevision, revision } = streams[0]!;
    this.#resolve({ outcome, firstPosition, lastPosition, firstRevision, revision, time });
  }

  protected refused(error: VarveError): void {
    this.#reject(error);
  }
}

/** Answered as `commit` answers. */
export class PendingParts extends PendingCommit {
  readonly #firstStream: string;
  readonly #resolve: (result: CommitResult) => void;
  readonly #reject: (error: VarveError) => void;

  constructor(
    wantsWritten: boolean,
    firstStream: string,
    resolve: (result: CommitResult) => void,
    reject: (error: VarveError) => void,
  ) {
    super(wantsWritten);
    this.#firstStream = firstStream;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  appended(): void {
    const { firstPosition, lastPosition, firstRevision, revision, time } = this;
    const streams = this.streams ?? [{ stream: this.#firstStream, firstRevision, revision }];
    this.#resolve({ outcome: 'appended', firstPosition, lastPosition, time, streams });
  }

  repeated(result: CommitResult): void {
    this.#resolve(result);
  }

  protected refused(error: VarveError): void {
    this.#reject(error);
  }
}
