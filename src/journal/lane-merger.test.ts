import { deepStrictEqual, strictEqual } from 'node:assert';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AtomicCells, type Cells } from './cells.ts';
import { LaneConsumer, LaneProducer } from './lane.ts';
import {
  distance,
  GRANULE,
  HubCell,
  LaneCell,
  makeHubWords,
  makeLaneMemory,
} from './lane-layout.ts';
import { LaneMerger } from './lane-merger.ts';

const CAPACITY = 512;

interface Lane {
  readonly number: number;
  readonly producer: LaneProducer;
  readonly consumer: LaneConsumer;
  readonly words: Int32Array;
}

interface Pushed {
  readonly number: number;
  readonly content: number;
}

/** Words that let something else happen behind a load. */
class InterruptedCells extends AtomicCells implements Cells {
  afterLoad: (() => void) | undefined;

  override load(index: number): number {
    const value = super.load(index);
    const interrupt = this.afterLoad;
    this.afterLoad = undefined;
    interrupt?.();
    return value;
  }
}

class Hub {
  readonly words: Int32Array = makeHubWords(false);
  readonly cells = new InterruptedCells(this.words);
  readonly merger = new LaneMerger<Lane>(this.cells);
  readonly lanes: Lane[] = [];
  readonly taken: string[] = [];
  wakes = 0;

  constructor(laneCount: number, firstTicket = 0) {
    this.words[HubCell.clock] = firstTicket;
    for (let index = 0; index < laneCount; index += 1) {
      this.merger.add(this.makeLane());
    }
  }

  makeLane(): Lane {
    const memory = makeLaneMemory(CAPACITY, false);
    const cells = new AtomicCells(memory.words);
    const wakeConsumer = (): void => void (this.wakes += 1);
    const lane = {
      number: this.lanes.length,
      producer: new LaneProducer(memory, cells, new AtomicCells(this.words), wakeConsumer),
      consumer: new LaneConsumer(memory, cells, () => {}),
      words: memory.words,
    };
    this.lanes.push(lane);
    return lane;
  }

  /** Pushes a record that holds a number, and publishes it. */
  append(number: number, content: number, isPublished = true): void {
    const { producer } = this.lanes[number]!;
    producer.loadHead();
    strictEqual(producer.hasRoom(16), true);
    const place = producer.reserve(16);
    producer.view.setInt32(place + 8, content, true);
    producer.push(16, producer.takeTicket());
    if (isPublished) {
      producer.publish();
    }
  }

  drain(): string[] {
    const count = this.merger.drain((lane) => this.take(lane));
    strictEqual(count, this.taken.length);
    return this.taken.splice(0);
  }

  take({ number, consumer }: Lane): void {
    const content = consumer.view.getInt32(consumer.start + 8, true);
    this.taken.push(textOf({ number, content }));
  }
}

function textOf({ number, content }: Pushed): string {
  return `${number}:${content}`;
}

