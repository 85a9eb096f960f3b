/**
 * A lane: records from one producer to one consumer through shared memory, in order. Neither side ever waits in here, so
 * either may be an event loop. Words, their writers and the proof: lane-layout.ts.
 */
import { assert } from '../base/assert.ts';
import { align8, viewOf } from '../base/integers.ts';
import type { Cells } from './cells.ts';
import {
  distance,
  GRANULE,
  HubCell,
  LaneCell,
  type LaneMemory,
  RECORD_HEADER_SIZE,
  SKIP,
} from './lane-layout.ts';

/** Once so much has been used the lane goes on at its beginning, if that is free: memory that is never touched costs nothing. */
const COMFORTABLE_SIZE = 4 * 1024 * 1024;

/** What the size of a record's content takes up in a lane. */
export function sizeInLane(contentSize: number): number {
  return align8(RECORD_HEADER_SIZE + contentSize);
}

export class LaneProducer {
  readonly bytes: Buffer;
  readonly view: DataView;
  readonly capacity: number;
  readonly #cells: Cells;
  readonly #hub: Cells;
  readonly #wakeConsumer: () => void;
  /** Where the next record goes if nothing is skipped. */
  #offset = 0;
  /** The record that is being filled stands at the beginning, and the rest of the lane is to be skipped. */
  #isSkipping = false;
  #tail: number;
  #publishedTail: number;
  /** The head when it was last looked at. */
  #head: number;

  /** Both sides must begin with the memory zeroed; or with tail and head at another address, the same in both. */
  constructor(memory: LaneMemory, cells: Cells, hub: Cells, wakeConsumer: () => void) {
    this.bytes = Buffer.from(memory.bytes.buffer, memory.bytes.byteOffset, memory.bytes.length);
    this.view = viewOf(this.bytes);
    this.capacity = memory.bytes.length;
    this.#cells = cells;
    this.#hub = hub;
    this.#wakeConsumer = wakeConsumer;
    this.#tail = cells.load(LaneCell.tail);
    this.#publishedTail = this.#tail;
    this.#head = this.#tail;
  }

  /** Address behind the last record. */
  get tail(): number {
    return this.#tail;
  }

