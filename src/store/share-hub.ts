/**
 * The owner's side of a store that is shared with other threads. Every client has a lane; records are taken out of all lanes in
 * one order and decided exactly like the owner's own appends. The owner is an event loop: it never waits for a lane, and is
 * woken by one message when it has found all of them empty.
 */
import { VarveError } from '../base/errors.ts';
import { reached } from '../base/reached.ts';
import type { Clock } from '../io/clock.ts';
import { makeChannel, type MessagePort } from '../io/message-port.ts';
import { AtomicCells } from '../journal/cells.ts';
import { LaneConsumer } from '../journal/lane.ts';
import { makeHubWords, makeLaneMemory } from '../journal/lane-layout.ts';
import { LaneMerger } from '../journal/lane-merger.ts';
import { ClientLane } from './client-lane.ts';
import {
  type Hello,
  PROTOCOL_VERSION,
  ROOM,
  STORE_WORD_COUNT,
  StoreCell,
  type Welcome,
} from './client-protocol.ts';
import type { Sequencer } from './sequencer.ts';
import type { TransferredCommit } from './commit-transfer.ts';
import { checkLaneSize } from './attach-options.ts';
import type { PayloadSettings } from './payload.ts';
import { SharedClient, type SharedClientEvents, type SharedStore } from './shared-client.ts';
import type { VisibilityGate } from './visibility-gate.ts';

export interface ShareParts {
  readonly id: string;
  readonly clock: Clock;
  readonly sequencer: Sequencer;
  readonly gate: VisibilityGate;
  readonly payloads: PayloadSettings;
  readonly store: SharedStore;
}

/** Records taken in one turn of the event loop: a few ms of work, as much as the owner's own callers may take up. */
const TURN_COUNT_MAX = 2_048;
/** While so much of clients' waits for room, records are left in the lanes. */
const WAITING_COUNT_MAX = 256;
const WAITING_SIZE_MAX = 32 * 1024 * 1024;

export class ShareHub {
  readonly #parts: ShareParts;
  readonly #storeWords: Int32Array;
  readonly #hubWords: Int32Array;
  readonly #merger: LaneMerger<ClientLane<SharedClient>>;
  readonly #clients = new Set<SharedClient>();
  readonly #events: SharedClientEvents;
  #taking: Promise<void> | undefined;
  /** Records taken in this turn of the event loop. */
  #turnCount = 0;
  /** Clients' commits that wait for room, and their bytes. */
  #waitingCount = 0;
  #waitingSize = 0;
  #isClosing = false;
  /** Nothing more is taken from the lanes. */
  #isOver = false;

  /** Throws `UNSUPPORTED_FORMAT`. */
  constructor(parts: ShareParts) {
    if (typeof SharedArrayBuffer !== 'function') {
      throw new VarveError(
        'UNSUPPORTED_FORMAT',
        'There is no shared memory in this environment (SharedArrayBuffer): a store can not be shared with other threads here.',
      );
    }
    this.#parts = parts;
    this.#storeWords = new Int32Array(new SharedArrayBuffer(STORE_WORD_COUNT * 4));
    this.#hubWords = makeHubWords(true);
    this.#merger = new LaneMerger(new AtomicCells(this.#hubWords));
    this.#events = {
      greet: (client, hello) => this.#greet(client, hello),
      woken: () => this.#takeAll(),
      gone: () => this.#takeAll(),
    };
    this.#publishHead();
    parts.gate.observe(() => this.#publishHead());
  }

