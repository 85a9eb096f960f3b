/** What the owner of a store knows of one client: its port, what it is owed, what it has open. */
import { packError } from '../base/error-transfer.ts';
import { VarveError } from '../base/errors.ts';
import type { MessagePort, Port } from '../io/message-port.ts';
import { openPort } from '../io/message-port.ts';
import { ownTimers } from '../io/own-timers.ts';
import { distance } from '../journal/lane-layout.ts';
import type { NewEvent } from '../log/event.ts';
import type { ClientLane } from './client-lane.ts';
import {
  ACK_COUNT,
  type ClientCall,
  type ClientMessage,
  type Hello,
  type OwnerMessage,
  type Page,
  PAGE_COUNT_MAX,
  PAGE_SIZE_MAX,
  WAKE,
  type Welcome,
} from './client-protocol.ts';
import { type Sequencer } from './sequencer.ts';
import { aborted } from '../base/aborted.ts';
import type { TransferredCommit } from './commit-transfer.ts';
import type { AppendResult, CommitResult, StoreClient, StreamEntry } from './contract.ts';
import type { PlannedRead, ReadPlan } from './event-read.ts';
import { PendingCommit } from './pending-commit.ts';
import { PortHold } from './port-hold.ts';
import type { ListingPlan } from './stream-listing.ts';

/** What clients may ask of the store. */
export interface SharedStore extends Pick<
  StoreClient,
  'get' | 'getById' | 'findCommit' | 'streamHead' | 'flush' | 'waitFor'
> {
  read(plan: ReadPlan): PlannedRead<NewEvent>;
  list(plan: ListingPlan): AsyncGenerator<StreamEntry, void, undefined>;
}

/** What a client's side needs of the hub. */
export interface SharedClientEvents {
  /** Throws if there can be no client, or not with these wishes. */
  greet(client: SharedClient, message: Hello): Welcome;
  woken(): void;
  /** Its thread or its end of the port is gone. Called once. */
  gone(client: SharedClient): void;
}

/** The owner's side of what a client reads page by page. */
type Cursor =
  | { readonly kind: 'read'; readonly items: PlannedRead<NewEvent> }
  | { readonly kind: 'list'; readonly items: AsyncGenerator<StreamEntry, void, undefined> };

export class SharedClient {
  /** Undefined until the client has introduced itself. */
  lane: ClientLane<SharedClient> | undefined;
  isGone = false;
  readonly #store: SharedStore;
  readonly #events: SharedClientEvents;
  readonly #port: Port;
  /** Held while an answer is owed. */
  readonly #owed: PortHold;
  /** Of appends that may be aborted. */
  readonly #appends = new Map<number, AbortController>();
  /** Appends that were aborted before they came out of the lane. */
  readonly #abortedAhead = new Set<number>();
  /** Of calls that may be cancelled. */
  readonly #waits = new Map<number, AbortController>();
  readonly #cursors = new Map<number, Cursor>();
  #acks: number[] = [];
  #results: { readonly request: number; readonly result: CommitResult }[] = [];
  #failures: { readonly request: number; readonly error: VarveError }[] = [];
  #isTelling = false;

