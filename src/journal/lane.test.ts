import { deepStrictEqual, ok, strictEqual } from 'node:assert';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../base/random.ts';
import { AtomicCells } from './cells.ts';
import { LaneConsumer, LaneProducer, sizeInLane } from './lane.ts';
import {
  distance,
  GRANULE,
  HubCell,
  LaneCell,
  makeHubWords,
  makeLaneMemory,
  RECORD_HEADER_SIZE,
} from './lane-layout.ts';

const MiB = 1024 * 1024;
const COMFORTABLE_SIZE = 4 * MiB;
const LARGE_CAPACITY = 9 * MiB;

/** Content of records: record n begins at byte n % 251 of this. */
const noise = Buffer.alloc(LARGE_CAPACITY + 251);
new SeededRandom(1).fill(noise);

/** Where addresses begin: some wrap at 2^31 or 2^32 soon after. */
const firstAddresses = fc.oneof(
  fc.constant(0),
  fc.integer({ min: 0, max: 600 }).map((before) => (2 ** 31 - before) | 0),
  fc.integer({ min: 0, max: 600 }).map((before) => -before | 0),
);

/** What is done to a lane, and how much of it. */
const steps = fc.array(
  fc.tuple(
    fc.oneof(
      {
        weight: 4,
        arbitrary: fc.constantFrom('append', 'append little', 'take', 'release'),
      },
      { weight: 1, arbitrary: fc.constantFrom('fill', 'publish', 'publish', 'look', 'wait') },
    ),
    fc.nat(10_000),
  ),
  { maxLength: 120, size: 'max' },
);
interface Item {
  readonly number: number;
  readonly place: number;
  readonly size: number;
  readonly ticket: number;
  /** Address behind it. */
  readonly end: number;
}

/** One lane, and lists of what is in it. */
class LaneModel {
  readonly producer: LaneProducer;
  readonly consumer: LaneConsumer;
  readonly hubWords: Int32Array = makeHubWords(false);
  readonly words: Int32Array;
  readonly capacity: number;
  readonly unpublished: Item[] = [];
  readonly published: Item[] = [];
  readonly taken: Item[] = [];
  /** Since the producer has looked at the head. */
  readonly released: Item[] = [];
  wakesOfConsumer = 0;
  wakesOfProducer = 0;
  farthest = 0;
  #count = 0;

  constructor(capacity: number, firstAddress = 0) {
    const memory = makeLaneMemory(capacity, false);
    memory.words[LaneCell.tail] = firstAddress;
    memory.words[LaneCell.head] = firstAddress;
    this.words = memory.words;
    this.capacity = memory.bytes.length;
    const cells = new AtomicCells(memory.words);
    const hub = new AtomicCells(this.hubWords);
    this.producer = new LaneProducer(memory, cells, hub, () => (this.wakesOfConsumer += 1));
    this.consumer = new LaneConsumer(memory, cells, () => (this.wakesOfProducer += 1));
  }

  run(list: readonly (readonly [name: string, amount: number])[]): void {
    for (const [name, amount] of list) {
      this.#run(name, amount);
      const size = this.unpublished.reduce((sum, item) => sum + item.size, 0);
      ok(this.producer.unpublishedSize >= size);
      strictEqual(this.producer.unpublishedSize === 0, size === 0);
    }
    this.finish();
  }

