/** What an encoder can do on the writer's side: use files, tell its owner, act after a sync; in this thread and in another. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SeededRandom } from 'varve/testing';
import { describe, expect, it } from 'vitest';
import type { LogEntry } from '../../src/base/logger.ts';
import { nodeClock } from '../../src/io/node-clock.ts';
import { NodeFileSystem } from '../../src/io/node-file-system.ts';
import type { FrameEncoder } from '../../src/journal/encoder.ts';
import { inlineWriter } from '../../src/journal/inline-writer.ts';
import { Journal, type JournalEvents } from '../../src/journal/journal.ts';
import { journalDefaults } from '../../src/journal/options.ts';
import { PendingFrame } from '../../src/journal/pending-frame.ts';
import { recoverJournal } from '../../src/journal/recovery.ts';
import { createJournal } from '../../src/journal/new-journal.ts';
import { threadWriter } from '../../src/journal/thread-writer.ts';
import { newFolder } from './planned-disk.ts';

const fixtureOf = (name: string): URL => new URL(`../fixtures/${name}`, import.meta.url);
const { SideEncoder } = (await import(fixtureOf('side-encoder.js').href)) as {
  readonly SideEncoder: new (failAt?: number) => FrameEncoder;
};
const identity = new Uint8Array(16).fill(3);

class Frame extends PendingFrame {
  readonly #settle: (error: Error | undefined) => void;

  constructor(settle: (error: Error | undefined) => void) {
    super(false);
    this.#settle = settle;
  }

  written(): void {}

  durable(): void {
    this.#settle(undefined);
  }

  failed(error: Error): void {
    this.#settle(error);
  }
}

/** A journal with a side file, and all that is told of it. */
class SideJournal {
  readonly told: { found?: number; position?: number; completed?: number }[] = [];
  readonly entries: LogEntry[] = [];
  readonly directory = newFolder();
  readonly #journal: Journal;
  #waiting: (() => void)[] = [];

  constructor(writer: 'thread' | 'inline', failAt?: number) {
    const fileSystem = new NodeFileSystem();
    const directory = join(this.directory, 'log');
    mkdirSync(directory, { recursive: true });
    const first = new Uint8Array(8);
    first[7] = 9;
    writeFileSync(join(this.directory, 'side'), first);
    const random = new SeededRandom(1);
    createJournal({ fileSystem, directory, identity }, random);
    const place = { fileSystem, directory, identity, encoder: new SideEncoder(failAt) };
    const { active } = recoverJournal({ ...place, quarantineDirectory: '' });
    const startInline = inlineWriter({ ...place, clock: nodeClock }, journalDefaults, active);
    const worker = { name: 'side', locate: () => fixtureOf('side-writer.js') };
    const threads = { goInline: undefined, namedFileSystem: undefined };
    const takeEncoder = () => ({ state: failAt, transfer: [] });
    const parts = { worker, directory, identity, threads, startInline, takeEncoder };
    const startThread = threadWriter(parts, journalDefaults, active);
    const startWriter = writer === 'thread' ? startThread : startInline;
    const logger = (entry: LogEntry): unknown => this.entries.push(entry);
    const events: JournalEvents = {
      durable: () => {},
      roomChanged: () => this.#changed(),
      noSpace: () => {},
      sealed: () => {},
      encoderReported: (message) => {
        this.told.push(message as SideJournal['told'][number]);
        this.#changed();
      },
      failed: () => this.#changed(),
    };
    this.#journal = new Journal(
      { clock: nodeClock, random, logger, startWriter, startInline },
      journalDefaults,
      active,
      events,
    );
  }

  #changed(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    waiting.forEach((resolve) => resolve());
  }

  async append(size: number, count: number): Promise<number> {
    const journal = this.#journal;
    while (!journal.hasRoom(size)) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    journal.draw(size);
    const slot = journal.reserve(size);
    slot.bytes.fill(count, slot.bodyStart, slot.bodyStart + size);
    await new Promise<void>((resolve, reject) => {
      const frame = new Frame((error) => (error === undefined ? resolve() : reject(error)));
      journal.publish(slot, count, frame);
    });
    return journal.durable;
  }

  /** Resolves when the side file is told to be at a position. */
  async reaches(position: number): Promise<void> {
    while (this.told.at(-1)?.position !== position) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  get side(): number {
    return Number(readFileSync(join(this.directory, 'side')).readBigUInt64BE());
  }

  async close(): Promise<void> {
    await this.#journal.whenIdle();
    await this.#journal.close();
  }
}

describe.each(['inline', 'thread'] as const)('an encoder on the writer’s side, %s', (writer) => {
  it('reads a file, writes it after each sync, and tells its owner in order', async () => {
    const journal = new SideJournal(writer);
    for (let round = 1; round <= 20; round += 1) {
      // A burst: several frames share a batch, and larger ones are finished while the disk is busy.
      const burst = Array.from({ length: 10 }, () => journal.append(round * 2_000, 3));
      await Promise.all(burst);
      await journal.reaches(round * 30);
      expect(journal.side).toBe(round * 30);
    }
    await journal.close();
    const [first, ...rest] = journal.told;
    expect(first).toEqual({ found: 9 });
    const positions = rest.map(({ position }) => position!);
    expect(positions).toEqual(positions.toSorted((left, right) => left - right));
    expect(new Set(positions).size).toBe(positions.length);
    expect(rest.every(({ position, completed }) => completed! >= position!)).toBe(true);
    expect(journal.entries.filter(({ level }) => level !== 'info')).toEqual([]);
  });

  it('fails after a sync without harm: it is told once, not asked again, and appends go on', async () => {
    const journal = new SideJournal(writer, 4);
    for (let index = 1; index <= 8; index += 1) {
      expect(await journal.append(100, 1)).toBe(index);
    }
    await journal.close();
    expect(journal.told.map(({ position }) => position)).toEqual([undefined, 1, 2, 3]);
    expect(journal.side).toBe(3);
    expect(journal.entries).toMatchObject([
      { level: 'warn', event: 'derived-write-failed', details: { cause: { name: 'RangeError' } } },
    ]);
    const fileSystem = new NodeFileSystem();
    const directory = join(journal.directory, 'log');
    const place = { fileSystem, directory, identity, encoder: new SideEncoder() };
    const { active, recovery } = recoverJournal({ ...place, quarantineDirectory: '' });
    active.file.close();
    expect({ position: active.position, ...recovery }).toMatchObject({
      position: 8,
      wasClosed: true,
    });
  });
});
