/** The consumer of both lanes as it is meant to be, or with one of the defects. Checks every record that it takes. */
import type { Cells } from '../../../src/journal/cells.ts';
import { LaneConsumer } from '../../../src/journal/lane.ts';
import {
  GRANULE,
  HubCell,
  LaneCell,
  type LaneMemory,
  RECORD_HEADER_SIZE,
} from '../../../src/journal/lane-layout.ts';
import { LaneMerger } from '../../../src/journal/lane-merger.ts';
import {
  contentOf,
  type Defect,
  hubWord,
  type Lane,
  laneWord,
  type Merger,
  names,
  type Scenario,
  Word,
} from './lane-plan.ts';
import type { ThreadContext } from './stepped-thread.ts';

export class ConsumerScript {
  readonly #thread: ThreadContext;
  readonly #scenario: Scenario;
  readonly #defect: Defect;
  readonly #hub: Cells;
  readonly #lanes: readonly Lane[];
  readonly #merger: Merger;
  /** How many records of each producer. */
  readonly #taken: number[] = [0, 0];
  readonly #removed: number[] = [];
  /** What the first half of the record at hand holds. */
  #content = 0;

  constructor(
    thread: ThreadContext,
    work: { scenario: Scenario; defect: Defect; memories: readonly LaneMemory[] },
  ) {
    this.#thread = thread;
    this.#scenario = work.scenario;
    this.#defect = work.defect;
    const plain = {
      lanes: work.memories.map((_, number) => thread.cells((index) => laneWord(number, index))),
      hub: thread.cells(hubWord),
    };
    const cells = work.defect.consumerCells?.(plain) ?? plain;
    this.#hub = cells.hub;
    this.#lanes = work.memories.map((memory, number): Lane => {
      const wakeProducer = (): void => this.#wakeProducer(number, plain.lanes[number]!);
      return { number, consumer: new LaneConsumer(memory, cells.lanes[number]!, wakeProducer) };
    });
    this.#merger =
      work.defect.makeMerger?.(cells, work.scenario.firstTicket) ?? new LaneMerger(cells.hub);
    this.#lanes.forEach((lane) => this.#merger.add(lane));
    thread.report = this.#taken;
    thread.describe = () => this.#describe();
  }

  run(): never {
    for (;;) {
      do {
        this.#settle('turns');
        this.#merger.drain((lane) => this.#take(lane));
        this.#settle('has drained');
      } while (!this.#merger.fallAsleep());
      this.#settle('is idle');
      if (this.#scenario.consumerWaitsBy === 'blocking') {
        this.#hub.wait(HubCell.asleep, 1);
        continue;
      }
      const message = this.#thread.receive(Word.mailOfConsumer, 1 + names.length);
      if (message > 0) {
        this.#remove(message - 1);
      }
    }
  }

  #settle(phase: string): void {
    this.#thread.label = phase;
    this.#thread.settle(phase);
  }

  /** A producer is gone. It may have taken the 1 out of `asleep` and woken nobody, so this is a turn as any other. */
  #remove(number: number): void {
    this.#settle(`hears of the death of ${names[number]}`);
    if (this.#defect.isRemovedUndrained !== true) {
      this.#merger.drain((lane) => this.#take(lane));
    }
    this.#merger.remove(this.#lanes[number]!);
    this.#removed.push(number);
  }

  #take({ number, consumer }: Lane): void {
    const index = this.#taken[number]!;
    const name = `${names[number]}${index + 1}`;
    this.#thread.label = `takes ${name}`;
    const { start, size } = consumer;
    if (size !== this.#scenario.producers[number]!.records[index]?.size) {
      throw new Error(`${name} has the size ${size}`);
    }
    const middle = start + (size + RECORD_HEADER_SIZE) / 2;
    const firstHalf = consumer.bytes.subarray(start + RECORD_HEADER_SIZE, middle);
    this.#content = firstHalf[0]!;
    this.#checkContent(number, firstHalf);
    if (this.#defect.isReleasedBeforeCopied === true) {
      consumer.release((consumer.next + size / GRANULE) | 0);
    }
    this.#thread.pause();
    this.#checkContent(number, consumer.bytes.subarray(middle, start + size));
    if (this.#content === contentOf(number, index, true) && this.#taken[1 - number] === 0) {
      throw new Error(`${name} comes before ${names[1 - number]}1, which it followed`);
    }
    this.#taken[number] = index + 1;
    this.#content = 0;
  }

  #checkContent(number: number, half: Uint8Array): void {
    const index = this.#taken[number]!;
    const isRecord = [true, false].some((seen) => contentOf(number, index, seen) === this.#content);
    if (!isRecord || half.some((byte) => byte !== this.#content)) {
      throw new Error(`${names[number]}${index + 1} is not whole`);
    }
  }

  #wakeProducer(number: number, lane: Cells): void {
    if (this.#scenario.producers[number]!.waitsBy === 'blocking') {
      lane.notify(LaneCell.waits);
    } else {
      this.#thread.post(Word.mailOfProducers + number);
    }
  }

  #describe(): string {
    const lanes = this.#lanes.flatMap(({ number, consumer }) => {
      const { next, waitingSize, start, size, ticket } = consumer;
      const head = this.#thread.lastKnown(laneWord(number, LaneCell.head));
      return [next, waitingSize, start, size, ticket, head];
    });
    return [this.#taken, this.#removed, this.#content, this.#thread.label, lanes].join(';');
  }
}
