/**
 * Lanes that are wrong in one place each. Those of order are put between the lane's code and its words; the mergers are
 * copies that lack something.
 */
import type { Cells } from '../../../src/journal/cells.ts';
import { distance, HubCell, LaneCell } from '../../../src/journal/lane-layout.ts';
import { LaneMerger } from '../../../src/journal/lane-merger.ts';
import type { ConsumerCells, Defect, Lane, ProducerCells, Scenario } from './lane-plan.ts';
import { causal, oneByOne, withRoom } from './scenarios.ts';

export interface SeededDefect {
  readonly name: string;
  readonly defect: Defect;
  /** Where it shows. */
  readonly scenario: Scenario;
  readonly reason: string;
}

export const seededDefects: readonly SeededDefect[] = [
  {
    name: 'the tail is stored before the record is filled',
    defect: { isFilledAfterPublish: true },
    scenario: withRoom,
    reason: 'is not whole',
  },
  {
    name: 'asleep is looked at before the tail is stored',
    defect: { producerCells: looksAtAsleepFirst },
    scenario: withRoom,
    reason: 'is published and never taken',
  },
  {
    name: 'nothing is looked at after asleep is stored',
    defect: { makeMerger: (cells) => new HastyMerger(cells) },
    scenario: withRoom,
    reason: 'is published and never taken',
  },
  {
    name: 'the tails are loaded before the clock',
    defect: { consumerCells: loadsTailsFirst },
    scenario: causal,
    reason: 'which it followed',
  },
  {
    name: 'records above the clock are taken, too',
    defect: { consumerCells: ignoresClock },
    scenario: causal,
    reason: 'which it followed',
  },
  {
    name: 'records are taken lane by lane',
    defect: { makeMerger: (cells) => new LaneByLaneMerger(cells) },
    scenario: causal,
    reason: 'which it followed',
  },
  {
    name: 'the head is stored after waits is looked at',
    defect: { consumerCells: looksAtWaitsFirst },
    scenario: oneByOne,
    reason: 'waits for ever',
  },
  {
    name: 'the head is looked at before waits is stored',
    defect: { producerCells: looksAtHeadFirst },
    scenario: oneByOne,
    reason: 'waits for ever',
  },
  {
    name: 'the head is not looked at after waits is stored',
    defect: { producerCells: missesHead },
    scenario: oneByOne,
    reason: 'waits for ever',
  },
  {
    name: 'tickets are taken before there is room, and expected to be dense',
    defect: {
      takesTicketBeforeRoom: true,
      makeMerger: (cells, firstTicket) => new DenseMerger(cells, firstTicket),
    },
    scenario: oneByOne,
    reason: 'runs in a circle',
  },
  {
    name: 'tickets are expected to be dense',
    defect: { makeMerger: (cells, firstTicket) => new DenseMerger(cells, firstTicket) },
    scenario: withRoom,
    reason: 'runs in a circle',
  },
  {
    name: 'a record is released before it is copied',
    defect: { isReleasedBeforeCopied: true },
    scenario: oneByOne,
    reason: 'is not whole',
  },
  {
    name: 'the lane of a dead producer is removed without a last look',
    defect: { isRemovedUndrained: true },
    scenario: withRoom,
    reason: 'is published and never taken',
  },
  {
    name: 'the death of a producer wakes nobody',
    defect: { isDeathUnnoticed: true },
    scenario: withRoom,
    reason: 'nobody would wake it',
  },
];

/** A load that is made before its time. */
class Foresight {
  #value: number | undefined;

  look(cells: Cells, index: number): void {
    this.#value = cells.load(index);
  }

  load(cells: Cells, index: number): number {
    const value = this.#value;
    this.#value = undefined;
    return value ?? cells.load(index);
  }
}

function looksAtAsleepFirst({ lane, hub }: ProducerCells): ProducerCells {
  const asleep = new Foresight();
  return {
    lane: {
      ...lane,
      store: (index, value) => {
        if (index === LaneCell.tail) {
          asleep.look(hub, HubCell.asleep);
        }
        lane.store(index, value);
      },
    },
    hub: {
      ...hub,
      load: (index) => (index === HubCell.asleep ? asleep.load(hub, index) : hub.load(index)),
    },
  };
}