  /** Clients that are attached. */
  get clientCount(): number {
    return [...this.#clients].filter(({ lane }) => lane !== undefined).length;
  }

  /** A port for one more client. */
  share(): MessagePort {
    const { port1, port2 } = makeChannel();
    const client = new SharedClient(port1, this.#parts.store, this.#events);
    this.#clients.add(client);
    client.post({ kind: 'offer' });
    return port2;
  }

  /** Takes no further calls from clients, and everything that they have published. */
  async takeRest(): Promise<void> {
    this.#isClosing = true;
    Atomics.store(this.#storeWords, StoreCell.isClosing, 1);
    this.#takeAll();
    await this.#taking;
    this.#isOver = true;
  }

  /** Tells every client that it is over. */
  close(): void {
    this.#isOver = true;
    for (const client of this.#clients) {
      client.close();
    }
    this.#clients.clear();
  }

  #greet(client: SharedClient, { protocol, laneSize }: Hello): Welcome {
    if (protocol !== PROTOCOL_VERSION) {
      throw new VarveError(
        'UNSUPPORTED_FORMAT',
        `The store speaks version ${PROTOCOL_VERSION} of the protocol between threads, the client ${protocol}: use one version of Varve in all threads.`,
      );
    }
    if (this.#isClosing) {
      throw new VarveError('CLOSED', 'The store has been closed: open it again.');
    }
    if (client.lane !== undefined) {
      throw new VarveError(
        'INVALID_ARGUMENT',
        'A port of a store is for one client: call share() for each.',
      );
    }
    checkLaneSize(laneSize);
    const { id, payloads } = this.#parts;
    const memory = makeLaneMemory(laneSize, true);
    const cells = new AtomicCells(memory.words);
    const consumer = new LaneConsumer(memory, cells, () => client.post(ROOM));
    client.lane = new ClientLane(consumer, client);
    this.#merger.add(client.lane);
    // Order: whoever drains at this moment looks at the lane before it sleeps.
    this.#takeAll();
    return {
      kind: 'welcome',
      id,
      storeWords: this.#storeWords,
      hubWords: this.#hubWords,
      lane: memory,
      compression: payloads.codec?.name ?? 'none',
      compressionMinBytes: payloads.compressionMinBytes,
    };
  }

  /** Takes what is in the lanes until they are empty, a part of it in each turn of the event loop. */
  #takeAll(): void {
    if (!this.#isOver) {
      this.#taking ??= this.#run();
    }
  }

  async #run(): Promise<void> {
    const { clock, sequencer } = this.#parts;
    // Order: begun in a microtask, so that `#taking` is set before it is cleared.
    await Promise.resolve();
    for (;;) {
      this.#merger.drain(
        (lane) => this.#take(lane),
        () => this.#turnCount < TURN_COUNT_MAX && !this.#isCongested(),
      );
      if (this.#turnCount >= TURN_COUNT_MAX) {
        reached('a client waited for its turn');
        await clock.pause();
        this.#turnCount = 0;
      } else if (this.#isCongested()) {
        reached('records stayed in their lanes');
        await sequencer.waitingDecided();
        // However many of the owner's own have come meanwhile: now it is the clients' turn.
        this.#forgetWaiting();
      } else if (this.#merger.fallAsleep()) {
        break;
      }
    }
    this.#turnCount = 0;
    this.#taking = undefined;
    this.#forgetGone();
  }

  #isCongested(): boolean {
    if (this.#parts.sequencer.waitingCount === 0) {
      this.#forgetWaiting();
    }
    return this.#waitingCount >= WAITING_COUNT_MAX || this.#waitingSize >= WAITING_SIZE_MAX;
  }

  #forgetWaiting(): void {
    this.#waitingCount = 0;
    this.#waitingSize = 0;
  }

  #take(lane: ClientLane<SharedClient>): void {
    this.#turnCount += 1;
    const { client } = lane;
    let commit: TransferredCommit | undefined;
    try {
      commit = lane.take();
    } catch (error) {
      // A defect of ours in the client: it alone ends.
      this.#merger.remove(lane);
      client.expel(error);
      return;
    }
    if (commit !== undefined && !client.submit(this.#parts.sequencer, commit, lane.request)) {
      this.#waitingCount += 1;
      this.#waitingSize += commit.bodySize;
    }
  }

  /** Order: when the lanes are empty, for what a client had published before it went is decided. */
  #forgetGone(): void {
    for (const client of this.#clients) {
      if (client.isGone) {
        this.#clients.delete(client);
        if (client.lane !== undefined) {
          this.#merger.remove(client.lane);
        }
      }
    }
  }

  #publishHead(): void {
    const head = Math.min(this.#parts.gate.visible, 2 ** 32 - 1);
    // Stored as the signed number with the same bits.
    Atomics.store(this.#storeWords, StoreCell.head, head | 0);
  }
}
