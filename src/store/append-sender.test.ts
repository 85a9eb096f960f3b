/** Both ends of a client's lane in one thread: what is submitted at one end comes out at the other. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { viewOf } from '../base/integers.ts';
import { AtomicCells } from '../journal/cells.ts';
import { LaneConsumer, LaneProducer } from '../journal/lane.ts';
import { makeHubWords, makeLaneMemory } from '../journal/lane-layout.ts';
import { LaneMerger } from '../journal/lane-merger.ts';
import { RecordView } from '../log/record-view.ts';
import { AppendSender } from './append-sender.ts';
import { ClientLane } from './client-lane.ts';
import { prepareAppend } from './prepared-commit.ts';

const plain = { codec: undefined, compressionMinBytes: 0 };

/** One client and its owner. Sizes stand for the payloads of commits; each payload is filled with its number. */
class Pair {
  wakes = 0;
  rooms = 0;
  isEnded = false;
  readonly abortedSent: number[] = [];
  inFlight = 0;
  readonly sender: AppendSender;
  /** Numbers of the commits that came out, and of those whose calls were rejected. */
  readonly taken: number[] = [];
  readonly requests: number[] = [];
  readonly rejected: { readonly number: number; readonly applied: string | undefined }[] = [];
  readonly resolved: number[] = [];
  readonly controllers: AbortController[] = [];
  readonly #merger: LaneMerger<ClientLane<undefined>>;
  readonly #lane: ClientLane<undefined>;

  constructor(laneSize: number) {
    const memory = makeLaneMemory(laneSize, false);
    const cells = new AtomicCells(memory.words);
    const hub = new AtomicCells(makeHubWords(false));
    const producer = new LaneProducer(memory, cells, hub, () => (this.wakes += 1));
    const consumer = new LaneConsumer(memory, cells, () => (this.rooms += 1));
    this.#lane = new ClientLane(consumer, undefined);
    this.#merger = new LaneMerger(hub);
    this.#merger.add(this.#lane);
    this.#merger.fallAsleep();
    this.sender = new AppendSender(producer, {
      abortSent: (requests) => this.abortedSent.push(...requests),
      inFlight: (change) => (this.inFlight += change),
      isEnded: () => this.isEnded,
    });
  }

  submit(size: number): number {
    const number = this.controllers.length;
    const controller = new AbortController();
    this.controllers.push(controller);
    const data = new Uint8Array(size).fill(number);
    const { signal } = controller;
    const commit = prepareAppend(`s/${number}`, [{ type: 'T', data }], { signal }, plain);
    this.sender.submit(
      commit,
      undefined,
      () => this.resolved.push(number),
      ({ applied }) => this.rejected.push({ number, applied }),
    );
    return number;
  }

  /** The owner wakes, takes everything, and sleeps. */
  drain(): void {
    do {
      this.#merger.drain(() => this.#take());
    } while (!this.#merger.fallAsleep());
  }

  /** Whatever is left goes through. */
  async finish(): Promise<void> {
    const isOver = (): boolean =>
      this.taken.length + this.rejected.length === this.controllers.length;
    for (let turn = 0; turn < 1_000 && !isOver(); turn += 1) {
      await Promise.resolve();
      this.drain();
      this.room();
    }
    strictEqual(isOver(), true);
  }

  /** The client hears that there is room, if the owner has said so. */
  room(): void {
    if (this.rooms > 0) {
      this.rooms = 0;
      this.sender.pump();
    }
  }

  acknowledge(requests: readonly number[]): void {
    const acks = requests.flatMap((request) => [request, 0, 0, 0, 0, 0]);
    this.sender.acknowledged(Float64Array.from(acks));
  }

  #take(): void {
    const commit = this.#lane.take();
    if (commit === undefined) {
      return;
    }
    const number = Number(commit.parts[0]!.stream.slice(2));
    const bytes = Buffer.alloc(commit.bodySize);
    const record = new RecordView();
    record.openDraft(bytes, viewOf(bytes), 0, commit.putRecord(0, bytes, viewOf(bytes), 0));
    strictEqual(
      record.payload.every((byte) => byte === (number & 0xff)),
      true,
    );
    strictEqual(commit.hasSignal, true);
    this.taken.push(number);
    this.requests.push(this.#lane.request);
  }
}

const steps = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 0, max: 200 }) },
    { weight: 2, arbitrary: fc.integer({ min: 200, max: 5_000 }) },
    { weight: 2, arbitrary: fc.constant('drain' as const) },
    { weight: 2, arbitrary: fc.constant('room' as const) },
    { weight: 2, arbitrary: fc.constant('turn' as const) },
    { weight: 1, arbitrary: fc.constant('abort' as const) },
  ),
  { maxLength: 80, size: 'max' },
);

