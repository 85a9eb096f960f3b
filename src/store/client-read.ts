/** What a client reads from the owner page by page: one page in hand, at most one ahead. */
import { onAbort } from '../base/abort-listeners.ts';
import { unpackError } from '../base/error-transfer.ts';
import type { NewEvent, StoredEvent } from '../log/event.ts';
import type { ClientCalls } from './client-calls.ts';
import type { ClientCall, Page } from './client-protocol.ts';
import { aborted } from '../base/aborted.ts';
import type { EventRead, StreamEntry } from './contract.ts';
import type { ReadPlan } from './event-read.ts';
import type { ListingPlan } from './stream-listing.ts';

export interface PageParts {
  readonly calls: ClientCalls;
  /** Tells the owner that a cursor is not needed any more. */
  readonly closeCursor: (cursor: number) => void;
  /** Throws if nothing can be read any more. */
  readonly checkReadable: () => void;
}

/** The pages of one read or listing. */
class Pages<Item> {
  readonly #parts: PageParts;
  readonly #open: (cursor: number) => ClientCall;
  #cursor: number | undefined;
  #ahead: Promise<Page<Item>> | undefined;
  #isEnded = false;

  /** The owner hears of it when the first page is asked for. */
  constructor(parts: PageParts, open: (cursor: number) => ClientCall) {
    this.#parts = parts;
    this.#open = open;
  }

  async next(signal: AbortSignal | undefined): Promise<Page<Item>> {
    const page = await unlessAborted(this.#ahead ?? this.#ask(), signal);
    this.#ahead = undefined;
    this.#isEnded = page.stopped !== undefined || page.failure !== undefined;
    if (!this.#isEnded) {
      this.#ahead = this.#ask();
      // Whoever asks for the page hears of it.
      this.#ahead.catch(() => {});
    }
    return page;
  }

  /** Frees what the owner has open. */
  close(): void {
    if (this.#cursor !== undefined && !this.#isEnded) {
      this.#isEnded = true;
      this.#parts.closeCursor(this.#cursor);
    }
  }

  #ask(): Promise<Page<Item>> {
    const { calls } = this.#parts;
    if (this.#cursor !== undefined) {
      return calls.ask({ name: 'next-page', cursor: this.#cursor });
    }
    this.#cursor = calls.nextRequest;
    return calls.ask(this.#open(this.#cursor));
  }
}

/** Events as the owner's own reads give them: same order, bounds and ends. */
export class ClientRead<Event extends NewEvent> implements EventRead<Event> {
  readonly asOf: number;
  stopped: 'end' | 'limit' | 'bytes' | undefined;
  lastPosition: number | undefined;
  readonly #events: AsyncGenerator<StoredEvent<Event>, void, undefined>;

  constructor(parts: PageParts, plan: ReadPlan) {
    this.asOf = plan.asOf;
    this.#events = this.#run(parts, plan);
  }

  next(): Promise<IteratorResult<StoredEvent<Event>>> {
    return this.#events.next() as Promise<IteratorResult<StoredEvent<Event>>>;
  }

  async return(): Promise<IteratorResult<StoredEvent<Event>>> {
    await this.#events.return();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  async *#run(
    parts: PageParts,
    { signal, ...plan }: ReadPlan,
  ): AsyncGenerator<StoredEvent<Event>, void, undefined> {
    const open = (cursor: number): ClientCall => ({
      name: 'read',
      plan: { ...plan, signal: undefined },
      cursor,
    });
    const pages = new Pages<StoredEvent<Event>>(parts, open);
    try {
      for (;;) {
        parts.checkReadable();
        const page = await pages.next(signal);
        yield* this.#eventsOf(page, parts, signal);
        if (page.failure !== undefined) {
          throw unpackError(page.failure);
        }
        if (page.stopped !== undefined) {
          this.stopped = page.stopped;
          return;
        }
      }
    } finally {
      pages.close();
    }
  }

  *#eventsOf(
    { items, stopped }: Page<StoredEvent<Event>>,
    parts: PageParts,
    signal: AbortSignal | undefined,
  ): Generator<StoredEvent<Event>, void, undefined> {
    for (const [index, event] of items.entries()) {
      this.lastPosition = event.position;
      if (stopped === 'limit' && index === items.length - 1) {
        this.stopped = stopped;
        yield event;
        return;
      }
      yield event;
      if (signal?.aborted === true) {
        throw aborted(signal);
      }
      parts.checkReadable();
    }
  }
}

/** Streams as the owner lists them. */
export async function* listStreams(
  parts: PageParts,
  plan: ListingPlan,
): AsyncGenerator<StreamEntry, void, undefined> {
  const pages = new Pages<StreamEntry>(parts, (cursor) => ({ name: 'list', plan, cursor }));
  try {
    for (;;) {
      parts.checkReadable();
      const page = await pages.next(undefined);
      for (const entry of page.items) {
        yield entry;
        parts.checkReadable();
      }
      if (page.failure !== undefined) {
        throw unpackError(page.failure);
      }
      if (page.stopped !== undefined) {
        return;
      }
    }
  } finally {
    pages.close();
  }
}

/** The promise, or an error as soon as the signal aborts. */
function unlessAborted<Result>(
  promise: Promise<Result>,
  signal: AbortSignal | undefined,
): Promise<Result> {
  if (signal === undefined) {
    return promise;
  }
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(aborted(signal));
    const follow = async (): Promise<void> => {
      try {
        resolve(await promise);
      } catch (error) {
        reject(error);
      } finally {
        unlisten();
      }
    };
    const unlisten = onAbort(signal, abort);
    if (signal.aborted) {
      abort();
    }
    void follow();
  });
}