describe('a merger of lanes', () => {
  it('takes what was published, by tickets, wherever those wrap', () => {
    const firstTickets = fc.oneof(
      fc.constant(0),
      fc.integer({ min: 0, max: 40 }).map((before) => -before | 0),
      fc.integer({ min: 0, max: 40 }).map((before) => (2 ** 31 - before) | 0),
    );
    const appends = fc.array(
      fc.record({ number: fc.nat(3), isPublished: fc.boolean(), drains: fc.boolean() }),
      { maxLength: 30, size: 'max' },
    );
    fc.assert(
      fc.property(firstTickets, appends, (firstTicket, list) => {
        const hub = new Hub(4, firstTicket);
        let unpublished: Pushed[] = [];
        let published: Pushed[] = [];
        const drain = (): void => {
          const expected = published.toSorted((a, b) => a.content - b.content);
          deepStrictEqual(hub.drain(), expected.map(textOf));
          published = [];
        };
        for (const [content, { number, isPublished, drains }] of list.entries()) {
          hub.append(number, content, isPublished);
          unpublished.push({ number, content });
          if (isPublished) {
            published.push(...unpublished.filter((record) => record.number === number));
            unpublished = unpublished.filter((record) => record.number !== number);
          }
          if (drains) {
            drain();
          }
        }
        drain();
        strictEqual(hub.merger.fallAsleep(), true);
      }),
      { numRuns: 200 },
    );
  });

  it('leaves for the next round what got its ticket after the clock was read', () => {
    const hub = new Hub(2);
    hub.append(1, 0);
    hub.cells.afterLoad = () => {
      hub.append(0, 1);
      hub.append(1, 2);
    };
    expect(hub.drain()).toEqual(['1:0']);
    expect(hub.merger.fallAsleep()).toBe(false);
    expect(hub.drain()).toEqual(['0:1', '1:2']);
    expect(hub.merger.fallAsleep()).toBe(true);
  });

  it('does not wait for a ticket whose record never comes', () => {
    const hub = new Hub(2, -1);
    hub.lanes[0]!.producer.takeTicket();
    hub.append(1, 0);
    expect(hub.drain()).toEqual(['1:0']);
    expect(hub.merger.fallAsleep()).toBe(true);
  });

  it('gives back what it has taken', () => {
    const hub = new Hub(1);
    for (let index = 0; index < 100; index += 1) {
      hub.append(0, index);
      expect(hub.drain()).toEqual([`0:${index}`]);
      const { words } = hub.lanes[0]!;
      expect(words[LaneCell.head]).toBe(words[LaneCell.tail]);
    }
  });

  it('passes what was only skipped, and then sleeps', () => {
    const hub = new Hub(2);
    hub.append(0, 0);
    hub.drain();
    expect(hub.merger.fallAsleep()).toBe(true);
    const { producer, words } = hub.lanes[0]!;
    producer.loadHead();
    expect(producer.hasRoom(CAPACITY)).toBe(false);
    expect(hub.wakes).toBe(1);
    expect(hub.merger.fallAsleep()).toBe(false);
    expect(hub.words[HubCell.asleep]).toBe(0);
    expect(hub.drain()).toEqual([]);
    expect(words[LaneCell.head]).toBe(CAPACITY / GRANULE);
    expect(hub.merger.fallAsleep()).toBe(true);
    producer.loadHead();
    expect(producer.hasRoom(CAPACITY)).toBe(true);
  });

  it('is woken once by the first who publishes', () => {
    const hub = new Hub(2);
    expect(hub.merger.fallAsleep()).toBe(true);
    hub.append(0, 0);
    hub.append(1, 1);
    expect(hub.wakes).toBe(1);
    expect(hub.drain()).toEqual(['0:0', '1:1']);
    hub.append(1, 2);
    expect(hub.wakes).toBe(1);
    expect(hub.merger.fallAsleep()).toBe(false);
  });

  it('forgets a lane that is removed, and what it held', () => {
    const hub = new Hub(2);
    hub.append(0, 0);
    hub.append(1, 1);
    hub.merger.remove(hub.lanes[0]!);
    expect(hub.drain()).toEqual(['1:1']);
    hub.append(0, 2);
    expect(hub.merger.fallAsleep()).toBe(true);
    hub.merger.remove(hub.lanes[1]!);
    expect(hub.drain()).toEqual([]);
    expect(hub.merger.fallAsleep()).toBe(true);
  });

  it('lets lanes come and go while it takes', () => {
    const hub = new Hub(3);
    [0, 1, 2, 1, 0].forEach((number, content) => hub.append(number, content));
    const order: string[] = [];
    const count = hub.merger.drain((lane) => {
      hub.take(lane);
      order.push(hub.taken.at(-1)!);
      if (order.length === 2) {
        hub.merger.remove(hub.lanes[1]!);
        hub.merger.add(hub.makeLane());
        hub.append(3, 5);
      }
    });
    expect([count, order]).toEqual([4, ['0:0', '1:1', '2:2', '0:4']]);
    hub.taken.length = 0;
    expect(hub.drain()).toEqual(['3:5']);
  });

  it('stops where it may not take, and goes on from there', () => {
    const hub = new Hub(2);
    [0, 1, 1, 0].forEach((number, content) => hub.append(number, content));
    const mayTake = (): boolean => hub.taken.length < 2;
    expect(hub.merger.drain((lane) => hub.take(lane), mayTake)).toBe(2);
    expect(hub.taken.splice(0)).toEqual(['0:0', '1:1']);
    expect(hub.lanes.map(({ words }) => words[LaneCell.head])).toEqual([2, 2]);
    expect(hub.merger.fallAsleep()).toBe(false);
    expect(hub.drain()).toEqual(['1:2', '0:3']);
  });

  it('has the record at hand again if it could not be taken', () => {
    const hub = new Hub(2);
    [0, 1, 0].forEach((number, content) => hub.append(number, content));
    const failing = (lane: Lane): void => {
      if (lane.number === 1) {
        throw new Error('full');
      }
      hub.take(lane);
    };
    expect(() => hub.merger.drain(failing)).toThrow('full');
    expect(hub.taken.splice(0)).toEqual(['0:0']);
    expect(hub.merger.fallAsleep()).toBe(false);
    expect(hub.drain()).toEqual(['1:1', '0:2']);
    expect(distance(hub.lanes[0]!.producer.loadHead(), hub.lanes[0]!.producer.tail)).toBe(0);
  });
});
