/** The client's half of everything that is asked and answered over the port. */
import { onAbort } from '../base/abort-listeners.ts';
import { type PackedError, unpackError } from '../base/error-transfer.ts';
import type { VarveError } from '../base/errors.ts';
import type { Port } from '../io/message-port.ts';
import { type ClientCall, requestAfter } from './client-protocol.ts';
import { aborted } from '../base/aborted.ts';

interface Asked {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  /** Closing the client ends it rather than waits for it. */
  readonly isWait: boolean;
}

export class ClientCalls {
  readonly #port: Port;
  readonly #inFlight: (change: number) => void;
  readonly #asked = new Map<number, Asked>();
  #lastRequest = 0;
  #observers: (() => void)[] = [];

  /** `inFlight` hears that so many more calls are in flight, or fewer. */
  constructor(port: Port, inFlight: (change: number) => void) {
    this.#port = port;
    this.#inFlight = inFlight;
  }

  /** The number of the next call. */
  get nextRequest(): number {
    return requestAfter(this.#lastRequest);
  }

  /** Asks the owner. An aborted signal ends it at once, and the owner is told that no answer is wanted. */
  ask<Answer>(call: ClientCall, signal?: AbortSignal): Promise<Answer> {
    return new Promise<Answer>((resolve, reject) => {
      if (signal?.aborted === true) {
        throw aborted(signal);
      }
      const request = this.nextRequest;
      this.#lastRequest = request;
      const abort = (): void => {
        this.#port.post({ kind: 'cancel', request });
        this.#take(request)?.reject(aborted(signal));
      };
      const unlisten = signal && onAbort(signal, abort);
      this.#asked.set(request, {
        resolve: (value) => {
          unlisten?.();
          resolve(value as Answer);
        },
        reject: (error) => {
          unlisten?.();
          reject(error);
        },
        isWait: call.name === 'waitFor',
      });
      this.#inFlight(1);
      this.#port.post({ kind: 'call', request, call });
    });
  }

  answered(request: number, value: unknown): void {
    this.#take(request)?.resolve(value);
  }

  failed(request: number, error: PackedError): void {
    this.#take(request)?.reject(unpackError(error));
  }

  /** Resolves when every call has been answered but those that wait for events. */
  async allAnswered(): Promise<void> {
    if (!this.#isIdle()) {
      await new Promise<void>((resolve) => this.#observers.push(resolve));
    }
  }

  /** No call will be answered any more. */
  end(makeError: () => VarveError): void {
    for (const request of this.#asked.keys()) {
      this.#take(request)?.reject(makeError());
    }
  }

  #take(request: number): Asked | undefined {
    const asked = this.#asked.get(request);
    if (asked !== undefined) {
      this.#asked.delete(request);
      this.#inFlight(-1);
      this.#tellObservers();
    }
    return asked;
  }

  #tellObservers(): void {
    if (this.#observers.length > 0 && this.#isIdle()) {
      const told = this.#observers;
      this.#observers = [];
      for (const resolve of told) {
        resolve();
      }
    }
  }

  #isIdle(): boolean {
    return [...this.#asked.values()].every(({ isWait }) => isWait);
  }
}
