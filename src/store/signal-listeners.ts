/** Who depends on which signal. A signal is listened to once, however many calls share it. */
export class SignalListeners {
  readonly #onAborted: (requests: ReadonlySet<number>, signal: AbortSignal) => void;
  readonly #signals = new Map<
    AbortSignal,
    { readonly listener: () => void; readonly requests: Set<number> }
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
    const listener = (): void => {
      this.#signals.delete(signal);
      this.#onAborted(requests, signal);
    };
    this.#signals.set(signal, { listener, requests });
    signal.addEventListener('abort', listener, { once: true });
  }

  remove(signal: AbortSignal | undefined, request: number): void {
    const listening = signal === undefined ? undefined : this.#signals.get(signal);
    if (signal === undefined || listening === undefined) {
      return;
    }
    listening.requests.delete(request);
    if (listening.requests.size === 0) {
      this.#signals.delete(signal);
      signal.removeEventListener('abort', listening.listener);
    }
  }
}
