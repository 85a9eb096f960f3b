/** A store that another thread owns: checks and serializes here, is decided about and kept there. */
import { checkRange, checkSignal, rejectUnknownNames } from '../base/arguments.ts';
import { unpackError } from '../base/error-transfer.ts';
import { type Applied, asFailedWrite, VarveError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import type { Port } from '../io/message-port.ts';
import { AtomicCells } from '../journal/cells.ts';
import { LaneProducer } from '../journal/lane.ts';
import type { EventToAppend, NewEvent, StoredEvent } from '../log/event.ts';
import { AppendSender } from './append-sender.ts';
import { ClientCalls } from './client-calls.ts';
import { type OwnerMessage, ROOM, StoreCell, WAKE, type Welcome } from './client-protocol.ts';
import { ClientRead, listStreams, type PageParts } from './client-read.ts';
import { aborted } from '../base/aborted.ts';
import type {
  AppendOptions,
  AppendResult,
  CommitKey,
  CommitOptions,
  CommitPart,
  CommitResult,
  EventRead,
  ReadOptions,
  ReadQuery,
  StoreClient,
  StreamEntry,
  StreamHead,
  StreamsOptions,
} from './contract.ts';
import { planRead } from './event-read.ts';
import { checkCommitKey, checkStreamName, checkText } from './names.ts';
import type { PayloadSettings } from './payload.ts';
import { PortHold } from './port-hold.ts';
import {
  type CommitDraft,
  prepareAppend,
  prepareCommit,
  type PreparedCommit,
} from './prepared-commit.ts';
import { planListing } from './stream-listing.ts';

const waitOptionNames = new Set(['signal']);

type Ending = 'closed here' | 'store closed' | 'thread gone' | 'expelled';

export class AttachedStore<Event extends NewEvent> implements StoreClient<Event> {
  readonly id: string;
  readonly #port: Port;
  readonly #storeWords: Int32Array;
  readonly #payloads: PayloadSettings;
  readonly #sender: AppendSender;
  readonly #calls: ClientCalls;
  readonly #pages: PageParts;
  /** For the next append to fill. */
  #spareDraft: CommitDraft | undefined;
  /** Why there is nobody to talk to any more. */
  #ended: Ending | undefined;
  #cause: Error | undefined;
  #closing: Promise<void> | undefined;

  constructor(port: Port, welcome: Welcome, payloads: PayloadSettings) {
    this.id = welcome.id;
    this.#port = port;
    this.#storeWords = welcome.storeWords;
    this.#payloads = payloads;
    const hold = new PortHold(port);
    const inFlight = (change: number): void => hold.add(change);
    const lane = new LaneProducer(
      welcome.lane,
      new AtomicCells(welcome.lane.words),
      new AtomicCells(welcome.hubWords),
      () => port.post(WAKE),
    );
    this.#sender = new AppendSender(lane, {
      abortSent: (requests) => port.post({ kind: 'abort', requests }),
      inFlight,
      isEnded: () => this.#ended !== undefined || this.#isStoreClosing(),
    });
    this.#calls = new ClientCalls(port, inFlight);
    this.#pages = {
      calls: this.#calls,
      closeCursor: (cursor) => port.post({ kind: 'close-cursor', cursor }),
      checkReadable: () => this.#checkOpen(),
    };
  }

  get head(): number {
    return Atomics.load(this.#storeWords, StoreCell.head) >>> 0;
  }

  append(
    stream: string,
    events: readonly EventToAppend<Event>[],
    options: AppendOptions = {},
  ): Promise<AppendResult> {
    return new Promise((resolve, reject) => {
      try {
        this.#checkOpen();
        // Out of hand while the caller's code runs, which may append, too.
        const spare = this.#spareDraft;
        this.#spareDraft = undefined;
        const prepared = prepareAppend(stream, events, options, this.#payloads, spare);
        if (this.#submit(prepared, undefined, resolve, reject) && prepared.clear()) {
          this.#spareDraft = prepared;
        }
      } catch (error) {
        reject(asFailedWrite(error, 'no'));
      }
    });
  }

  commit(parts: readonly CommitPart<Event>[], options: CommitOptions = {}): Promise<CommitResult> {
    return new Promise((resolve, reject) => {
      try {
        this.#checkOpen();
        const prepared = prepareCommit(parts, options, this.#payloads);
        this.#submit(prepared, prepared.parts[0]!.stream, resolve, reject);
      } catch (error) {
        reject(asFailedWrite(error, 'no'));
      }
    });
  }

  read(query: ReadQuery = {}, options: ReadOptions = {}): EventRead<Event> {
    this.#checkOpen();
    return new ClientRead<Event>(this.#pages, planRead(query, options, this.head));
  }

  async get(position: number): Promise<StoredEvent<Event> | undefined> {
    this.#checkOpen();
    checkRange('position', position, 0, Number.MAX_SAFE_INTEGER);
    return position < this.head ? this.#calls.ask({ name: 'get', position }) : undefined;
  }

  async getById(id: string): Promise<StoredEvent<Event> | undefined> {
    this.#checkOpen();
    checkText('id', id, limits.idSizeMax);
    return this.#calls.ask({ name: 'getById', id });
  }

  async findCommit(key: CommitKey): Promise<CommitResult | undefined> {
    this.#checkOpen();
    const checked = checkCommitKey(key);
    // Whatever was appended in this thread has been decided then: the lane and the port have no common order.
    await this.#sender.allAnswered();
    this.#checkConnected();
    return this.#calls.ask({ name: 'findCommit', key: checked });
  }

  streams(options: StreamsOptions = {}): AsyncIterableIterator<StreamEntry> {
    this.#checkOpen();
    return listStreams(this.#pages, planListing(options, this.head));
  }

  async streamHead(stream: string): Promise<StreamHead | undefined> {
    this.#checkOpen();
    checkStreamName(stream);
    return this.#calls.ask({ name: 'streamHead', stream });
  }

  async flush(): Promise<void> {
    this.#checkOpen();
    // Whatever has been answered has left this thread; the owner makes sure of the rest.
    await this.#sender.allAnswered();
    this.#checkConnected();
    await this.#calls.ask({ name: 'flush' });
  }

  async waitFor(position: number, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    this.#checkOpen();
    checkRange('position', position, -1, Number.MAX_SAFE_INTEGER);
    rejectUnknownNames(options, waitOptionNames, 'option');
    checkSignal(options.signal);
    if (position >= this.head) {
      await this.#calls.ask({ name: 'waitFor', position }, options.signal);
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** A message from the owner. */
  received(message: OwnerMessage): void {
    if (message === ROOM) {
      this.#sender.pump();
    } else if (message instanceof Float64Array) {
      this.#sender.acknowledged(message);
    } else if (message.kind === 'outcomes') {
      this.#sender.succeeded(message.results);
      this.#sender.failed(message.failures);
    } else if (message.kind === 'answer') {
      this.#calls.answered(message.request, message.value);
    } else if (message.kind === 'failure') {
      this.#calls.failed(message.request, message.error);
    } else if (message.kind === 'closed') {
      this.#end('store closed');
      this.#port.close();
    } else if (message.kind === 'expelled') {
      this.#cause = unpackError(message.error);
      this.#end('expelled');
      this.#port.close();
    }
  }

  /** The port is closed: by the owner, by this side, or because the owner's thread has ended. */
  disconnected(): void {
    this.#end('thread gone');
  }

  async #close(): Promise<void> {
    await this.#sender.allAnswered();
    await this.#calls.allAnswered();
    this.#end('closed here');
    this.#port.close();
  }

  #end(how: Ending): void {
    if (this.#ended === undefined) {
      this.#ended = how;
      this.#sender.end((applied) => this.#closedError(applied));
      this.#calls.end(() => this.#closedError());
    }
  }

  /** False if the commit is still needed. With a `stream` it is answered as `commit` answers. */
  #submit(
    prepared: PreparedCommit,
    stream: string | undefined,
    resolve: (result: never) => void,
    reject: (error: VarveError) => void,
  ): boolean {
    // The caller's own code may have run while its objects were read.
    this.#checkOpen();
    if (prepared.signal?.aborted === true) {
      throw aborted(prepared.signal);
    }
    const answer = resolve as (result: AppendResult | CommitResult) => void;
    return this.#sender.submit(prepared, stream, answer, reject);
  }

  #isStoreClosing(): boolean {
    return Atomics.load(this.#storeWords, StoreCell.isClosing) === 1;
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) {
      throw new VarveError('CLOSED', closedMessages['closed here']);
    }
    this.#checkConnected();
  }

  #checkConnected(): void {
    if (this.#ended !== undefined || this.#isStoreClosing()) {
      throw this.#closedError();
    }
  }

  #closedError(applied?: Applied): VarveError {
    const message = closedMessages[this.#ended ?? 'store closed'];
    const outcome = applied === undefined ? {} : { applied };
    return new VarveError('CLOSED', message, { cause: this.#cause, ...outcome });
  }
}

const closedMessages: Readonly<Record<Ending, string>> = {
  'closed here': 'This client of the store has been closed: attach to another port.',
  'store closed': 'The store has been closed: open it again.',
  expelled: 'The owner of the store has found something wrong with this client and ended it.',
  'thread gone': 'The thread that owned the store has ended: open the store again.',
};
