import { onAbort } from '../base/abort-listeners.ts';

/** Who depends on which signal, so that a signal ends all of its calls in one step. */
export class SignalListeners {
  readonly #onAborted: (requests: ReadonlySet<number>, signal: AbortSignal) => void;
  readonly #signals = new Map<
    AbortSignal,
    { readonly unlisten: () => void; readonly requests: Set<number> }
  >();

  /** `onAborted` hears of the calls that a signal ends; they are forgotten then. */
  constructor(onAborted: (requests: ReadonlySet<number>, signal: AbortSignal) => void) {
    this.#onAborted = onAborted;
  }

  add(signal: AbortSignal | undefined, request: number): void {
    if (signal === undefined) {
      return;
    }
    const known = this.#signals.get(signal);
    if (known !== undefined) {
      known.requests.add(request);
      return;
    }
    const requests = new Set([request]);
    const unlisten = onAbort(signal, () => {
      this.#signals.delete(signal);
      this.#onAborted(requests, signal);
    });
    this.#signals.set(signal, { unlisten, requests });
  }

  remove(signal: AbortSignal | undefined, request: number): void {
    const listening = signal === undefined ? undefined : this.#signals.get(signal);
    if (signal === undefined || listening === undefined) {
      return;
    }
    listening.requests.delete(request);
    if (listening.requests.size === 0) {
      this.#signals.delete(signal);
      listening.unlisten();
    }
  }
}