  #run(name: string, amount: number): void {
    const granules = this.capacity / GRANULE;
    const step: Readonly<Record<string, () => unknown>> = {
      append: () => this.append((1 + (amount % granules)) * GRANULE),
      'append little': () => this.append((1 + (amount % Math.min(8, granules))) * GRANULE),
      fill: () => this.append(this.capacity),
      wait: () => this.appendAtLast(this.capacity),
      publish: () => this.publish(),
      look: () => this.look(),
      take: () => this.take(1 + (amount % 6)),
      release: () => this.release(1 + (amount % 6)),
    };
    step[name]!();
  }

  /** False if there is no room. */
  append(size: number): boolean {
    if (!this.producer.hasRoom(size)) {
      return false;
    }
    const place = this.producer.reserve(size);
    const inUse = [...this.unpublished, ...this.published, ...this.taken, ...this.released];
    const hit = inUse.find((item) => place < item.place + item.size && item.place < place + size);
    strictEqual(hit, undefined, `a record of ${size} at ${place} overwrites one that is needed`);
    ok(place + size <= this.capacity);
    const number = this.#count;
    this.#count += 1;
    const ticket = this.producer.takeTicket();
    this.producer.bytes.set(contentOf(number, size), place + RECORD_HEADER_SIZE);
    this.producer.push(size, ticket);
    this.unpublished.push({ number, place, size, ticket, end: this.producer.tail });
    this.farthest = Math.max(this.farthest, place + size);
    return true;
  }

  /** Records without content. */
  appendOneByOne(count: number): void {
    for (let index = 0; index < count; index += 1) {
      strictEqual(this.append(RECORD_HEADER_SIZE), true);
    }
  }

  publish(): void {
    this.producer.publish();
    this.published.push(...this.unpublished.splice(0));
  }

  /** Sees all that was published, and nothing else; takes up to `count` records. */
  take(count: number): void {
    this.consumer.refresh();
    const size = this.published.reduce((sum, item) => sum + item.size, 0);
    ok(this.consumer.waitingSize >= size);
    for (let index = 0; index < count; index += 1) {
      strictEqual(this.consumer.peek(), this.published.length > 0);
      const item = this.published.shift();
      if (item === undefined) {
        strictEqual(this.consumer.waitingSize, 0);
        return;
      }
      const { start, ticket } = this.consumer;
      deepStrictEqual(
        { place: start, size: this.consumer.size, ticket },
        {
          place: item.place,
          size: item.size,
          ticket: item.ticket,
        },
      );
      this.#expectWhole(item);
      this.consumer.advance();
      strictEqual(this.consumer.next, item.end);
      this.taken.push(item);
    }
  }

  look(): void {
    this.#forgetReleased();
    this.producer.loadHead();
  }

  /** Up to here the producer may read what it wrote. */
  #forgetReleased(): void {
    this.released.splice(0).forEach((item) => this.#expectWhole(item));
  }

  /** Releases the oldest records taken. They are as they were. */
  release(count: number): void {
    const items = this.taken.splice(0, count);
    items.forEach((item) => this.#expectWhole(item));
    this.released.push(...items);
    if (items.length > 0) {
      strictEqual(this.consumer.release(items.at(-1)!.end), true);
    }
    if (this.taken.length === 0 && !this.consumer.peek()) {
      // What was skipped has no record.
      this.consumer.release();
    }
  }

  /** Appends as a program does that waits for room, while the consumer releases exactly what it took. */
  appendAtLast(size: number): void {
    for (let rounds = 0; !this.append(size); rounds += 1) {
      ok(rounds < 3, `a record of ${size} finds room at last`);
      this.#forgetReleased();
      if (this.producer.announceWaiting(size)) {
        continue;
      }
      this.published.push(...this.unpublished.splice(0));
      const wakes = this.wakesOfProducer;
      this.take(Infinity);
      this.release(Infinity);
      strictEqual(this.wakesOfProducer, wakes + 1);
    }
  }

  finish(): void {
    this.publish();
    this.take(Infinity);
    this.release(Infinity);
    deepStrictEqual(this.taken, []);
    this.appendAtLast(this.capacity);
    this.publish();
    this.take(1);
    this.release(1);
    strictEqual(this.words[LaneCell.head], this.words[LaneCell.tail]);
    strictEqual(this.producer.loadHead(), this.producer.tail);
  }

  #expectWhole(item: Item): void {
    const found = this.consumer.bytes.subarray(
      item.place + RECORD_HEADER_SIZE,
      item.place + item.size,
    );
    strictEqual(found.equals(contentOf(item.number, item.size)), true, `record ${item.number}`);
  }
}

function contentOf(number: number, size: number): Buffer {
  const start = number % 251;
  return noise.subarray(start, start + size - RECORD_HEADER_SIZE);
}

/** Nothing is in it, and it goes on at byte 40 of 64. */
function emptyAt40(): LaneModel {
  const model = new LaneModel(64);
  model.append(40);
  model.publish();
  model.take(1);
  model.release(1);
  model.look();
  return model;
}

