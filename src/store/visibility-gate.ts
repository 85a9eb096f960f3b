import { onAbort } from '../base/abort-listeners.ts';
import { VarveError } from '../base/errors.ts';
import { WaiterList } from '../collections/waiter-list.ts';
import type { Journal } from '../journal/journal.ts';
import { aborted } from '../base/aborted.ts';

/** One number: readers see what lies below it. It is the durable watermark, so visible implies durable. */
export class VisibilityGate {
  readonly #journal: Journal;
  readonly #waiters = new WaiterList();
  #unreadable: VarveError | undefined;
  #observer: (() => void) | undefined;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  get visible(): number {
    return this.#journal.durable;
  }

  /** Calls back whenever more has become visible, before those who wait for it hear of it. */
  observe(observer: () => void): void {
    this.#observer = observer;
  }

  /** A broken invariant ends reads too: what is in memory can't be trusted. */
  checkReadable(): void {
    const cause = this.#journal.failure?.cause;
    if (cause instanceof VarveError && cause.code === 'INTERNAL') {
      throw new VarveError(
        'INTERNAL',
        'The store has found itself in a state that must not occur: close it, open it again and report this.',
        { cause },
      );
    }
  }

  /** Resolves when `position` is visible; rejects if it can't become so any more. */
  waitFor(position: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      if (position < this.visible) {
        resolve();
        return;
      }
      if (signal?.aborted === true) {
        reject(aborted(signal));
        return;
      }
      const ended = this.#unreadable ?? this.#journal.failure;
      if (ended !== undefined) {
        reject(ended);
        return;
      }
      const abort = (): void => {
        takeOut();
        reject(aborted(signal));
      };
      const unlisten = signal && onAbort(signal, abort);
      // Visible is what lies below the watermark.
      const takeOut = this.#waiters.add(
        position + 1,
        () => {
          unlisten?.();
          resolve();
        },
        (error) => {
          unlisten?.();
          reject(error);
        },
      );
    });
  }

  /** The durable watermark has moved. */
  advanced(position: number): void {
    this.#observer?.();
    this.#waiters.advance(position);
  }

  /** Nothing more becomes visible. */
  close(error: VarveError): void {
    this.#unreadable ??= error;
    this.#waiters.rejectAll(error);
  }
}