function loadsTailsFirst({ lanes, hub }: ConsumerCells): ConsumerCells {
  const tails = lanes.map(() => new Foresight());
  return {
    lanes: lanes.map((lane, number) => ({
      ...lane,
      load: (index) =>
        index === LaneCell.tail ? tails[number]!.load(lane, index) : lane.load(index),
    })),
    hub: {
      ...hub,
      load: (index) => {
        if (index === HubCell.clock) {
          tails.forEach((tail, number) => tail.look(lanes[number]!, LaneCell.tail));
        }
        return hub.load(index);
      },
    },
  };
}

function ignoresClock({ lanes, hub }: ConsumerCells): ConsumerCells {
  const load = (index: number): number =>
    index === HubCell.clock ? (hub.load(index) + 1_000) | 0 : hub.load(index);
  return { lanes, hub: { ...hub, load } };
}

function looksAtWaitsFirst({ lanes, hub }: ConsumerCells): ConsumerCells {
  const swapped = lanes.map((lane): Cells => {
    const waits = new Foresight();
    return {
      ...lane,
      load: (index) => (index === LaneCell.waits ? waits.load(lane, index) : lane.load(index)),
      store: (index, value) => {
        if (index === LaneCell.head) {
          waits.look(lane, LaneCell.waits);
        }
        lane.store(index, value);
      },
    };
  });
  return { lanes: swapped, hub };
}

function looksAtHeadFirst({ lane, hub }: ProducerCells): ProducerCells {
  const head = new Foresight();
  return {
    lane: {
      ...lane,
      load: (index) => (index === LaneCell.head ? head.load(lane, index) : lane.load(index)),
      store: (index, value) => {
        if (index === LaneCell.waits && value === 1) {
          head.look(lane, LaneCell.head);
        }
        lane.store(index, value);
      },
    },
    hub,
  };
}

function missesHead({ lane, hub }: ProducerCells): ProducerCells {
  let head = lane.load(LaneCell.head);
  let isAnnounced = false;
  return {
    lane: {
      ...lane,
      load: (index) => {
        if (index !== LaneCell.head) {
          return lane.load(index);
        }
        head = isAnnounced ? head : lane.load(index);
        isAnnounced = false;
        return head;
      },
      store: (index, value) => {
        lane.store(index, value);
        isAnnounced = index === LaneCell.waits && value === 1;
      },
    },
    hub,
  };
}

class HastyMerger extends LaneMerger<Lane> {
  readonly #hub: Cells;

  constructor({ hub }: ConsumerCells) {
    super(hub);
    this.#hub = hub;
  }

  override fallAsleep(): boolean {
    this.#hub.store(HubCell.asleep, 1);
    return true;
  }
}

/** Takes lane by lane what `mayTake` lets it, and is a `LaneMerger` for the rest. */
abstract class OtherMerger extends LaneMerger<Lane> {
  readonly #hub: Cells;
  readonly #lanes = new Set<Lane>();

  constructor({ hub }: ConsumerCells) {
    super(hub);
    this.#hub = hub;
  }

  abstract mayTake(ticket: number): boolean;

  override add(lane: Lane): void {
    super.add(lane);
    this.#lanes.add(lane);
  }

  override remove(lane: Lane): void {
    super.remove(lane);
    this.#lanes.delete(lane);
  }

  override drain(take: (lane: Lane) => void): number {
    const clock = this.#hub.load(HubCell.clock);
    this.#lanes.forEach(({ consumer }) => consumer.refresh());
    let count = 0;
    for (let before = -1; before < count;) {
      before = count;
      for (const lane of this.#lanes) {
        count += this.#takeAll(lane, clock, take);
      }
    }
    this.#lanes.forEach(({ consumer }) => consumer.release());
    return count;
  }

  #takeAll(lane: Lane, clock: number, take: (lane: Lane) => void): number {
    const { consumer } = lane;
    let count = 0;
    while (
      consumer.peek() &&
      distance(consumer.ticket, clock) < 0 &&
      this.mayTake(consumer.ticket)
    ) {
      take(lane);
      consumer.advance();
      count += 1;
    }
    return count;
  }
}

class LaneByLaneMerger extends OtherMerger {
  override mayTake(): boolean {
    return true;
  }
}

class DenseMerger extends OtherMerger {
  #expected: number;

  constructor(cells: ConsumerCells, firstTicket: number) {
    super(cells);
    this.#expected = firstTicket;
  }

  override mayTake(ticket: number): boolean {
    if (ticket !== this.#expected) {
      return false;
    }
    this.#expected = (this.#expected + 1) | 0;
    return true;
  }
}
