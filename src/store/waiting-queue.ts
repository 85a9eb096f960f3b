import { onAbort } from '../base/abort-listeners.ts';
import type { PendingCommit } from './pending-commit.ts';
import type { PreparedCommit } from './prepared-commit.ts';

/** A commit that waits for room. */
export interface Waiting {
  readonly commit: PreparedCommit;
  readonly pending: PendingCommit;
}

interface Numbered extends Waiting {
  /** Grows with each commit that joins. */
  readonly number: number;
}

interface Listening {
  readonly unlisten: () => void;
  count: number;
}

/**
 * Commits that wait for room, in the order of their calls. A signal is listened to once, however many commits share it,
 * and takes all of them out in one step.
 */
export class WaitingQueue {
  readonly #onAborted: (aborted: readonly Waiting[], signal: AbortSignal) => void;
  readonly #signals = new Map<AbortSignal, Listening>();
  #queue: Numbered[] = [];
  #head = 0;
  #lastNumber = 0;
  #observers: { readonly number: number; readonly resolve: () => void }[] = [];

  /** `onAborted` hears of commits that a signal has taken out. */
  constructor(onAborted: (aborted: readonly Waiting[], signal: AbortSignal) => void) {
    this.#onAborted = onAborted;
  }

  get count(): number {
    return this.#queue.length - this.#head;
  }

  first(): Waiting | undefined {
    return this.#queue[this.#head];
  }

  push(commit: PreparedCommit, pending: PendingCommit): void {
    this.#listen(commit.signal);
    this.#lastNumber += 1;
    this.#queue.push({ commit, pending, number: this.#lastNumber });
  }

  /** Takes out the first one, which has been decided. */
  shift(): void {
    const first = this.#queue[this.#head]!;
    this.#head += 1;
    if (this.#head === this.#queue.length) {
      this.#queue = [];
      this.#head = 0;
    } else if (this.#head > 1_024 && this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    this.#unlisten(first.commit.signal);
    this.#tellObservers();
  }

  /** Takes out everybody. */
  takeAll(): readonly Waiting[] {
    const all = this.#queue.slice(this.#head);
    this.#queue = [];
    this.#head = 0;
    for (const { commit } of all) {
      this.#unlisten(commit.signal);
    }
    this.#tellObservers();
    return all;
  }

  /** Resolves when nobody waits any more who waits now. */
  async passed(): Promise<void> {
    if (this.count > 0) {
      const number = this.#lastNumber;
      await new Promise<void>((resolve) => this.#observers.push({ number, resolve }));
    }
  }

  #listen(signal: AbortSignal | undefined): void {
    if (signal === undefined) {
      return;
    }
    const known = this.#signals.get(signal);
    if (known !== undefined) {
      known.count += 1;
      return;
    }
    const unlisten = onAbort(signal, () => this.#abort(signal));
    this.#signals.set(signal, { unlisten, count: 1 });
  }

  #unlisten(signal: AbortSignal | undefined): void {
    const listening = signal === undefined ? undefined : this.#signals.get(signal);
    if (signal === undefined || listening === undefined) {
      return;
    }
    listening.count -= 1;
    if (listening.count === 0) {
      this.#signals.delete(signal);
      listening.unlisten();
    }
  }

  #abort(signal: AbortSignal): void {
    const waiting = this.#queue.slice(this.#head);
    const aborted = waiting.filter(({ commit }) => commit.signal === signal);
    this.#queue = waiting.filter(({ commit }) => commit.signal !== signal);
    this.#head = 0;
    this.#signals.delete(signal);
    this.#tellObservers();
    this.#onAborted(aborted, signal);
  }

  #tellObservers(): void {
    if (this.#observers.length === 0) {
      return;
    }
    const first = this.#queue[this.#head]?.number ?? Number.POSITIVE_INFINITY;
    const told = this.#observers.filter(({ number }) => number < first);
    this.#observers = this.#observers.filter(({ number }) => number >= first);
    for (const { resolve } of told) {
      resolve();
    }
  }
}