  /** Bytes of records that are not published yet. */
  get unpublishedSize(): number {
    return distance(this.#tail, this.#publishedTail) * GRANULE;
  }

  /** Looks how far the consumer has come: it needs nothing before this address any more. */
  loadHead(): number {
    this.#head = this.#cells.load(LaneCell.head);
    return this.#head;
  }

  /** The next ticket of all producers that share the hub. Take it when the room is certain and fill at once. */
  takeTicket(): number {
    return this.#hub.add(HubCell.clock, 1);
  }

  /**
   * True if a record of this size (header included) can be reserved now. If not, it may be so when the head has moved and
   * `loadHead` or `announceWaiting` has looked at it. Never looks by itself: until then this side may read what it wrote.
   */
  hasRoom(size: number): boolean {
    assert(size <= this.capacity, 'a record is not larger than its lane');
    if (this.#placeOf(size) >= 0) {
      return true;
    }
    if (this.#tail === this.#head) {
      // Empty, and yet too small on either side of the offset: once the consumer has skipped the rest, all of it is free.
      this.#skip();
      this.publish();
    }
    return false;
  }

  /** Gives the place of a record: its content goes to 8 bytes behind it. Only after `hasRoom` said yes. */
  reserve(size: number): number {
    const place = this.#placeOf(size);
    assert(place >= 0, 'room was found before it is reserved');
    // What is reserved may be abandoned: nothing changes before the push.
    this.#isSkipping = place !== this.#offset;
    return place;
  }

  /** Ends the record that was reserved last. It is seen after `publish`. */
  push(size: number, ticket: number): void {
    assert(size % GRANULE === 0, 'records fill whole granules');
    if (this.#isSkipping) {
      this.#skip();
    }
    this.view.setInt32(this.#offset, size, true);
    this.view.setInt32(this.#offset + 4, ticket, true);
    this.#tail = (this.#tail + size / GRANULE) | 0;
    this.#offset += size;
    if (this.#offset === this.capacity) {
      this.#offset = 0;
    }
  }

  /** Shows everything pushed to the consumer, and wakes it if it sleeps. */
  publish(): void {
    this.#publishedTail = this.#tail;
    // Order: the records are filled before the tail covers them; the tail is stored before the consumer's sleep is looked at.
    this.#cells.store(LaneCell.tail, this.#tail);
    this.wake();
  }

  /** Wakes the consumer if it sleeps. */
  wake(): void {
    if (this.#hub.load(HubCell.asleep) === 1 && this.#hub.exchange(HubCell.asleep, 0) === 1) {
      this.#wakeConsumer();
    }
  }

  /**
   * Publishes what was pushed, announces that this side waits for room, and looks at the head. True if a record of this size
   * fits by now after all; otherwise the consumer wakes this side when it has moved the head.
   */
  announceWaiting(size: number): boolean {
    if (this.#tail !== this.#publishedTail) {
      this.publish();
    }
    this.#cells.store(LaneCell.waits, 1);
    // Order: announced before the head is looked at.
    this.loadHead();
    if (this.hasRoom(size)) {
      this.#cells.store(LaneCell.waits, 0);
      return true;
    }
    return false;
  }

  /** Blocks until the consumer has moved the head since `announceWaiting`. For threads that may block. */
  blockUntilWoken(): void {
    this.#cells.wait(LaneCell.waits, 1);
  }

  #placeOf(size: number): number {
    const used = distance(this.#tail, this.#head) * GRANULE;
    const free = this.capacity - used;
    const rest = this.capacity - this.#offset;
    if (free <= rest) {
      // What is in flight wraps, or begins at 0: everything free is one piece.
      return size <= free ? this.#offset : -1;
    }
    const freeAtStart = free - rest;
    if (
      this.#offset >= COMFORTABLE_SIZE &&
      freeAtStart >= COMFORTABLE_SIZE / 2 &&
      size <= freeAtStart
    ) {
      return 0;
    }
    if (size <= rest) {
      return this.#offset;
    }
    return size <= freeAtStart ? 0 : -1;
  }

  #skip(): void {
    this.view.setInt32(this.#offset, SKIP, true);
    this.#tail = (this.#tail + (this.capacity - this.#offset) / GRANULE) | 0;
    this.#offset = 0;
    this.#isSkipping = false;
  }
}

export class LaneConsumer {
  readonly bytes: Buffer;
  readonly view: DataView;
  /** Where the record at hand begins, its size with header, its ticket. Set by `peek`. */
  start = 0;
  size = 0;
  ticket = 0;
  readonly #cells: Cells;
  readonly #wakeProducer: () => void;
  #offset = 0;
  #next: number;
  #limit: number;
  #head: number;

  constructor(memory: LaneMemory, cells: Cells, wakeProducer: () => void) {
    this.bytes = Buffer.from(memory.bytes.buffer, memory.bytes.byteOffset, memory.bytes.length);
    this.view = viewOf(this.bytes);
    this.#cells = cells;
    this.#wakeProducer = wakeProducer;
    this.#head = cells.load(LaneCell.head);
    this.#next = this.#head;
    this.#limit = this.#head;
  }

  /** Address of the record at hand, or of the next one to come. */
  get next(): number {
    return this.#next;
  }

  /** Bytes that the producer has published and `advance` has not passed, as of the last `refresh`. */
  get waitingSize(): number {
    return distance(this.#limit, this.#next) * GRANULE;
  }

  /** True if the producer has published more than this side knows. */
  hasNews(): boolean {
    return this.#cells.load(LaneCell.tail) !== this.#limit;
  }

  /** Looks how far the producer has come. */
  refresh(): void {
    this.#limit = this.#cells.load(LaneCell.tail);
  }

  /**
   * True if a record is at hand: published before the last `refresh`. If not, and everything taken has been released, call
   * `release`: the producer may wait for the rest of the lane that was skipped, and no record's release would cover it.
   */
  peek(): boolean {
    while (this.#next !== this.#limit) {
      const size = this.view.getInt32(this.#offset, true);
      if (size === SKIP) {
        this.#next = (this.#next + (this.bytes.length - this.#offset) / GRANULE) | 0;
        this.#offset = 0;
        continue;
      }
      this.start = this.#offset;
      this.size = size;
      this.ticket = this.view.getInt32(this.#offset + 4, true);
      return true;
    }
    return false;
  }

  /** Passes the record at hand. Its bytes stay until `release`. */
  advance(): void {
    this.#next = (this.#next + this.size / GRANULE) | 0;
    this.#offset += this.size;
    if (this.#offset === this.bytes.length) {
      this.#offset = 0;
    }
  }

  /** Gives everything before this address back to the producer, and wakes it if it waits. True if the head moved. */
  release(address: number = this.#next): boolean {
    if (address === this.#head) {
      return false;
    }
    this.#head = address;
    this.#cells.store(LaneCell.head, address);
    // Order: the head is stored before the producer's waiting is looked at.
    if (this.#cells.load(LaneCell.waits) === 1 && this.#cells.exchange(LaneCell.waits, 0) === 1) {
      this.#wakeProducer();
    }
    return true;
  }

  /** Says that everything before this address is in a file. */
  markWritten(address: number): void {
    this.#cells.store(LaneCell.written, address);
  }
}
