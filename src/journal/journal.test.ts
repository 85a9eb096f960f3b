import { describe, expect, it } from 'vitest';
import { silentLogger } from '../base/logger.ts';
import { SeededRandom } from '../base/random.ts';
import { SimulatedClock } from '../testing/simulated-clock.ts';
import { Journal, type JournalEvents } from './journal.ts';
import { LaneCell, makeHubWords, makeLaneMemory } from './lane-layout.ts';
import { journalDefaults } from './options.ts';
import { PendingFrame } from './pending-frame.ts';
import type { WriterHost } from './writer-host.ts';
import type { ReportWriter } from './writer-messages.ts';

describe('the owner of a journal', () => {
  it('settles every frame once when the writer moves on while it looks', () => {
    const bench = new Bench();
    const told: string[] = [];
    // The writer makes the second frame durable, too, just when the owner has seen that the first is written.
    const first = bench.append(new Frame('first', told, () => bench.move(second.end)));
    const second = bench.append(new Frame('second', told));
    bench.words[LaneCell.written] = first.end;
    bench.report({ report: 'durable' });
    bench.report({ report: 'durable' });
    expect([bench.journal.durable, bench.journal.pendingCount]).toEqual([2, 0]);
    const third = bench.append(new Frame('third', told));
    bench.move(third.end);
    bench.report({ report: 'durable' });
    expect(told).toEqual([
      'first written',
      'second written',
      'first durable',
      'second durable',
      'third written',
      'third durable',
    ]);
    expect(bench.journal.durable).toBe(3);
  });

  it('keeps the process while somebody waits for space, and no longer', () => {
    const bench = new Bench();
    expect(bench.journal.hasRoom(100)).toBe(false);
    expect(bench.isHeld).toBe(true);
    bench.report(prepared);
    expect(bench.isHeld).toBe(false);
    const frame = bench.append(new Frame('one', []));
    expect(bench.isHeld).toBe(true);
    bench.move(frame.end);
    bench.report({ report: 'durable' });
    expect(bench.isHeld).toBe(false);
  });
});

const prepared = { report: 'prepared', index: 0, size: 1024 * 1024, isScarce: false } as const;

class Frame extends PendingFrame {
  readonly #name: string;
  readonly #told: string[];
  readonly #onWritten: (() => void) | undefined;

  constructor(name: string, told: string[], onWritten?: () => void) {
    super(true);
    this.#name = name;
    this.#told = told;
    this.#onWritten = onWritten;
  }

  written(): void {
    this.#told.push(`${this.#name} written`);
    this.#onWritten?.();
  }

  durable(): void {
    this.#told.push(`${this.#name} durable`);
  }

  failed(): void {
    this.#told.push(`${this.#name} failed`);
  }
}

/** A journal whose writer is the test. */
class Bench {
  readonly journal: Journal;
  report!: ReportWriter;
  isHeld = false;
  readonly #memory = makeLaneMemory(64 * 1024, false);

  constructor() {
    const host: WriterHost = {
      isThread: true,
      wake: () => {},
      order: () => {},
      hold: (isHeld) => (this.isHeld = isHeld),
      close: () => Promise.resolve(),
    };
    const startWriter = (report: ReportWriter) => {
      this.report = report;
      return { memory: this.#memory, hubWords: makeHubWords(false), host };
    };
    const parts = {
      clock: new SimulatedClock(),
      random: new SeededRandom(1),
      logger: silentLogger,
      startWriter,
      startInline: startWriter,
    };
    const active = { index: 0, offset: 128, position: 0 };
    this.journal = new Journal(parts, journalDefaults, active, silentEvents);
  }

  get words(): Int32Array {
    return this.#memory.words;
  }

  append<Kind extends PendingFrame>(frame: Kind): Kind {
    if (!this.journal.hasRoom(100)) {
      this.report(prepared);
      expect(this.journal.hasRoom(100)).toBe(true);
    }
    this.journal.draw(100);
    this.journal.publish(this.journal.reserve(100), 1, frame);
    return frame;
  }

  /** Everything before this address is written and durable. */
  move(address: number): void {
    this.words[LaneCell.written] = address;
    this.words[LaneCell.head] = address;
  }
}

const silentEvents: JournalEvents = {
  durable: () => {},
  roomChanged: () => {},
  noSpace: () => {},
  sealed: () => {},
  failed: () => {},
};
