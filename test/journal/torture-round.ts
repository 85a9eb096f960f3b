/** One round of journal-torture.test.ts: what is made, run, broken and compared. */
import { mkdirSync, openSync, readdirSync, writeSync, closeSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { dumpSegment } from 'varve/inspect';
import { SeededRandom, SimulatedClock } from 'varve/testing';
import { expect } from 'vitest';
import type { VarveError } from '../../src/base/errors.ts';
import { silentLogger } from '../../src/base/logger.ts';
import type { FileSystem } from '../../src/io/file-system.ts';
import { nodeClock } from '../../src/io/node-clock.ts';
import { NodeFileSystem } from '../../src/io/node-file-system.ts';
import { AtomicCells } from '../../src/journal/cells.ts';
import type { FrameEncoder } from '../../src/journal/encoder.ts';
import { inlineWriter } from '../../src/journal/inline-writer.ts';
import { Journal } from '../../src/journal/journal.ts';
import { LaneMerger } from '../../src/journal/lane-merger.ts';
import { HubCell, LaneCell, makeHubWords, makeLaneMemory } from '../../src/journal/lane-layout.ts';
import { LaneConsumer } from '../../src/journal/lane.ts';
import { PendingFrame } from '../../src/journal/pending-frame.ts';
import { recoverJournal } from '../../src/journal/recovery.ts';
import { createJournal } from '../../src/journal/new-journal.ts';
import { threadWriter } from '../../src/journal/thread-writer.ts';
import { newFolder } from './planned-disk.ts';

const PRODUCER_COUNT = 8;
const RECORD_COUNT = 300;
/** The largest fill a segment or two in a round. */
const LANE_SIZES = [136, 256, 264, 400, 512, 1_024, 65_536, 65_536];
const settings = {
  segmentSizeMax: 1024 * 1024,
  batchSizeMax: 24 * 1024,
  pendingSizeMax: 128 * 1024,
  maxDelayMs: 0,
};
const identity = new Uint8Array(16).fill(7);

type OnRecord = (bytes: Buffer, view: DataView, at: number) => void;

/** What the fixtures export. */
interface Fixtures {
  readonly CONTENT_HEADER_SIZE: number;
  contentByte(id: number, number: number, index: number): number;
  readonly ChainEncoder: new (
    link?: number,
    onRecord?: OnRecord,
  ) => FrameEncoder & { takeState(): number };
}

const fixtureOf = (name: string): URL => new URL(`../fixtures/${name}`, import.meta.url);
const content = (await import(fixtureOf('torture-content.js').href)) as Fixtures;
const diskModule = (await import(fixtureOf('torture-file-system.js').href)) as {
  create(options: unknown): FileSystem;
};

export interface Round {
  /** Records that came out of the lanes. */
  readonly records: number;
  /** Producers that were ended. */
  readonly ended: number;
  /** 1 if writing failed; 1 if the planned fault struck. */
  readonly failures: number;
  readonly struck: number;
  /** Records that were taken and are not in the log, for writing has failed. */
  readonly lost: number;
  readonly segments: number;
  /** Frames that the power cut took back. */
  readonly cut: number;
}

/** A record as it was taken, or found in the log. */
interface Taken {
  readonly id: number;
  readonly number: number;
  readonly began: number;
}

/** A frame of some records, and what was heard of it. */
class Commit extends PendingFrame {
  readonly records: Taken[] = [];
  outcome: 'durable' | 'no' | 'unknown' | undefined;
  isWritten = false;

  written(): void {
    expect(this.outcome).toBeUndefined();
    this.isWritten = true;
  }

  durable(): void {
    expect(this.outcome).toBeUndefined();
    this.outcome = 'durable';
  }

  failed(error: VarveError): void {
    expect(this.outcome).toBeUndefined();
    expect(error.code).toBe('POISONED');
    expect(['no', 'unknown']).toContain(error.applied);
    this.outcome = error.applied;
  }
}

class Producer {
  readonly consumer: LaneConsumer;
  readonly returned = new Int32Array(new SharedArrayBuffer(RECORD_COUNT * 4));
  takenCount = 0;
  hasExited = false;
  readonly exited: Promise<void>;
  readonly #worker: Worker;

  readonly id: number;
  /** The number of records after which it is ended, if it is. */
  readonly endsAfter: number | undefined;

  constructor(
    id: number,
    plan: { seed: number; laneSize: number; hubWords: Int32Array; time: Int32Array },
    endsAfter: number | undefined,
    onExit: () => void,
  ) {
    this.id = id;
    this.endsAfter = endsAfter;
    const memory = makeLaneMemory(plan.laneSize, true);
    const cells = new AtomicCells(memory.words);
    this.consumer = new LaneConsumer(memory, cells, () => cells.notify(LaneCell.waits));
    const { returned } = this;
    const workerData = { ...memory, ...plan, id, count: RECORD_COUNT, returned };
    this.#worker = new Worker(fixtureOf('torture-producer.js'), { workerData });
    this.exited = new Promise((resolve, reject) => {
      this.#worker.on('error', reject);
      this.#worker.on('exit', () => {
        this.hasExited = true;
        onExit();
        resolve();
      });
    });
  }

  end(): void {
    void this.#worker.terminate();
  }

  get returnedCount(): number {
    return this.returned.filter((time) => time > 0).length;
  }
}

