import { beforeAll, describe, expect, it } from 'vitest';
import { crc32 } from '../base/crc32.ts';
import { CorruptionError } from '../base/errors.ts';
import { silentLogger } from '../base/logger.ts';
import { SeededRandom } from '../base/random.ts';
import { SimulatedClock } from '../testing/simulated-clock.ts';
import { SimulatedFileSystem } from '../testing/simulated-file-system.ts';
import type { FrameBody, FrameEncoder } from './encoder.ts';
import { FRAME_HEADER_SIZE, segmentName } from './format.ts';
import { FrameWalker } from './frame-walker.ts';
import { inlineWriter } from './inline-writer.ts';
import { Journal } from './journal.ts';
import { type KnownPosition, KnownPositionError } from './known-position.ts';
import type { OffsetTable } from './offset-table.ts';
import { type JournalSettings, journalDefaults } from './options.ts';
import { PendingFrame } from './pending-frame.ts';
import { readJournal, recoverJournal } from './recovery.ts';
import { createJournal } from './new-journal.ts';

const directory = '/log';
const place = { directory, quarantineDirectory: '/quarantine' };
const identity = new Uint8Array(16).fill(5);
const settings: JournalSettings = { ...journalDefaults, segmentSizeMax: 2_048 };

/** Bodies of `count` items; each item of one body lies somewhere else in it. */
class ItemEncoder implements FrameEncoder {
  /** First positions of the frames that were replayed, and of those that were only noted. */
  readonly replayed: number[] = [];
  readonly noted: number[] = [];
  #digest = 0;

  complete(body: FrameBody, offsets: OffsetTable): void {
    const { bytes, start, size, count, fileOffset } = body;
    for (let index = 0; index < count; index += 1) {
      offsets.push(fileOffset + index);
    }
    this.#digest = (this.#digest + crc32(bytes, start, start + size)) >>> 0;
  }

  replay(body: FrameBody, offsets: OffsetTable, isKnown: boolean): undefined {
    (isKnown ? this.noted : this.replayed).push(body.firstPosition);
    this.complete(body, offsets);
  }

  markOf({ bytes, start, size }: FrameBody): Uint8Array {
    return new Uint8Array(bytes.subarray(start + size, start + size + 4));
  }

  sealSegment() {
    const digest = new Uint8Array(32).fill(this.#digest & 0xff);
    this.#digest = 0;
    return { digest, minStamp: 0, maxStamp: 0 };
  }
}

class Frame extends PendingFrame {
  constructor() {
    super(false);
  }

  written(): void {}

  durable(): void {}