  constructor(port: MessagePort, store: SharedStore, events: SharedClientEvents) {
    this.#store = store;
    this.#events = events;
    this.#port = openPort(port, {
      received: (message) => this.#received(message as ClientMessage),
      closed: () => this.#leave(),
    });
    this.#owed = new PortHold(this.#port);
  }

  post(message: OwnerMessage): void {
    this.#port.post(message);
  }

  /** Hands a commit from the lane to the sequencer. False if it has to wait for room. */
  submit(sequencer: Sequencer, commit: TransferredCommit, request: number): boolean {
    this.#owed.add(1);
    if (this.#abortedAhead.delete(request)) {
      this.failed(request, aborted(undefined, 'no'));
      return true;
    }
    if (commit.hasSignal) {
      commit.signal = this.#signalOf(request);
    }
    if (sequencer.take(commit, new ClientCommit(this, request, commit.ack === 'written'))) {
      return true;
    }
    // Order: its bytes in the lane are given back after this.
    commit.detach();
    return false;
  }

  /** A commit to one stream is where its maker wants it, now or before. */
  succeeded(
    request: number,
    { firstPosition, lastPosition, revision, time, outcome }: Omit<AppendResult, 'firstRevision'>,
  ): void {
    this.#appends.delete(request);
    const isDuplicate = outcome === 'duplicate' ? 1 : 0;
    // In the order of AckField.
    this.#acks.push(request, firstPosition, lastPosition, revision, time, isDuplicate);
    this.#tellSoon();
  }

  /** The same for one to several streams. */
  succeededInParts(request: number, result: CommitResult): void {
    this.#appends.delete(request);
    this.#results.push({ request, result });
    this.#tellSoon();
  }

  failed(request: number, error: VarveError): void {
    this.#appends.delete(request);
    this.#failures.push({ request, error });
    this.#tellSoon();
  }

  /** Says what has gathered, in one message or two. */
  tell(): void {
    this.#isTelling = false;
    const told = this.#acks.length / ACK_COUNT + this.#results.length + this.#failures.length;
    if (told === 0) {
      return;
    }
    if (this.#acks.length > 0) {
      const acks = Float64Array.from(this.#acks);
      this.#acks = [];
      this.#port.post(acks, [acks.buffer]);
    }
    if (this.#results.length + this.#failures.length > 0) {
      const failures = this.#failures.map(({ request, error }) => ({
        request,
        error: packError(error),
      }));
      this.post({ kind: 'outcomes', results: this.#results, failures });
      this.#results = [];
      this.#failures = [];
    }
    this.#owed.add(-told);
  }

  /** Says what is left to say and ends the connection. */
  close(): void {
    this.tell();
    this.post({ kind: 'closed' });
    this.#port.close();
  }

  /** Ends the connection with a client that does not keep to the protocol, and says why. */
  expel(error: unknown): void {
    this.tell();
    this.post({ kind: 'expelled', error: packError(error) });
    this.#port.close();
  }

  #received(message: ClientMessage): void {
    if (message === WAKE) {
      this.#events.woken();
      return;
    }
    switch (message.kind) {
      case 'hello':
        this.#greet(message);
        return;
      case 'call':
        void this.#answer(message.request, message.call);
        return;
      case 'cancel':
        this.#waits.get(message.request)?.abort();
        return;
      case 'abort':
        this.#abort(message.requests);
        return;
      case 'close-cursor':
        void this.#closeCursor(message.cursor);
    }
  }

  #greet(hello: Hello): void {
    try {
      this.post(this.#events.greet(this, hello));
    } catch (error) {
      this.post({ kind: 'refused', error: packError(error) });
    }
  }

  /**
   * Whatever else becomes known in this turn of the journal goes into the same message. Order: behind the turn, for by then
   * the clients' word of what is visible has moved.
   */
  #tellSoon(): void {
    if (!this.#isTelling) {
      this.#isTelling = true;
      ownTimers.queueMicrotask(() => this.tell());
    }
  }

  #signalOf(request: number): AbortSignal {
    const controller = new AbortController();
    this.#appends.set(request, controller);
    return controller.signal;
  }

  #abort(requests: readonly number[]): void {
    const { lane } = this;
    for (const request of requests) {
      if (lane !== undefined && distance(request, lane.request) > 0) {
        this.#abortedAhead.add(request);
      } else {
        this.#appends.get(request)?.abort();
      }
    }
  }

  async #answer(request: number, call: ClientCall): Promise<void> {
    this.#owed.add(1);
    try {
      const value = await this.#ask(request, call);
      this.post({ kind: 'answer', request, value });
    } catch (error) {
      this.post({ kind: 'failure', request, error: packError(answerFailure(error)) });
    } finally {
      this.#owed.add(-1);
    }
  }

  async #ask(request: number, call: ClientCall): Promise<unknown> {
    const store = this.#store;
    switch (call.name) {
      case 'get':
        return store.get(call.position);
      case 'getById':
        return store.getById(call.id);
      case 'findCommit':
        return store.findCommit(call.key);
      case 'streamHead':
        return store.streamHead(call.stream);
      case 'flush':
        return store.flush();
      case 'waitFor':
        return this.#waitFor(request, call.position);
      case 'read':
        this.#cursors.set(call.cursor, { kind: 'read', items: store.read(call.plan) });
        break;
      case 'list':
        this.#cursors.set(call.cursor, { kind: 'list', items: store.list(call.plan) });
        break;
      case 'next-page':
        break;
    }
    return this.#nextPage(call.cursor);
  }

  async #waitFor(request: number, position: number): Promise<void> {
    const controller = new AbortController();
    this.#waits.set(request, controller);
    try {
      await this.#store.waitFor(position, { signal: controller.signal });
    } finally {
      this.#waits.delete(request);
    }
  }

  async #nextPage(number: number): Promise<Page<unknown>> {
    const cursor = this.#cursors.get(number);
    if (cursor === undefined) {
      throw new VarveError('INTERNAL', 'A page was asked for of something that is not open.');
    }
    const page = await (cursor.kind === 'read' ? pageOfRead(cursor.items) : pageOf(cursor.items));
    if (page.stopped !== undefined || page.failure !== undefined) {
      await this.#closeCursor(number);
    }
    return page;
  }

  async #closeCursor(number: number): Promise<void> {
    const cursor = this.#cursors.get(number);
    this.#cursors.delete(number);
    try {
      await cursor?.items.return();
    } catch {
      // It ended with an error, which whoever asked for its pages has heard.
    }
  }

  #leave(): void {
    this.isGone = true;
    for (const controller of this.#waits.values()) {
      controller.abort();
    }
    for (const number of this.#cursors.keys()) {
      void this.#closeCursor(number);
    }
    this.#events.gone(this);
  }
}

