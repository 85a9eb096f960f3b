/** A producer as it is meant to be, or with one of the defects. */
import { LaneProducer } from '../../../src/journal/lane.ts';
import {
  HubCell,
  LaneCell,
  type LaneMemory,
  RECORD_HEADER_SIZE,
} from '../../../src/journal/lane-layout.ts';
import {
  contentOf,
  type Defect,
  hubWord,
  laneWord,
  names,
  type RecordPlan,
  type Scenario,
  Word,
} from './lane-plan.ts';
import type { ThreadContext } from './stepped-thread.ts';

export class ProducerScript {
  readonly #thread: ThreadContext;
  readonly #number: number;
  readonly #scenario: Scenario;
  readonly #defect: Defect;
  readonly #lane: LaneProducer;
  /** Of the record at hand. */
  #content = 0;
  #ticket: number | undefined;

  constructor(
    thread: ThreadContext,
    number: number,
    work: { scenario: Scenario; defect: Defect; memory: LaneMemory },
  ) {
    this.#thread = thread;
    this.#number = number;
    this.#scenario = work.scenario;
    this.#defect = work.defect;
    const plain = {
      lane: thread.cells((index) => laneWord(number, index)),
      hub: thread.cells(hubWord),
    };
    const { lane, hub } = work.defect.producerCells?.(plain) ?? plain;
    const wakeConsumer = (): void => {
      if (work.scenario.consumerWaitsBy === 'message') {
        thread.post(Word.mailOfConsumer);
      } else {
        plain.hub.notify(HubCell.asleep);
      }
    };
    this.#lane = new LaneProducer(work.memory, lane, hub, wakeConsumer);
    thread.describe = () => this.#describe();
  }

  run(): void {
    const plan = this.#scenario.producers[this.#number]!;
    const other = this.#scenario.producers[1 - this.#number]!;
    for (const [index, record] of plan.records.entries()) {
      this.#thread.label = `${names[this.#number]}${index + 1}`;
      this.#thread.settle('begins');
      const hasSeen =
        plan.looksAtOther === true && index === 1 && this.#loadHasReturned(1 - this.#number);
      this.#content = contentOf(this.#number, index, hasSeen);
      this.#append(record);
      if (other.looksAtOther === true && index === 0) {
        const cells = this.#thread.cells((word) => word);
        cells.store(Word.hasReturned + this.#number, 1);
      }
    }
  }

  #loadHasReturned(number: number): boolean {
    return this.#thread.cells((word) => word).load(Word.hasReturned + number) === 1;
  }

  #append(record: RecordPlan): void {
    const lane = this.#lane;
    if (this.#defect.takesTicketBeforeRoom === true) {
      this.#ticket = lane.takeTicket();
    }
    this.#waitForRoom(record.size);
    const ticket = this.#ticket ?? lane.takeTicket();
    const place = lane.reserve(record.size);
    if (this.#defect.isFilledAfterPublish === true) {
      lane.push(record.size, ticket);
      lane.publish();
      this.#fill(place, record.size);
      return;
    }
    this.#fill(place, record.size);
    lane.push(record.size, ticket);
    if (record.isHeldBack !== true) {
      lane.publish();
    }
  }

  #waitForRoom(size: number): void {
    while (!this.#lane.hasRoom(size)) {
      this.#thread.settle('finds no room');
      if (this.#lane.announceWaiting(size)) {
        return;
      }
      if (this.#scenario.producers[this.#number]!.waitsBy === 'blocking') {
        this.#lane.blockUntilWoken();
      } else {
        this.#thread.receive(Word.mailOfProducers + this.#number, 1);
      }
      this.#thread.settle('is woken');
    }
  }

  #fill(place: number, size: number): void {
    const start = place + RECORD_HEADER_SIZE;
    const middle = (start + place + size) / 2;
    this.#lane.bytes.fill(this.#content, start, middle);
    this.#thread.pause();
    this.#lane.bytes.fill(this.#content, middle, place + size);
  }

  #describe(): string {
    const { tail, unpublishedSize } = this.#lane;
    const head = this.#thread.lastKnown(laneWord(this.#number, LaneCell.head));
    return [this.#thread.label, tail, unpublishedSize, head, this.#content, this.#ticket].join();
  }
}