  failed(): void {
    throw new Error('a frame was lost');
  }
}

interface Commit {
  readonly count: number;
  readonly size: number;
}

function newDisk(seed: number): SimulatedFileSystem {
  const fileSystem = new SimulatedFileSystem();
  fileSystem.makeDirectory(directory);
  createJournal({ fileSystem, directory, identity }, new SeededRandom(seed));
  return fileSystem;
}

/** Appends commits whose bytes are drawn from `seed`, one batch each. Closes or is left as a crash leaves it. */
async function append(
  fileSystem: SimulatedFileSystem,
  commits: readonly Commit[],
  seed: number,
  end: 'closed' | 'stopped' = 'stopped',
): Promise<void> {
  const encoder = new ItemEncoder();
  const parts = { ...place, fileSystem, identity, encoder };
  const { active } = recoverJournal(parts);
  const clock = new SimulatedClock();
  const random = new SeededRandom(seed);
  const start = inlineWriter({ ...parts, clock }, settings, active);
  let changed: (() => void) | undefined;
  const events = {
    durable: () => changed?.(),
    roomChanged: () => changed?.(),
    noSpace: () => {},
    sealed: () => {},
    failed: () => {},
  };
  const starts = { startWriter: start, startInline: start };
  const journal = new Journal(
    { clock, random, logger: silentLogger, ...starts },
    settings,
    active,
    events,
  );
  for (const { count, size } of commits) {
    while (!journal.hasRoom(size)) {
      await new Promise<void>((resolve) => (changed = resolve));
    }
    journal.draw(size);
    const slot = journal.reserve(size);
    random.fill(slot.bytes.subarray(slot.bodyStart, slot.bodyStart + size));
    journal.publish(slot, count, new Frame());
    await journal.whenIdle();
  }
  // What nobody waits for is done by then: footers, and the tail file.
  for (let turn = 0; turn < 100; turn += 1) {
    clock.advance(100);
    await clock.pause();
  }
  if (end === 'closed') {
    await journal.close();
  }
}

interface Border extends KnownPosition {
  readonly segment: number;
  /** Where the frame begins that ends there. */
  readonly offset: number;
}

/** Every position at which a frame ends, with its mark. */
function bordersOf(fileSystem: SimulatedFileSystem): Border[] {
  const borders: Border[] = [];
  const { segments } = readJournal({ ...place, fileSystem, identity, encoder: new ItemEncoder() });
  for (const { path, header } of segments) {
    const file = fileSystem.open(path, 'read');
    const start = { offset: 128, position: header.firstPosition, link: undefined };
    const walker = new FrameWalker(file, header.salt, start);
    while (walker.next()) {
      const at = walker.at + FRAME_HEADER_SIZE + walker.frame.bodySize;
      const mark = new Uint8Array(walker.bytes.subarray(at, at + 4));
      const segment = header.firstPosition;
      borders.push({ position: walker.position, mark, segment, offset: walker.frameOffset });
    }
    file.close();
  }
  return borders;
}

interface Outcome {
  readonly encoder: ItemEncoder;
  readonly error: unknown;
  readonly end: number;
  readonly readSize: number;
}

/** Opens a copy of the disk. */
function reopen(
  disk: SimulatedFileSystem,
  known: KnownPosition | undefined,
  retainedFrom = 0,
): Outcome {
  const fileSystem = disk.clone();
  const before = fileSystem.snapshotDigest();
  const encoder = new ItemEncoder();
  const outcome = { encoder, error: undefined, end: -1, readSize: 0 };
  const parts = { ...place, fileSystem, identity, encoder, known, retainedFrom };
  let readSize = 0;
  fileSystem.onOperation = ({ kind, size = 0 }) => {
    readSize += kind === 'read' ? size : 0;
  };
  let opened: ReturnType<typeof recoverJournal>;
  try {
    opened = recoverJournal(parts);
  } catch (error) {
    expect(fileSystem.snapshotDigest()).toBe(before);
    expect(fileSystem.openCount).toBe(0);
    return { ...outcome, error };
  }
  const { active, end } = opened;
  active.file.close();
  expect(fileSystem.openCount).toBe(0);
  const read = readSize;
  // What was repaired is what is found again.
  const again = new ItemEncoder();
  expect(end).toMatchObject(readJournal({ ...parts, encoder: again }).end);
  expect(again.replayed).toEqual(encoder.replayed);
  return { ...outcome, end: end.position, readSize: read };
}

function refusalOf({ error }: Outcome): string | undefined {
  expect(error).toBeInstanceOf(KnownPositionError);
  return (error as KnownPositionError).refusal;
}

const commits: Commit[] = Array.from({ length: 42 }, (_, index) => ({
  count: 1 + (index % 5),
  size: 40 + ((index * 37) % 300),
}));
const total = commits.reduce((sum, { count }) => sum + count, 0);

function wrong(mark: Uint8Array): Uint8Array {
  const other = mark.slice();
  other[2]! ^= 0x10;
  return other;
}

function pathOf(segment: number): string {
  return `${directory}/${segmentName(segment)}`;
}

/** A copy with a bit flipped in the body of the frame that ends there. */
function damaged(disk: SimulatedFileSystem, { segment, offset }: Border): SimulatedFileSystem {
  const copy = disk.clone();
  copy.flipBit(pathOf(segment), offset + 60, 3);
  return copy;
}

describe('a journal of which a position is known', () => {
  let stopped: SimulatedFileSystem;
  let borders: Border[];
  let newest: number;
  let firsts: number[];

  beforeAll(async () => {
    stopped = newDisk(1);
    await append(stopped, commits, 2);
    borders = bordersOf(stopped);
    newest = borders.at(-1)!.segment;
    firsts = [0, ...borders.map(({ position }) => position)].slice(0, -1);
    expect(new Set(borders.map(({ segment }) => segment)).size).toBeGreaterThan(4);
    expect(borders.filter(({ segment }) => segment === newest).length).toBeGreaterThan(2);
  });

  it('replays the frames from it on, wherever a frame ends, and reads no body of a full segment below it', () => {
    const whole = reopen(stopped, undefined);
    expect(whole.encoder.replayed).toEqual(firsts);
    let sizeBefore = Infinity;
    for (const known of borders) {
      const { encoder, error, end, readSize } = reopen(stopped, known);
      expect(error).toBeUndefined();
      expect(end).toBe(total);
      expect(encoder.replayed).toEqual(firsts.filter((first) => first >= known.position));
      // The frame that ends there, and in the unsealed segment all before it, for its table.
      const noted = borders.filter(
        (border) =>
          border === known ||
          (known.segment === newest &&
            border.segment === newest &&
            border.position < known.position),
      );
      expect(encoder.noted).toEqual(noted.map((border) => firsts[borders.indexOf(border)]));
      sizeBefore = Math.min(sizeBefore, readSize);
    }
    expect(sizeBefore).toBeLessThan(whole.readSize);
  });

  it('is refused where the mark is another one', () => {
    for (const { position, mark } of borders) {
      const refused = reopen(stopped, { position, mark: wrong(mark) });
      expect(refusalOf(refused)).toBe('another log');
      expect(refused.encoder.replayed).toEqual([]);
      expect(refusalOf(reopen(stopped, { position, mark: mark.slice(0, 3) }))).toBe('another log');
    }
  });

  it('is refused where no frame ends', () => {
    const ends = new Set(borders.map(({ position }) => position));
    const inside = Array.from({ length: total }, (_, position) => position).filter(
      (position) => position > 0 && !ends.has(position),
    );
    expect(inside.length).toBeGreaterThan(60);
    for (const position of inside) {
      const { mark } = borders.find((border) => border.position > position)!;
      const refused = reopen(stopped, { position, mark });
      expect(refusalOf(refused)).toBe('another log');
      expect(refused.encoder.replayed).toEqual([]);
    }
  });

  it('is refused beyond the end, as evidence of lost frames, with the positions that are missing', () => {
    const { mark } = borders.at(-1)!;
    const refused = reopen(stopped, { position: total + 7, mark });
    expect(refusalOf(refused)).toBe('shorter');
    expect(refused.error).toMatchObject({ code: 'CORRUPT', position: total });
    expect(String(refused.error)).toContain(`positions ${total} to ${total + 6} were durable`);
    expect(reopen(stopped, { position: 0, mark }).end).toBe(total);
  });

  it('is walked as without one where footers are missing or not whole', () => {
    const segments = [...new Set(borders.map(({ segment }) => segment))];
    for (const segment of segments.slice(0, -1)) {
      const disk = stopped.clone();
      const path = pathOf(segment);
      disk.writeFile(path, disk.readFile(path).slice(0, -5));
      const at = segments.indexOf(segment);
      const near = segments.slice(at, at + 2);
      for (const known of borders.filter((border) => near.includes(border.segment))) {
        const { encoder, error } = reopen(disk, known);
        expect(error).toBeUndefined();
        expect(encoder.replayed).toEqual(firsts.filter((first) => first >= known.position));
        const { position, mark } = known;
        expect(refusalOf(reopen(disk, { position, mark: wrong(mark) }))).toBe('another log');
      }
    }
  });

  it('does not hide segments that are missing, swapped or of another store', async () => {
    const segments = [...new Set(borders.map(({ segment }) => segment))];
    const other = newDisk(1);
    await append(other, commits, 2);
    const known = borders.at(-1)!;
    for (const [index, segment] of segments.entries()) {
      const missing = stopped.clone();
      missing.removeFile(pathOf(segment));
      expect(reopen(missing, known).error).toMatchObject({ code: 'CORRUPT' });
      const next = segments[(index + 1) % segments.length]!;
      const swapped = stopped.clone();
      swapped.writeFile(pathOf(segment), stopped.readFile(pathOf(next)));
      swapped.writeFile(pathOf(next), stopped.readFile(pathOf(segment)));
      expect(reopen(swapped, known).error).toMatchObject({ code: 'CORRUPT' });
      const foreign = stopped.clone();
      const bytes = foreign.readFile(pathOf(segment)).slice();
      bytes[8]! ^= 1;
      foreign.writeFile(pathOf(segment), bytes);
      expect(reopen(foreign, known).error).toMatchObject({ code: 'CORRUPT' });
    }
  });

  it('finds damage from it on, and leaves that below it in full segments to whoever reads it', () => {
    for (const [index, known] of borders.entries()) {
      for (const border of borders.slice(Math.max(0, index - 1), index + 1)) {
        const isRead = border.position >= known.position || border.segment === newest;
        const { error } = reopen(damaged(stopped, border), known);
        if (isRead) {
          expect(error).toMatchObject({ code: 'CORRUPT' });
        } else {
          expect(error).toBeUndefined();
          expect(reopen(damaged(stopped, border), undefined).error).toMatchObject({
            code: 'CORRUPT',
          });
        }
      }
    }
  });

  it('takes the position for durable: a torn end below it is damage, behind it is set aside', () => {
    const disk = stopped.clone();
    const path = pathOf(newest);
    const last = borders.filter(({ segment }) => segment === newest);
    const tear = last.at(-1)!;
    disk.flipBit(path, tear.offset + 60, 3);
    disk.removeFile(`${directory}/tail`);
    // Nothing but what is known proves that the last frame was durable.
    expect(reopen(disk, undefined).end).toBe(last.at(-2)!.position);
    expect(reopen(disk, last.at(-2)).end).toBe(last.at(-2)!.position);
    const refused = reopen(disk, tear);
    expect(refusalOf(refused)).toBe('shorter');
    expect(refused.error).toBeInstanceOf(CorruptionError);
    expect(refused.error).toMatchObject({ position: last.at(-2)!.position });
  });

  it('refuses what a copy knows that went its own way with commits of equal sizes', async () => {
    const first = newDisk(7);
    await append(first, commits.slice(0, 20), 8, 'closed');
    const second = first.clone();
    await append(first, commits.slice(20), 9);
    await append(second, commits.slice(20), 10);
    const ours = bordersOf(first);
    const theirs = bordersOf(second);
    expect(ours.map(({ position, segment }) => [position, segment])).toEqual(
      theirs.map(({ position, segment }) => [position, segment]),
    );
    for (const [index, known] of theirs.entries()) {
      const outcome = reopen(first, known);
      if (index < 20) {
        expect(outcome.error).toBeUndefined();
      } else {
        expect(refusalOf(outcome)).toBe('another log');
      }
    }
  });

  it('needs nothing below it where segments were removed', () => {
    const segments = [...new Set(borders.map(({ segment }) => segment))];
    for (const first of segments.slice(1)) {
      const disk = stopped.clone();
      for (const segment of segments.filter((position) => position < first)) {
        disk.removeFile(pathOf(segment));
      }
      const at = borders.find(({ position }) => position === first)!;
      const { encoder, error } = reopen(disk, at, first);
      expect(error).toBeUndefined();
      expect(encoder.replayed).toEqual(firsts.filter((position) => position >= first));
    }
  });

  it('reads no more than headers, footers and tables of full segments below it', () => {
    const known = borders.findLast(({ segment }) => segment < newest)!;
    const sealed = [...new Set(borders.map(({ segment }) => segment))].slice(0, -1);
    const disk = stopped.clone();
    // Everything else in them can't be read.
    for (const segment of sealed.slice(0, -1)) {
      const path = pathOf(segment);
      const bytes = disk.readFile(path).slice();
      const items = borders.filter((border) => border.segment === segment);
      const count = items.at(-1)!.position - segment;
      bytes.fill(0xee, 128, bytes.length - 128 - 4 * count);
      disk.writeFile(path, bytes);
    }
    expect(reopen(disk, known).error).toBeUndefined();
    expect(reopen(disk, undefined).error).toMatchObject({ code: 'CORRUPT' });
  });
});