export async function tortureRound(writer: 'thread' | 'inline', seed: number): Promise<Round> {
  const world = new World(writer, seed);
  const taken = await world.consume();
  const { failure } = world.journal;
  await world.end();
  const counts = world.compareLanes();
  const cut = failure === undefined ? 0 : world.cutPower();
  const recovered = world.recover();
  world.compareLog(recovered);
  return {
    records: taken,
    ended: counts.ended,
    failures: failure === undefined ? 0 : 1,
    struck: world.struck[0]!,
    lost: taken - recovered.length,
    segments: world.segmentNames().length,
    cut,
  };
}

class World {
  readonly random: SeededRandom;
  readonly directory: string;
  readonly journal: Journal;
  readonly struck = new Int32Array(new SharedArrayBuffer(4));
  readonly producers: Producer[] = [];
  readonly commits: Commit[] = [];
  readonly #hubWords = makeHubWords(true);
  readonly #hub = new AtomicCells(this.#hubWords);
  readonly #merger = new LaneMerger<Producer>(this.#hub);
  readonly #time = new Int32Array(new SharedArrayBuffer(4));
  readonly #syncs = new Float64Array(new SharedArrayBuffer(50_000 * 5 * 8));
  readonly #syncCount = new Int32Array(new SharedArrayBuffer(4));
  /** Taken out of the lanes, not yet in the journal. */
  #waiting: { record: Taken; bytes: Buffer }[] = [];
  #roomChanged: () => void = () => {};

  constructor(writer: 'thread' | 'inline', seed: number) {
    this.random = new SeededRandom(seed * 2 + (writer === 'thread' ? 1 : 0));
    this.directory = newFolder();
    mkdirSync(join(this.directory, 'log'), { recursive: true });
    const random = this.random;
    const logDirectory = join(this.directory, 'log');
    const plain = new NodeFileSystem();
    createJournal({ fileSystem: plain, directory: logDirectory, identity }, random);
    const options = {
      seed,
      clock: new Int32Array(new SharedArrayBuffer(4)),
      syncs: this.#syncs,
      syncCount: this.#syncCount,
      struck: this.struck,
      fault:
        seed % 4 > 0 && random.chance(0.9)
          ? {
              at: 1 + random.below(random.pick([10, 120])),
              does: random.pick(['EIO', 'EIO', 'ENOSPC', 'short', 'exit']),
            }
          : undefined,
    };
    const fileSystem = writer === 'thread' ? plain : diskModule.create(options);
    const encoder = new content.ChainEncoder();
    const place = { fileSystem, directory: logDirectory, identity, encoder };
    const quarantineDirectory = join(this.directory, 'quarantine');
    const { active } = recoverJournal({ ...place, quarantineDirectory });
    const startInline = inlineWriter({ ...place, clock: nodeClock }, settings, active);
    const startThread = threadWriter(
      {
        worker: { name: 'torture', locate: () => fixtureOf('torture-writer.js') },
        directory: logDirectory,
        identity,
        threads: {
          goInline: undefined,
          namedFileSystem: { module: fixtureOf('torture-file-system.js'), options },
        },
        startInline,
        takeEncoder: () => ({ state: encoder.takeState(), transfer: [] }),
      },
      settings,
      active,
    );
    this.journal = new Journal(
      {
        clock: new SimulatedClock(),
        random,
        logger: silentLogger,
        startWriter: writer === 'thread' ? startThread : startInline,
        startInline,
      },
      settings,
      active,
      {
        durable: () => {},
        roomChanged: () => this.#roomChanged(),
        noSpace: () => this.#roomChanged(),
        sealed: () => {},
        failed: () => this.#roomChanged(),
      },
    );
    for (let index = 0; index < PRODUCER_COUNT; index += 1) {
      this.#addProducer(true);
    }
  }

