/**
 * Many lanes, one order: takes records of all producers by their tickets. The consumer's half of the hub: lane-layout.ts.
 */
import type { Cells } from './cells.ts';
import type { LaneConsumer } from './lane.ts';
import { distance, HubCell } from './lane-layout.ts';

export class LaneMerger<Lane extends { readonly consumer: LaneConsumer }> {
  readonly #hub: Cells;
  readonly #lanes = new Set<Lane>();

  constructor(hub: Cells) {
    this.#hub = hub;
  }

  add(lane: Lane): void {
    this.#lanes.add(lane);
  }

  /**
   * Forgets a lane whose producer is gone, and what was not taken from it. Drain before, to miss nothing; and after it drain
   * or fall asleep as after any wake-up: the producer may have died in place of waking.
   */
  remove(lane: Lane): void {
    this.#lanes.delete(lane);
  }

  /**
   * Hands every record published so far to `take`, in ticket order, and gives its bytes back afterwards. Returns how many
   * there were. What is left when `mayTake` says no is taken next time.
   */
  drain(take: (lane: Lane) => void, mayTake: () => boolean = always): number {
    // Order: the clock before the tails, so that whatever a record of this round followed is in this round, too.
    const clock = this.#hub.load(HubCell.clock);
    for (const { consumer } of this.#lanes) {
      consumer.refresh();
    }
    let count = 0;
    while (mayTake()) {
      const lane = this.#first(clock);
      if (lane === undefined) {
        break;
      }
      take(lane);
      lane.consumer.advance();
      count += 1;
    }
    for (const { consumer } of this.#lanes) {
      consumer.release();
    }
    return count;
  }

  /** True if the consumer may sleep: the next producer wakes it. False if there is work after all. */
  fallAsleep(): boolean {
    this.#hub.store(HubCell.asleep, 1);
    // Order: asleep before the tails are looked at once more.
    for (const { consumer } of this.#lanes) {
      consumer.refresh();
      if (consumer.waitingSize > 0) {
        this.#hub.store(HubCell.asleep, 0);
        return false;
      }
    }
    return true;
  }

  /** The lane whose next record has the smallest ticket below `clock`. Few producers: a scan beats a heap up to about 16. */
  #first(clock: number): Lane | undefined {
    let first: Lane | undefined;
    for (const lane of this.#lanes) {
      const { consumer } = lane;
      if (!consumer.peek() || distance(consumer.ticket, clock) >= 0) {
        continue;
      }
      if (first === undefined || distance(consumer.ticket, first.consumer.ticket) < 0) {
        first = lane;
      }
    }
    return first;
  }
}

function always(): boolean {
  return true;
}
