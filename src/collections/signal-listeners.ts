import { onAbort } from '../base/abort-listeners.ts';

/** Which calls depend on which signal, so that a signal ends all of its calls in one step. */
export class SignalListeners<Call> {
  readonly #onAborted: (calls: ReadonlySet<Call>, signal: AbortSignal) => void;
  readonly #signals = new Map<
    AbortSignal,
    { readonly unlisten: () => void; readonly calls: Set<Call> }
  >();

  /** `onAborted` hears of the calls that a signal ends; they are forgotten then. */
  constructor(onAborted: (calls: ReadonlySet<Call>, signal: AbortSignal) => void) {
    this.#onAborted = onAborted;
  }

  add(signal: AbortSignal | undefined, call: Call): void {
    if (signal === undefined) {
      return;
    }
    const known = this.#signals.get(signal);
    if (known !== undefined) {
      known.calls.add(call);
      return;
    }
    const calls = new Set([call]);
    const unlisten = onAbort(signal, () => {
      this.#signals.delete(signal);
      this.#onAborted(calls, signal);
    });
    this.#signals.set(signal, { unlisten, calls });
  }

  remove(signal: AbortSignal | undefined, call: Call): void {
    const listening = signal && this.#signals.get(signal);
    if (signal === undefined || listening === undefined) {
      return;
    }
    listening.calls.delete(call);
    if (listening.calls.size === 0) {
      this.#signals.delete(signal);
      listening.unlisten();
    }
  }
}