  /** Takes everything out of all lanes and into the journal, until all producers are gone or writing has failed. */
  async consume(): Promise<number> {
    let takenCount = 0;
    let goneCount = 0;
    while (goneCount < this.producers.length && this.journal.failure === undefined) {
      // Who is gone by now has published all it ever will: the drain after this look misses nothing.
      const gone = this.producers.filter(({ hasExited }) => hasExited);
      takenCount += this.#merger.drain(
        (producer) => this.#take(producer),
        () => this.#waiting.length < 200,
      );
      for (const producer of gone) {
        // Not before its lane is empty.
        if (producer.consumer.waitingSize === 0) {
          this.#merger.remove(producer);
        }
      }
      goneCount = gone.filter(({ consumer }) => consumer.waitingSize === 0).length;
      await this.#appendWaiting();
      if (this.#waiting.length === 0 && goneCount < this.producers.length) {
        await this.#sleep();
      }
    }
    return takenCount;
  }

  async #sleep(): Promise<void> {
    if (this.#merger.fallAsleep()) {
      const { value } = Atomics.waitAsync(this.#hubWords, HubCell.asleep, 1);
      await Promise.race([value, this.#nextChange()]);
    } else {
      await nodeClock.pause();
    }
  }

  #nextChange(): Promise<void> {
    return new Promise((resolve) => {
      this.#roomChanged = resolve;
    });
  }

  #take(producer: Producer): void {
    const { consumer } = producer;
    const { bytes, view, start, size } = consumer;
    const at = start + 8;
    const record = recordAt(bytes, view, at);
    expect(record.id).toBe(producer.id);
    expect(record.number, `of producer ${record.id}`).toBe(producer.takenCount);
    producer.takenCount += 1;
    const recordSize = content.CONTENT_HEADER_SIZE + view.getUint32(at + 8, true);
    expect(size - recordSize - 8).toBeLessThan(8);
    this.#waiting.push({ record, bytes: Buffer.from(bytes.subarray(at, at + recordSize)) });
    if (producer.takenCount === producer.endsAfter) {
      producer.end();
    }
  }

  /** Puts what was taken into frames of one to four records. */
  async #appendWaiting(): Promise<void> {
    while (this.#waiting.length > 0 && this.journal.failure === undefined) {
      const some = this.#waiting.slice(0, 1 + this.random.below(4));
      const bodySize = some.reduce((sum, { bytes }) => sum + bytes.length, 8);
      if (!this.journal.hasRoom(bodySize)) {
        await this.#nextChange();
        continue;
      }
      const slot = this.journal.reserve(bodySize);
      slot.view.setUint32(slot.bodyStart + 4, some.length, true);
      const commit = new Commit(this.random.chance(0.2));
      let at = slot.bodyStart + 8;
      for (const { record, bytes } of some) {
        slot.bytes.set(bytes, at);
        at += bytes.length;
        commit.records.push(record);
      }
      this.commits.push(commit);
      this.journal.publish(slot, some.length, commit);
      this.#waiting.splice(0, some.length);
    }
  }

  #addProducer(mayEnd: boolean): void {
    const { random } = this;
    const id = this.producers.length;
    const plan = {
      seed: random.uint32(),
      laneSize: LANE_SIZES[id % LANE_SIZES.length]!,
      hubWords: this.#hubWords,
      time: this.#time,
    };
    const endsAfter = mayEnd && random.chance(0.4) ? 1 + random.below(RECORD_COUNT) : undefined;
    const producer = new Producer(id, plan, endsAfter, () => {
      // Another one takes its place.
      if (producer.endsAfter !== undefined && this.journal.failure === undefined) {
        this.#addProducer(false);
      }
      this.#hub.store(HubCell.asleep, 0);
      this.#hub.notify(HubCell.asleep);
      this.#roomChanged();
    });
    this.producers.push(producer);
    this.#merger.add(producer);
  }

  async end(): Promise<void> {
    for (const producer of this.producers) {
      producer.end();
    }
    await Promise.all(this.producers.map(({ exited }) => exited));
    await this.journal.whenIdle();
    expect(this.commits.every(({ outcome }) => outcome !== undefined)).toBe(true);
    await this.journal.close();
  }

  /** Order and count of what came out of the lanes. */
  compareLanes(): { ended: number } {
    const records = this.commits.flatMap((commit) => commit.records);
    let earliestReturn = Infinity;
    for (const { id, number, began } of records.toReversed()) {
      // Whatever had returned before this one began stands before it.
      expect(earliestReturn).toBeGreaterThan(began);
      const returned = Atomics.load(this.producers[id]!.returned, number);
      earliestReturn = returned === 0 ? earliestReturn : Math.min(earliestReturn, returned);
    }
    for (const { takenCount, returnedCount, endsAfter } of this.producers) {
      if (this.journal.failure === undefined) {
        expect(takenCount).toBeGreaterThanOrEqual(returnedCount);
        expect(takenCount).toBeGreaterThanOrEqual(endsAfter ?? RECORD_COUNT);
      }
    }
    return { ended: this.producers.filter(({ endsAfter }) => endsAfter !== undefined).length };
  }

  segmentNames(): string[] {
    const names = readdirSync(join(this.directory, 'log'));
    return names.filter((name) => name.endsWith('.seg')).toSorted();
  }

  /** Takes back what no sync has covered, or not: the kernel writes pages in any order. Returns the number of frames. */
  cutPower(): number {
    const covered = new Set<string>();
    for (let index = 0; index < this.#syncCount[0]!; index += 1) {
      const [, segment, start, end] = this.#syncs.subarray(index * 5, index * 5 + 4);
      for (let at = start!; at < end!; at += 8) {
        covered.add(`${segment} ${at}`);
      }
    }
    let count = 0;
    for (const name of this.segmentNames()) {
      const path = join(this.directory, 'log', name);
      const rows = [...dumpSegment(path)];
      for (const row of rows) {
        const isCovered = covered.has(`${Number.parseInt(name, 10)} ${row.offset}`);
        if (row.kind === 'frame' && !isCovered && this.random.chance(0.5)) {
          zero(path, row.offset, row.size);
          count += 1;
        }
      }
    }
    return count;
  }

  recover(): Taken[] {
    const found: Taken[] = [];
    const encoder = new content.ChainEncoder(0, (bytes, view, at) =>
      found.push(recordAt(bytes, view, at)),
    );
    const { active } = recoverJournal({
      fileSystem: new NodeFileSystem(),
      directory: join(this.directory, 'log'),
      quarantineDirectory: join(this.directory, 'quarantine'),
      identity,
      encoder,
    });
    active.file.close();
    expect(active.position).toBe(found.length);
    return found;
  }

  /** What is in the log is what was appended, from the beginning; whatever was promised is in it. */
  compareLog(found: readonly Taken[]): void {
    const sent = this.commits.flatMap((commit) => commit.records);
    expect(found.length).toBeLessThanOrEqual(sent.length);
    for (const [position, record] of found.entries()) {
      if (record.id !== sent[position]!.id || record.number !== sent[position]!.number) {
        expect(record, `position ${position}`).toEqual(sent[position]);
      }
    }
    let hasEnded = false;
    for (const { outcome, firstPosition, count } of this.commits) {
      if (outcome === 'durable') {
        expect(hasEnded, 'none is durable behind one that is not').toBe(false);
        expect(firstPosition + count).toBeLessThanOrEqual(found.length);
        expect(firstPosition + count).toBeLessThanOrEqual(this.journal.durable);
      } else {
        hasEnded = true;
        expect(this.journal.failure).toBeDefined();
      }
      if (outcome === 'no') {
        expect(found.length).toBeLessThanOrEqual(firstPosition);
      }
    }
    if (this.journal.failure === undefined) {
      expect(found).toHaveLength(sent.length);
    }
  }
}

/** Reads a record and checks every byte of it. */
function recordAt(bytes: Buffer, view: DataView, at: number): Taken {
  const id = view.getUint32(at, true);
  const number = view.getUint32(at + 4, true);
  const size = view.getUint32(at + 8, true);
  const start = at + content.CONTENT_HEADER_SIZE;
  for (let index = 0; index < size; index += 1) {
    if (bytes[start + index] !== content.contentByte(id, number, index)) {
      expect(bytes[start + index], `byte ${index} of ${number} of ${id}`).toBe(
        content.contentByte(id, number, index),
      );
    }
  }
  return { id, number, began: view.getUint32(at + 12, true) };
}

function zero(path: string, offset: number, size: number): void {
  const descriptor = openSync(path, 'r+');
  writeSync(descriptor, new Uint8Array(size), 0, size, offset);
  closeSync(descriptor);
}