describe('the client’s end of a lane', () => {
  it('hands over every commit once, whole and in the order of the calls, but for those aborted before', async () => {
    await fc.assert(
      fc.asyncProperty(steps, fc.integer({ min: 256, max: 2_000 }), async (sequence, laneSize) => {
        const pair = new Pair(laneSize);
        for (const [index, step] of sequence.entries()) {
          if (step === 'drain') {
            pair.drain();
          } else if (step === 'room') {
            pair.room();
          } else if (step === 'turn') {
            await Promise.resolve();
          } else if (step === 'abort') {
            pair.controllers[(index * 7) % (pair.controllers.length + 1)]?.abort();
          } else {
            pair.submit(step);
          }
        }
        await pair.finish();
        const rejected = new Set(pair.rejected.map(({ number }) => number));
        const expected = [...pair.controllers.keys()].filter((number) => !rejected.has(number));
        deepStrictEqual(pair.taken, expected);
        strictEqual(pair.inFlight, expected.length);
        pair.acknowledge(pair.requests);
        deepStrictEqual(pair.resolved, expected);
        strictEqual(pair.inFlight, 0);
        await pair.sender.allAnswered();
      }),
      { numRuns: 100 },
    );
  });

  it('wakes the owner once for everything that is appended in one go', async () => {
    const pair = new Pair(1024 * 1024);
    for (let count = 0; count < 1_000; count += 1) {
      pair.submit(10);
    }
    expect(pair.wakes).toBe(0);
    await Promise.resolve();
    expect(pair.wakes).toBe(1);
    pair.drain();
    expect(pair.taken).toHaveLength(1_000);
  });

  it('takes back a commit of which only pieces were sent', () => {
    const pair = new Pair(256);
    pair.submit(5_000);
    pair.submit(3);
    pair.drain();
    pair.controllers[0]!.abort();
    expect(pair.rejected).toEqual([{ number: 0, applied: 'no' }]);
    expect(pair.abortedSent).toEqual([]);
    pair.room();
    pair.drain();
    pair.room();
    return pair.finish().then(() => expect(pair.taken).toEqual([1]));
  });

  it('tells the owner of what was aborted after it was sent, and lets it decide', () => {
    const pair = new Pair(10_000);
    pair.submit(1);
    pair.submit(2);
    pair.controllers[1]!.abort();
    expect([pair.rejected, pair.abortedSent]).toEqual([[], [2]]);
    pair.acknowledge([1, 2]);
    expect(pair.resolved).toEqual([0, 1]);
  });

  it('says of each call what is known of it when the owner is gone', async () => {
    const pair = new Pair(256);
    pair.submit(10);
    pair.submit(5_000);
    pair.submit(10);
    const answered = pair.sender.allAnswered();
    pair.sender.end((applied) => Object.assign(new Error('gone'), { applied }) as never);
    expect(pair.rejected).toEqual([
      { number: 0, applied: 'unknown' },
      { number: 1, applied: 'no' },
      { number: 2, applied: 'no' },
    ]);
    expect(pair.inFlight).toBe(0);
    await answered;
  });

  it('sends nothing more once the owner takes nothing more', () => {
    const pair = new Pair(256);
    pair.submit(5_000);
    pair.drain();
    pair.isEnded = true;
    pair.room();
    pair.drain();
    expect(pair.taken).toEqual([]);
  });
});