describe('a lane', () => {
  it('hands over every record once, in order, whole, and keeps it until it is released', () => {
    const capacities = fc.oneof(
      fc.integer({ min: 16, max: 100 }),
      fc.integer({ min: 100, max: 4_000 }),
    );
    fc.assert(
      fc.property(capacities, firstAddresses, steps, (capacity, firstAddress, list) => {
        new LaneModel(capacity, firstAddress).run(list);
      }),
      { numRuns: 250 },
    );
  });

  it('does so when it is so large that it wraps early', () => {
    const size = fc.integer({ min: 1, max: 2 * MiB }).map((bytes) => sizeInLane(bytes));
    const command = fc.oneof(
      { weight: 5, arbitrary: size },
      { weight: 1, arbitrary: fc.constant(LARGE_CAPACITY) },
      { weight: 4, arbitrary: fc.constant('release' as const) },
    );
    let earlyWraps = 0;
    fc.assert(
      fc.property(
        firstAddresses,
        fc.array(command, { maxLength: 40, size: 'max' }),
        (firstAddress, list) => {
          const model = new LaneModel(LARGE_CAPACITY, firstAddress);
          for (const now of list) {
            const offset = model.unpublished.at(-1)?.place ?? model.taken.at(-1)?.place ?? 0;
            if (now === 'release') {
              model.publish();
              model.take(3);
              model.release(2);
              model.look();
            } else if (model.append(now) && offset + 2 * now < LARGE_CAPACITY) {
              earlyWraps += model.unpublished.at(-1)!.place < offset ? 1 : 0;
            }
          }
          model.finish();
        },
      ),
      { numRuns: 20, seed: 2 },
    );
    expect(earlyWraps).toBeGreaterThan(10);
  });

  it('touches little more than its comfortable size while the consumer keeps up', () => {
    const model = new LaneModel(LARGE_CAPACITY);
    const sizes = new SeededRandom(3);
    for (let index = 0; index < 2_000; index += 1) {
      strictEqual(model.append(sizeInLane(1 + sizes.below(64 * 1024))), true);
      model.publish();
      model.take(1);
      model.release(1);
      model.look();
    }
    expect(model.farthest).toBeGreaterThan(COMFORTABLE_SIZE - 64 * 1024);
    expect(model.farthest).toBeLessThan(COMFORTABLE_SIZE + 128 * 1024);
  });

  it('uses all of itself before it says that there is no room', () => {
    const model = new LaneModel(LARGE_CAPACITY);
    while (model.append(MiB / 2)) {
      model.publish();
    }
    expect(model.published).toHaveLength(18);
  });

  it('holds records that fill it exactly, one or many', () => {
    const model = new LaneModel(64, -5);
    for (let round = 0; round < 20; round += 1) {
      strictEqual(model.append(64), true);
      strictEqual(model.producer.hasRoom(8), false);
      model.publish();
      model.take(1);
      strictEqual(model.producer.hasRoom(8), false);
      model.release(1);
      model.look();
      model.appendOneByOne(8);
      strictEqual(model.append(8), false);
      model.publish();
      model.take(8);
      model.release(8);
      model.look();
    }
    strictEqual(model.producer.tail, 20 * 16 - 5);
  });

  it.each([2, 3, 4, 5, 8, 9])(
    'of %d granules fits a record of any size from any place',
    (granules) => {
      for (let offset = 0; offset < granules; offset += 1) {
        for (let size = 1; size <= granules; size += 1) {
          const model = new LaneModel(granules * GRANULE, -offset - 1);
          model.appendOneByOne(offset);
          model.publish();
          model.take(offset);
          model.release(offset);
          model.appendAtLast(size * GRANULE);
          model.finish();
        }
      }
    },
  );

  it('leaves to the producer what it wrote until it has looked at the head', () => {
    const model = new LaneModel(64);
    model.appendOneByOne(8);
    model.publish();
    model.take(8);
    model.release(8);
    expect(model.append(8)).toBe(false);
    model.look();
    expect(model.append(8)).toBe(true);
  });

  it('gives back its rest that was skipped for a record as large as itself', () => {
    const model = emptyAt40();
    expect(model.producer.hasRoom(64)).toBe(false);
    expect(model.words[LaneCell.tail]).toBe(8);
    model.consumer.refresh();
    expect(model.consumer.waitingSize).toBe(24);
    expect(model.consumer.peek()).toBe(false);
    expect(model.consumer.release()).toBe(true);
    model.look();
    expect(model.append(64)).toBe(true);
    model.finish();
  });

  it('forgets a place that was reserved and never pushed', () => {
    const model = emptyAt40();
    expect(model.producer.hasRoom(32)).toBe(true);
    expect(model.producer.reserve(32)).toBe(0);
    expect(model.producer.unpublishedSize).toBe(0);
    expect(model.producer.hasRoom(24)).toBe(true);
    expect(model.producer.reserve(24)).toBe(40);
    model.appendAtLast(64);
    model.finish();
  });

  it('shows what was pushed before it waits for room', () => {
    const model = new LaneModel(64);
    model.append(48);
    expect(model.producer.hasRoom(24)).toBe(false);
    expect(model.producer.announceWaiting(24)).toBe(false);
    expect(model.words[LaneCell.tail]).toBe(6);
  });

  it('keeps what was pushed to itself until it is published', () => {
    const model = new LaneModel(64);
    model.append(16);
    model.append(8);
    expect(model.producer.unpublishedSize).toBe(24);
    model.take(1);
    model.publish();
    expect(model.producer.unpublishedSize).toBe(0);
    model.take(2);
    expect(model.taken).toHaveLength(2);
  });

  it('refuses a record larger than itself, or no whole number of granules', () => {
    const { producer } = new LaneModel(64);
    expect(() => producer.hasRoom(72)).toThrow('a record is not larger than its lane');
    expect(() => producer.reserve(72)).toThrow('room was found');
    expect(() => producer.push(12, 0)).toThrow('granules');
  });

  it('rounds its capacity up to granules', () => {
    expect(makeLaneMemory(17, true).bytes).toHaveLength(24);
    expect(makeLaneMemory(24, true).bytes.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect([0, 1, 8, 9].map((size) => sizeInLane(size))).toEqual([8, 16, 16, 24]);
  });

  it('measures between addresses on either side of a wrap', () => {
    expect(distance((2 ** 31) | 0, 2 ** 31 - 1)).toBe(1);
    expect(distance(3, -2)).toBe(5);
    expect(distance(-2, 3)).toBe(-5);
  });
});

describe('waking', () => {
  it('reaches a consumer that sleeps, once', () => {
    const model = new LaneModel(64);
    model.append(8);
    model.publish();
    expect(model.wakesOfConsumer).toBe(0);
    model.hubWords[HubCell.asleep] = 1;
    model.append(8);
    expect(model.wakesOfConsumer).toBe(0);
    model.publish();
    model.publish();
    model.producer.wake();
    expect(model.wakesOfConsumer).toBe(1);
    expect(model.hubWords[HubCell.asleep]).toBe(0);
  });

  it('reaches a consumer that sleeps when the rest of the lane is skipped', () => {
    const model = emptyAt40();
    model.hubWords[HubCell.asleep] = 1;
    expect(model.producer.hasRoom(64)).toBe(false);
    expect(model.wakesOfConsumer).toBe(1);
  });

  it('reaches a producer that waits, once, and only when the head has moved', () => {
    const model = new LaneModel(64);
    model.append(64);
    model.publish();
    expect(model.producer.announceWaiting(8)).toBe(false);
    model.take(1);
    expect(model.consumer.release(0)).toBe(false);
    expect(model.wakesOfProducer).toBe(0);
    expect(model.consumer.release()).toBe(true);
    expect(model.consumer.release()).toBe(false);
    expect(model.wakesOfProducer).toBe(1);
    expect(model.words[LaneCell.waits]).toBe(0);
  });

  it('is not asked for by a producer that finds room after all', () => {
    const model = new LaneModel(64);
    model.append(64);
    model.publish();
    expect(model.producer.hasRoom(8)).toBe(false);
    model.take(1);
    model.release(1);
    expect(model.producer.announceWaiting(8)).toBe(true);
    expect(model.words[LaneCell.waits]).toBe(0);
    model.look();
    expect(model.append(8)).toBe(true);
    model.publish();
    model.take(1);
    model.release(1);
    expect(model.wakesOfProducer).toBe(0);
  });

  it('leaves the mark of what is in a file to the consumer', () => {
    const model = new LaneModel(64);
    model.consumer.markWritten(7);
    expect(model.words[LaneCell.written]).toBe(7);
  });
});