/** A client's commit in flight. */
class ClientCommit extends PendingCommit {
  readonly #client: SharedClient;
  readonly #request: number;

  constructor(client: SharedClient, request: number, wantsWritten: boolean) {
    super(wantsWritten);
    this.#client = client;
    this.#request = request;
  }

  appended(): void {
    const { firstPosition, lastPosition, revision, time, streams } = this;
    const outcome = 'appended';
    if (streams === undefined || streams.length === 1) {
      const result = { outcome, firstPosition, lastPosition, revision, time } as const;
      this.#client.succeeded(this.#request, result);
    } else {
      const result = { outcome, firstPosition, lastPosition, time, streams } as const;
      this.#client.succeededInParts(this.#request, result);
    }
  }

  repeated(result: CommitResult): void {
    const [first] = result.streams;
    if (result.streams.length === 1) {
      this.#client.succeeded(this.#request, { ...result, revision: first!.revision });
    } else {
      this.#client.succeededInParts(this.#request, result);
    }
  }

  protected refused(error: VarveError): void {
    this.#client.failed(this.#request, error);
  }
}

/** Cloning a value for another thread is recursive; older versions stored values of any depth. */
function answerFailure(error: unknown): unknown {
  return error instanceof RangeError
    ? new VarveError(
        'LIMIT_EXCEEDED',
        'An event is nested too deep to be sent to another thread: read it in the thread that opened the store.',
        { cause: error },
      )
    : error;
}

async function pageOfRead(read: PlannedRead<NewEvent>): Promise<Page<unknown>> {
  const items: unknown[] = [];
  const sizeMax = read.size + PAGE_SIZE_MAX;
  try {
    while (read.stopped === undefined && items.length < PAGE_COUNT_MAX && read.size < sizeMax) {
      const next = await read.next();
      if (next.done === true) {
        // Without a reason it was closed meanwhile, and nobody waits for the page.
        return { items, stopped: read.stopped ?? 'end' };
      }
      items.push(next.value);
    }
    return { items, stopped: read.stopped };
  } catch (error) {
    return { items, stopped: undefined, failure: packError(error) };
  }
}

async function pageOf(entries: AsyncGenerator<StreamEntry>): Promise<Page<StreamEntry>> {
  const items: StreamEntry[] = [];
  try {
    while (items.length < PAGE_COUNT_MAX) {
      const next = await entries.next();
      if (next.done === true) {
        return { items, stopped: 'end' };
      }
      items.push(next.value);
    }
    return { items, stopped: undefined };
  } catch (error) {
    return { items, stopped: undefined, failure: packError(error) };
  }
}
